//! IN-6: no instance leaves `revoked` without a Founder's order.

use governance::{Authority, State};

use super::{Step, Verdict};

/// The way out of `revoked` is asked for by the Founder alone.
pub(in super::super) fn check(step: &Step<'_>) -> Verdict {
    let (from, to) = (step.before.state, step.after.state);
    if from != State::Revoked || to == State::Revoked || step.by == Authority::Founder {
        return Ok(());
    }
    Err(format!("the {} led it from revoked to {to}", step.by))
}
