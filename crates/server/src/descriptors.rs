//! File descriptors: as many as the system allows, and never more connections than they suffice for. A process without
//! any left accepts nobody on any listener.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::load::StartError;
use crate::settings::Limits;

/// Connections of the metrics listener, those of [`listener::Limits::small`].
const METRICS: usize = 32;
/// Connections of people's browsers at once, where the limits allow as many.
pub(crate) const PEOPLE: usize = 256;
/// Of those, as many as one address has at most.
pub(crate) const PEOPLE_EACH: usize = PEOPLE / 8;
/// For the store, the ledger's and the repository's files, the runtime, and what the process was given.
const RESERVE: usize = 256;
/// Fewer connections for each listener are no server.
const CONNECTIONS_MIN: usize = 32;

/// Raises the soft limit to the hard one, and says how many descriptors there may be; nothing without a bound.
pub(crate) fn raise() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = match raised {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, soft = current, hard = maximum, "the limit of open files cannot be raised");
            current
        }
    };
    allowed.map(|allowed| usize::try_from(allowed).unwrap_or(usize::MAX))
}

/// The limits as far as this many descriptors suffice for them: connections and downloads are scaled down, and told of.
///
/// # Errors
/// [`StartError::Descriptors`] when too few connections would be left.
pub(crate) fn fit(limits: Limits, allowed: Option<usize>) -> Result<Limits, StartError> {
    let fixed = METRICS + RESERVE + limits.uploads;
    let listeners = limits.connections.saturating_mul(2).saturating_add(limits.connections.min(PEOPLE));
    let wanted = listeners.saturating_add(limits.downloads).saturating_add(fixed);
    let Some(allowed) = allowed.filter(|allowed| *allowed < wanted) else { return Ok(limits) };
    let spare = allowed.saturating_sub(fixed);
    let downloads = limits.downloads.min(spare / 4);
    let rest = spare - downloads;
    // Two listeners alike, and that of people's browsers.
    let each = if rest >= 3 * PEOPLE { (rest - PEOPLE) / 2 } else { rest / 3 };
    let connections = limits.connections.min(each);
    if connections < CONNECTIONS_MIN || downloads == 0 {
        return Err(StartError::Descriptors { allowed, wanted, least: fixed + 4 * CONNECTIONS_MIN });
    }
    tracing::warn!(
        allowed,
        wanted,
        connections,
        downloads,
        "the process may open {allowed} files and its limits ask for {wanted}: limits.connections and \
         limits.downloads are lowered; raise the limit of open files (LimitNOFILE) or lower them in the settings"
    );
    Ok(Limits { connections, downloads, ..limits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hs_7_the_limits_never_ask_for_more_files_than_there_may_be() {
        let limits = Limits { connections: 16_384, downloads: 1_024, uploads: 4, ..Limits::default() };
        //        allowed           connections and downloads
        for (allowed, expected) in [
            (None, Some((16_384, 1_024))),
            (Some(34_340), Some((16_384, 1_024))),
            (Some(34_339), Some((16_383, 1_024))),
            (Some(20_000), Some((9_214, 1_024))),
            (Some(1_024), Some((183, 183))),
            (Some(420), Some((32, 32))),
            (Some(415), None),
            (Some(0), None),
        ] {
            let fitted = fit(limits.clone(), allowed).ok();
            assert_eq!(fitted.map(|fit| (fit.connections, fit.downloads)), expected, "{allowed:?}");
        }
        let few = Limits { connections: 8, ..limits };
        assert_eq!(fit(few.clone(), Some(20_000)).ok(), Some(few));
    }

    #[test]
    fn hs_7_the_soft_limit_is_raised_to_the_hard_one() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let lower = maximum.map_or(100_000, |maximum| maximum - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum }).unwrap();
        assert_eq!(raise(), maximum.map(|maximum| maximum as usize));
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
