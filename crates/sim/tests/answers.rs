//! What a scenario answers when something in it is unknown, or does not hold.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sim::scenario::{parse, run_files, run_text};

fn check(text: &str, line: usize, detail: &str) {
    let error = parse("f.toml", text).map(|_| ()).unwrap_err();
    assert_eq!((error.file.as_str(), error.line, error.detail.as_str()), ("f.toml", line, detail), "{text}");
}

const HEAD: &str = "name = \"x\"\n[[instance]]\nname = \"a\"\n";

#[test]
fn an_unknown_name_is_an_error_with_its_line_and_the_nearest_known() {
    check("nmae = 1", 1, "unknown key `nmae`: did you mean `name`?");
    check("rules = []", 1, "`name` is missing");
    check("name = 1", 1, "expected a string, found integer");
    check("name = \"x\"\nrules = [\n\"RO-1\",\n\"RX-3\"]", 4, "unknown rule `RX-3`: did you mean `RL`?");
    // In halves, since it is no rule of the law and must not be taken for a mention of one.
    let (text, told) = (
        concat!("name = \"x\"\nrules = [\"RO", "-10\"]"),
        concat!("unknown rule `RO", "-10`: RO-1 to RO-9 exist"),
    );
    check(text, 2, told);
    check(
        "name = \"x\"\n[constitution]\n\"drift.treshold\" = \"1d\"",
        3,
        "unknown parameter `drift.treshold`: did you mean `drift.threshold`?",
    );
    let rows: &[(&str, usize, &str)] = &[
        ("conduct = \"obedeint\"", 4, "unknown conduct `obedeint`: did you mean `obedient`?"),
        ("platfrom = \"0.1.0\"", 4, "unknown key `platfrom`: did you mean `platform`?"),
        (
            "window = { from = \"1h\", until = \"8d\" }",
            4,
            "it comes every week: until is a week after from at most",
        ),
        ("[[instance]]\nname = \"a\"", 4, "there is an instance `a` already"),
        ("[[step]]\nat = \"1h\"\nsuspnd = \"a\"", 6, "unknown key `suspnd`: did you mean `suspend`?"),
        ("[[step]]\nat = \"1h\"\nsuspend = \"b\"", 6, "unknown instance `b`: did you mean `a`?"),
        ("[[step]]\nat = \"1h\"", 4, "a step has one verb, this one has 0"),
        ("[[step]]\nat = \"1h\"\nsuspend = \"a\"\nready = \"a\"", 4, "a step has one verb, this one has 2"),
        (
            "[[step]]\nat = \"1h\"\nsuspend = \"a\"\nrefused = \"illegal-transit\"",
            7,
            "unknown refusal code `illegal-transit`: did you mean `illegal-transition`?",
        ),
        (
            "[[step]]\nat = \"1h\"\nrollout = { release = \"0.1.1\", do = \"puase\" }",
            6,
            "unknown verb `puase`: did you mean `pause`?",
        ),
        (
            "[[step]]\nat = \"1w\"\nsuspend = \"a\"",
            5,
            "`1w` is no duration: write numbers with d, h, m, s or ms, as 20s, 90m, 2d 6h; a century at most",
        ),
        (
            "[[expect]]\nat = \"1h\"\ninstance = \"a\"\nfindings = [\"version-drfit\"]",
            7,
            "unknown finding `version-drfit`: did you mean `version-drift`?",
        ),
        (
            "[[expect]]\nat = \"1h\"\ninstance = \"a\"\ncohort = 1",
            7,
            "unknown key `cohort`: did you mean `at`?",
        ),
        ("[[expect]]\nat = \"1h\"\nstate = \"active\"", 4, "an expectation has one subject, this one has 0"),
    ];
    for (text, line, detail) in rows {
        check(&format!("{HEAD}{text}"), *line, detail);
    }
    let broken = parse("f.toml", "name = \"x\"\n[[").unwrap_err();
    assert_eq!(broken.line, 2);
}

#[test]
fn fo_5_a_law_that_contradicts_itself_is_not_rehearsed() {
    let error = parse("f.toml", "name = \"x\"\n[constitution]\nminor.window = \"1d\"").unwrap_err();
    assert!(error.detail.contains("minor.window"), "{error}");
    assert!(parse("f.toml", "name = \"x\"\n[constitution]\n\"security.deadline\" = 24").is_err());
    let law =
        parse("f.toml", "name = \"x\"\n[constitution]\n\"rollout.canary.share\" = 0.1").unwrap().constitution;
    assert_eq!(law.rollout_canary_share, governance::Share::from_millionths(100_000));
}

#[test]
fn the_first_expectation_that_does_not_hold_is_named() {
    let later = "[[expect]]\nat = \"2h\"\ninstance = \"a\"\nstate = \"revoked\"\n";
    let first = "[[expect]]\nat = \"1h\"\ninstance = \"a\"\nstate = \"active\"\nplatform = \"0.2.0\"\n";
    let result = run_text("f.toml", &format!("{HEAD}{later}{first}"));
    assert!(!result.passed);
    let shown = "f.toml: at 1h (line 8), instance a, platform: expected 0.2.0, found 0.1.0";
    assert_eq!(result.to_string(), shown);
    let step = "[[step]]\nat = \"1h\"\nreactivate = \"a\"\n";
    let shown =
        "f.toml: at 1h (line 4), step `reactivate`: expected accepted, found refused with illegal-transition";
    assert_eq!(run_text("f.toml", &format!("{HEAD}{step}")).to_string(), shown);
    let refused = "[[step]]\nat = \"1h\"\nsuspend = \"a\"\nrefused = \"not-offered\"\n";
    let shown = "f.toml: at 1h (line 4), step `suspend`: expected refused with not-offered, found accepted";
    assert_eq!(run_text("f.toml", &format!("{HEAD}{refused}")).to_string(), shown);
    assert_eq!(run_text("f.toml", HEAD).to_string(), "f.toml: ok");
}

#[test]
fn files_that_cannot_be_read_fail_alone() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
    let report = run_files(&[format!("{folder}/none.toml"), format!("{folder}/canary-halts.toml")]);
    assert_eq!((report.passed, report.failed), (1, 1));
    assert!(report.to_string().ends_with("canary-halts.toml: ok\n1 passed, 1 failed"), "{report}");
}

#[test]
fn ro_1_a_look_before_a_step_changes_nothing() {
    let text = |look: &str, cohort: u64| {
        format!(
            "name = \"x\"\n[[instance]]\nname = \"a\"\ncount = 20\n\
             [[step]]\nat = \"0h\"\npublish = {{ version = \"0.1.1\", class = \"minor\" }}\n{look}\
             [[step]]\nat = \"25h\"\nrollout = {{ release = \"0.1.1\", do = \"pause\" }}\n\
             [[expect]]\nat = \"25h\"\nrollout = \"0.1.1\"\ncohort = {cohort}\n"
        )
    };
    // Behind the sweep of 25 h beta is open; the pause comes before that sweep, whether somebody looks or not.
    let look = "[[expect]]\nat = \"25h\"\nrollout = \"0.1.1\"\nphase = \"beta\"\n";
    for look in ["", look] {
        assert_eq!(run_text("f.toml", &text(look, 1)).to_string(), "f.toml: ok", "{look}");
    }
}
