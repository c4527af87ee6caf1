//! The statements of a step: plain data, settled at compile time, shown by the dry-run, sent by the run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Ident, Object, Server, StepId, quote_literal};

/// What a step sends, and what takes it back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Sent once per step, before its members' statements.
    pub before: Vec<Statement>,
    pub run: Vec<Statement>,
    /// Sent once per step, after its members' statements.
    pub after: Vec<Statement>,
    pub undo: Undo,
}

/// How a finished step is taken back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Nothing was left, or it goes with an object that another step takes back.
    #[default]
    Nothing,
    Statements(Vec<Statement>),
    /// Cannot be taken back, and why.
    Irreversible(String),
}

/// One statement, without its closing semicolon, for one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    pub on: Server,
    pub session: Session,
    pub transaction: Transaction,
    pub text: Vec<Piece>,
}

/// Which kind of connection carries a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Session {
    Sql,
    /// Our own connection, which relays COPY.
    Wire,
    Replication,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transaction {
    /// All guarded statements of a step share one transaction on the target, which opens by reading
    /// the run's epoch `FOR SHARE` and closes by writing a ledger row for each member.
    Guarded,
    /// Sent as it is: commits by itself, or says `begin` and `commit` itself.
    Alone,
}

/// A piece of a statement's text. Utility statements take no parameters, so values are filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    Sql(String),
    /// A value that is known only while the run goes on.
    Output {
        of: OutputOf,
        field: String,
        quoted_as: QuotedAs,
    },
    /// A secret that the step reads itself; `what` says which, for people.
    Secret {
        what: String,
    },
    /// A name that carries the run's tag: `prefix_1a2b3c4d`.
    RunName {
        prefix: String,
    },
}

/// Whose output is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputOf {
    /// Read by the step itself, just before it sends the statement.
    Itself,
    /// The step that writes this object; compile turns it into `Step`.
    Writer(Object),
    Step(StepId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotedAs {
    Ident,
    Literal,
    /// A number or a boolean, checked to be one.
    Bare,
}

/// A run-time value that cannot be written into a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}, which cannot be written as {quoted_as:?}")]
pub struct UnfitValue {
    pub field: String,
    pub value: String,
    pub quoted_as: QuotedAs,
}

impl QuotedAs {
    /// Writes a run-time value the one way that is safe in its place.
    pub fn write(self, field: &str, value: &Value) -> Result<String, UnfitValue> {
        let unfit =
            || UnfitValue { field: field.to_owned(), value: value.to_string(), quoted_as: self };
        match (self, value) {
            (Self::Ident, Value::String(text)) => {
                Ident::new(text.as_str()).map(|ident| ident.to_string()).map_err(|_| unfit())
            }
            (Self::Literal, Value::String(text)) if !text.contains('\0') => Ok(quote_literal(text)),
            (Self::Literal, Value::Null) => Ok("null".to_owned()),
            (Self::Literal | Self::Bare, Value::Number(number)) => Ok(number.to_string()),
            (Self::Literal | Self::Bare, Value::Bool(truth)) => Ok(truth.to_string()),
            _ => Err(unfit()),
        }
    }
}

impl Statement {
    /// A statement of the ledger-guarded transaction on the target.
    pub fn guarded(sql: impl Into<String>) -> Self {
        Self::new(Server::Target, Session::Sql, Transaction::Guarded, sql)
    }

    /// A statement that is sent as it is.
    pub fn alone(on: Server, sql: impl Into<String>) -> Self {
        Self::new(on, Session::Sql, Transaction::Alone, sql)
    }

    pub fn new(
        on: Server,
        session: Session,
        transaction: Transaction,
        sql: impl Into<String>,
    ) -> Self {
        Self { on, session, transaction, text: vec![Piece::Sql(sql.into())] }
    }

    /// The text as the dry-run shows it: run-time values as `‹step.field›`, never a secret.
    pub fn shown(&self) -> String {
        self.text.iter().map(Piece::shown).collect()
    }
}

impl Piece {
    pub fn sql(text: impl Into<String>) -> Self {
        Self::Sql(text.into())
    }

    /// A value that the step reads itself just before.
    pub fn observed(field: impl Into<String>, quoted_as: QuotedAs) -> Self {
        Self::Output { of: OutputOf::Itself, field: field.into(), quoted_as }
    }

    /// The piece as the dry-run shows it.
    pub fn shown(&self) -> String {
        match self {
            Self::Sql(text) => text.clone(),
            Self::Output { of: OutputOf::Itself, field, .. } => format!("‹{field}›"),
            Self::Output { of: OutputOf::Writer(object), field, .. } => {
                format!("‹{object}.{field}›")
            }
            Self::Output { of: OutputOf::Step(step), field, .. } => format!("‹{step}.{field}›"),
            Self::Secret { what } => format!("‹{what}›"),
            Self::RunName { prefix } => format!("{prefix}_‹run›"),
        }
    }
}
