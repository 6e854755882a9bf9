//! The command line: every command and option, with what it is for.

use std::borrow::Cow;
use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::ContextValue;
use clap::{Parser, Subcommand};

use crate::commands::{
    backup, ca, completions, constitution, dashboard, doctor, enrolment, federation, init, instance, key,
    keys, ledger, man, migrate, operator, order, release, restore, rollout, scenario, serve, simulate,
    status, subscription, token, what_if, witness,
};
use crate::demo;
use crate::secrets::without_pins;
use crate::{Failure, Output};

/// The operator's tool of a WebWaka federation: makes it, serves it, governs it, audits it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "fedplane",
    version = env!("FEDPLANE_VERSION"),
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Answers as JSON on the standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Makes a new federation: the key ceremony.
    Init(init::InitArgs),
    /// Runs the Federation Plane.
    Serve(serve::ServeArgs),
    /// Runs a witness, which cosigns the checkpoints of ledgers.
    Witness(witness::WitnessArgs),
    /// Plays the story of a federation on real processes.
    Demo(demo::DemoArgs),
    /// The federation on one screen.
    Status(status::StatusArgs),
    /// Looks at all that a server stands on; says what is wrong and the command that mends it.
    Doctor(doctor::DoctorArgs),
    /// Signs in to the dashboard.
    Dashboard(dashboard::DashboardArgs),
    /// Makes enrolments for instances to be.
    Enrolment(enrolment::EnrolmentArgs),
    /// Lists, shows and steers instances.
    Instance(instance::InstanceArgs),
    /// Sets and shows what instances pay for.
    Subscription(subscription::SubscriptionArgs),
    /// Verifies entitlement and activation tokens.
    Token(token::TokenArgs),
    /// Signs, publishes, lists and withdraws releases.
    Release(release::ReleaseArgs),
    /// Lists, shows and steers rollouts.
    Rollout(rollout::RolloutArgs),
    /// Certifies people in their roles, lists them and takes certificates back.
    Operator(operator::OperatorArgs),
    /// Shows and makes private keys, in files or tokens, and changes their passphrases.
    Key(key::KeyArgs),
    /// Renews the certificates of the instance CA and of the server: prepare, activate, retire.
    Ca(ca::CaArgs),
    /// The keys that govern: shows the keys document, and signs the next one with its TUF root.
    Keys(keys::KeysArgs),
    /// Signs and hands in the Founder's orders.
    Order(order::OrderArgs),
    /// Lists what lies before the Founder.
    Escalation(federation::EscalationArgs),
    /// Sets a time without new offers, except of security releases.
    Freeze(federation::FreezeArgs),
    /// Stops every offer at once, or lets them go on.
    RedSwitch(federation::RedSwitchArgs),
    /// Verifies and shows the ledger.
    Ledger(ledger::LedgerArgs),
    /// Moves a federation's records from one database to another.
    Migrate(migrate::MigrateArgs),
    /// Copies a federation's folder, while its server runs.
    Backup(backup::BackupArgs),
    /// Makes a federation's folder of a backup, once its ledger is verified.
    Restore(restore::RestoreArgs),
    /// Shows, checks, compares and amends constitutions.
    Constitution(constitution::ConstitutionArgs),
    /// Shows what a constitution or a release would do to the fleet, before anybody signs or publishes it.
    WhatIf(what_if::WhatIfArgs),
    /// Rehearses timelines of a federation.
    Scenario(scenario::ScenarioArgs),
    /// Simulates a fleet, and checks the invariants of the law at every step.
    Simulate(simulate::SimulateArgs),
    /// Prints what a shell completes commands and options by.
    Completions(completions::CompletionsArgs),
    /// Writes the manual: a page of `man` for each command.
    Man(man::ManArgs),
}

impl Cli {
    /// Reads a command line. What is wrong with it is said without the PIN that a name of a key may hold by mistake.
    ///
    /// # Errors
    /// When it is misused, or asks for help or the version.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(line).map_err(|mut error| {
            let shown = |value: &ContextValue| match value {
                ContextValue::String(text) => Some(ContextValue::String(without_pins(text).into_owned())),
                ContextValue::Strings(texts) => Some(ContextValue::Strings(
                    texts.iter().map(|text| without_pins(text).into_owned()).collect(),
                )),
                ContextValue::StyledStr(text) => Some(ContextValue::StyledStr(unstyled(text))),
                ContextValue::StyledStrs(texts) => {
                    Some(ContextValue::StyledStrs(texts.iter().map(unstyled).collect()))
                }
                _ => None,
            };
            let parts: Vec<_> = error
                .context()
                .filter(|(_, value)| holds_pin(&value.to_string()))
                .map(|(kind, value)| (kind, shown(value)))
                .collect();
            for (kind, value) in parts {
                match value {
                    Some(value) => drop(error.insert(kind, value)),
                    None => drop(error.remove(kind)),
                }
            }
            error
        })
    }
}

fn holds_pin(text: &str) -> bool {
    matches!(without_pins(text), Cow::Owned(_))
}

fn unstyled(text: &StyledStr) -> StyledStr {
    without_pins(&text.to_string()).into_owned().into()
}

/// A misused command line as a failure, where `--json` asks for one; help and version are no misuse.
#[must_use]
pub fn misuse(error: &clap::Error, line: impl IntoIterator<Item = OsString>) -> Option<Failure> {
    let options = line.into_iter().take_while(|word| word != "--");
    if !error.use_stderr() || !options.into_iter().any(|word| word == "--json") {
        return None;
    }
    // A paragraph of what is wrong, tips, the usage, and where there is help.
    let told = error.to_string();
    let mut parts = told.split("\n\n").map(|part| {
        part.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    let detail = parts.next().unwrap_or_default();
    let detail = detail.strip_prefix("error: ").unwrap_or(&detail).to_owned();
    let hint = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    Some(Failure::usage(detail, hint))
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// When it cannot be done: code, cause, rule, hint.
    pub async fn run(self, out: &Output) -> Result<(), Failure> {
        match self {
            Self::Init(args) => init::run(&args, out),
            Self::Serve(args) => serve::run(args, out).await,
            Self::Witness(args) => witness::run(args, out).await,
            Self::Demo(args) => demo::run(args, out).await,
            Self::Status(args) => status::run(args, out).await,
            Self::Doctor(args) => doctor::run(&args, out).await,
            Self::Dashboard(args) => dashboard::run(args, out).await,
            Self::Enrolment(args) => enrolment::run(args, out).await,
            Self::Instance(args) => instance::run(args, out).await,
            Self::Subscription(args) => subscription::run(args, out).await,
            Self::Token(args) => token::run(args, out).await,
            Self::Release(args) => release::run(args, out).await,
            Self::Rollout(args) => rollout::run(args, out).await,
            Self::Operator(args) => operator::run(args, out).await,
            Self::Key(args) => key::run(args, out),
            Self::Ca(args) => ca::run(args, out).await,
            Self::Keys(args) => keys::run(args, out).await,
            Self::Order(args) => order::run(args, out).await,
            Self::Escalation(args) => federation::escalation(args, out).await,
            Self::Freeze(args) => federation::freeze(args, out).await,
            Self::RedSwitch(args) => federation::red_switch(args, out).await,
            Self::Ledger(args) => ledger::run(args, out).await,
            Self::Migrate(args) => migrate::run(args, out).await,
            Self::Backup(args) => backup::run(&args, out).await,
            Self::Restore(args) => restore::run(&args, out).await,
            Self::Constitution(args) => constitution::run(args, out).await,
            Self::WhatIf(args) => what_if::run(args, out).await,
            Self::Scenario(args) => scenario::run(&args, out),
            Self::Simulate(args) => simulate::run(&args, out),
            Self::Completions(args) => completions::run(&args, out),
            Self::Man(args) => man::run(&args, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is_for() {
        fn check(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some(), "{path}");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} {}", argument.get_id());
            }
            for sub in command.get_subcommands() {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        check(&Cli::command(), "fedplane");
    }

    #[test]
    fn a_misused_command_line_is_json_where_json_is_asked_for() {
        let told = |line: &str| {
            let words = || line.split(' ').map(OsString::from);
            misuse(&Cli::try_parse_from(words()).unwrap_err(), words())
        };
        assert_eq!(told("fedplane ledger show x"), None);
        assert_eq!(told("fedplane --json --help"), None);
        let failure = told("fedplane ledger show x --json").unwrap();
        assert_eq!((failure.code(), failure.exit_code()), ("usage", 2));
        let reason = &failure.reasons[0];
        assert!(reason.detail.contains("<POSITION>") && reason.detail.contains("as 42"), "{reason:?}");
        let failure = told("fedplane --json instance lst").unwrap();
        assert!(failure.reasons[0].hint.contains("'list'"), "{failure:?}");
    }

    #[test]
    fn the_commands_by_which_expiring_things_are_renewed_are_there() {
        let said = include_str!("../../plane/src/expiry.rs");
        let commands: Vec<&str> =
            said.split('`').filter(|part| part.starts_with("fedplane ") && !part.contains('\n')).collect();
        assert!(commands.len() >= 4, "{commands:?}");
        for line in commands {
            // Named without what they need: nothing but that may be missing.
            let error = Cli::try_parse_from(line.split(' ')).err();
            let kind = error.as_ref().map(clap::Error::kind);
            assert!(matches!(kind, None | Some(ErrorKind::MissingRequiredArgument)), "{line}: {error:?}");
        }
    }

    #[test]
    fn no_command_shows_a_pin_that_stands_in_a_name() {
        const PIN: &str = "98765";
        let key = format!("pkcs11:token=fed;object=a?module-path=/m.so&pin-value={PIN}");
        let odd = format!("pkcs11:token=fed?pin-value={PIN}/%3");
        for line in [
            "key show KEY",
            "key make KEY",
            "key passwd KEY",
            "key csr KEY --out o",
            "init d --online-keys KEY",
            "init d --founder-key KEY",
            "init d --organism-key KEY",
            "init d --root-ca-key KEY",
            "init d --admin-key KEY",
            "order sign --key KEY --out o",
            "order sign --keyKEY --out o",
            "keys sign --out d --key KEY",
            "keys sign --out d --key a --founder KEY",
            "keys sign --out d --key a --organism=KEY",
            "ca certify server --csr c --out o --ca-key KEY",
            "ca activate server --cert c --key KEY",
            "operator add alice --role operator --ca-key KEY",
            "release sign --manifest m --package p --out o --key KEY",
            "release renew --out o --key KEY",
            "constitution sign c --out o --key KEY",
            "constitution show --url u --operator-key KEY",
            "ledger verify --operator-key KEY",
            "status --operator-key KEY",
            "status KEY",
            "KEY",
            "--KEY",
            "order sign --do KEY --out o",
        ] {
            for key in [&key, &odd] {
                let words = || {
                    std::iter::once("fedplane")
                        .chain(line.split(' '))
                        .map(|word| word.replace("KEY", key).into())
                };
                let error = Cli::read(words()).unwrap_err();
                let failure = misuse(&error, words().chain(["--json".into()])).unwrap();
                let told = format!("{error}\n{}\n{failure}\n{:?}", error.render().ansi(), failure.reasons);
                assert!(!told.contains(PIN), "{line}: {told}");
            }
        }
        // Where it is no option of a key, it is read later.
        let failure = Failure::usage(format!("--add tokens={key}"), "");
        assert!(!failure.to_string().contains(PIN));
    }

    #[test]
    fn the_documented_command_lines_parse() {
        let id = "07070707-0707-4707-8707-070707070707";
        let (name, key) = (|| "w.example".parse().unwrap(), [9; 32]);
        let public = *proof::Sign::public_key(&proof::SeedKey::new(key)).as_bytes();
        let (log, witness) = (
            ::ledger::NoteKey::new(name(), &public).unwrap(),
            ::ledger::WitnessKey::new(name(), &public).unwrap(),
        );
        for line in [
            "init d --founders 5 --threshold 3 --organisms 2 --organism-threshold 2 --host plane.example --trust-domain a.b",
            "init d --founder-key a --founder-key pkcs11:token=f;object=1 --root-ca-key r --admin-key a --passphrase-file p",
            "init d --online-keys pkcs11:token=fed?module-path=/usr/lib/a.so&pin-source=/etc/pin --encrypt",
            "init d --passphrase-file p --online-passphrase-file q",
            "serve --config d/fedplane.toml --log-json",
            "migrate sqlite-to-postgres --data d --to postgres://fedplane@localhost/fedplane",
            "migrate sqlite-to-postgres --data d --to postgres://a@b/c --password-file p --ca-file q --root r",
            "witness --name w.example --key w.key --data d --root f --url https://a:8445",
            &format!(
                "witness --listen [::]:8446 --name w.example --key w.key --data d --log {log} --log-json"
            ),
            &format!("ledger verify --witness {witness} --quorum 1"),
            &format!("ledger check-proof p --witness {witness}"),
            "key show pkcs11:token=fed;object=ledger?module-path=/usr/lib/a.so --json",
            "key show 1.key --passphrase-file p",
            "key make 1.key --encrypt",
            "key make 1.key --new-passphrase-file p",
            "key passwd 1.key --passphrase-file p --new-passphrase-file q",
            "key passwd 1.key --plain",
            "key csr 1.key --out 1.csr",
            "operator add alice --role operator --encrypt --ca-key pkcs11:token=root;object=ca --passphrase-file p",
            "order sign --key pkcs11:token=f;object=1 --out o --passphrase-file p",
            "instance list --operator-key pkcs11:token=me;object=admin --passphrase-file p",
            "demo --json --keep --instances 5",
            "enrolment create --kind dedicated --tier enterprise --provider acme --label eu --federation d",
            &format!("enrolment create --instance {id}"),
            "enrolment list --json",
            &format!("enrolment approve {}", "ab".repeat(32)),
            "instance list --state active --platform 0.1.0 --kind dedicated --tier free --json",
            &format!("subscription set {id} --status lapsed --url https://a:8443 --cert c --key k --root r"),
            &format!("subscription set {id} --until 2027-01-31T00:00:00Z --tier pro"),
            &format!("subscription show {id} --json"),
            "token verify a.b.c --jwks j --status-list s --json",
            "token verify token.jwt --federation d --online",
            "operator add alice --role provider --provider acme --csr a.csr --ca-key k --ca-cert c --out d --days 30",
            "operator list --json",
            "operator revoke --certificate alice.pem",
            "operator revoke --person operator/eve --serial 0a1b",
            &format!("instance suspend {id}"),
            &format!("instance challenge {id} --json"),
            &format!("instance explain {id}"),
            &format!("instance explain {id} 0.1.1 --json"),
            "rollout approve 0.1.1",
            "release sign --manifest m.toml --package p --key a b --key c --out d",
            "release publish d --kind dedicated --approval ga",
            "release withdraw 0.1.1",
            &format!("order sign --do revoke --instance {id} --reason stolen --expires 1h --key k --out o"),
            "ca certify instance-ca --csr c --out o --ca-key k --ca-cert r --days 10",
            "ca certify server --csr c --out o --host plane.example --federation d",
            "ca activate instance-ca --key k --cert c --json",
            "ca retire --now",
            "ca retire --url https://a:8445",
            "release renew --out targets.json --key a b --expires 30d",
            "release publish targets.json",
            "keys show --federation d",
            "keys show both --json",
            "keys sign --out d --key a b --add tokens=t.key --drop abc --founder f --founder g --threshold 2",
            "keys sign --out d --key a --drop -Zab --drop=-b",
            "keys adopt d --json",
            "keys adopt d --offline",
            "keys adopt d --url https://a:8445 --federation f",
            "order sign --order order-revoke.json --key k --out o",
            "order sign --do keys --document k --tuf-root r --key a --out o",
            "order submit o --federation d",
            "escalation list",
            "escalation acknowledge --rule RO-5 --release 0.1.3",
            "freeze --until 2027-01-02T00:00:00Z",
            "red-switch on",
            "red-switch on --reason 0.1.4-loses-orders",
            "ledger verify --root founder.json --url https://a:8445",
            "ledger verify --root founder.json --dir d --json",
            "ledger tail -f",
            "ledger show 3",
            "ledger prove 3 --out p.tlog-proof",
            &format!("ledger prove --instance {id} --decision 2 --out p --json"),
            "ledger check-proof p --root founder.json --keys-document keys.json",
            "ledger check-consistency old --root founder.json --url https://x:8445",
            "ledger check-consistency old new --dir copy --keys-document a --keys-document b",
            "constitution show",
            "constitution show --url https://a:8443 --cert c --operator-key k --root-ca r --json",
            "constitution show federation/constitution.sig",
            "constitution show --default",
            "constitution check c.toml",
            "constitution diff old.toml new.toml",
            "constitution diff new.toml --federation d",
            "constitution sign c.toml --replaces constitution.sig --effective 2027-01-01T00:00:00Z --expires 2d --key a b --out o",
            "constitution sign --key b --out o --root founder.json",
            "scenario run scenarios a.toml --json",
            "simulate --instances 1000 --days 365 --seed 7 --constitution c.toml --faults harsh --report r.html --json",
            "what-if --data d --constitution new.toml",
            "what-if --federation d --release m.toml --tier pro --days 30 --conduct obedient --json",
            "what-if --url https://a:8443 --cert c --key k --root r --constitution c.sig",
            "status",
            "status --federation d --json",
            "doctor --config d/fedplane.toml --json",
            "backup b --federation d --with-keys",
            "restore b --into d --root founder.json",
            "completions zsh",
            "man /usr/local/share/man/man1 --json",
            "dashboard link --federation d --json",
            "dashboard link --url https://a:8443 --cert c --key k --root r",
        ] {
            let parsed = Cli::try_parse_from(std::iter::once("fedplane").chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
        }
        for line in [
            "enrolment create --kind dedicated",
            "enrolment create --instance 07070707-0707-4707-8707-070707070707 --tier pro",
            "enrolment approve x",
            "subscription set 07070707-0707-4707-8707-070707070707",
            "ledger verify --url a --dir b",
            "constitution diff",
            "constitution diff a b c",
            "constitution show --default c.toml",
            "scenario run",
            "ledger prove --out p",
            "ledger prove 3 --decision 2 --instance 07070707-0707-4707-8707-070707070707 --out p",
            "ledger prove --decision 2 --out p",
            "what-if --data d",
            "what-if --constitution a --release b",
            "what-if --data d --url https://a:8443 --release b",
            "operator add alice",
            "ca certify server --csr c --out o --host bad..name",
            "init d --host 192.0.2.256",
            "init d --online-keys files",
            "init d --online-keys pkcs11:?pin-value=1234",
            "init d --founders 3 --founder-key a",
            "init d --encrypt --passphrase-file p",
            "key passwd 1.key --plain --new-passphrase-file p",
            "order sign --key pkcs11:colour=red --out o",
            "order sign --order a --do revoke --key k --out o",
            "operator revoke",
            "operator revoke --person operator/eve",
            "fly",
            "backup",
            "restore b",
            "completions tcsh",
            "man",
            "simulate --faults gentle",
            "simulate --days 0",
        ] {
            assert!(
                Cli::try_parse_from(std::iter::once("fedplane").chain(line.split(' '))).is_err(),
                "{line}"
            );
        }
    }
}
