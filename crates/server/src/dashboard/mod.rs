//! The dashboard on 8444: pages for people who came in by a link of their own (AU-1).
//!
//! Never does what the API does not: a page reads, and an act calls, the same use case of `plane` under the same row of the one
//! table of roles, and the ledger names the person. The HTML itself is the crate `dashboard`'s.

mod acts;
pub(crate) mod course;
mod desk;
mod doors;
mod guard;
mod law;
mod ledger;
mod live;
mod pages;
pub(crate) mod sessions;
mod sign_in;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use html::Html;
use wire::Problem;

use crate::app::App;
use crate::metrics::observe;
use crate::problem::Failure;

pub(crate) use desk::Desk;
pub use doors::dashboard_doors;
pub(crate) use sign_in::link_create;

/// A page on its way out.
mod html {
    use axum::http::{HeaderValue, header};
    use axum::response::{IntoResponse, Response};
    use dashboard::Markup;

    /// HTML.
    pub(crate) struct Html(pub(crate) Markup);

    impl IntoResponse for Html {
        fn into_response(self) -> Response {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], self.0.into_string()).into_response()
        }
    }
}

/// What a handler gives: a page, or why not.
pub(crate) type Answer = Result<Response, Refused>;

/// A refusal that becomes a page once it is known for whom.
#[derive(Debug)]
pub(crate) struct Refused(Failure);

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem: Problem = (*self.0.problem).clone();
        let mut response = self.0.into_response();
        response.extensions_mut().insert(problem);
        response
    }
}

fn page(markup: dashboard::Markup) -> Answer {
    Ok(Html(markup).into_response())
}

/// The router of the dashboard's listener. Who may open what stands in [`doors`].
pub(crate) fn router(app: &App) -> Router {
    let inside = Router::new()
        .route("/", get(pages::home))
        .route("/live", get(live::live))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/fleet", get(pages::fleet))
        .route("/instances", get(pages::instance_find))
        .route("/instances/{id}", get(pages::instance))
        .route("/instances/{id}/decisions/{number}/proof", get(ledger::decision_proof))
        .route("/instances/{id}/suspend", get(acts::suspend_asked).post(acts::suspend))
        .route("/instances/{id}/reactivate", get(acts::reactivate_asked).post(acts::reactivate))
        .route("/rollouts", get(pages::rollouts))
        .route("/rollouts/{release}", get(pages::rollout))
        .route("/rollouts/{release}/{verb}", get(acts::steer_asked).post(acts::steer))
        .route("/releases", get(pages::releases))
        .route("/constitution", get(law::constitution))
        .route("/escalations", get(law::escalations))
        .route("/escalations/acknowledge", post(acts::acknowledge))
        .route("/escalations/order", get(law::order))
        .route("/ledger", get(ledger::tail))
        .route("/ledger/verify", post(ledger::verify))
        .route("/ledger/{position}", get(ledger::entry))
        .route("/ledger/{position}/proof", get(ledger::proof))
        .route("/red-switch", get(acts::red_switch_asked).post(acts::red_switch))
        .fallback(guard::no_such_page)
        .method_not_allowed_fallback(guard::no_such_page)
        .layer(from_fn_with_state(app.clone(), guard::inside));
    let outside = Router::new()
        .route("/sign-in/{link}", get(sign_in::offered))
        .route("/sign-in", get(sign_in::asked).post(sign_in::sign_in))
        .route("/style.css", get(guard::style))
        .route("/live.js", get(guard::script))
        .route("/icon.svg", get(guard::icon));
    inside
        .merge(outside)
        .layer(from_fn_with_state(app.clone(), guard::every))
        .layer(from_fn({
            let metrics = app.metrics.clone();
            move |request, next| observe("dashboard", metrics.clone(), request, next)
        }))
        .with_state(app.clone())
}
