//! Tests that need no database.

mod command_line;
mod examples;
mod schemas;
mod tidy;
