//! Tests against a real server: a throw-away cluster that the running tests share.

mod cluster;
mod copies;
mod ledger;
mod logins;
mod pools;
mod sessions;
