//! What a command ends with: the exit codes that scripts rely on, and what is said about a failure.

use std::fmt;

use pgkedge_model::{Failure, FailureClass, Finding, Severity};
use serde_json::{Value, json};

/// The exit codes of pgkedge. They never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    /// A step failed; the run can be resumed.
    Failed = 1,
    Usage = 2,
    InvalidPlan = 3,
    /// Preflight found what would stop the run.
    Blocked = 4,
    /// Verification found differences.
    Differences = 5,
    /// Another runner holds the run, or took it over.
    Held = 6,
    /// Objects of the run remain after cleanup.
    Leftovers = 7,
    /// The plan was edited in a way that cannot be resumed.
    Edited = 8,
    /// SIGINT; the run can be resumed.
    Interrupted = 130,
    /// SIGTERM; the run can be resumed.
    Terminated = 143,
}

impl Exit {
    pub(crate) fn of(class: FailureClass) -> Self {
        match class {
            FailureClass::Blocked => Self::Blocked,
            FailureClass::Differences => Self::Differences,
            FailureClass::Fenced => Self::Held,
            FailureClass::Cancelled => Self::Interrupted,
            FailureClass::Transient | FailureClass::Operator | FailureClass::Permanent => {
                Self::Failed
            }
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command stopped before it was done, and what it tells the user.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    pub(crate) message: Message,
}

#[derive(Debug)]
pub(crate) enum Message {
    Plain(Failure),
    /// Findings of a plan, with the places that they point at.
    Diagnostic {
        report: miette::Report,
        located: Value,
    },
}

impl Stop {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: Message::Plain(Failure::permanent(message)) }
    }

    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        if let Message::Plain(failure) = &mut self.message {
            failure.help = Some(help.into());
        }
        self
    }

    /// The stop as `--output json` prints it.
    pub(crate) fn as_json(&self) -> Value {
        match &self.message {
            Message::Plain(failure) => json!({
                "error": failure.message,
                "details": failure.details,
                "help": failure.help,
                "sqlstate": failure.sqlstate,
                "exit": self.exit as u8,
            }),
            Message::Diagnostic { located, .. } => {
                json!({ "findings": located, "exit": self.exit as u8 })
            }
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self { exit: Exit::of(failure.class), message: Message::Plain(failure) }
    }
}

/// Turns any error of ours that has no help of its own into a plain message.
pub(crate) fn failed(context: &str, error: &dyn std::error::Error) -> Stop {
    let mut message = format!("{context}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Stop { exit: Exit::Failed, message: Message::Plain(Failure::permanent(message)) }
}

/// A failure as a person reads it.
pub(crate) struct Shown<'a>(pub(crate) &'a Failure);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.message)?;
        if let Some(sqlstate) = &self.0.sqlstate {
            write!(f, " (SQLSTATE {sqlstate})")?;
        }
        for detail in &self.0.details {
            for line in detail.lines() {
                write!(f, "\n  {line}")?;
            }
        }
        if let Some(help) = &self.0.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// Findings of databases, which point at no line of a plan.
pub(crate) fn finding_lines(findings: &[Finding]) -> String {
    let severity = |finding: &Finding| match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!("{}[{}]: {}", severity(finding), finding.code, finding.message));
        let help = finding.help.iter().flat_map(|help| help.lines());
        lines.extend(help.map(|line| format!("  help: {line}")));
    }
    lines.join("\n")
}
