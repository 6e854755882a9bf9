//! Who may call what: one row per route. A route without a row is open to nobody.

use axum::http::Method;
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
    /// An operator.
    Operator,
}

impl Role {
    /// In words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unregistered => "instances that are not registered yet, with a self-signed certificate",
            Self::Instance | Self::InstanceRenewing | Self::InstanceRevokedToo => "the instance it names",
            Self::Operator => "operators",
        }
    }

    /// Whether it is for instances.
    pub(crate) const fn is_instance(self) -> bool {
        matches!(self, Self::Instance | Self::InstanceRenewing | Self::InstanceRevokedToo)
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

/// A signed release with its targets metadata in base64: 5 MB of it, and the manifest.
const RELEASE_BYTES_MAX: usize = 8 * 1024 * 1024;
const JSON: BodyKind = BodyKind::Json { bytes_max: BODY_BYTES_MAX };
const RELEASE: BodyKind = BodyKind::Json { bytes_max: RELEASE_BYTES_MAX };
const FILE: BodyKind = BodyKind::File { bytes_max: PACKAGE_BYTES_MAX };

const fn row(method: Method, path: &'static str, role: Role, budget: Budget, body: BodyKind) -> Row {
    Row { method, path, role, budget, body }
}

use Budget::{Daily, Operation, Registration, Renewal};
use Role::{Instance, InstanceRenewing, InstanceRevokedToo, Operator, Unregistered};

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
    row(Method::GET,   "/v1/instances/{id}/status",               InstanceRevokedToo, Daily,        JSON),
    row(Method::POST,  "/v1/enrolments",                          Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/instances",                           Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/instances/{id}",                      Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/instances/{id}/explain",              Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/suspend",              Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/reactivate",           Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/instances/{id}/subscription",         Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/rollouts",                            Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/rollouts/{release}",                  Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/rollouts/{release}/{verb}",           Operator,           Operation,    JSON),
    row(Method::PUT,   "/v1/targets/{name}",                      Operator,           Operation,    FILE),
    row(Method::POST,  "/v1/releases",                            Operator,           Operation,    RELEASE),
    row(Method::GET,   "/v1/releases",                            Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/releases/{release}/withdraw",         Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/freezes",                             Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/red-switch",                          Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/orders",                              Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/escalations",                         Operator,           Operation,    JSON),
    row(Method::POST,  "/v1/escalations/acknowledge",             Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/ledger/entries",                      Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/ledger/checkpoint",                   Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/records/world",                       Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/records/instances",                   Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/federation",                          Operator,           Operation,    JSON),
    row(Method::GET,   "/v1/constitution",                        Operator,           Operation,    JSON),
];

/// The row of a route.
pub(crate) fn find(method: &Method, path: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.method == method && row.path == path)
}
