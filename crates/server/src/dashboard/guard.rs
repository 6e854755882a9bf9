//! What stands before every page: the server's own name, so many requests a minute, headers that tell the browser what it may
//! do, a session that lasts, forms that come from its own pages, and the one table of roles.

use axum::RequestExt as _;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use dashboard::Chrome;
use http_body_util::{BodyExt as _, Limited};
use listener::Connection;
use wire::Problem;

use super::html::Html;
use super::sessions::Visit;
use super::{Refused, doors};
use crate::app::App;
use crate::gate::{check_own, take_address};
use crate::problem::Failure;
use crate::settings::duration;
use crate::table::Budget;

/// The cookie of a session: by its prefix browsers hold it to this host, to TLS and to every path.
pub(crate) const COOKIE: &str = "__Host-fedplane";
/// The longest form.
const FORM_BYTES_MAX: usize = 8 * 1024;
/// By this a page fetches itself anew: no use of the session.
const LIVE: HeaderName = HeaderName::from_static("fedplane-live");
/// Where a page listens for changes.
const LIVE_PATH: &str = "/live";

/// What every answer says to the browser (OWASP ASVS).
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", dashboard::CONTENT_POLICY),
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("x-frame-options", "DENY"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Before and behind everything on this listener.
pub(crate) async fn every(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match arrive(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(failure) => Refused::from(failure).into_response(),
    };
    // Whoever it is for: a refusal that is no page yet becomes one.
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = as_page(response, dashboard::confirm::problem(None, &problem));
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn arrive(app: &App, request: &Request) -> Result<(), Failure> {
    let connection = request.extensions().get::<Connection>();
    let connection = connection.ok_or_else(|| Failure::unavailable(&"a request without a connection"))?;
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    // Pages that keep themselves up to date never use up what it takes to turn the red switch.
    let budget = if reads { Budget::Dashboard } else { Budget::Form };
    take_address(app, budget, connection.peer.ip(), app.plane.now())?;
    let authority = authority(request);
    if !app.desk.authorities.contains(&authority) {
        let detail = format!("this dashboard is not {}", authority.chars().take(128).collect::<String>());
        let hint = "open it by a name that its operator set in listen.names or listen.dashboard_url";
        return Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "authority-unknown", "HS-6", detail, hint));
    }
    if reads { Ok(()) } else { check_origin(request.headers(), &authority) }
}

/// The name that the request is for.
fn authority(request: &Request) -> String {
    let named = request.uri().authority().map(ToString::to_string);
    let host = || request.headers().get(header::HOST)?.to_str().ok().map(str::to_owned);
    let named = named.or_else(host).unwrap_or_default().to_ascii_lowercase();
    named.strip_suffix(":443").map_or(named.clone(), str::to_owned)
}

/// That a form was sent by a page of this very origin, as the browser says.
fn check_origin(headers: &HeaderMap, authority: &str) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let own = format!("https://{authority}");
    let is_own = match (text("origin"), text("sec-fetch-site")) {
        (Some(origin), site) => {
            origin.eq_ignore_ascii_case(&own) && site.is_none_or(|site| site == "same-origin")
        }
        (None, site) => site == Some("same-origin"),
    };
    if is_own { Ok(()) } else { Err(foreign_form()) }
}

fn foreign_form() -> Failure {
    let detail = "the form was not sent from a page of this session";
    Failure::forbidden("form-foreign", "AU-1", detail, "open the page anew and send the form from there")
}

/// What the inner part of the dashboard asks of every request.
pub(crate) async fn inside(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let visit = match visit(&app, &request) {
        Ok(visit) => visit,
        Err(why) => {
            let page = Html(dashboard::sign_in::asked(why)).into_response();
            return (StatusCode::UNAUTHORIZED, page).into_response();
        }
    };
    let response = match admit(&app, &visit, &mut request).await {
        Ok(request_body) => {
            let (mut parts, _) = request.into_parts();
            parts.extensions.insert(visit.clone());
            parts.extensions.insert(request_body);
            match app.places.try_acquire() {
                Ok(_place) => next.run(Request::from_parts(parts, Body::empty())).await,
                Err(_) => Refused::from(Failure::busy("the server works on as many requests as it can"))
                    .into_response(),
            }
        }
        Err(failure) => Refused::from(failure).into_response(),
    };
    told(&app, &visit, response).await
}

/// A refusal as a page for whoever was refused.
async fn told(app: &App, visit: &Visit, mut response: Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let chrome = super::pages::chrome(app, visit, None).await.ok();
    let chrome = chrome.map(|chrome| Chrome { live: false, ..chrome });
    as_page(response, dashboard::confirm::problem(chrome.as_ref(), &problem))
}

/// The page in the place of the refusal's own body.
fn as_page(refused: Response, markup: dashboard::Markup) -> Response {
    let (mut parts, _) = refused.into_parts();
    let (page, body) = Html(markup).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(page.headers);
    Response::from_parts(parts, body)
}

/// Whose session it is; else what he is told.
fn visit(app: &App, request: &Request) -> Result<Visit, Option<&'static str>> {
    let headers = request.headers();
    let Some(cookie) = cookie(headers) else { return Err(None) };
    // What a page asks by itself is nobody's use of it.
    let is_used = !headers.contains_key(LIVE) && request.uri().path() != LIVE_PATH;
    let visit = app.desk.sessions.visit(&cookie, is_used, app.plane.now());
    let visit = visit.ok_or(Some("Your session is over."))?;
    if app.plane.is_revoked(&visit.who.serial) {
        app.desk.sessions.leave(&visit);
        return Err(Some("Your certificate was taken back, and your session with it (AU-2)."));
    }
    Ok(visit)
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned()).next()
}

/// What a form said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of this name.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Ok(parts.extensions.remove().unwrap_or_default())
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let visit = parts.extensions.get().cloned();
        visit.ok_or_else(|| Refused::from(Failure::unavailable(&"a page came past the guard")))
    }
}

async fn admit(app: &App, visit: &Visit, request: &mut Request) -> Result<Form, Failure> {
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else { return Ok(Form::default()) };
    let Some(door) = doors::find(request.method(), path.as_str()) else {
        return Err(Failure::method_not_allowed(request.method(), path.as_str()));
    };
    let person = visit.person();
    if !door.opens_to(person.role()) {
        return Err(Failure::forbidden(
            "not-authorised",
            "AU-1",
            format!("this page is for {}, not for {person}", door.callers()),
            "use the certificate of whoever may do this",
        ));
    }
    let params: RawPathParams = request
        .extract_parts()
        .await
        .map_err(|_| Failure::not_found("such page: its address is not UTF-8"))?;
    if let Some((_, id)) = params.iter().find(|(key, _)| *key == "id") {
        check_own(app, person, id).await?;
    }
    if *request.method() != Method::POST {
        return Ok(Form::default());
    }
    let form = read_form(app, std::mem::take(request.body_mut())).await?;
    if form.value("token") == visit.token { Ok(form) } else { Err(foreign_form()) }
}

/// Reads a form whole, up to its limit, in bounded time.
pub(crate) async fn read_form(app: &App, body: Body) -> Result<Form, Failure> {
    let read = Limited::new(body, FORM_BYTES_MAX).collect();
    let read = tokio::time::timeout(duration(app.settings.limits.body_within), read).await;
    let malformed = |why: String| {
        Failure::bad_request("form-malformed", why, "open the page anew and send the form from there")
    };
    let bytes = read.map_err(|_| malformed("the form did not arrive in time".to_owned()))?;
    let bytes = bytes.map_err(|error| malformed(error.to_string()))?.to_bytes();
    // A form is written as a query is.
    let text = std::str::from_utf8(&bytes).map_err(|error| malformed(error.to_string()))?;
    let uri = axum::http::Uri::builder().path_and_query(format!("/?{text}")).build();
    let uri = uri.map_err(|error| malformed(error.to_string()))?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    Ok(Form(pairs.map_err(|error| malformed(error.body_text()))?.0))
}

pub(crate) async fn no_such_page(uri: axum::http::Uri) -> Refused {
    Failure::not_found(format!("page {}", uri.path().chars().take(128).collect::<String>())).into()
}

/// A file that its address names by what is in it: it may be kept.
fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400")),
    ];
    (headers, text).into_response()
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", dashboard::STYLE)
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", dashboard::LIVE)
}

pub(crate) async fn icon() -> Response {
    file("image/svg+xml", dashboard::ICON)
}
