//! Holds `docs/api.md` to the code: every route and every problem code, in both directions.
//!
//! Reads words of the source, not types: a code is the first text in a call that makes a refusal. Never judges what a
//! page says about a route.

use std::collections::BTreeSet;

use crate::Report;
use crate::tree::{SourceFile, files, shipped_part};

/// The page.
const PAGE: &str = "docs/api.md";
/// The table of the instances' listener: `row(Method::POST, "/v1/register", …`.
const TABLE: &str = "crates/server/src/table.rs";
/// The listeners that only read: `.route("/keys.json", get(keys))`.
const READERS: &[&str] = &["crates/server/src/public.rs", "crates/server/src/metrics.rs"];
/// Where refusals of the API are made.
const REFUSERS: &[&str] = &[
    "crates/governance/src/refusal.rs",
    "crates/plane/src/",
    "crates/server/src/",
    "crates/trust/src/identity.rs",
    "crates/trust/src/request.rs",
];
/// Calls whose first text is a problem's code, and the arms that give one.
const MAKERS: &[&str] = &[
    "Rejection::new(",
    "Failure::new(",
    "Self::new(StatusCode",
    "::unauthorised(",
    "::forbidden(",
    "::bad_request(",
];

/// Compares the page with the code.
pub(crate) fn check() -> anyhow::Result<Report> {
    let sources = files("crates", &[".rs"])?;
    let pages = files("docs", &[".md"])?;
    let page = pages.iter().find(|page| page.path == PAGE).map_or("", |page| page.text.as_str());
    let (routes, codes) = (routes_of(&sources), codes_of(&sources));
    let mut problems = differences("route", &routes, &routes_on(page));
    problems.extend(differences("code", &codes, &codes_on(page)));
    Ok(Report { notes: vec![format!("{} routes, {} problem codes", routes.len(), codes.len())], problems })
}

fn differences(what: &str, code: &BTreeSet<String>, page: &BTreeSet<String>) -> Vec<String> {
    let missing = code.difference(page).map(|name| format!("{PAGE} lacks the {what} {name}"));
    let extra =
        page.difference(code).map(|name| format!("{PAGE} names the {what} {name}, which is not there"));
    missing.chain(extra).collect()
}

/// Every route, as `POST /v1/register`.
fn routes_of(sources: &[SourceFile]) -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for source in sources {
        let shipped = shipped_part(source);
        if source.path == TABLE {
            let rows = shipped.split("row(Method::").skip(1);
            routes.extend(rows.filter_map(|row| {
                let method = row.split(',').next()?.trim();
                Some(format!("{method} {}", first_text(row)?))
            }));
        } else if READERS.contains(&source.path.as_str()) {
            let made = shipped.split(".route(").skip(1);
            routes.extend(made.filter_map(first_text).map(|path| format!("GET {path}")));
        }
    }
    routes
}

/// Every code that a refusal may carry.
fn codes_of(sources: &[SourceFile]) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for source in sources.iter().filter(|source| REFUSERS.iter().any(|path| source.path.starts_with(path))) {
        let shipped = shipped_part(source);
        for maker in MAKERS {
            codes.extend(shipped.split(maker).skip(1).filter_map(first_text).filter(|text| is_code(text)));
        }
        if !source.path.starts_with("crates/plane/") && !source.path.starts_with("crates/server/") {
            // Tables of `=> "code",` and `=> ("code", "RULE", …)`.
            let arms =
                shipped.split("=>").skip(1).map(|arm| arm.trim_start_matches(|c: char| " \n{(".contains(c)));
            codes.extend(
                arms.filter(|arm| arm.starts_with('"')).filter_map(first_text).filter(|text| is_code(text)),
            );
        }
    }
    codes
}

/// Rows of a table that open with a route: `` | POST | `/v1/register` | ``.
fn routes_on(page: &str) -> BTreeSet<String> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    cells
        .filter(|(method, _)| matches!(*method, "GET" | "POST" | "PUT"))
        .filter_map(|(method, rest)| Some(format!("{method} {}", rest.split('`').nth(1)?)))
        .collect()
}

/// Codes in the first cell of a row whose second is a status, or – for none: `` | `not-found` | 404 | ``.
fn codes_on(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.filter(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit() || c == '–'))
        .flat_map(|(codes, _)| codes.split("`, `").map(str::to_owned))
        .collect()
}

/// The first text in what follows, unless a block ends before.
fn first_text(text: &str) -> Option<String> {
    let (before, rest) = text.split_once('"')?;
    if before.contains('}') { None } else { rest.split('"').next().map(str::to_owned) }
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_route_and_code() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn routes_and_codes_are_found() {
        let source = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let sources = [
            source(
                TABLE,
                "row(Method::POST,  \"/v1/a\", Role, JSON),\nrow(Method::GET, \"/v1/b\", Role, JSON),",
            ),
            source("crates/server/src/public.rs", ".route(\"/c\", get(c))"),
            source("crates/plane/src/x.rs", "Rejection::new(\n  \"not-running\",\n  \"RO-3\")"),
            source("crates/trust/src/identity.rs", "Self::Key => \"key-odd\",\nSelf::B => \"a hint\","),
            source("crates/governance/src/refusal.rs", "Self::A => {\n (\"tier-limit\", \"EN-2\", \"x\") }"),
        ];
        assert_eq!(Vec::from_iter(routes_of(&sources)), ["GET /c", "GET /v1/b", "POST /v1/a"]);
        assert_eq!(Vec::from_iter(codes_of(&sources)), ["key-odd", "not-running", "tier-limit"]);
        let page = "| POST | `/v1/a` | x |\n| `tier-limit`, `key-odd` | 409 | y |\n| `agent.toml` | file |";
        assert_eq!(Vec::from_iter(routes_on(page)), ["POST /v1/a"]);
        assert_eq!(Vec::from_iter(codes_on(page)), ["key-odd", "tier-limit"]);
    }
}
