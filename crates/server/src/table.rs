//! Who may call what: one row per route. A route without a row is open to nobody.

use axum::http::Method;
use governance::person::{self, PersonRole};
use wire::{BODY_BYTES_MAX, PACKAGE_BYTES_MAX};

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A holder of a key that is not registered yet.
    Unregistered,
    /// The instance named in the path, while it is not revoked and its certificate counts.
    Instance,
    /// The same; its certificate may have run out within the grace (HS-2).
    InstanceRenewing,
    /// The same; revoked ones too (LC-19).
    InstanceRevokedToo,
    /// The same as [`Instance`](Self::Instance), or people of these roles; of a provider's, who sees his own instances alone.
    InstanceOr(&'static [PersonRole]),
    /// People of these roles; of a provider's, who sees his own instances alone (ID-3).
    People(&'static [PersonRole]),
}

impl Role {
    /// In words.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::Unregistered => {
                "instances that are not registered yet, with a self-signed certificate".to_owned()
            }
            Self::Instance | Self::InstanceRenewing | Self::InstanceRevokedToo => {
                "the instance it names".to_owned()
            }
            Self::InstanceOr(roles) => format!("the instance it names, and {}", Self::People(roles).shown()),
            Self::People(roles) => {
                let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
                format!("people certified as {}", roles.join(", "))
            }
        }
    }

    /// Whether a person of this role may call it.
    pub(crate) fn has(self, role: PersonRole) -> bool {
        match self {
            Self::InstanceOr(roles) | Self::People(roles) => roles.contains(&role),
            _ => false,
        }
    }

    /// Whether it is for instances.
    pub(crate) const fn is_instance(self) -> bool {
        matches!(
            self,
            Self::Instance | Self::InstanceRenewing | Self::InstanceRevokedToo | Self::InstanceOr(_)
        )
    }
}

/// Which budget a call is taken from: one kind of call never uses up another's (HS-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Budget {
    /// What instances do all day.
    Daily,
    /// Registration.
    Registration,
    /// Renewal.
    Renewal,
    /// Operators.
    Operation,
    /// The dashboard.
    Dashboard,
    /// Forms of the dashboard.
    Form,
    /// Paths and methods that there are not.
    Nowhere,
}

/// What a route's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// JSON, read whole before the call is judged.
    Json {
        /// Its bytes at most.
        bytes_max: usize,
    },
    /// A file, read piece by piece.
    File {
        /// Its bytes at most.
        bytes_max: u64,
    },
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) role: Role,
    pub(crate) budget: Budget,
    pub(crate) body: BodyKind,
}

/// What instances call all day, and what changes nothing by itself (HS-6).
const CHECK_IN: &str = "/v1/instances/{id}/check-in";

impl Row {
    /// Whether the call changes nothing by itself, so that it may be signed under its channel's key (HS-6).
    pub(crate) fn is_quiet(&self) -> bool {
        self.path == CHECK_IN
    }
}

/// A signed release with its targets metadata in base64: 5 MB of it, and the manifest.
const RELEASE_BYTES_MAX: usize = 8 * 1024 * 1024;
const JSON: BodyKind = BodyKind::Json { bytes_max: BODY_BYTES_MAX };
const RELEASE: BodyKind = BodyKind::Json { bytes_max: RELEASE_BYTES_MAX };
const FILE: BodyKind = BodyKind::File { bytes_max: PACKAGE_BYTES_MAX };

const fn row(method: Method, path: &'static str, role: Role, budget: Budget, body: BodyKind) -> Row {
    Row { method, path, role, budget, body }
}

use Budget::{Daily, Operation, Registration, Renewal};
use Role::{Instance, InstanceRenewing, InstanceRevokedToo, Unregistered};

/// Who operates.
const OPERATORS: Role = Role::People(person::OPERATORS);
/// Who operates, or operates a provider's own instances (ID-3).
const MANAGERS: Role = Role::People(person::MANAGERS);
/// Who operates or audits.
const READERS: Role = Role::People(&[PersonRole::Operator, PersonRole::Auditor]);
/// The same, and who operates a provider's own instances.
const WATCHERS: Role = Role::People(&[PersonRole::Operator, PersonRole::Auditor, PersonRole::Provider]);
/// Whom decisions about an instance concern: the instance itself, and who watches it.
const CONCERNED: Role = Role::InstanceOr(&[PersonRole::Operator, PersonRole::Auditor, PersonRole::Provider]);
/// Whoever may see what is billed.
const PAYERS: Role = Role::People(person::PAYERS);
/// Who operates, audits, or signs for the Founder.
const COUNCIL: Role = Role::People(&[PersonRole::Operator, PersonRole::Auditor, PersonRole::FounderSigner]);
/// Who operates, or signs for the Founder.
const SIGNERS: Role = Role::People(person::SIGNERS);
/// Everybody with a certificate of the root CA.
const EVERYBODY: Role = Role::People(PersonRole::ALL);

/// The table of the instances' listener.
#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    //  method         path                                       role                budget        body
    row(Method::POST,  "/v1/register",                            Unregistered,       Registration, JSON),
    row(Method::POST,  "/v1/instances/{id}/renew",                InstanceRenewing,   Renewal,      JSON),
    row(Method::POST,  "/v1/instances/{id}/ready",                Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/report",               Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/check-in",             Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/upgrade/begin",        Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/upgrade/finish",       Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/retry",                Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/rollback",             Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/entitlement",          Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/modules/activate",     Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/modules/deactivate",   Instance,           Daily,        JSON),
    row(Method::POST,  "/v1/instances/{id}/answer",               Instance,           Daily,        JSON),
    row(Method::GET,   "/v1/instances/{id}/status",               InstanceRevokedToo, Daily,        JSON),
    row(Method::GET,   "/v1/instances/{id}/events",               Instance,           Daily,        JSON),
    row(Method::GET,   "/v1/instances/{id}/decisions",            CONCERNED,          Daily,        JSON),
    row(Method::GET,   "/v1/instances/{id}/decisions/{number}/proof", CONCERNED,      Daily,        JSON),
    row(Method::POST,  "/v1/enrolments",                          MANAGERS,           Operation,    JSON),
    row(Method::GET,   "/v1/enrolments",                          OPERATORS,          Operation,    JSON),
    row(Method::POST,  "/v1/enrolments/{digest}/approve",         OPERATORS,          Operation,    JSON),
    row(Method::GET,   "/v1/instances",                           WATCHERS,           Operation,    JSON),
    row(Method::GET,   "/v1/instances/{id}",                      EVERYBODY,          Operation,    JSON),
    row(Method::GET,   "/v1/instances/{id}/explain",              WATCHERS,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/enrolment",            MANAGERS,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/challenge",            MANAGERS,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/suspend",              MANAGERS,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/reactivate",           MANAGERS,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/subscription",         PAYERS,             Operation,    JSON),
    row(Method::GET,   "/v1/rollouts",                            COUNCIL,            Operation,    JSON),
    row(Method::GET,   "/v1/rollouts/{release}",                  COUNCIL,            Operation,    JSON),
    row(Method::POST,  "/v1/rollouts/{release}/{verb}",           OPERATORS,          Operation,    JSON),
    row(Method::PUT,   "/v1/targets/{name}",                      OPERATORS,          Operation,    FILE),
    row(Method::POST,  "/v1/targets",                             OPERATORS,          Operation,    RELEASE),
    row(Method::POST,  "/v1/releases",                            OPERATORS,          Operation,    RELEASE),
    row(Method::GET,   "/v1/releases",                            EVERYBODY,          Operation,    JSON),
    row(Method::POST,  "/v1/releases/{release}/withdraw",         OPERATORS,          Operation,    JSON),
    row(Method::POST,  "/v1/freezes",                             OPERATORS,          Operation,    JSON),
    row(Method::POST,  "/v1/red-switch",                          OPERATORS,          Operation,    JSON),
    row(Method::POST,  "/v1/people/revoke",                       SIGNERS,            Operation,    JSON),
    row(Method::GET,   "/v1/people/revoked",                      READERS,            Operation,    JSON),
    row(Method::POST,  "/v1/orders",                              SIGNERS,            Operation,    JSON),
    row(Method::GET,   "/v1/escalations",                         COUNCIL,            Operation,    JSON),
    row(Method::POST,  "/v1/escalations/acknowledge",             SIGNERS,            Operation,    JSON),
    row(Method::GET,   "/v1/ledger/entries",                      COUNCIL,            Operation,    JSON),
    row(Method::GET,   "/v1/ledger/proof",                        COUNCIL,            Operation,    JSON),
    row(Method::GET,   "/v1/ledger/tile/{*path}",                 COUNCIL,            Operation,    JSON),
    row(Method::GET,   "/v1/ledger/checkpoint",                   EVERYBODY,          Operation,    JSON),
    row(Method::GET,   "/v1/records/world",                       READERS,            Operation,    JSON),
    row(Method::GET,   "/v1/records/instances",                   READERS,            Operation,    JSON),
    row(Method::GET,   "/v1/federation",                          EVERYBODY,          Operation,    JSON),
    row(Method::GET,   "/v1/constitution",                        EVERYBODY,          Operation,    JSON),
    row(Method::POST,  "/v1/dashboard/links",                     EVERYBODY,          Operation,    JSON),
];

/// Who may call what on the instances' listener: method, path, and the words for the callers (AU-1).
pub fn authorisation() -> impl Iterator<Item = (&'static Method, &'static str, Vec<&'static str>)> {
    TABLE.iter().map(|row| {
        let callers = match row.role {
            Role::Unregistered => vec!["stranger"],
            Role::Instance | Role::InstanceRenewing | Role::InstanceRevokedToo => vec!["instance"],
            Role::InstanceOr(roles) => {
                std::iter::once("instance").chain(roles.iter().map(|role| role.as_str())).collect()
            }
            Role::People(roles) => roles.iter().map(|role| role.as_str()).collect(),
        };
        (&row.method, row.path, callers)
    })
}

/// The row of a route.
pub(crate) fn find(method: &Method, path: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.method == method && row.path == path)
}
