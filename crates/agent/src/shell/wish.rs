//! The owner's wishes: to try again what failed here (RO-9), to go back to what ran before (RL-2), to have the tokens of what
//! the instance is entitled to (HS-4, HS-5).
//!
//! Whoever may read the agent's folder is the instance: the wish is signed with its key and sent from here, whether the
//! agent runs or not. Handing it to the running agent instead would put a second record beside the plane's, to be lost or
//! carried out twice, and would answer the owner later or never. A wish names no statement, so no chain forks; the
//! agent is offered what was granted at its next call, and weighs it as it weighs every offer.
//!
//! Never takes the folder from the agent, and never writes.

use governance::{DomainCode, InstanceId, Version};
use wire::{ModuleCall, Standing};

use super::ShellError;
use super::agent::JOURNAL;
use super::check::load_root;
use super::folder::read_json;
use super::identity::{self, Identity};
use super::trusted::Trust;
use crate::core::config::Config;
use crate::core::journal::Journal;
use crate::core::offer::Rejection;

/// What an owner may wish for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That a release that failed here is offered again (RO-9); without a version: the one that failed last.
    Retry(Option<Version>),
    /// To go back to what ran before (RL-2); without a version: before the update that brought what runs.
    RollBack(Option<Version>),
    /// The entitlement token (HS-4).
    Entitlement,
    /// The right to run a domain, and its token (HS-5); again: its token anew.
    Activate(DomainCode),
    /// The decisions about the instance (LG-1).
    Decisions,
    /// The proof that one of them, by its number, stands in the ledger (LG-2).
    Proof(u64),
}

/// Asks the plane for it; the answer says what happens now.
///
/// # Errors
/// When nobody is enrolled here, no version is known, it lies below a security floor, or the plane refuses.
pub async fn ask(config: &Config, wish: Wish) -> Result<String, ShellError> {
    let folder = &config.folder;
    let not_enrolled = || ShellError::NotEnrolled(folder.clone());
    let (identity, key) = Identity::borrowed(folder)?.ok_or_else(not_enrolled)?;
    let trust = Trust::kept(folder, load_root(config)?, &config.public)?.ok_or_else(not_enrolled)?;
    let journal: Journal = read_json(folder, JOURNAL)?.ok_or_else(not_enrolled)?;
    let client = identity::client(&config.plane, &trust.root_ca, identity.chain()?, &key)?;
    let instance = identity.instance;
    match wish {
        Wish::Retry(version) => {
            let release = version.map_or_else(|| failed_last(&journal), Ok)?;
            client.retry(instance, release).await?;
            Ok(format!(
                "asked that {release} be offered again (RO-9): the agent takes it up at its next call"
            ))
        }
        Wish::RollBack(version) => {
            let release = version.map_or_else(|| before(&journal), Ok)?;
            check_floor(&journal, release)?;
            let standing = client.roll_back(instance, release).await?;
            Ok(granted(&journal, release, &standing))
        }
        Wish::Decisions => decisions(&client, instance).await,
        Wish::Proof(number) => Ok(client.decision_proof(instance, number).await?.trim_end().to_owned()),
        Wish::Entitlement => Ok(client.entitlement(instance).await?.token),
        Wish::Activate(domain) => Ok(client.module_activate(instance, &ModuleCall { domain }).await?.token),
    }
}

/// One a line: its number, when, by which rule, who decided, what.
async fn decisions(client: &client::Client, instance: InstanceId) -> Result<String, ShellError> {
    let mut lines = Vec::new();
    let mut from = 1;
    loop {
        let page = client.decisions(instance, from).await?;
        for decision in &page.items {
            let event = serde_json::to_string(&decision.event).unwrap_or_default();
            let wire::DecisionView { number, at, rule, authority, .. } = decision;
            lines.push(format!("{number} {at} {rule} {authority} {event}"));
        }
        match page.next.and_then(|next| next.parse().ok()) {
            Some(next) => from = next,
            None => return Ok(lines.join("\n")),
        }
    }
}

fn failed_last(journal: &Journal) -> Result<Version, ShellError> {
    let why = "no release failed here";
    journal.failures.last().map(|failure| failure.release).ok_or(ShellError::NoVersion { why, rule: "RO-9" })
}

fn before(journal: &Journal) -> Result<Version, ShellError> {
    let why = "the agent knows of no update that brought what runs";
    journal.previous.ok_or(ShellError::NoVersion { why, rule: "RL-2" })
}

/// The agent would refuse the offer: the owner hears it now, and the plane is not asked in vain.
fn check_floor(journal: &Journal, release: Version) -> Result<(), ShellError> {
    let floor = journal.floors.iter().find(|floor| floor.line() == release.line() && release < **floor);
    floor.map_or(Ok(()), |floor| Err(Rejection::BelowFloor { release, floor: *floor }.into()))
}

fn granted(journal: &Journal, release: Version, standing: &Standing) -> String {
    format!(
        "asked to go back from {} to {release} (RL-2): the plane says {}, and the agent goes back at its next call",
        journal.installed.platform, standing.state
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::journal::{Failure, Installed};

    #[test]
    fn rl_2_ro_9_a_wish_without_a_version_means_the_one_the_journal_knows() {
        let v = |patch| Version::new(0, 1, patch);
        let runs = Installed { platform: v(2), runtime: v(0), layers: Vec::new() };
        let mut journal = Journal::new(runs);
        assert_eq!(before(&journal).unwrap_err().reasons()[0].rule, "RL-2");
        assert_eq!(failed_last(&journal).unwrap_err().reasons()[0].rule, "RO-9");
        journal.previous = Some(v(1));
        journal.failures =
            [3, 4].map(|patch| Failure { release: v(patch), serial: 1, reason: String::new() }).into();
        assert_eq!((before(&journal).unwrap(), failed_last(&journal).unwrap()), (v(1), v(4)));
        journal.floors = vec![v(1)];
        assert!(check_floor(&journal, v(1)).is_ok());
        assert_eq!(check_floor(&journal, v(0)).unwrap_err().reasons()[0].code, "below-floor");
    }
}
