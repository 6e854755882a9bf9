//! In and out: a link that a signed call made, the session that it opens, and its end (AU-1).

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use wire::DashboardLink;

use super::guard::{COOKIE, read_form};
use super::html::Html;
use super::sessions::{Full, Identity, Visit};
use super::{Answer, page};
use crate::app::App;
use crate::gate::Call;
use crate::problem::Failure;

/// `POST /v1/dashboard/links` on the instances' listener: a way in, once, for whoever signed the call.
pub(crate) async fn link_create(
    State(app): State<App>,
    call: Call,
) -> Result<(StatusCode, Json<DashboardLink>), Failure> {
    call.nothing()?;
    let (person, serial, not_after) = call.certified()?;
    let who = Identity { person: person.clone(), serial: serial.to_owned(), not_after };
    let made = app.desk.sessions.link(who, &app.desk.entropy, app.plane.now());
    let (link, expires) = made.map_err(full)?;
    let url = format!("{}/sign-in/{link}", app.desk.url);
    Ok((
        StatusCode::CREATED,
        Json(DashboardLink { url, expires, certificate: app.desk.certificate.to_string() }),
    ))
}

fn full(_: Full) -> Failure {
    Failure::busy("as many people are in the dashboard as may at once")
}

/// What a link shows. Nothing is spent: whatever looks ahead at links sees this and no more.
pub(crate) async fn offered(State(app): State<App>, Path(link): Path<String>) -> Answer {
    match app.desk.sessions.peek(&link, app.plane.now()) {
        Some(who) => {
            let federation = &app.plane.keys().document.trust_domain;
            page(dashboard::sign_in::offered(&link, &who.person, federation.as_str()))
        }
        None => Ok(no_good()),
    }
}

fn no_good() -> Response {
    let why = "This link was used already, or its five minutes are over.";
    (StatusCode::UNAUTHORIZED, Html(dashboard::sign_in::asked(Some(why)))).into_response()
}

pub(crate) async fn asked() -> Answer {
    page(dashboard::sign_in::asked(None))
}

/// Spends the link and opens the session.
pub(crate) async fn sign_in(State(app): State<App>, body: Body) -> Answer {
    let form = read_form(&app, body).await?;
    let entered =
        app.desk.sessions.enter(form.value("link"), &app.desk.entropy, app.plane.now()).map_err(full)?;
    // What was taken back while the link waited opens nothing (AU-2).
    let Some((secret, who)) = entered.filter(|(_, who)| !app.plane.is_revoked(&who.serial)) else {
        return Ok(no_good());
    };
    tracing::info!(person = %who.person, serial = who.serial, sessions = app.desk.sessions.len(), "signed in to the dashboard");
    let cookie = format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict");
    Ok(with_cookie(&cookie, "/"))
}

/// Ends the session, in the browser too.
pub(crate) async fn sign_out(State(app): State<App>, visit: Visit) -> Answer {
    app.desk.sessions.leave(&visit);
    tracing::info!(person = %visit.person(), "signed out of the dashboard");
    let cookie = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    let mut response = with_cookie(&cookie, "/sign-in");
    // Not all cookies: they are those of other services of the same name too.
    let clear = HeaderValue::from_static("\"cache\", \"storage\"");
    response.headers_mut().insert("clear-site-data", clear);
    Ok(response)
}

fn with_cookie(cookie: &str, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
