//! Data goes to stdout, everything else to stderr.

use std::io::{IsTerminal as _, Write as _};

use owo_colors::OwoColorize as _;
use serde::Serialize;

use crate::exit::{Message, Shown, Stop};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// Writes data. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    if written.and_then(|()| out.flush()).is_err() {
        leave_quietly();
    }
}

/// Writes one JSON document on one line.
pub(crate) fn print_json(value: &impl Serialize) {
    print(&serde_json::to_string(value).expect("our documents serialize"));
}

/// Writes a message for people.
pub(crate) fn say(text: &str) {
    let mut err = anstream::stderr().lock();
    // There is nowhere left to report that stderr is closed.
    drop(writeln!(err, "{text}"));
}

/// Says why a command stopped.
pub(crate) fn say_stop(stop: &Stop, format: Format) {
    if format == Format::Json {
        return print_json(&stop.as_json());
    }
    match &stop.message {
        Message::Plain(failure) => say(&format!("{} {}", "error:".red().bold(), Shown(failure))),
        Message::Diagnostic { report, .. } => say(&format!("{report:?}")),
    }
}

/// Whether a person sits at both ends and may be asked.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a yes-or-no question; anything but yes is no.
pub(crate) fn ask(question: &str) -> bool {
    let mut err = anstream::stderr().lock();
    if write!(err, "{question} [y/N] ").and_then(|()| err.flush()).is_err() {
        return false;
    }
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[expect(clippy::exit, reason = "the reader of stdout has gone: nothing more can be said")]
fn leave_quietly() {
    std::process::exit(0)
}
