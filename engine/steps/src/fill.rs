//! From the pieces of a statement to its text: the only place where run-time values and secrets
//! are written into SQL.

use std::collections::BTreeMap;

use pgkedge_model::{
    Call, Failure, Member, OutputOf, Piece, RunTag, SecretString, Statement, StepId, quote_literal,
};
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// What a step read just before it sends its statements. Field names are unique within a member.
#[derive(Default)]
pub(crate) struct Observed {
    values: BTreeMap<(String, String), Value>,
    secrets: BTreeMap<(String, String), Secret>,
}

impl Observed {
    /// Sets the value that `Piece::observed(field, …)` stands for in the member's statements.
    pub(crate) fn set(&mut self, member: &str, field: &str, value: impl Into<Value>) {
        self.values.insert((member.to_owned(), field.to_owned()), value.into());
    }

    /// Sets the secret that `Piece::Secret { what }` stands for: a literal, or `null` for none.
    pub(crate) fn set_secret(&mut self, member: &str, what: &str, secret: Option<SecretString>) {
        self.secrets.insert((member.to_owned(), what.to_owned()), Secret::Literal(secret));
    }

    /// Sets a secret that is SQL already, with every value in it quoted.
    pub(crate) fn set_secret_sql(&mut self, member: &str, what: &str, sql: SecretString) {
        self.secrets.insert((member.to_owned(), what.to_owned()), Secret::Sql(sql));
    }

    /// The value of a field, if it was read.
    pub(crate) fn get(&self, member: &str, field: &str) -> Option<&Value> {
        self.values.get(&(member.to_owned(), field.to_owned()))
    }

    /// Takes secrets out of what a server said about a statement that held them.
    pub(crate) fn redacted(&self, mut failure: Failure) -> Failure {
        for ((_, what), secret) in &self.secrets {
            let Some(secret) = secret.text() else { continue };
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

/// How a secret is written.
enum Secret {
    /// As a literal; none as `null`.
    Literal(Option<SecretString>),
    /// SQL that the step has quoted itself: a list of options.
    Sql(SecretString),
}

impl Secret {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Literal(secret) => secret.as_ref().map(SecretString::expose_secret),
            Self::Sql(sql) => Some(sql.expose_secret()),
        }
    }

    fn sql(&self) -> String {
        match self {
            Self::Literal(_) => self.text().map_or_else(|| "null".to_owned(), quote_literal),
            Self::Sql(sql) => sql.expose_secret().to_owned(),
        }
    }
}

/// Everything that a statement's open pieces can stand for.
pub(crate) struct Fill<'a> {
    pub(crate) call: &'a Call,
    pub(crate) tag: &'a RunTag,
    pub(crate) observed: &'a Observed,
}

/// The output of another step that a member's statements use, for what is done before they are sent.
pub(crate) fn given<'a>(call: &'a Call, member: &Member, field: &str) -> Option<&'a Value> {
    giver(call, member, field)?.get(field)
}

/// All that the step gives of which a member's statements use one field.
pub(crate) fn giver<'a>(call: &'a Call, member: &Member, field: &str) -> Option<&'a Value> {
    let pieces = member.run.iter().flat_map(|statement| &statement.text);
    let mut steps = pieces.filter_map(|piece| match piece {
        Piece::Output { of: OutputOf::Step(step), field: named, .. } if named == field => {
            call.inputs.get(step)
        }
        Piece::Output { .. } | Piece::Sql(_) | Piece::Secret { .. } | Piece::RunName { .. } => None,
    });
    steps.next()
}

impl<'a> Fill<'a> {
    /// For statements that use nothing that the step reads itself.
    pub(crate) fn plain(call: &'a Call, tag: &'a RunTag) -> Self {
        static NOTHING: Observed = Observed { values: BTreeMap::new(), secrets: BTreeMap::new() };
        Self { call, tag, observed: &NOTHING }
    }

    /// The texts of several statements of a member.
    pub(crate) fn texts<'s>(
        &self,
        member: &str,
        statements: impl IntoIterator<Item = &'s Statement>,
    ) -> Result<Vec<String>, Failure> {
        statements.into_iter().map(|statement| self.text(member, statement)).collect()
    }

    /// The text of one statement of a member; `member` is empty for statements of the whole step.
    pub(crate) fn text(&self, member: &str, statement: &Statement) -> Result<String, Failure> {
        statement.text.iter().map(|piece| self.piece(member, piece)).collect()
    }

    fn piece(&self, member: &str, piece: &Piece) -> Result<String, Failure> {
        match piece {
            Piece::Sql(text) => Ok(text.clone()),
            Piece::RunName { prefix } => Ok(format!("{prefix}_{}", self.tag)),
            Piece::Secret { what } => self.secret(member, what),
            Piece::Output { of, field, quoted_as } => {
                let value = self.value(member, of, field)?;
                quoted_as
                    .write(field, value)
                    .map_err(|error| Failure::permanent(format!("{}: {error}", self.call.node.id)))
            }
        }
    }

    fn secret(&self, member: &str, what: &str) -> Result<String, Failure> {
        let secret =
            self.observed.secrets.get(&(member.to_owned(), what.to_owned())).ok_or_else(|| {
                Failure::permanent(format!("{}: {what} was not read", self.call.node.id))
            })?;
        Ok(secret.sql())
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
