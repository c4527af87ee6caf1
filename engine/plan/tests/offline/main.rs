//! What texts become: plans, or messages.

mod messages;
mod plans;
mod support;
