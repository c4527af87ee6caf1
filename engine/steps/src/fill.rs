//! From the pieces of a statement to its text: the only place where run-time values and secrets
//! are written into SQL.

use std::collections::BTreeMap;

use pgkedge_model::{
    Call, Failure, OutputOf, Piece, RunTag, SecretString, Statement, StepId, quote_literal,
};
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// What a step read just before it sends its statements. Field names are unique within a member.
#[derive(Default)]
pub struct Observed {
    values: BTreeMap<(String, String), Value>,
    secrets: BTreeMap<(String, String), Option<SecretString>>,
}

impl Observed {
    /// Sets the value that `Piece::observed(field, …)` stands for in the member's statements.
    pub fn set(&mut self, member: &str, field: &str, value: impl Into<Value>) {
        self.values.insert((member.to_owned(), field.to_owned()), value.into());
    }

    /// Sets the secret that `Piece::Secret { what }` stands for: a literal, or `null` for none.
    pub fn set_secret(&mut self, member: &str, what: &str, secret: Option<SecretString>) {
        self.secrets.insert((member.to_owned(), what.to_owned()), secret);
    }

    /// The value of a field, if it was read.
    pub fn get(&self, member: &str, field: &str) -> Option<&Value> {
        self.values.get(&(member.to_owned(), field.to_owned()))
    }

    /// Takes secrets out of what a server said about a statement that held them.
    pub(crate) fn redacted(&self, mut failure: Failure) -> Failure {
        for ((_, what), secret) in &self.secrets {
            let Some(secret) = secret.as_ref().map(SecretString::expose_secret) else { continue };
            if secret.is_empty() {
                continue;
            }
            let shown = format!("‹{what}›");
            failure.message = failure.message.replace(secret, &shown);
            for detail in &mut failure.details {
                *detail = detail.replace(secret, &shown);
            }
        }
        failure
    }
}

/// Everything that a statement's open pieces can stand for.
pub struct Fill<'a> {
    pub call: &'a Call,
    pub tag: &'a RunTag,
    pub observed: &'a Observed,
}

impl Fill<'_> {
    /// The text of one statement of a member; `member` is empty for statements of the whole step.
    pub fn text(&self, member: &str, statement: &Statement) -> Result<String, Failure> {
        statement.text.iter().map(|piece| self.piece(member, piece)).collect()
    }

    fn piece(&self, member: &str, piece: &Piece) -> Result<String, Failure> {
        match piece {
            Piece::Sql(text) => Ok(text.clone()),
            Piece::RunName { prefix } => Ok(format!("{prefix}_{}", self.tag)),
            Piece::Secret { what } => self.secret(member, what),
            Piece::Output { of, field, quoted_as } => {
                let value = self.value(member, of, field)?;
                quoted_as.write(field, value).map_err(|error| {
                    Failure::permanent(format!("{}: {error}", self.call.node.id))
                })
            }
        }
    }

    fn secret(&self, member: &str, what: &str) -> Result<String, Failure> {
        let secret =
            self.observed.secrets.get(&(member.to_owned(), what.to_owned())).ok_or_else(|| {
                Failure::permanent(format!("{}: {what} was not read", self.call.node.id))
            })?;
        Ok(secret
            .as_ref()
            .map_or_else(|| "null".to_owned(), |secret| quote_literal(secret.expose_secret())))
    }

    fn value(&self, member: &str, of: &OutputOf, field: &str) -> Result<&Value, Failure> {
        let found = match of {
            OutputOf::Itself => self.observed.get(member, field),
            OutputOf::Step(step) => self.input(step, field),
            OutputOf::Writer(_) => None,
        };
        found.ok_or_else(|| {
            let from = match of {
                OutputOf::Itself => "this step".to_owned(),
                OutputOf::Step(step) => format!("step `{step}`"),
                OutputOf::Writer(object) => format!("the writer of {object}"),
            };
            let step = &self.call.node.id;
            Failure::permanent(format!("{step}: {from} has given no `{field}`"))
        })
    }

    fn input(&self, step: &StepId, field: &str) -> Option<&Value> {
        self.call.inputs.get(step)?.get(field)
    }
}
