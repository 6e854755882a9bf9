//! One module a command: each takes its arguments, does one thing, and shows the answer.

pub mod ca;
pub mod constitution;
pub mod dashboard;
pub mod enrolment;
pub mod federation;
pub mod init;
pub mod instance;
pub mod key;
pub mod keys;
pub mod ledger;
pub mod migrate;
pub mod operator;
pub mod order;
pub mod release;
pub mod rollout;
pub mod scenario;
pub mod serve;
pub mod simulate;
pub mod subscription;
pub mod token;
pub mod what_if;
pub mod witness;
