//! Paths and names that lead, or seem to lead, somewhere else: written as bytes, since clients tidy them up.

use http::Method;

use super::said::{say, say_in_public, written};
use super::{BYTES, OPERATOR, OWNER, Refusal, Row, STRANGER, call, check, patient, row};
use crate::common::{Raw, Who, World, registration};

pub(super) const TEST: &str = "id_3_no_path_or_name_leads_anywhere_else";

#[tokio::test]
async fn id_3_no_path_or_name_leads_anywhere_else() {
    check(&mut patient().await, ROWS).await;
}

pub(super) const ROWS: &[Row] = &[
    row("`..` from the own path to another's", OWNER, "ID-3", "404 not-found", Refusal, |s| {
        Box::pin(async move {
            let (other, _) = s.world.active().await;
            let (own, who) = s.victim().await;
            let mut answers = Vec::new();
            for path in [
                format!("/v1/instances/{own}/../{other}/check-in"),
                format!("/v1/instances/{own}/%2e%2e/{other}/check-in"),
                format!("/v1/instances/{own}/./check-in"),
                format!("/v1/../v1/instances/{other}/check-in"),
            ] {
                answers.extend(posted(s.world, &who, &path).await);
            }
            answers
        })
    }),
    row(
        "another's id beside the own one: `%2f`, `%00`, dots, capitals, odd digits",
        OWNER,
        "ID-3",
        "403 not-authorised",
        Refusal,
        |s| {
            Box::pin(async move {
                let (other, _) = s.world.active().await;
                let (own, who) = s.victim().await;
                let mut answers = Vec::new();
                for id in [
                    format!("{other}%2f..%2f{own}"),
                    format!("{own}%2f..%2f{other}"),
                    format!("{own}%00"),
                    format!("{own}."),
                    format!("%20{own}"),
                    format!("%7B{own}%7D"),
                    own.to_string().to_uppercase().replace(|c: char| c.is_ascii_digit(), "A"),
                    own.to_string().replace('-', ""),
                    own.to_string().replacen(|_: char| true, "%EF%BC%91", 1),
                    "..".to_owned(),
                ] {
                    answers.extend(posted(s.world, &who, &format!("/v1/instances/{id}/check-in")).await);
                }
                answers
            })
        },
    ),
    row(
        "two slashes, one too many at the end, another case, overlong dots",
        OWNER,
        "ID-3",
        "404 not-found",
        Refusal,
        |s| {
            Box::pin(async move {
                let (own, who) = s.victim().await;
                let mut answers = Vec::new();
                for path in [
                    format!("//v1/instances/{own}/check-in"),
                    format!("/v1//instances/{own}/check-in"),
                    format!("/v1/instances/{own}/check-in/"),
                    format!("/V1/instances/{own}/check-in"),
                    format!("/v1/instances/{own}/check-in;x=y"),
                    format!("/v1/instances/{own}/check-in%2f"),
                    "/".to_owned(),
                    // Overlong: not UTF-8.
                    "/v1/instances/%c0%ae%c0%ae/check-in".to_owned(),
                ] {
                    answers.extend(posted(s.world, &who, &path).await);
                }
                answers
            })
        },
    ),
    row("an operator's path that names no release", OPERATOR, "RL-1", "400 path-malformed", Refusal, |s| {
        Box::pin(async move {
            let who = s.world.operator();
            let mut answers = Vec::new();
            for release in ["..%2f0.1.0", "0.1.0%00", "0.1.0.", "%D9%A0.1.0", "v0.1.0", "00.1.0"] {
                let raw = Raw::get(format!("/v1/rollouts/{release}"));
                answers.extend(say(s.world, &who, &written(s.world, &who, &raw, "")).await);
            }
            answers
        })
    }),
    row("a key of the query twice, or unknown", OPERATOR, "HS-6", "400 query-malformed", Refusal, |s| {
        Box::pin(async move {
            let who = s.world.operator();
            let mut answers = Vec::new();
            for query in ["limit=1&limit=2", "limit=1&x=y", "limit=-1", "limit=1%00", "finding=..%2f"] {
                answers.push(s.send(Raw::get(format!("/v1/instances?{query}")), &who).await);
            }
            answers
        })
    }),
    row(
        "domain codes such as `../A`: dots, NUL, other alphabets, small letters",
        OWNER,
        "EN-1",
        "400 json-malformed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (own, who) = s.victim().await;
                let mut answers = Vec::new();
                for code in [
                    "../A",
                    "COM\\u0000",
                    "COM.",
                    "\u{421}\u{41e}\u{41c}",
                    "com",
                    "",
                    "CO M",
                    "COM/../MED",
                    "%43OM",
                ] {
                    let body = format!(r#"{{"domain":"{code}"}}"#).into_bytes();
                    answers.push(s.send(Raw { body, ..call(own, "modules/activate") }, &who).await);
                }
                answers
            })
        },
    ),
    row(
        "a body that says two things at once, or nests without end",
        OWNER,
        "EN-1",
        "400 json-malformed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (own, who) = s.victim().await;
                let deep = format!("{{\"domain\":{}", "[".repeat(100_000));
                let mut answers = Vec::new();
                for body in
                    [r#"{"domain":"COM","domain":"MED"}"#, r#"{"domain":"COM"}{"domain":"MED"}"#, &deep]
                {
                    answers
                        .push(s.send(Raw { body: body.into(), ..call(own, "modules/activate") }, &who).await);
                }
                answers
            })
        },
    ),
    row(
        "target names such as `../x`: dots, NUL, line ends, other alphabets, overlong",
        OPERATOR,
        "RL-3",
        "400 target-refused",
        Refusal,
        |s| {
            Box::pin(async move {
                let who = s.world.operator();
                let long = "x".repeat(129);
                let mut answers = Vec::new();
                for name in [
                    "..%2fx", "%2e%2e", "..", ".hidden", "a%2fb", "a%5cb", "a%00b", "a%0d%0ab", "a..b", "-x",
                    "%D0%B0", "a%20b", &long,
                ] {
                    let raw = Raw {
                        media: "application/octet-stream",
                        ..Raw::new(Method::PUT, format!("/v1/targets/{name}"), "bytes")
                    };
                    answers.extend(say(s.world, &who, &written(s.world, &who, &raw, "")).await);
                }
                let count = |folder: &str| std::fs::read_dir(s.world.path(folder)).map_or(0, Iterator::count);
                assert_eq!((count("tuf/targets"), count("tuf/incoming"), count("data/incoming")), (0, 0, 0));
                answers
            })
        },
    ),
    row("public names that lead out of their folder", STRANGER, "RL-3", "404 not-found", Refusal, |s| {
        Box::pin(async move {
            let mut answers = Vec::new();
            for path in [
                "/tuf/targets/..%2f..%2fkeys%2ffederation%2fledger.key",
                "/tuf/targets/../../keys/federation/ledger.key",
                "/tuf/metadata/%2e%2e%2f%2e%2e%2ffounder.json",
                "/tuf/metadata/..%5c..%5cfounder.json",
                "/tuf/targets/%00",
                "/tuf/targets/x%00.json",
                "//keys.json",
                "/tile/../../../fedplane.db",
                "/tile/0/..%2f..%2fcheckpoint",
                "/tile/0/x001/../../checkpoint",
                "/status/..%2fkeys.json",
            ] {
                let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
                answers.extend(say_in_public(s.world, head.as_bytes()).await);
            }
            answers
        })
    }),
    row(
        "a handshake endpoint that is no `https` URL (SSRF)",
        OWNER,
        "ID-2",
        "400 json-malformed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (secret, who) = (s.world.enrol().await, Who::fresh());
                s.begins().await;
                let mut answers = Vec::new();
                for endpoint in [
                    "http://10.0.0.1",
                    "file:///etc/passwd",
                    "gopher://10.0.0.1:6379/_x",
                    "https://user:secret@10.0.0.1",
                    "https://a.example/#b",
                    "https://a.example\\n.b",
                    "https://",
                    "//a.example",
                ] {
                    let body = serde_json::to_string(&registration(&secret, &who.key)).unwrap();
                    let body = body.replace("https://127.0.0.1:9999", endpoint);
                    answers.push(s.send(Raw::post("/v1/register", body), &who).await);
                }
                answers
            })
        },
    ),
    row("entries of the ledger, read by anyone", BYTES, "LG-2", "403 not-public", Refusal, |s| {
        Box::pin(async move {
            let head = b"GET /tile/entries/000 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            say_in_public(s.world, head).await
        })
    }),
];

/// A call with exactly this path.
async fn posted(world: &World, who: &Who, path: &str) -> Vec<String> {
    let raw = Raw::post(path, "{}");
    say(world, who, &written(world, who, &raw, "")).await
}
