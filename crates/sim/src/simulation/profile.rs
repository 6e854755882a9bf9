//! How badly a fleet behaves: the named profiles of faults, one table.
//!
//! Never says what follows from a fault: the law does.

use std::fmt;
use std::str::FromStr;

/// A profile of faults. Rates are in incidents per thousand instance-years, shares in ten-thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Outages of an instance: it neither reports nor installs.
    pub outages: u32,
    /// Of the outages, those that last two to five days.
    pub long_outages: u32,
    /// Subscriptions that lapse.
    pub lapses: u32,
    /// Of the lapses, those renewed only after the grace of CO-10.
    pub late_renewals: u32,
    /// Changes of tier to one that runs on another kind of instance.
    pub moves: u32,
    /// Clones: a copy of an instance makes statements of its own (ID-4).
    pub clones: u32,
    /// Forks: content that the Organism did not sign (ID-5).
    pub forks: u32,
    /// Runtimes that the owner changes to one outside the matrix (RL-5).
    pub runtime_mishaps: u32,
    /// Attempts of a good release that fail.
    pub failing: u32,
    /// Attempts that hang until they count as stalled (LC-5).
    pub hanging: u32,
    /// Attempts of a bad release that fail.
    pub failing_bad: u32,
    /// Releases after the first bad one that are bad too.
    pub bad_releases: u32,
    /// Owners who install in a weekly window.
    pub weekly: u32,
    /// Owners who let weeks pass.
    pub slow: u32,
    /// Owners who ignore offers until they are out of compliance, and some beyond.
    pub refusing: u32,
    /// Forks whose instance the Founder revokes.
    pub revoked_forks: u32,
    /// Clones whose instance the Founder suspends.
    pub suspended_clones: u32,
    /// Revoked instances that the Founder restores.
    pub restored: u32,
}

/// Nothing goes wrong.
const NONE: Profile = Profile {
    name: "none",
    outages: 0,
    long_outages: 0,
    lapses: 0,
    late_renewals: 0,
    moves: 0,
    clones: 0,
    forks: 0,
    runtime_mishaps: 0,
    failing: 0,
    hanging: 0,
    failing_bad: 0,
    bad_releases: 0,
    weekly: 0,
    slow: 0,
    refusing: 0,
    revoked_forks: 0,
    suspended_clones: 0,
    restored: 0,
};

/// Every profile, mildest first.
#[rustfmt::skip]
pub const PROFILES: &[Profile] = &[
    NONE,
    Profile {
        name: "realistic",
        outages: 4_000, long_outages: 300, lapses: 120, late_renewals: 1_500, moves: 40,
        clones: 4, forks: 2, runtime_mishaps: 10,
        failing: 40, hanging: 20, failing_bad: 3_000, bad_releases: 600,
        weekly: 2_000, slow: 300, refusing: 100,
        revoked_forks: 4_000, suspended_clones: 1_000, restored: 6_000,
    },
    Profile {
        name: "harsh",
        outages: 20_000, long_outages: 1_000, lapses: 500, late_renewals: 4_000, moves: 200,
        clones: 40, forks: 30, runtime_mishaps: 100,
        failing: 70, hanging: 50, failing_bad: 4_000, bad_releases: 2_000,
        weekly: 3_500, slow: 1_000, refusing: 600,
        revoked_forks: 5_000, suspended_clones: 2_000, restored: 5_000,
    },
];

impl Default for Profile {
    fn default() -> Self {
        PROFILES.iter().find(|profile| profile.name == "realistic").copied().unwrap_or(NONE)
    }
}

/// A name that no profile has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown profile `{found}`: one of {known}")]
pub struct UnknownProfile {
    found: String,
    known: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;
    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        PROFILES.iter().find(|profile| profile.name == text).copied().ok_or_else(|| UnknownProfile {
            found: text.chars().take(64).collect(),
            known: PROFILES.iter().map(|profile| profile.name).collect::<Vec<_>>().join(", "),
        })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// What may befall an instance on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Outage,
    Lapse,
    Move,
    Clone,
    Fork,
    RuntimeMishap,
}

/// The faults with the rolls of a day's dice below which each happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hazards([(u64, Fault); 6]);

impl Hazards {
    pub(super) fn of(profile: &Profile) -> Self {
        let mut faults = [
            (u64::from(profile.outages), Fault::Outage),
            (u64::from(profile.lapses), Fault::Lapse),
            (u64::from(profile.moves), Fault::Move),
            (u64::from(profile.clones), Fault::Clone),
            (u64::from(profile.forks), Fault::Fork),
            (u64::from(profile.runtime_mishaps), Fault::RuntimeMishap),
        ];
        // One day of one instance is a 365 000th of a thousand instance-years.
        let a_day = u64::MAX / 365_000;
        let mut sum = 0;
        for (rate, _) in &mut faults {
            sum = rate.saturating_mul(a_day).saturating_add(sum);
            *rate = sum;
        }
        Self(faults)
    }

    /// What happens on a day whose dice show this.
    pub(super) fn strike(&self, roll: u64) -> Option<Fault> {
        self.0.iter().find(|(below, _)| roll < *below).map(|(_, fault)| *fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_names_and_the_default_is_realistic() {
        assert_eq!(Profile::default().to_string(), "realistic");
        for profile in PROFILES {
            assert_eq!(profile.name.parse(), Ok(*profile));
        }
        let wrong = "gentle".parse::<Profile>().unwrap_err();
        assert_eq!(wrong.to_string(), "unknown profile `gentle`: one of none, realistic, harsh");
    }

    #[test]
    fn nothing_strikes_where_nothing_goes_wrong() {
        assert_eq!(Hazards::of(&NONE).strike(0), None);
        let hazards = Hazards::of(&Profile::default());
        assert_eq!(hazards.strike(0), Some(Fault::Outage));
        assert_eq!(hazards.strike(u64::MAX), None);
    }
}
