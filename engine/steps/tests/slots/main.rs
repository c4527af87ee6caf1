//! Change capture on real servers: publications, slots, the snapshot of a slot, the hand-off, and
//! everything taken away again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

mod capturing;
mod dropping;
mod holding;
mod proving;
mod publishing;
