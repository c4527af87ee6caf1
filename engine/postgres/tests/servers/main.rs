//! Tests against a real server: a throw-away cluster that the running tests share.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "the helpers of tests may fail like tests, and serve their signatures"
)]

mod cluster;
mod copies;
mod ledger;
mod logins;
mod pools;
mod replication;
mod sessions;
