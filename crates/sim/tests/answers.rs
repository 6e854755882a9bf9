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
fn fo_5_a_contradiction_is_shown_where_it_stands_and_told_where_it_is_refused() {
    let head = "name = \"x\"\n[constitution]\n\n";
    let frozen = "drift.freeze is 1d: it cannot be shorter than drift.threshold";
    check(&format!("{head}\"drift.freeze\" = \"1d\""), 4, frozen);
    check(&format!("{head}\"minor.window\" = \"40d\"\ndrift.freeze = \"1d\""), 5, frozen);
    // The window at fault has its default, and the threshold stands in the file.
    let window =
        "minor.window is 30d: it cannot be shorter than drift.threshold, from which drift is counted back";
    check(&format!("{head}\"drift.freeze\" = \"95d\"\n\"drift.threshold\" = \"40d\""), 5, window);
    let amend = "[[step]]\nat = \"1h\"\namend = { \"drift.freeze\" = \"1d\" }";
    let told = run_text("f.toml", &format!("{HEAD}{amend}")).to_string();
    assert!(
        told.contains("found refused with constitution-contradicts (") && told.contains(frozen),
        "{told}"
    );
}

#[test]
fn what_means_nothing_is_an_error_with_its_line() {
    let head = "name = \"x\"\n";
    check(
        &format!("{head}[[instance]]\nname = \"*\""),
        3,
        "`*` stands for all instances: no instance is named so",
    );
    check(&format!("{head}[[instance]]\nname = \"\""), 3, "an instance needs a name");
    let escape = "a name is written without control characters";
    check(&format!("{head}[[instance]]\nname = \"a\\u001b[31m\""), 3, escape);
    check(&format!("{HEAD}count = 0"), 4, "nobody joins: leave the instance out");
    check(&format!("{HEAD}domains = [\"COM\", \"COM\"]"), 4, "something stands in this list twice");
    let nothing =
        |subject: &str, any: &str| format!("nothing is expected of the {subject}: name any of {any}");
    let of_instance =
        "state, findings, platform, domains, token, warnings, offered, path, versions, explains";
    let expect = "[[expect]]\nat = \"1h\"\n";
    check(&format!("{HEAD}{expect}instance = \"a\""), 4, &nothing("instance", of_instance));
    check(&format!("{HEAD}{expect}rollout = \"0.1.1\""), 4, &nothing("rollout", "phase, cohort, holding"));
    for number in ["+2", "002", "0", " 2", "15"] {
        // Not written out, since they are no rules of the law and must not be taken for a mention of one.
        let rule = format!("CO-{number}");
        let told = format!("unknown rule `{rule}`: CO-1 to CO-14 exist");
        check(&format!("{head}rules = [\"{rule}\"]"), 2, &told);
    }
    let outcome = "outcome = { release = \"0.1.7\", phase = \"canary\", failures = 1 }";
    check(&format!("{HEAD}[[step]]\nat = \"1h\"\n{outcome}"), 4, "no step publishes release 0.1.7");
}

#[test]
fn en_1_a_catalogue_that_cannot_be_activated_is_not_rehearsed() {
    let modules = |rows: &[(&str, &str)], line, told: &str| {
        let module = |(code, depends): &(&str, &str)| {
            format!("[[module]]\ncode = \"{code}\"\ndepends = [{depends}]\n")
        };
        let text: String = rows.iter().map(module).collect();
        check(&format!("name = \"x\"\n{text}"), line, told);
    };
    modules(&[("AAA", "\"BBB\""), ("BBB", "\"AAA\"")], 2, "module AAA: it depends on itself");
    modules(&[("AAA", ""), ("BBB", ""), ("AAA", "")], 8, "module AAA: it is listed twice");
    let dangling = "module CCC: a module depends on it, and it is not listed";
    modules(&[("AAA", ""), ("BBB", "\"CCC\"")], 5, dangling);
}

#[test]
fn co_7_the_plane_is_away_once_at_a_time() {
    let outages = |rows: &[(&str, &str)], told: &str| {
        let outage = |(from, until): &(&str, &str)| {
            format!("[[step]]\nat = \"1h\"\noutage = {{ from = \"{from}\", until = \"{until}\" }}\n")
        };
        let text: String = rows.iter().map(outage).collect();
        let line = 1 + 3 * rows.len();
        check(&format!("{HEAD}{text}"), line, told);
    };
    outages(&[("2h", "30h"), ("20h", "45h")], "the outage overlaps the one of line 4: write them as one");
    outages(
        &[("2h", "30h"), ("30h", "45h"), ("40h", "41h")],
        "the outage overlaps the one of line 7: write them as one",
    );
    outages(&[("0h", "30h")], "the outage begins at 0s, before the step that tells of it, at 1h");
    outages(&[("2h", "2h")], "the outage ends as it begins");
}

#[test]
fn a_scenario_is_no_larger_than_can_be_played() {
    let text = |count: u32, days: u32| {
        let expect = format!("[[expect]]\nat = \"{days}d\"\nfleet = {{}}\ncount = {count}");
        format!("{HEAD}count = {count}\n{expect}")
    };
    let told = "10000 instances up to 3660d, and 1 steps and expectations, are 878410000 instance-hours: \
                100000000 are the most that is played";
    check(&text(10_000, 3_660), 5, told);
    assert!(parse("f.toml", &text(10_000, 400)).is_ok());
    assert!(parse("f.toml", &text(1_000, 3_660)).is_ok());
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
    let shown = "f.toml: at 1h (line 4), step `reactivate`: expected accepted, found refused with illegal-transition \
                 (no transition leads from active to active by the federation)";
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
