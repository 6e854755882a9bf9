//! Three servers on one PostgreSQL with instances at work on them, and what may go wrong: a server killed, the database
//! restarted, stopped for half a minute, lost to its standby, cut off from one server; a clock that is wrong; everyone
//! coming back at once. And one server on a file of its own, whose disk is slow, or full.
//!
//! After each: nothing acknowledged is lost, nothing doubled, the ledger is lawful from the root keys on, and the servers agree
//! with it. Needs PostgreSQL's own programs and starts a database of its own; where there are none, it says so and does nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cluster;
mod fleet;
mod relay;
mod servers;
mod stage;

use std::time::Duration;

use stage::Stage;

/// How long instances are at work before and behind what goes wrong.
const WORK: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_killed_and_comes_back() {
    let Some(mut stage) = Stage::set(3).await else { return };
    stage.work(WORK).await;
    stage.servers[0].kill();
    stage.work(WORK).await;
    stage.servers[0].start().await;
    stage.work(WORK).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_restarted_and_stands_still_for_half_a_minute() {
    let Some(mut stage) = Stage::set(3).await else { return };
    stage.work(WORK).await;
    stage.cluster().restart();
    stage.work(WORK).await;
    stage.cluster().pause();
    stage.work(Duration::from_secs(30)).await;
    stage.cluster().go_on();
    stage.work(WORK).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_lost_and_its_standby_takes_over() {
    let Some(mut stage) = Stage::set_with_standby(3).await else { return };
    stage.work(WORK).await;
    stage.cluster().fail_over();
    stage.work(WORK).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_clock_is_an_hour_wrong() {
    let Some(mut stage) = Stage::set(3).await else { return };
    stage.work(WORK).await;
    // What it would decide would be decided at an instant that nobody else has reached: it is told so and does not serve.
    for offset in ["-1h", "+1h"] {
        stage.servers[2].stop().await;
        stage.servers[2].start_with_clock(offset);
        stage.work(WORK).await;
        let said = stage.servers[2].until_ended().await;
        assert!(said.contains("set the clock right"), "{offset}: {said}");
    }
    stage.servers[2].start().await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_comes_back_at_once() {
    let Some(mut stage) = Stage::set(3).await else { return };
    stage.work(WORK).await;
    for server in &mut stage.servers {
        server.stop().await;
    }
    stage.fleet.reconnect();
    for server in &mut stage.servers {
        server.start().await;
    }
    stage.work(WORK).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_cut_off_from_the_database() {
    let Some(mut stage) = Stage::set_with_relay(3).await else { return };
    stage.work(WORK).await;
    stage.relay().cut(true);
    stage.work(Duration::from_secs(15)).await;
    stage.relay().cut(false);
    stage.work(WORK).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_is_slow() {
    // Below the store: each sync takes a tenth of a second more.
    let wrapped = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"];
    let slow = ["inject=fsync,fdatasync:delay_exit=100000"];
    let Some(mut stage) = Stage::set_alone(&[&wrapped[..], &slow].concat(), None).await else { return };
    stage.work(WORK * 2).await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_is_full() {
    let Some(mut stage) = Stage::set_alone(&[], Some("64m")).await else { return };
    stage.work(WORK).await;
    stage.fill_disk(true);
    stage.until_nothing_goes().await;
    stage.fill_disk(false);
    stage.work(WORK).await;
    stage.close().await;
}
