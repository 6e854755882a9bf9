//! People and their roles: who may call what, a provider's own instances, certificates taken back (AU-1, AU-2, ID-3).

use std::fmt::Write as _;

use governance::{InstanceId, Kind, Person, PersonRole, State, Tier};
use proof::Sign as _;
use trust::SigningKey;
use wire::{EnrolmentRequest, RevokePerson, SubscriptionChange};

use crate::common::{Raw, Who, World, certified, refused, registration, validity};

impl World {
    /// A person, with the serial number of his certificate.
    pub(crate) fn person(&self, path: &str) -> (Who, String) {
        let key = SigningKey::generate().unwrap();
        let person = Person::from_path(path).unwrap();
        let issued = self.root_ca.issue_person(&person, key.public_key(), validity()).unwrap();
        (Who { key: key.into(), chain: issued.chain }, issued.serial)
    }

    /// An active instance of a provider.
    pub(crate) async fn instance_of(&self, provider: &str) -> (InstanceId, Who) {
        let request = EnrolmentRequest {
            kind: Kind::Dedicated,
            tier: Tier::Enterprise,
            provider: provider.parse().ok(),
            labels: vec![],
        };
        let secret = self.client(&self.operator()).enrolment_create(&request).await.unwrap().secret;
        let who = Who::fresh();
        let mut request = registration(&secret, &who.key);
        request.metadata.tier = Tier::Enterprise;
        let registered = self.client(&who).register(&request).await.unwrap();
        let who = certified(&who, &registered);
        self.client(&who).ready(registered.instance).await.unwrap();
        (registered.instance, who)
    }
}

fn role_path(role: PersonRole) -> String {
    match role {
        PersonRole::Provider => "provider/acme/alice".to_owned(),
        role => format!("{role}/alice"),
    }
}

/// Every caller against every route: let in exactly where the table says so. A route without a row is no route.
#[tokio::test]
async fn au_1_everybody_may_call_what_the_table_says_and_nothing_else() {
    let world = World::start_with(|law, _| {
        law.rate_address = 1_000_000;
        law.rate_instance = 1_000_000;
    })
    .await;
    let (id, instance) = world.instance_of("acme").await;
    let mut callers = vec![("stranger", Who::fresh()), ("instance", instance)];
    callers.extend(PersonRole::ALL.iter().map(|role| (role.as_str(), world.person(&role_path(*role)).0)));
    for (method, path, allowed) in server::authorisation() {
        let path = path
            .replace("{id}", &id.to_string())
            .replace("{release}", "9.9.9")
            .replace("{name}", "f")
            .replace("{verb}", "pause")
            .replace("{number}", "0");
        for (caller, who) in &callers {
            // A body that no call takes: what is let in fails behind the gate, and changes nothing.
            let mut raw = Raw::new(method.clone(), path.clone(), "[]");
            if method == http::Method::PUT {
                raw.media = "application/octet-stream";
            }
            let answered = raw.send(&world, who).await;
            let kept_out = answered.text().contains("\"not-authorised\"")
                || answered.text().contains("\"not-registered\"");
            assert_eq!(!kept_out, allowed.contains(caller), "{caller}: {method} {path}: {}", answered.text());
        }
    }
}

/// The page says what the table says.
#[test]
fn au_1_the_page_is_the_table() {
    let callers: Vec<&str> = ["stranger", "instance"]
        .into_iter()
        .chain(PersonRole::ALL.iter().map(|role| role.as_str()))
        .collect();
    let mut table = format!("| route | {} |\n|---|{}\n", callers.join(" | "), ":-:|".repeat(callers.len()));
    for (method, path, allowed) in server::authorisation() {
        let marks = callers.iter().map(|caller| if allowed.contains(caller) { "×" } else { "" });
        writeln!(table, "| `{method} {path}` | {} |", marks.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    let roles: Vec<&str> = PersonRole::ALL.iter().map(|role| role.as_str()).collect();
    writeln!(
        table,
        "\n## The dashboard\n\nOn 8444 ([dashboard.md](dashboard.md)), for people who came in by a link of their own. Each page \
         and each act rests on a row of the table above, and is open to the people of that row.\n\n| page or act | {} |\n|---|{}",
        roles.join(" | "),
        ":-:|".repeat(roles.len()),
    )
    .unwrap();
    for (method, path, allowed) in server::dashboard_doors() {
        let marks = roles.iter().map(|role| if allowed.contains(role) { "×" } else { "" });
        writeln!(table, "| `{method} {path}` | {} |", marks.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/authorisation.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let start = text.find("| route |").unwrap();
    let (head, found) = text.split_at(start);
    if found != table {
        std::fs::write(&page, format!("{head}{table}")).unwrap();
        panic!("docs/authorisation.md was behind the table; it is written anew: look at it, and run again");
    }
}

#[tokio::test]
async fn id_3_a_provider_sees_and_touches_its_own_instances_alone() {
    let world = World::start().await;
    let (own, _) = world.instance_of("acme").await;
    let (other, _) = world.instance_of("globex").await;
    let (nobodys, _) = world.active().await;
    let alice = world.client(&world.person("provider/acme/alice").0);
    let listed = alice.instances(&client::InstanceQuery::default()).await.unwrap();
    assert_eq!(listed.items.iter().map(|view| view.id).collect::<Vec<_>>(), [own]);
    let query = client::InstanceQuery { provider: Some("globex".into()), ..client::InstanceQuery::default() };
    refused(alice.instances(&query).await, 403, "not-authorised");
    assert_eq!(alice.instance_suspend(own).await.unwrap().state, State::Suspended);
    alice.instance_reactivate(own).await.unwrap();
    alice.instance_explain(own, None).await.unwrap();
    for hidden in [other, nobodys] {
        // As one that does not exist.
        refused(alice.instance(hidden).await, 404, "not-found");
        refused(alice.instance_suspend(hidden).await, 404, "not-found");
        refused(alice.instance_explain(hidden, None).await, 404, "not-found");
    }
    let enrolment = |provider: Option<&str>| EnrolmentRequest {
        kind: Kind::Dedicated,
        tier: Tier::Enterprise,
        provider: provider.map(|provider| provider.parse().unwrap()),
        labels: vec![],
    };
    alice.enrolment_create(&enrolment(Some("acme"))).await.unwrap();
    refused(alice.enrolment_create(&enrolment(Some("globex"))).await, 403, "not-authorised");
    refused(alice.enrolment_create(&enrolment(None)).await, 403, "not-authorised");
    world.lawful().await;
}

#[tokio::test]
async fn en_3_billing_sets_subscriptions_and_nothing_else() {
    let world = World::start().await;
    let (id, _) = world.active().await;
    let billing = world.client(&world.person("billing/meter").0);
    let pro = SubscriptionChange { tier: Some(Tier::Pro), ..SubscriptionChange::default() };
    assert_eq!(billing.instance_subscription(id, &pro).await.unwrap().tier, Tier::Pro);
    refused(billing.instance_suspend(id).await, 403, "not-authorised");
    refused(billing.ledger_entries(0, 10).await, 403, "not-authorised");
    // Who it was stands on record.
    let entries = world.client(&world.operator()).ledger_entries(0, 500).await.unwrap().entries;
    let decode = |entry: &String| {
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, entry).unwrap();
        ledger::Entry::decode(&bytes).unwrap()
    };
    assert!(entries.iter().map(decode).any(|entry| entry.actor.as_deref() == Some("billing/meter")));
    world.lawful().await;
}

#[tokio::test]
async fn au_2_a_certificate_that_is_taken_back_counts_no_more_on_open_connections_too() {
    let mut world = World::start().await;
    let (eve, serial) = world.person("operator/eve");
    let (open, operator) = (world.client(&eve), world.client(&world.operator()));
    open.federation().await.unwrap();
    let revoke = |person: &str, serial: &str| RevokePerson { person: person.into(), serial: serial.into() };
    refused(operator.person_revoke(&revoke("eve", &serial)).await, 400, "person-malformed");
    refused(operator.person_revoke(&revoke("operator/eve", "")).await, 400, "person-malformed");
    refused(open.person_revoke(&revoke("operator/eve", &serial)).await, 409, "person-own");
    for _ in 0..2 {
        operator.person_revoke(&revoke("operator/eve", &serial.to_uppercase())).await.unwrap();
    }
    assert_eq!(operator.people_revoked().await.unwrap().serials, [serial]);
    refused(open.federation().await, 401, "certificate-revoked");
    world.lawful().await;
    world.stop().await;
    world.run().await;
    refused(world.client(&eve).federation().await, 401, "certificate-revoked");
    world.client(&world.person("operator/eve").0).federation().await.unwrap();
}
