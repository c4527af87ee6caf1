//! One file per command: its arguments, whose doc comments are the help, and what it does.

pub(crate) mod abort;
pub(crate) mod approve;
pub(crate) mod cleanup;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod inspect;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod redo;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod verify;
