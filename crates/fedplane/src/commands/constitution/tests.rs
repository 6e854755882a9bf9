//! What the commands about constitutions show, refuse and sign.

use std::fs;

use clap::Parser as _;
use governance::{ConstitutionDocument, Digest, Span, Timestamp};
use proof::order::{Order, OrderAction};
use proof::{Jws, Typ};
use serde_json::Value;

use super::*;
use crate::commands::init::{InitOptions, create};
use crate::folder::{Folder, read_document};
use crate::secrets::SecretArgs;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DRAFT: &str = "\"security.deadline\" = \"12h\"\n\"rollout.canary.share\" = 0.1\n";

/// A federation of three Founder keys, two of which must sign, and a draft beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self::made(NOW)
    }

    fn made(now: Timestamp) -> Self {
        let place = tempfile::tempdir().unwrap();
        create(&InitOptions {
            folder: place.path().join("f"),
            trust_domain: "test.internal".parse().unwrap(),
            founders: 3,
            threshold: 2,
            organisms: 1,
            organism_threshold: 1,
            constitution: Constitution::default(),
            hosts: Vec::new(),
            keys: crate::commands::init::keys::KeyArgs::default(),
            settings: server::settings::Settings::default(),
            now,
        })
        .unwrap();
        fs::write(place.path().join("draft.toml"), DRAFT).unwrap();
        Self(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn folder(&self) -> Folder {
        Folder::new(self.path("f"))
    }

    fn amend(&self, keys: &[u32]) -> AmendArgs {
        AmendArgs {
            file: Some(self.path("draft.toml")),
            out: self.path("order.json"),
            keys: keys.iter().map(|number| self.folder().founder_key(*number).into()).collect(),
            secrets: SecretArgs::default(),
            replaces: Some(self.folder().constitution_signed()),
            effective: None,
            serial: None,
            expires: None,
            root: None,
            federation: self.path("f"),
            url: None,
            cert: None,
            operator_key: None,
            root_ca: None,
        }
    }

    /// Signs as the command does.
    fn sign(&self, args: &AmendArgs, now: Timestamp) -> Result<SignedAmendment, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let replaced = runtime.block_on(sign::replaced(args))?;
        sign(args, replaced.as_ref(), now)
    }

    /// What a command line of `fedplane constitution` prints; `@` is the place.
    fn told(&self, line: &str, json: bool) -> Result<String, Failure> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: ConstitutionArgs,
        }
        let line = line.replace('@', &format!("{}/", self.0.path().display()));
        let line = Line::try_parse_from(std::iter::once("constitution").chain(line.split(' '))).unwrap();
        let (out, captured) = Output::captured(json);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(line.args, &out))?;
        Ok(captured.text().replace(&format!("{}/", self.0.path().display()), "@"))
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.told(line, true).unwrap()).unwrap()
    }
}

#[test]
fn fo_5_a_constitution_is_shown_with_rule_meaning_and_default() {
    let place = Place::new();
    let text = place.told("show @draft.toml", false).unwrap();
    assert!(text.starts_with("constitution  @draft.toml\n\nparameter"), "{text}");
    let row = text.lines().find(|line| line.starts_with("security.deadline ")).unwrap();
    let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let about = "From notice to out of compliance for a security release";
    assert_eq!(cells, ["security.deadline", "\"12h\" *", "\"1d\"", "CO-3", about]);
    assert!(text.ends_with("* not the default\n"), "{text}");
    let shown = place.json("show @draft.toml");
    assert_eq!((&shown["digest"], &shown["signed"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["parameters"].as_array().unwrap().len(), governance::constitution::PARAMETERS.len());
    let deadline = &shown["parameters"][4];
    assert_eq!((&deadline["name"], &deadline["changed"]), (&"security.deadline".into(), &true.into()));
    assert_eq!((&deadline["section"], &deadline["default"]), (&"§7 Compliance".into(), &"\"1d\"".into()));
}

#[test]
fn fo_5_a_signed_constitution_is_shown_with_who_signed_it() {
    let place = Place::new();
    let shown = place.json("show @f/constitution.sig --federation @f");
    let digest = read_document(&place.folder().constitution_signed()).unwrap().digest();
    assert_eq!((&shown["digest"], &shown["signed"]), (&digest.to_string().into(), &true.into()));
    assert_eq!(shown["previous"], Value::Null);
    let text = place.told("show @f/constitution.sig --federation @f", false).unwrap();
    assert!(text.contains("signed        by the Founder\n"), "{text}");
    let unknown = place.told("show @f/constitution.sig --federation @", false).unwrap();
    assert!(unknown.contains("signed        not looked at: --federation names no folder"), "{unknown}");
    // One holder's signature is not the Founder's.
    place.sign(&place.amend(&[1]), NOW).unwrap();
    let begun = place.told("show @order.json --federation @f", false).unwrap();
    assert!(begun.contains("signed        not by the Founder: 1 of the 2 signatures"), "{begun}");
    assert!(begun.contains(&format!("replaces      {digest}\n")), "{begun}");
}

#[test]
fn fo_5_the_default_is_a_file_to_begin_a_draft_with() {
    let place = Place::new();
    let text = place.told("show --default", false).unwrap();
    assert_eq!(fs::read_to_string(place.folder().constitution()).unwrap(), text, "what `init` writes");
    fs::write(place.path("default.toml"), &text).unwrap();
    let checked = place.told("check @default.toml", false).unwrap();
    assert_eq!(checked, "It stands, and is the default constitution.\n");
    assert_eq!(place.json("show --default")["parameters"][0]["changed"], false);
}

#[test]
fn fo_5_a_draft_is_checked() {
    let place = Place::new();
    let text = place.told("check @draft.toml", false).unwrap();
    assert!(text.starts_with("It stands. Other than the default:\n\nparameter"), "{text}");
    assert_eq!(place.json("check @draft.toml")["parameters"].as_array().unwrap().len(), 2);
    fs::write(place.path("bad.toml"), "\n\"drift.freez\" = \"1d\"\n").unwrap();
    let failure = place.told("check @bad.toml", false).unwrap_err();
    assert_eq!((failure.code(), failure.exit_code()), ("constitution-malformed", 1));
    let detail = &failure.reasons[0].detail;
    assert!(detail.ends_with("bad.toml:2: unknown parameter `drift.freez`: did you mean `drift.freeze`?"));
    assert_eq!(place.told("check @none.toml", false).unwrap_err().code(), "file");
}

#[test]
fn fo_5_what_differs_is_shown_parameter_by_parameter() {
    let place = Place::new();
    let text = place.told("diff @f/constitution.sig @draft.toml", false).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["old  @f/constitution.sig", "new  @draft.toml"]);
    assert!(lines[4].starts_with("security.deadline     \"1d\" → \"12h\"  CO-3"), "{text}");
    assert!(lines[5].starts_with("rollout.canary.share  0.05 → 0.1    RO-1"), "{text}");
    assert_eq!(lines.len(), 6);
    let shown = place.json("diff @draft.toml @f/constitution.sig");
    let change = &shown["changes"][1];
    assert_eq!((&change["old"], &change["new"]), (&"0.1".into(), &"0.05".into()));
    assert_eq!(shown["old"]["source"], "@draft.toml");
    let same = place.told("diff @draft.toml @draft.toml", false).unwrap();
    assert_eq!(same, "No parameter differs between @draft.toml and @draft.toml.\n");
    // What an order brings can be compared before a holder signs it.
    place.sign(&place.amend(&[1, 2]), NOW).unwrap();
    assert_eq!(
        place.json("diff @draft.toml @order.json --federation @f")["changes"],
        Value::Array(Vec::new())
    );
    let failure = place.told("diff @draft.toml --federation @", false).unwrap_err();
    assert_eq!(failure.code(), "root-keys");
}

/// The order in the place's file, opened as the plane opens it, and the constitution in it.
fn opened(place: &Place) -> (Order, Digest, ConstitutionDocument) {
    let root = place.folder().root_keys().unwrap();
    let document = read_document(&place.path("order.json")).unwrap();
    let order = Order::open(&document, &root, 0, NOW).unwrap();
    let OrderAction::Amend { constitution, replaces, effective } = &order.action else { panic!("{order:?}") };
    let law: ConstitutionDocument = constitution.open(Typ::Constitution, &root).unwrap();
    assert_eq!((law.previous, law.effective), (Some(*replaces), *effective));
    (order.clone(), *replaces, law)
}

fn reported(signed: &SignedAmendment) -> String {
    sign::report(signed, &Output::captured(false).0)
}

#[test]
fn fo_5_two_keys_at_once_make_a_whole_amendment() {
    let place = Place::new();
    let at = NOW + Span::hours(24);
    let args = AmendArgs {
        effective: Some(at),
        serial: Some(7),
        expires: Some(Span::hours(48)),
        ..place.amend(&[1, 3])
    };
    let signed = place.sign(&args, NOW).unwrap();
    assert_eq!((signed.complete, signed.needed, signed.constitution_signatures), (true, 2, 2));
    let (order, replaces, law) = opened(&place);
    assert_eq!((order.serial, order.expires, law.effective), (7, NOW + Span::hours(48), at));
    assert_eq!(replaces, read_document(&place.folder().constitution_signed()).unwrap().digest());
    assert_eq!(law.parameters, law::read(&place.path("draft.toml")).unwrap());
    let report = reported(&signed);
    assert!(report.contains("\nHand it in: fedplane order submit "), "{report}");
    assert!(report.contains("\nsecurity.deadline     \"1d\" → \"12h\"  CO-3"), "{report}");
}

#[test]
fn fo_5_holders_sign_an_amendment_in_two_rounds() {
    let place = Place::new();
    let bare = |keys: &[u32]| AmendArgs { file: None, replaces: None, ..place.amend(keys) };
    let count = |signed: &SignedAmendment| {
        (signed.constitution_signatures, signed.order.map(|order| order.signatures), signed.complete)
    };
    let first = place.sign(&place.amend(&[1]), NOW).unwrap();
    assert_eq!(count(&first), (1, None, false));
    assert!(reported(&first).contains("\nRound 1, the constitution."), "{}", reported(&first));
    let again = place.sign(&bare(&[1]), NOW).unwrap();
    assert_eq!(count(&again), (1, None, false), "one key counts once");
    let second = place.sign(&bare(&[2]), NOW + Span::hours(2)).unwrap();
    assert_eq!(count(&second), (2, Some(1), false));
    assert!(reported(&second).contains("\nRound 2, the order."), "{}", reported(&second));
    assert!(
        reported(&second).contains("\nWhat it changes: fedplane constitution diff "),
        "{}",
        reported(&second)
    );
    let third = place.sign(&bare(&[3]), NOW + Span::hours(2)).unwrap();
    assert_eq!(count(&third), (2, Some(2), true), "a third holder may sign the order alone");
    let (order, ..) = opened(&place);
    assert_eq!(order.expires, NOW + Span::hours(3), "the second round begins its time");
    assert_eq!(third.effective, NOW);
}

#[test]
fn fo_5_what_cannot_be_amended_is_refused() {
    let place = Place::new();
    let refused = |args: AmendArgs, code: &str| {
        let failure = place.sign(&args, NOW).unwrap_err();
        assert_eq!(failure.code(), code, "{failure}");
    };
    let plain = || place.amend(&[1]);
    fs::write(place.path("same.toml"), "").unwrap();
    fs::write(place.path("bad.toml"), "\"drift.freeze\" = \"1d\"").unwrap();
    fs::write(place.path("other.toml"), "\"security.deadline\" = \"13h\"").unwrap();
    let stranger = place.folder().organism_key(1);
    refused(AmendArgs { file: None, ..plain() }, "usage");
    refused(AmendArgs { file: Some(place.path("same.toml")), ..plain() }, "amendment-empty");
    refused(AmendArgs { file: Some(place.path("bad.toml")), ..plain() }, "constitution-contradicts");
    refused(AmendArgs { replaces: Some(place.path("draft.toml")), ..plain() }, "untrusted");
    refused(AmendArgs { effective: Some(NOW - Span::hours(1)), ..plain() }, "amendment-too-late");
    refused(AmendArgs { keys: vec![stranger.into()], ..plain() }, "unknown-key");
    refused(AmendArgs { federation: place.path(""), ..plain() }, "untrusted");
    refused(AmendArgs { replaces: None, federation: place.path(""), ..plain() }, "root-keys");
    assert!(!place.path("order.json").exists(), "nothing was written");
    // Round 1 of another, then round 2.
    place.sign(&plain(), NOW).unwrap();
    for _ in 0..2 {
        refused(AmendArgs { file: Some(place.path("other.toml")), ..place.amend(&[2]) }, "amendment-differs");
        refused(
            AmendArgs { effective: Some(NOW + Span::hours(1)), ..place.amend(&[2]) },
            "amendment-differs",
        );
        place.sign(&place.amend(&[1, 2]), NOW).unwrap();
    }
    refused(AmendArgs { serial: Some(3), ..place.amend(&[2]) }, "amendment-differs");
    let late = place.sign(&place.amend(&[3]), NOW + Span::hours(2)).unwrap_err();
    assert_eq!(late.code(), "order", "{late}");
    // A file that gathers signatures of something else.
    let key = trust::SigningKey::load(&place.folder().founder_key(1)).unwrap();
    let keys = Jws::sign_json(Typ::Keys, &"x", &key).unwrap();
    fs::write(place.path("order.json"), keys.to_json()).unwrap();
    refused(plain(), "amendment-differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn fo_5_the_law_in_force_is_asked_of_the_plane_and_proved_by_the_root_keys() {
    let place = Place::made(clock::now());
    let mut settings = server::settings::Settings::load(&place.folder().settings()).unwrap();
    let listen = &mut settings.listen;
    for address in [&mut listen.instances, &mut listen.public, &mut listen.dashboard, &mut listen.metrics] {
        address.set_port(0);
    }
    let running = server::start(settings).await.unwrap();
    let connect = ConnectArgs {
        url: Some(format!("https://localhost:{}", running.addresses().instances.port())),
        ..ConnectArgs::of(place.path("f"))
    };
    let law = in_force(&connect).await.unwrap();
    let signed = read_document(&place.folder().constitution_signed()).unwrap().digest();
    assert_eq!((law.digest, law.signed), (Some(signed), Some(true)));
    let args = AmendArgs { replaces: None, url: connect.url.clone(), ..place.amend(&[1, 2]) };
    let replaced = sign::replaced(&args).await.unwrap();
    let amendment = sign(&args, replaced.as_ref(), clock::now()).unwrap();
    assert_eq!((amendment.replaces, amendment.complete), (signed, true));
    running.stop().await;
    let failure = in_force(&connect).await.unwrap_err();
    assert!(
        failure.reasons[0].hint.ends_with("or name a file instead, as DIR/constitution.sig"),
        "{failure}"
    );
}
