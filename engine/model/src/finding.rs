//! What is wrong, or worth knowing, about a plan or a database.

use serde::{Deserialize, Serialize};

use crate::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; nothing has to be done.
    Note,
    /// The run goes on, the reader should decide whether it may.
    Warning,
    /// Nothing runs until this is mended.
    Error,
}

/// A node of the plan's document, by JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPlace {
    /// For example `/groups/0/tables/1`.
    pub pointer: String,
    /// Whether the key is meant rather than its value.
    pub key: bool,
    /// What the underlined text is, for example `not a phase`.
    pub label: String,
}

/// Where a finding points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Plan(PlanPlace),
    /// An object of a database, by its SQL name.
    Object {
        server: Server,
        object: String,
    },
    Server(Server),
}

/// One problem: what it is, where it is, and the next thing to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    /// `area::fact`, for example `plan::unknown_phase`.
    pub code: String,
    /// A lowercase fact, one sentence without a full stop.
    pub message: String,
    /// The first place is underlined as the problem, others as its context.
    pub places: Vec<Place>,
    /// What to do next.
    pub help: Option<String>,
}

impl Finding {
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    pub fn note(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message)
    }

    fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        Self { severity, code, message, places: Vec::new(), help: None }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Points at the value of a node of the plan.
    #[must_use]
    pub fn at_value(self, pointer: impl Into<String>, label: impl Into<String>) -> Self {
        self.at(Place::Plan(PlanPlace { pointer: pointer.into(), key: false, label: label.into() }))
    }

    /// Points at the key of a node of the plan.
    #[must_use]
    pub fn at_key(self, pointer: impl Into<String>, label: impl Into<String>) -> Self {
        self.at(Place::Plan(PlanPlace { pointer: pointer.into(), key: true, label: label.into() }))
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
