//! The dashboard: the way in and its end, who may open what, forms of others, and what every answer tells the browser.

use std::sync::Arc;

use governance::{InstanceId, PersonRole, State};
use http::{HeaderMap, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use wire::RevokePerson;

use crate::common::{Who, World};

/// A browser, as far as a test needs one: it keeps a cookie and says where a form comes from.
pub(crate) struct Browser {
    http: reqwest::Client,
    base: String,
    origin: Option<String>,
    pub(crate) cookie: Option<String>,
}

/// What came back.
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What each form of this page carries.
    fn token(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"token\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    pub(crate) fn new(world: &World) -> Self {
        let shown = std::fs::read(world.path("data/dashboard/made.pem")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&shown).unwrap()).unwrap();
        let tls = rustls::ClientConfig::builder_with_provider(trust::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(Arc::new(roots))
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let base = format!("https://localhost:{}", world.at().dashboard.port());
        Self { http, origin: Some(base.clone()), base, cookie: None }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Seen {
        let request = match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Seen { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Seen {
        let request = self.http.post(format!("{}{path}", self.base)).body(form.to_owned());
        let request = match &self.origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        self.send(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    /// Signs in as this person.
    pub(crate) async fn signed_in(world: &World, who: &Who) -> Self {
        let link = world.client(who).dashboard_link().await.unwrap();
        let mut browser = Self::new(world);
        let entered = browser.enter(&link.url).await;
        assert_eq!(entered.status, StatusCode::SEE_OTHER, "{}", entered.text);
        browser.cookie = Some(entered.header("set-cookie").split(';').next().unwrap().to_owned());
        browser
    }

    async fn enter(&self, url: &str) -> Seen {
        let (_, link) = url.rsplit_once('/').unwrap();
        self.post("/sign-in", &format!("link={link}")).await
    }

    /// Sends the form of a page, as its button does.
    async fn act(&self, page: &str, path: &str, more: &str) -> Seen {
        let token = self.get(page).await.token();
        self.post(path, &format!("token={token}{more}")).await
    }
}

async fn person(world: &World, path: &str) -> Browser {
    Browser::signed_in(world, &world.person(path).0).await
}

#[tokio::test]
async fn au_1_a_link_opens_one_session_and_its_preview_spends_nothing() {
    let world = World::start().await;
    let link = world.client(&world.operator()).dashboard_link().await.unwrap();
    let browser = Browser::new(&world);
    assert!(link.url.starts_with(&format!("{}/sign-in/", browser.base)), "{}", link.url);
    assert_eq!(link.certificate.len(), 64);
    let path = link.url.strip_prefix(&browser.base).unwrap();
    for _ in 0..3 {
        let offered = browser.get(path).await;
        assert_eq!(offered.status, StatusCode::OK);
        assert!(offered.text.contains("operator/admin") && offered.header("set-cookie").is_empty());
    }
    let entered = browser.enter(&link.url).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = entered.header("set-cookie");
    for flag in ["__Host-fedplane=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Domain") && !cookie.contains("Expires"), "{cookie}");
    // Once.
    assert_eq!(browser.get(path).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.enter(&link.url).await.status, StatusCode::UNAUTHORIZED);
    for path in ["/sign-in/", "/sign-in/AAAA"] {
        let status = browser.get(path).await.status;
        assert!([StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND].contains(&status), "{path}");
    }
}

#[tokio::test]
async fn au_1_nobody_without_a_session_sees_anything() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    for cookie in [None, Some("__Host-fedplane=made-up"), Some("fedplane=x; __Host-fedplane=")] {
        browser.cookie = cookie.map(str::to_owned);
        for (method, path, _) in server::dashboard_doors() {
            let path = path.replace("{id}", &"0".repeat(36)).replace(['{', '}'], "");
            let seen = if method == http::Method::GET {
                browser.get(&path).await
            } else {
                browser.post(&path, "").await
            };
            assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert!(seen.text.contains("fedplane dashboard link"), "{path}");
        }
    }
}

/// What OWASP's ASVS asks of every answer, whatever it is.
#[tokio::test]
async fn every_answer_tells_the_browser_what_it_may_do() {
    let world = World::start().await;
    let browser = Browser::signed_in(&world, &world.operator()).await;
    for path in [
        "/fleet",
        "/sign-in",
        "/sign-in/x",
        "/nowhere",
        "/instances/x",
        "/style.css",
        "/live.js",
        "/icon.svg",
        "/ledger/99999",
    ] {
        let seen = browser.get(path).await;
        let policy = seen.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, part) in [
            ("strict-transport-security", "max-age="),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert!(seen.header(name).contains(part), "{path}: {name}");
        }
        let is_file = path.contains('.');
        assert_eq!(seen.header("cache-control") == "no-store", !is_file, "{path}");
        if !is_file {
            assert!(seen.header("content-type").starts_with("text/html"), "{path}");
            assert!(!seen.text.contains("style=") && !seen.text.contains("<script>"), "{path}");
        }
    }
}

#[tokio::test]
async fn au_1_every_page_opens_to_whom_the_one_table_opens_it_and_to_nobody_else() {
    let world = World::start_with(|law, _| law.rate_address = 1_000_000).await;
    let (id, _) = world.instance_of("acme").await;
    for role in PersonRole::ALL {
        let path = match role {
            PersonRole::Provider => "provider/acme/alice".to_owned(),
            role => format!("{role}/alice"),
        };
        let browser = person(&world, &path).await;
        let home = browser.get("/").await;
        assert_eq!(home.status, StatusCode::SEE_OTHER);
        let page = browser.get(home.header("location")).await;
        assert_eq!(page.status, StatusCode::OK, "{role}: {}", page.text);
        let token = page.token();
        for (method, path, roles) in server::dashboard_doors() {
            if ["/live", "/sign-out"].contains(&path) {
                continue;
            }
            let path = path
                .replace("{id}", &id.to_string())
                .replace("{release}", "9.9.9")
                .replace("{verb}", "pause")
                .replace("{number}", "1")
                .replace("{position}", "0");
            let seen = match *method == http::Method::GET {
                true => browser.get(&path).await,
                false => browser.post(&path, &format!("token={token}")).await,
            };
            let kept_out = seen.status == StatusCode::FORBIDDEN && seen.text.contains("not-authorised");
            assert_eq!(!kept_out, roles.contains(&role.as_str()), "{role}: {method} {path}: {}", seen.status);
            assert!(
                seen.status != StatusCode::INTERNAL_SERVER_ERROR
                    && seen.status != StatusCode::SERVICE_UNAVAILABLE,
                "{path}"
            );
            // The head names the sections that are open, and those alone.
            if let Some((_, nav)) = page.text.split_once("<nav").filter(|_| *method == http::Method::GET) {
                let nav = nav.split("</nav>").next().unwrap();
                if ["/fleet", "/rollouts", "/releases", "/constitution", "/escalations", "/ledger"]
                    .contains(&path.as_str())
                {
                    assert_eq!(
                        nav.contains(&format!("href=\"{path}\"")),
                        roles.contains(&role.as_str()),
                        "{role}: {path}"
                    );
                }
            }
        }
    }
    world.lawful().await;
}

#[tokio::test]
async fn id_3_a_provider_sees_its_own_instances_alone() {
    let world = World::start().await;
    let (own, _) = world.instance_of("acme").await;
    let (other, _) = world.instance_of("globex").await;
    let alice = person(&world, "provider/acme/alice").await;
    let fleet = alice.get("/fleet").await.text;
    assert!(fleet.contains(&own.to_string()) && !fleet.contains(&other.to_string()));
    assert!(!fleet.contains("globex") && fleet.contains("1 instance"), "{fleet}");
    let tried = alice.get("/fleet?provider=globex").await;
    assert!(tried.status == StatusCode::OK && !tried.text.contains(&other.to_string()));
    for path in ["", "/suspend", "/decisions/1/proof"] {
        assert_eq!(alice.get(&format!("/instances/{other}{path}")).await.status, StatusCode::NOT_FOUND);
    }
    let token = alice.get(&format!("/instances/{own}")).await.token();
    let seen = alice.post(&format!("/instances/{other}/suspend"), &format!("token={token}")).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    let own = format!("/instances/{own}");
    assert_eq!(alice.act(&own, &format!("{own}/suspend"), "").await.status, StatusCode::SEE_OTHER);
    world.lawful().await;
}

#[tokio::test]
async fn au_1_an_act_is_the_persons_and_comes_from_a_page_of_his_session() {
    let world = World::start().await;
    let (id, _) = world.active().await;
    let mut browser = person(&world, "operator/eve").await;
    let (page, act) = (format!("/instances/{id}"), format!("/instances/{id}/suspend"));
    let asked = browser.get(&act).await;
    assert!(
        asked.status == StatusCode::OK && asked.text.contains("1 instance is suspended"),
        "{}",
        asked.text
    );
    let token = asked.token();
    let other = person(&world, "operator/mallory").await.get(&page).await.token();
    let state = async || world.client(&world.operator()).instance(id).await.unwrap().state;
    for form in ["", "token=", &format!("token={other}"), &format!("tokn={token}")] {
        assert_eq!(browser.post(&act, form).await.status, StatusCode::FORBIDDEN, "{form}");
    }
    let own = browser.origin.clone();
    for origin in [None, Some("https://evil.example"), Some("null"), Some("http://localhost")] {
        browser.origin = origin.map(str::to_owned);
        let refused = browser.post(&act, &format!("token={token}")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{origin:?}");
        assert!(refused.text.contains("form-foreign"), "{}", refused.text);
    }
    assert_eq!(state().await, State::Active);
    browser.origin = own;
    let long = format!("token={token}&x={}", "x".repeat(9_000));
    assert_eq!(browser.post(&act, &long).await.status, StatusCode::BAD_REQUEST);
    let done = browser.post(&act, &format!("token={token}")).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, &*format!("{page}?done=suspended"))
    );
    assert_eq!(state().await, State::Suspended);
    let shown = browser.get(&format!("{page}?done=suspended")).await.text;
    assert!(
        shown.contains("Suspended. It stands in the ledger.") && shown.contains("by operator/eve"),
        "{shown}"
    );
    // What the law refuses is told with its rule and what to do.
    let again = browser.post(&act, &format!("token={token}")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text.contains("What to do") && again.text.contains("Sign out"), "{}", again.text);
    let decisions = world.client(&world.operator()).decisions(id, 1).await.unwrap();
    assert!(decisions.items.iter().any(|one| one.actor.as_deref() == Some("operator/eve")));
    world.lawful().await;
}

#[tokio::test]
async fn ro_6_the_red_switch_is_seen_on_every_page_and_names_who_turned_it() {
    let world = World::start().await;
    let browser = person(&world, "operator/eve").await;
    let asked = browser.get("/red-switch").await.text;
    assert!(asked.contains("Every offer stops at once"), "{asked}");
    let auditor = person(&world, "auditor/ann").await;
    assert!(!auditor.get("/fleet").await.text.contains("Red switch"));
    let done = browser.act("/red-switch", "/red-switch", "&on=yes&reason=0.1.4+loses+%3Corders%3E").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    for path in ["/fleet", "/rollouts", "/releases", "/constitution", "/escalations", "/ledger"] {
        let seen = auditor.get(path).await.text;
        assert!(seen.contains("The red switch is on") && seen.contains("operator/eve"), "{path}");
        assert!(seen.contains("“0.1.4 loses &lt;orders&gt;”"), "{path}: {seen}");
        assert!(!seen.contains("Turn it off"), "{path}");
    }
    assert!(browser.get("/fleet").await.text.contains("Turn it off"));
    browser.act("/red-switch", "/red-switch", "&on=no").await;
    assert!(!auditor.get("/fleet").await.text.contains("The red switch is on"));
    world.lawful().await;
}

#[tokio::test]
async fn au_2_a_session_ends_with_its_certificate_and_when_it_is_left() {
    let world = World::start().await;
    let (eve, serial) = world.person("operator/eve");
    let browser = Browser::signed_in(&world, &eve).await;
    let waiting = world.client(&eve).dashboard_link().await.unwrap();
    assert_eq!(browser.get("/fleet").await.status, StatusCode::OK);
    let revoke = RevokePerson { person: "operator/eve".into(), serial };
    world.client(&world.operator()).person_revoke(&revoke).await.unwrap();
    let ended = browser.get("/fleet").await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    assert!(ended.text.contains("taken back"), "{}", ended.text);
    assert_eq!(browser.enter(&waiting.url).await.status, StatusCode::UNAUTHORIZED);

    let browser = Browser::signed_in(&world, &world.operator()).await;
    let left = browser.act("/fleet", "/sign-out", "").await;
    assert_eq!((left.status, left.header("location")), (StatusCode::SEE_OTHER, "/sign-in"));
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get("/fleet").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn hs_6_another_hosts_name_is_not_the_dashboards() {
    let world = World::start().await;
    let browser = Browser::signed_in(&world, &world.operator()).await;
    let request = browser.http.get(format!("{}/fleet", browser.base)).header("host", "evil.example");
    let seen = browser.send(request.version(http::Version::HTTP_11)).await;
    assert!(
        [StatusCode::MISDIRECTED_REQUEST, StatusCode::BAD_REQUEST].contains(&seen.status),
        "{}",
        seen.status
    );
}

#[tokio::test]
async fn a_page_hears_that_something_was_decided_and_nothing_of_what() {
    let world = World::start().await;
    let browser = Browser::signed_in(&world, &world.operator()).await;
    let request = browser.http.get(format!("{}/live", browser.base));
    let mut stream = request.header("cookie", browser.cookie.clone().unwrap()).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let (id, _) = world.active().await;
    let heard = async {
        let mut heard = String::new();
        while !heard.contains("event: changed") {
            heard.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
        }
        heard
    };
    let heard = tokio::time::timeout(std::time::Duration::from_secs(10), heard).await.unwrap();
    assert!(heard.contains("event: changed\ndata: {}\n") && !heard.contains(&id.to_string()), "{heard}");
}

/// Every page over a federation that has something to show.
#[tokio::test]
async fn every_page_shows_what_is_on_record() {
    let world = World::start().await;
    let (id, _) = world.active().await;
    let browser = Browser::signed_in(&world, &world.operator()).await;
    let fleet = browser.get("/fleet").await.text;
    assert!(fleet.contains(&id.to_string()) && fleet.contains("0.1.0"), "{fleet}");
    let none = browser.get("/fleet?state=revoked").await.text;
    assert!(!none.contains(&id.to_string()) && none.contains("No instance fits"), "{none}");
    assert_eq!(browser.get("/fleet?state=sleeping").await.status, StatusCode::BAD_REQUEST);
    let found = browser.get(&format!("/instances?id={id}")).await;
    assert_eq!(found.header("location"), format!("/instances/{id}"));
    let instance = browser.get(&format!("/instances/{id}")).await.text;
    for part in ["ORGANISM", "LC-1", "What comes next", "Every decision about it", "got its identity"] {
        assert!(instance.contains(part), "{part}: {instance}");
    }
    for (path, part) in [
        ("/rollouts", "No rollout is open"),
        ("/releases", "Nothing has been released"),
        ("/constitution", "security.deadline"),
        ("/escalations", "Nothing lies before the Founder"),
        ("/ledger", "got its identity"),
        ("/ledger?q=operator/admin", "enrolment made"),
        ("/ledger/0", "federation test.example founded"),
    ] {
        let seen = browser.get(path).await;
        assert!(seen.status == StatusCode::OK && seen.text.contains(part), "{path}: {}", seen.text);
    }
    assert!(!browser.get("/ledger?q=nothing-of-the-kind").await.text.contains("got its identity"));
    let verified = browser.act("/ledger", "/ledger/verify", "").await;
    assert!(verified.text.contains("Lawful"), "{}", verified.text);
    let missing: InstanceId = "07070707-0707-4707-8707-070707070707".parse().unwrap();
    assert_eq!(browser.get(&format!("/instances/{missing}")).await.status, StatusCode::NOT_FOUND);
    // Published within a moment.
    let proof = async {
        loop {
            let proof = browser.get(&format!("/instances/{id}/decisions/1/proof")).await;
            if proof.status == StatusCode::OK {
                return proof;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let proof = tokio::time::timeout(std::time::Duration::from_secs(10), proof).await.unwrap();
    assert!(proof.text.starts_with("c2sp.org/tlog-proof"), "{}", proof.text);
    assert!(proof.header("content-disposition").contains("attachment"));
}

/// What somebody writes into a search or an address comes back as text.
#[tokio::test]
async fn au_1_what_is_hostile_comes_back_as_text() {
    let world = World::start().await;
    let browser = Browser::signed_in(&world, &world.operator()).await;
    let hostile = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        "/ledger?q=",
        "/fleet?provider=",
        "/fleet?platform=",
        "/instances/",
        "/rollouts/",
        "/nowhere/",
        "/sign-in/",
    ] {
        let seen = browser.get(&format!("{path}{hostile}")).await.text;
        assert!(!seen.contains("<script>") && !seen.contains("alert(1)</script>"), "{path}: {seen}");
    }
}
