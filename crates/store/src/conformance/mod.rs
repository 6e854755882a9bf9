//! What every adapter of the store must do, as one suite over fresh stores.
//!
//! Never looks inside an adapter: it sees what the port shows. A failure panics, as in any test.
#![expect(clippy::unwrap_used, reason = "a suite of tests: a failure is meant to panic")]

mod commits;
mod concurrency;
pub mod fixture;
pub mod postgres;
mod reads;
mod servers;

use plane::ports::Store;

/// Runs the suite; `fresh` gives an empty store each time it is asked, which may outlive the one before.
///
/// # Panics
/// At the first thing that is not as the port says.
pub async fn run<S: Store>(fresh: impl AsyncFn() -> S) {
    reads::an_empty_store_answers_with_nothing(&fresh().await).await;
    commits::a_commit_writes_all_it_carries(&fresh().await).await;
    commits::a_commit_without_anything_is_guarded_too(&fresh().await).await;
    commits::an_instance_is_guarded_by_its_revision(&fresh().await).await;
    commits::the_world_is_guarded_by_its_revision(&fresh().await).await;
    commits::a_nonce_is_spent_once(&fresh().await).await;
    commits::an_enrolment_is_approved_once_and_waits_until_it_is_used(&fresh().await).await;
    commits::an_enrolment_is_made_once_and_used_once(&fresh().await).await;
    commits::a_document_is_overwritten(&fresh().await).await;
    commits::the_last_sign_of_life_is_kept(&fresh().await).await;
    commits::a_refused_commit_leaves_nothing_behind(&fresh().await).await;
    commits::a_commit_beyond_the_limits_is_refused(&fresh().await).await;
    reads::entries_come_in_order_and_in_pages(&fresh().await).await;
    reads::entries_about_an_instance_are_found(&fresh().await).await;
    reads::instances_come_in_pages_by_id(&fresh().await).await;
    reads::a_filter_shows_what_it_names(&fresh().await).await;
    reads::a_page_has_a_limit(&fresh().await).await;
    servers::a_lease_is_written_only_over_what_was_read(&fresh().await).await;
    servers::what_is_done_under_a_lost_lease_is_refused(&fresh().await).await;
    servers::a_closed_gate_lets_nobody_by_who_decided_before(&fresh().await).await;
    servers::changes_are_read_on_from_where_one_stopped(&fresh().await).await;
    servers::instances_are_found_by_their_ids(&fresh().await).await;
    servers::an_instance_was_heard_when_it_last_was(&fresh().await).await;
    concurrency::positions_have_no_gaps(fresh().await).await;
    concurrency::a_refused_commit_harms_no_other(fresh().await).await;
    concurrency::one_of_many_wins(fresh().await).await;
}
