//! Answers to challenges that nobody put, that were put before, or that show another chain (HS-8). What the plane's own
//! calls meet stands in the tests of `challenge.rs`.

use governance::InstanceId;
use proof::Jws;
use proof::challenge::{Answer, Nonce};

use super::{CLONE, Escalation, OWNER, Refusal, Row, Scene, check, outcome, patient, row};
use crate::common::{Who, now, statement};

pub(super) const TEST: &str =
    "hs_8_an_answer_counts_for_the_challenge_that_waits_and_for_the_chain_on_record";

#[tokio::test]
async fn hs_8_an_answer_counts_for_the_challenge_that_waits_and_for_the_chain_on_record() {
    check(&mut patient().await, ROWS).await;
}

pub(super) const ROWS: &[Row] = &[
    row("an answer that nobody asked for", OWNER, "HS-8", "409 challenge-unknown", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let made_up = answer(id, &who, Nonce::from_random([5; 16]), None);
            vec![outcome(s.world.client(&who).answer(id, made_up).await)]
        })
    }),
    row("an answer once more", OWNER, "HS-8", "409 challenge-unknown", Refusal, |s| {
        Box::pin(async move {
            let (id, who) = s.victim().await;
            let own = s.world.client(&who);
            let once = answer(id, &who, asked(s, id, &who).await, None);
            own.answer(id, once.clone()).await.unwrap();
            s.begins().await;
            vec![outcome(own.answer(id, once).await)]
        })
    }),
    row(
        "an answer to another nonce, of another instance, or by another key",
        OWNER,
        "HS-8",
        "400 challenge-unanswered",
        Refusal,
        |s| {
            Box::pin(async move {
                let (other, _) = s.world.active().await;
                let (id, who) = s.victim().await;
                let own = s.world.client(&who);
                let nonce = asked(s, id, &who).await;
                s.begins().await;
                let mut answers = Vec::new();
                for wrong in [
                    answer(id, &who, Nonce::from_random([6; 16]), None),
                    answer(other, &who, nonce.clone(), None),
                    answer(id, &Who::fresh(), nonce, None),
                ] {
                    answers.push(outcome(own.answer(id, wrong).await));
                }
                answers
            })
        },
    ),
    row(
        "a restored backup shows a chain that ended long ago",
        CLONE,
        "CO-9",
        "409 version-chain-broken",
        Escalation("CO-9"),
        |s| {
            Box::pin(async move {
                let (id, who) = s.victim().await;
                let own = s.world.client(&who);
                let first = statement(id, &who.key, 1, None);
                own.report(id, first.clone()).await.unwrap();
                own.report(id, statement(id, &who.key, 2, Some(first.digest()))).await.unwrap();
                let nonce = asked(s, id, &who).await;
                s.begins().await;
                vec![outcome(own.answer(id, answer(id, &who, nonce, Some(first))).await)]
            })
        },
    ),
];

fn answer(instance: InstanceId, who: &Who, nonce: Nonce, statement: Option<Jws>) -> Jws {
    Answer { nonce, instance, at: now(), statement, ledger: None }.sign(&*who.key).unwrap()
}

/// The challenge that an operator puts, as it rides in the answer to a check-in.
async fn asked(s: &Scene<'_>, id: InstanceId, who: &Who) -> Nonce {
    s.world.client(&s.world.operator()).instance_challenge(id).await.unwrap();
    s.world.client(who).check_in(id).await.unwrap().challenge.unwrap()
}
