//! The law's own words: names, versions, instants, constitutions, releases.

use governance::{
    Constitution, ConstitutionDocument, Digest, DomainCode, Endpoint, FindingCode, InstanceId, InstanceKey,
    Label, LayerId, Matrix, OperatorName, Phase, ProviderId, Release, Restriction, RolloutId, Span, State,
    Tier, Timestamp, TrustDomain, Version, VersionRange,
};

use crate::{json, one_spelling, text};

/// Every type that reads a text: read, shown, read.
pub fn governance_texts(data: &[u8]) -> bool {
    let Ok(spelled) = core::str::from_utf8(data) else { return false };
    let instant = text::<Timestamp>(spelled).is_some_and(|at| {
        assert_eq!(Timestamp::from_millis(at.as_millis()), at, "an instant outside the calendar");
        true
    });
    let span = text::<Span>(spelled).is_some_and(|span| {
        assert_eq!(Span::from_millis(span.as_millis()), span, "a span outside its limits");
        true
    });
    let names = [
        one_spelling::<Version>(spelled),
        one_spelling::<LayerId>(spelled),
        one_spelling::<Digest>(spelled),
        one_spelling::<InstanceKey>(spelled),
        one_spelling::<InstanceId>(spelled),
        one_spelling::<RolloutId>(spelled),
        one_spelling::<Endpoint>(spelled),
        one_spelling::<DomainCode>(spelled),
        one_spelling::<ProviderId>(spelled),
        one_spelling::<TrustDomain>(spelled),
        one_spelling::<OperatorName>(spelled),
        one_spelling::<Label>(spelled),
        one_spelling::<State>(spelled),
        one_spelling::<Tier>(spelled),
        one_spelling::<Phase>(spelled),
        one_spelling::<FindingCode>(spelled),
        one_spelling::<proof::KeyId>(spelled),
        one_spelling::<ledger::Hash>(spelled),
    ];
    instant || span || names.contains(&true)
}

/// A constitution, from the Founder's document and from the operator's file.
pub fn constitution(data: &[u8]) -> bool {
    let document = json::<ConstitutionDocument>(data).map(|document| document.parameters);
    let file = core::str::from_utf8(data).ok().and_then(|text| toml::from_str::<Constitution>(text).ok());
    let found: Vec<Constitution> = [json(data), document, file].into_iter().flatten().collect();
    for constitution in &found {
        let written = serde_json::to_vec(constitution).expect("it has a JSON form");
        assert_eq!(json::<Constitution>(&written).as_ref(), Some(constitution), "JSON says something else");
        // A contradiction is an answer; finding it must not be an accident.
        let _ = constitution.check();
    }
    !found.is_empty()
}

/// A release manifest, the runtime matrix, whom a rollout is for.
pub fn release(data: &[u8]) -> bool {
    let release = json::<Release>(data).is_some_and(|release| {
        let _ = release.check(&Matrix::default());
        let _ = release.fits_runtime(release.version, &Matrix::default());
        let _ = governance::release::check_step(
            Version::new(0, 1, 0),
            &release,
            release.from.iter().flatten().copied(),
        );
        true
    });
    let matrix = json::<Matrix>(data).is_some_and(|matrix| {
        let _ = matrix.runtimes(Version::new(1, 0, 0).line());
        true
    });
    release | matrix | json::<Restriction>(data).is_some() | json::<VersionRange>(data).is_some()
}
