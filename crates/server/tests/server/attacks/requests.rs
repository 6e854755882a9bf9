//! Requests that are not their peer's, not whole, not fresh, or two at once (HS-6).

use governance::Span;
use http::HeaderMap;
use proof::Sign as _;

use super::said::{say, written, written_with};
use super::{
    Escalation, NETWORK, OWNER, Refusal, Row, Scene, THIEF, TurnedAway, call, check, patient, row, told,
};
use crate::channel::Line;
use crate::common::{Answered, Raw, Who, now};

pub(super) const TEST: &str = "hs_6_a_request_is_its_peers_whole_fresh_and_one_or_it_is_none";

#[tokio::test]
async fn hs_6_a_request_is_its_peers_whole_fresh_and_one_or_it_is_none() {
    check(&mut patient().await, ROWS).await;
}

pub(super) const ROWS: &[Row] = &[
    row("a request that nobody signed", NETWORK, "HS-6", "401 signature-missing", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            vec![told(&call(id, "ready").send_with(s.world, &who, HeaderMap::new()).await)]
        })
    }),
    row(
        "signed by another key than the certificate's",
        NETWORK,
        "HS-6",
        "401 signature-invalid",
        Refusal,
        |s| Box::pin(changed(s, |raw| Raw { signer: Some(Who::fresh().key), ..raw })),
    ),
    row("another body under the signature", NETWORK, "HS-6", "401 digest-mismatch", Refusal, |s| {
        Box::pin(changed(s, |raw| Raw { sent_body: Some(b"{ }".to_vec()), ..raw }))
    }),
    row("a signature for another path", NETWORK, "HS-6", "401 signature-invalid", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let fields = call(id, "check-in").fields(s.world, &who);
            vec![told(&call(id, "ready").send_with(s.world, &who, fields.into_iter().collect()).await)]
        })
    }),
    row("a signature for another query", NETWORK, "HS-6", "401 signature-invalid", Refusal, |s| {
        Box::pin(async move {
            let who = s.world.operator();
            let fields = Raw::get("/v1/instances?limit=1").fields(s.world, &who).into_iter().collect();
            vec![told(&Raw::get("/v1/instances?limit=9").send_with(s.world, &who, fields).await)]
        })
    }),
    row("a signature for another method", NETWORK, "HS-6", "401 signature-invalid", Refusal, |s| {
        Box::pin(async move {
            let who = s.world.operator();
            let fields = Raw::get("/v1/enrolments").fields(s.world, &who).into_iter().collect();
            vec![told(&Raw::post("/v1/enrolments", "").send_with(s.world, &who, fields).await)]
        })
    }),
    row("a signature for another server", NETWORK, "HS-6", "401 signature-invalid", Refusal, |s| {
        Box::pin(changed(s, |raw| Raw { authority: Some("elsewhere.example:8443".into()), ..raw }))
    }),
    row(
        "a request to another server, handed on whole",
        NETWORK,
        "HS-6",
        "421 authority-unknown",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let elsewhere = "elsewhere.example:8443";
                let raw = Raw { authority: Some(elsewhere.into()), ..call(id, "ready") };
                let more = format!("host: {elsewhere}\r\ncontent-length: 2\r\n");
                say(s.world, &who, &written_with(s.world, &who, &raw, &raw.path, &more)).await
            })
        },
    ),
    row("signed an hour ago, or an hour ahead", NETWORK, "HS-6", "401 clock-skew", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let mut answers = Vec::new();
            for created in [now() - Span::hours(1), now() + Span::hours(1)] {
                answers.push(s.send(Raw { created, ..call(id, "check-in") }, &who).await);
            }
            answers
        })
    }),
    row(
        "the same request once more, on another connection",
        NETWORK,
        "HS-6",
        "401 nonce-replayed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let once = call(id, "check-in");
                once.send(s.world, &who).await.accepted();
                vec![told(&once.send(s.world, &who).await)]
            })
        },
    ),
    row(
        "the same request once more, after the plane was restarted",
        NETWORK,
        "HS-6",
        "401 nonce-replayed",
        Refusal,
        |s| Box::pin(after_a_restart(s)),
    ),
    row(
        "forged or repeated three times within an hour",
        THIEF,
        "CO-13",
        "401 signature-invalid",
        Escalation("CO-13"),
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let mut answers = Vec::new();
                for _ in 0..3 {
                    answers.push(
                        s.send(Raw { signer: Some(Who::fresh().key), ..call(id, "check-in") }, &who).await,
                    );
                }
                answers
            })
        },
    ),
    row("`alg` confusion: HMAC under the public key", THIEF, "HS-6", "401 signature-invalid", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let public = *who.key.public_key().as_bytes();
            let mut line = Line::open(s.world, &who).await;
            vec![on(&mut line, &call(id, "check-in"), &who, 1, &public).await]
        })
    }),
    row("a change of state under the channel's key", OWNER, "HS-6", "401 signature-unfit", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let mut line = Line::open(s.world, &who).await;
            let own = line.channel;
            vec![on(&mut line, &call(id, "ready"), &who, 1, &own).await]
        })
    }),
    row("the key of another channel", NETWORK, "HS-6", "401 signature-invalid", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let other = Line::open(s.world, &who).await.channel;
            let mut line = Line::open(s.world, &who).await;
            vec![on(&mut line, &call(id, "check-in"), &who, 1, &other).await]
        })
    }),
    row(
        "a number of the channel that was spent, or lies below",
        NETWORK,
        "HS-6",
        "401 nonce-replayed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let raw = call(id, "check-in");
                let mut line = Line::open(s.world, &who).await;
                let own = line.channel;
                assert_eq!(on(&mut line, &raw, &who, 7, &own).await, "200");
                vec![on(&mut line, &raw, &who, 7, &own).await, on(&mut line, &raw, &who, 6, &own).await]
            })
        },
    ),
    row("a field of the signature twice", NETWORK, "HS-6", "401 signature-malformed", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let mut answers = Vec::new();
            for doubled in ["content-digest", "signature-input", "signature"] {
                let raw = call(id, "ready");
                let mut fields: HeaderMap = raw.fields(s.world, &who).into_iter().collect();
                let value = fields[doubled].clone();
                fields.append(doubled, value);
                answers.push(told(&raw.send_with(s.world, &who, fields).await));
            }
            answers
        })
    }),
    row(
        "fewer parts of the request under the signature",
        NETWORK,
        "HS-6",
        "401 signature-malformed",
        Refusal,
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let mut answers = Vec::new();
                for part in ["\"@method\" ", "\"@authority\" ", "\"@target-uri\" ", " \"content-digest\""] {
                    let raw = call(id, "ready");
                    let mut fields: HeaderMap = raw.fields(s.world, &who).into_iter().collect();
                    let less = fields["signature-input"].to_str().unwrap().replace(part, "");
                    fields.insert("signature-input", less.parse().unwrap());
                    answers.push(told(&raw.send_with(s.world, &who, fields).await));
                }
                answers
            })
        },
    ),
    row(
        "a second request hidden behind `Content-Length` and `Transfer-Encoding`",
        NETWORK,
        "HS-6",
        "401 digest-mismatch",
        Refusal,
        |s| Box::pin(hidden(s)),
    ),
    row("two `Host` fields", NETWORK, "HS-6", "400", TurnedAway("hosts"), |s| {
        Box::pin(with_field(s, |own| format!("host: {own}\r\n")))
    }),
    row("another host in the target than in `Host`", NETWORK, "HS-6", "400", TurnedAway("hosts"), |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let raw = call(id, "ready");
            let target = format!("https://elsewhere.example{}", raw.path);
            let more = format!("host: {}\r\ncontent-length: 2\r\n", s.world.at().instances);
            say(s.world, &who, &written_with(s.world, &who, &raw, &target, &more)).await
        })
    }),
    row(
        "another host in `Host` than in `:authority` (HTTP/2)",
        NETWORK,
        "HS-6",
        "400",
        TurnedAway("hosts"),
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let raw = call(id, "ready");
                let mut fields: HeaderMap = raw.fields(s.world, &who).into_iter().collect();
                fields.insert("host", "elsewhere.example".parse().unwrap());
                vec![told(&raw.send_with(s.world, &who, fields).await)]
            })
        },
    ),
    row("a folded line in the head", NETWORK, "HS-6", "400", TurnedAway("malformed"), |s| {
        Box::pin(with_field(s, |_| "x-a: b\r\n c: d\r\n".into()))
    }),
    row("a space before the colon of a field", NETWORK, "HS-6", "400", TurnedAway("malformed"), |s| {
        Box::pin(with_field(s, |_| "signature : sig1=:AA==:\r\n".into()))
    }),
    row("a NUL in a field", NETWORK, "HS-6", "400", TurnedAway("malformed"), |s| {
        Box::pin(with_field(s, |_| "x-a: b\0c\r\n".into()))
    }),
    row("two lengths that differ", NETWORK, "HS-6", "400", TurnedAway("malformed"), |s| {
        Box::pin(with_field(s, |_| "content-length: 3\r\n".into()))
    }),
    row("an encoding whose end is not `chunked`", NETWORK, "HS-6", "400", TurnedAway("malformed"), |s| {
        Box::pin(with_field(s, |_| "transfer-encoding: chunked, identity\r\n".into()))
    }),
];

/// A call whose signature or body is changed on its way.
async fn changed(s: &mut Scene<'_>, change: fn(Raw) -> Raw) -> Vec<String> {
    let (id, who) = s.victim().await;
    vec![s.send(change(call(id, "ready")), &who).await]
}

/// A call with one more line in its head, made of the server's own name.
async fn with_field(s: &mut Scene<'_>, more: fn(&str) -> String) -> Vec<String> {
    let (id, who) = s.victim().await;
    let more = more(&s.world.at().instances.to_string());
    say(s.world, &who, &written(s.world, &who, &call(id, "ready"), &more)).await
}

/// What was taken back comes again: the memory of nonces is lost with the process, what they decided is not.
async fn after_a_restart(s: &mut Scene<'_>) -> Vec<String> {
    let (id, who) = s.victim().await;
    let module = r#"{"domain":"COM"}"#;
    let once = Raw { body: module.into(), ..call(id, "modules/activate") };
    once.send(s.world, &who).await.accepted();
    let back = Raw { body: module.into(), ..call(id, "modules/deactivate") };
    back.send(s.world, &who).await.accepted();
    s.world.settings.listen.instances = s.world.at().instances;
    s.world.stop().await;
    s.world.run().await;
    s.begins().await;
    vec![told(&once.send(s.world, &who).await)]
}

/// By its length the first request has a body, which is what was signed; by its encoding it has none, and what follows is
/// another request, whole and signed by the same peer. It is not even read.
async fn hidden(s: &mut Scene<'_>) -> Vec<String> {
    let (id, who) = s.victim().await;
    let host = s.world.at().instances;
    let second = written(s.world, &who, &Raw { body: Vec::new(), ..call(id, "check-in") }, "");
    let sent_body = || Some([b"0\r\n\r\n", &second[..]].concat());
    let mut answers = Vec::new();
    for order in
        ["content-length: 2\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 2"]
    {
        let first = Raw { sent_body: sent_body(), ..call(id, "check-in") };
        let more = format!("host: {host}\r\n{order}\r\n");
        let bytes = written_with(s.world, &who, &first, &first.path, &more);
        let text = String::from_utf8(bytes).unwrap().replacen("connection: close\r\n", "", 1);
        answers.extend(say(s.world, &who, text.as_bytes()).await);
    }
    answers
}

/// A call on an open connection under a key that both ends are said to derive, its answer in a word.
async fn on(line: &mut Line, raw: &Raw, who: &Who, number: u128, key: &[u8; 32]) -> String {
    let (status, body) = line.call(&raw.path, who, number, key).await;
    told(&Answered { status, headers: HeaderMap::new(), body })
}
