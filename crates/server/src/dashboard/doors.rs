//! Which page opens to whom: each rests on a row of the one table of roles, and is open to the people of that row (AU-1).

use axum::http::Method;
use governance::PersonRole;

use crate::table;

/// A page or an act of the dashboard.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// The row of the instances' listener that it does the same as; none: whoever is signed in.
    rests_on: Option<(Method, &'static str)>,
}

const fn door(method: Method, path: &'static str, on: Method, row: &'static str) -> Door {
    Door { method, path, rests_on: Some((on, row)) }
}

const fn open(method: Method, path: &'static str) -> Door {
    Door { method, path, rests_on: None }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// The table of the dashboard.
#[rustfmt::skip]
pub(crate) const DOORS: &[Door] = &[
    //   method  path                                         does the same as
    open(GET,  "/"),
    open(GET,  "/live"),
    open(POST, "/sign-out"),
    door(GET,  "/fleet",                                      GET,  "/v1/instances"),
    door(GET,  "/instances",                                  GET,  "/v1/instances/{id}"),
    door(GET,  "/instances/{id}",                             GET,  "/v1/instances/{id}"),
    door(GET,  "/instances/{id}/decisions/{number}/proof",    GET,  "/v1/instances/{id}/decisions/{number}/proof"),
    door(GET,  "/instances/{id}/suspend",                     POST, "/v1/instances/{id}/suspend"),
    door(POST, "/instances/{id}/suspend",                     POST, "/v1/instances/{id}/suspend"),
    door(GET,  "/instances/{id}/reactivate",                  POST, "/v1/instances/{id}/reactivate"),
    door(POST, "/instances/{id}/reactivate",                  POST, "/v1/instances/{id}/reactivate"),
    door(GET,  "/rollouts",                                   GET,  "/v1/rollouts"),
    door(GET,  "/rollouts/{release}",                         GET,  "/v1/rollouts/{release}"),
    door(GET,  "/rollouts/{release}/{verb}",                  POST, "/v1/rollouts/{release}/{verb}"),
    door(POST, "/rollouts/{release}/{verb}",                  POST, "/v1/rollouts/{release}/{verb}"),
    door(GET,  "/releases",                                   GET,  "/v1/releases"),
    door(GET,  "/constitution",                               GET,  "/v1/constitution"),
    door(GET,  "/escalations",                                GET,  "/v1/escalations"),
    door(POST, "/escalations/acknowledge",                    POST, "/v1/escalations/acknowledge"),
    door(GET,  "/escalations/order",                          GET,  "/v1/escalations"),
    door(GET,  "/ledger",                                     GET,  "/v1/ledger/entries"),
    door(GET,  "/ledger/{position}",                          GET,  "/v1/ledger/entries"),
    door(GET,  "/ledger/{position}/proof",                    GET,  "/v1/ledger/proof"),
    door(POST, "/ledger/verify",                              GET,  "/v1/ledger/entries"),
    door(GET,  "/red-switch",                                 POST, "/v1/red-switch"),
    door(POST, "/red-switch",                                 POST, "/v1/red-switch"),
];

impl Door {
    /// Whether it opens to people of this role.
    pub(crate) fn opens_to(&self, role: PersonRole) -> bool {
        self.rests_on.as_ref().is_none_or(|(method, path)| may(role, method, path))
    }

    /// The rule that keeps it shut to others.
    pub(crate) fn callers(&self) -> String {
        let row = self.rests_on.as_ref().and_then(|(method, path)| table::find(method, path));
        row.map_or_else(|| "whoever is signed in".to_owned(), |row| row.role.shown())
    }
}

/// Whether people of this role may call this row of the instances' listener.
pub(crate) fn may(role: PersonRole, method: &Method, path: &str) -> bool {
    table::find(method, path).is_some_and(|row| row.role.has(role))
}

/// The door of a route.
pub(crate) fn find(method: &Method, path: &str) -> Option<&'static Door> {
    let method = if method == Method::HEAD { &GET } else { method };
    DOORS.iter().find(|door| door.method == *method && door.path == path)
}

/// Which page opens to whom: method, path, and the words for the people (AU-1).
pub fn dashboard_doors() -> impl Iterator<Item = (&'static Method, &'static str, Vec<&'static str>)> {
    DOORS.iter().map(|door| {
        let opens = PersonRole::ALL.iter().filter(|role| door.opens_to(**role));
        (&door.method, door.path, opens.map(|role| role.as_str()).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn au_1_every_door_rests_on_a_row_of_the_one_table() {
        for door in DOORS {
            if let Some((method, path)) = &door.rests_on {
                assert!(table::find(method, path).is_some(), "{path}");
            }
            // What changes anything rests on what changes the same.
            let reads = ["/sign-out", "/ledger/verify"];
            if door.method == POST && !reads.contains(&door.path) {
                assert!(door.rests_on.as_ref().is_some_and(|(method, _)| *method == POST), "{}", door.path);
            }
        }
    }
}
