//! Why a step could not do its work.

use serde::{Deserialize, Serialize};

/// What may help. Only `postgres` decides this from a SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The same again may work: a lost connection, a deadlock, a full connection limit.
    Transient,
    /// Someone has to act first, then the run can be resumed: a full disk, a missing grant.
    Operator,
    /// The same again fails again.
    Permanent,
    /// The two sides differ.
    Differences,
    /// A newer runner has taken over.
    Fenced,
    /// The user asked to stop.
    Cancelled,
    /// A precondition does not hold; nothing was changed.
    Blocked,
}

/// Why a step failed: an object, a cause, and the next thing to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub class: FailureClass,
    /// A lowercase fact that names the object.
    pub message: String,
    /// Further lines: the server's detail, the statement, the findings.
    pub details: Vec<String>,
    pub help: Option<String>,
    pub sqlstate: Option<String>,
}

impl Failure {
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), details: Vec::new(), help: None, sqlstate: None }
    }

    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, message)
    }

    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, message)
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }
}
