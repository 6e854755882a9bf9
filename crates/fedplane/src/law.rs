//! The constitution as a file: every parameter with its rule and meaning as a comment, and its value.
//!
//! Never changes a value: what is written reads back as what it was.

use governance::Constitution;
use governance::constitution::PARAMETERS;

use crate::Failure;

const HEAD: &str = "\
# The constitution: the parameters of the law, as the Founder signs them (FO-5).
#
# The Founder's signature stands in constitution.sig; what stands here counts for nothing before the Founder's threshold
# signed it. Durations read 20s, 90m, 24h, 30d, \"2d 6h\"; shares are fractions. Names are written in quotes.
";

/// A parameter, its value and what it means.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value as TOML.
    pub value: String,
    /// Whether it differs from the default.
    pub changed: bool,
    /// The rule it belongs to.
    pub rule: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// Every parameter with its value, in the order of the law.
///
/// # Errors
/// When a value has no TOML form, which none of the law's lacks.
pub fn parameters(law: &Constitution) -> Result<Vec<Parameter>, Failure> {
    let table = |law: &Constitution| {
        toml::Table::try_from(law)
            .map_err(|error| Failure::new("constitution", "FO-5", error.to_string(), ""))
    };
    let (values, defaults) = (table(law)?, table(&Constitution::default())?);
    let value = |name| {
        values
            .get(name)
            .ok_or_else(|| Failure::new("constitution", "FO-5", format!("no parameter `{name}`"), ""))
    };
    PARAMETERS
        .iter()
        .map(|parameter| {
            let found = value(parameter.name)?;
            Ok(Parameter {
                name: parameter.name,
                value: found.to_string(),
                changed: defaults.get(parameter.name) != Some(found),
                rule: parameter.rule,
                about: parameter.about,
            })
        })
        .collect()
}

/// The constitution as the text of `constitution.toml`.
///
/// # Errors
/// As [`parameters`].
pub fn render(law: &Constitution) -> Result<String, Failure> {
    let mut text = HEAD.to_owned();
    for Parameter { name, value, rule, about, .. } in parameters(law)? {
        text.push_str(&format!("\n# {about} ({rule}).\n\"{name}\" = {value}\n"));
    }
    Ok(text)
}

/// Reads the text of a `constitution.toml`; absent parameters have their defaults.
///
/// # Errors
/// An unknown name or a malformed value with its line; every contradiction.
pub fn parse(text: &str) -> Result<Constitution, Failure> {
    let law: Constitution = toml::from_str(text).map_err(|error| {
        let hint = "write names in quotes, as \"security.deadline\" = \"24h\"; `fedplane constitution show` lists them";
        Failure::new("constitution-malformed", "FO-5", error.to_string().trim_end(), hint)
    })?;
    law.check().map_err(|contradictions| {
        let reason = |contradiction: &governance::constitution::Contradiction| wire::ProblemReason {
            code: "constitution-contradicts".to_owned(),
            rule: "FO-5".to_owned(),
            detail: contradiction.to_string(),
            hint: "mend the parameter".to_owned(),
        };
        Failure::of(contradictions.iter().map(reason).collect())
    })?;
    Ok(law)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::{Share, Span};

    #[test]
    fn fo_5_the_template_reads_back_as_the_default() {
        let text = render(&Constitution::default()).unwrap();
        assert_eq!(parse(&text).unwrap(), Constitution::default());
        for parameter in PARAMETERS {
            assert!(text.contains(&format!("\"{}\" = ", parameter.name)), "{}", parameter.name);
        }
        assert!(text.contains("# How long an instance's certificate lives (HS-1).\n"), "{text}");
        assert_eq!(parse("").unwrap(), Constitution::default());
    }

    #[test]
    fn fo_5_changed_values_read_back_too() {
        let law = Constitution {
            security_deadline: Span::from_millis(20_500),
            rollout_beta_share: Share::from_millionths(1_000_000),
            rollout_canary_share: Share::from_millionths(333_333),
            standing_orders: Vec::new(),
            tier_free_custom_domains: true,
            ..Constitution::default()
        };
        assert_eq!(parse(&render(&law).unwrap()).unwrap(), law);
        let changed: Vec<_> =
            parameters(&law).unwrap().into_iter().filter(|p| p.changed).map(|p| p.name).collect();
        let expected = [
            "security.deadline",
            "rollout.canary.share",
            "rollout.beta.share",
            "tier.free.custom_domains",
            "standing_orders",
        ];
        assert_eq!(changed, expected);
    }

    #[test]
    fn fo_5_what_is_wrong_is_named() {
        for (text, code, part) in [
            ("\"security.dedline\" = \"1h\"", "constitution-malformed", "line 1"),
            ("security.deadline = \"1h\"", "constitution-malformed", "`security`"),
            ("\"security.deadline\" = \"1 fortnight\"", "constitution-malformed", "no duration"),
            ("\"security.deadline\" = \"0s\"", "constitution-contradicts", "security.deadline"),
        ] {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.code(), code, "{text}");
            assert!(failure.to_string().contains(part), "{failure}");
        }
    }
}
