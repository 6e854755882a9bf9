//! The constitution's text: written, read back, refused where it is wrong, and the same as the documents say.

use governance::{Share, Span};

use super::*;

const LAW: &str = include_str!("../../../../docs/law.md");
const PAGE: &str = include_str!("../../../../docs/parameters.md");

fn parsed(text: &str) -> Result<Constitution, Failure> {
    parse("c.toml", text)
}

#[test]
fn fo_5_the_template_reads_back_as_the_default() {
    let text = render(&Constitution::default()).unwrap();
    assert_eq!(parsed(&text).unwrap(), Constitution::default());
    for parameter in PARAMETERS {
        assert!(text.contains(&format!("\"{}\" = ", parameter.name)), "{}", parameter.name);
    }
    let line = "# How long an instance's certificate lives (HS-1, §4 Handshake).\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(parsed("").unwrap(), Constitution::default());
}

#[test]
fn fo_5_changed_values_read_back_too() {
    let law = Constitution {
        security_deadline: Span::from_millis(20_500_000),
        rollout_beta_share: Share::from_millionths(1_000_000),
        rollout_canary_share: Share::from_millionths(333_333),
        standing_orders: Vec::new(),
        tier_free_custom_domains: true,
        ..Constitution::default()
    };
    assert_eq!(parsed(&render(&law).unwrap()).unwrap(), law);
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
fn fo_5_what_is_wrong_is_named_with_its_line() {
    let malformed = "constitution-malformed";
    let contradicts = "constitution-contradicts";
    for (text, code, detail) in [
        (
            "\n\"security.dedline\" = \"1h\"",
            malformed,
            "c.toml:2: unknown parameter `security.dedline`: did you mean `security.deadline`?",
        ),
        (
            "\"tier.gold.domains\" = 3",
            malformed,
            "c.toml:1: unknown parameter `tier.gold.domains`: did you mean `tier.free.domains`?",
        ),
        (
            "security.deadline = \"1h\"",
            malformed,
            "c.toml:1: the parameter `security.deadline` is written without quotes",
        ),
        (
            "[rollout]\nbeta.shar = 1",
            malformed,
            "c.toml:1: unknown parameter `rollout.beta.shar`: did you mean `rollout.beta.share`?",
        ),
        (
            "\"security.deadline\" = \"1 fortnight\"",
            malformed,
            "c.toml:1: security.deadline: `1 fortnight` is no duration: write numbers with d, h, m, s or ms, \
             as 20s, 90m, 2d 6h; a century at most",
        ),
        (
            "\"rollout.beta.share\" = 1.5",
            malformed,
            "c.toml:1: rollout.beta.share: a share lies between 0 and 1",
        ),
        (
            "\"tier.pro.kind\" = \"cluster\"",
            malformed,
            "c.toml:1: tier.pro.kind: unknown kind `cluster`: one of saas-shared, dedicated, white-label",
        ),
        (
            "\"drift.threshold\" = \"30d\"\n\"drift.freeze\" = \"29d\"",
            contradicts,
            "c.toml:2: drift.freeze is 29d: it cannot be shorter than drift.threshold",
        ),
        (
            "\"drift.threshold\" = \"60d\"",
            contradicts,
            "c.toml: minor.window is left out, and so 30d: it cannot be shorter than drift.threshold, \
             from which drift is counted back",
        ),
    ] {
        let failure = parsed(text).unwrap_err();
        assert_eq!((failure.code(), failure.reasons[0].detail.as_str()), (code, detail), "{text}");
    }
    let all = parsed("\"standing_orders\" = 3\n\"rate.instance\" = -1\n\"a\" = 1").unwrap_err();
    let lines: Vec<_> = all.reasons.iter().map(|reason| reason.detail.get(..8).unwrap()).collect();
    assert_eq!(lines, ["c.toml:1", "c.toml:2", "c.toml:3"], "everything at once, in the file's order");
    let hint = "write it like its default: \"rate.instance\" = 60";
    assert_eq!(all.reasons[1].hint, hint);
    assert_eq!(parsed("\"a").unwrap_err().code(), malformed);
}

#[test]
fn fo_5_every_parameter_names_a_section_that_the_law_has() {
    for parameter in parameters(&Constitution::default()).unwrap() {
        let (number, title) = parameter.section.strip_prefix('§').unwrap().split_once(' ').unwrap();
        let heading = LAW.lines().position(|line| line.starts_with(&format!("## {number}. {title}")));
        let heading =
            heading.unwrap_or_else(|| panic!("{}: no section {}", parameter.name, parameter.section));
        let end = LAW.lines().skip(heading + 1).position(|line| line.starts_with("## ")).unwrap();
        let text: Vec<_> = LAW.lines().skip(heading).take(end + 1).collect();
        // Families of two letters are the section itself.
        let rule = parameter.rule;
        let stands = rule.len() == 2 || text.iter().any(|line| line.contains(rule));
        assert!(stands, "{}: {rule} stands elsewhere than in {}", parameter.name, parameter.section);
    }
}

/// The page has a row a parameter: name, default, rule, what it is.
#[test]
fn fo_5_the_page_of_parameters_says_what_the_code_says() {
    let table = PAGE.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Vec<&str>> =
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let mut defaults = toml::Table::new();
    for (parameter, row) in PARAMETERS.iter().zip(&rows) {
        let [name, default, rule, about] = row[..] else { panic!("not four cells: {row:?}") };
        let (name, default) = (name.trim_matches('`'), default.trim_matches('`'));
        assert_eq!((name, rule, about), (parameter.name, parameter.rule, parameter.about));
        let value = toml::from_str::<toml::Table>(&format!("x = {default}"))
            .map_or_else(|_| toml::Value::from(default), |table| table["x"].clone());
        defaults.insert(name.to_owned(), value);
    }
    assert_eq!(rows.len(), PARAMETERS.len());
    assert_eq!(defaults.try_into::<Constitution>().unwrap(), Constitution::default());
}
