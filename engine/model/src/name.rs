//! Identifiers and literals of SQL, and the only two ways to write them into a statement.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keywords::needs_quotes;

/// The longest identifier that PostgreSQL keeps, in bytes (`NAMEDATALEN - 1`).
const LONGEST: usize = 63;

/// A name of one SQL object: 1 to 63 bytes, no NUL. Displays as SQL, quoted where it must be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Ident(String);

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdent {
    #[error("a name must not be empty")]
    Empty,
    #[error("a name must not contain a NUL byte")]
    Nul,
    #[error("`{name}` has {bytes} bytes; PostgreSQL keeps {LONGEST}")]
    TooLong { name: String, bytes: usize },
}

impl Ident {
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidIdent> {
        let name = name.into();
        if name.is_empty() {
            return Err(InvalidIdent::Empty);
        }
        if name.contains('\0') {
            return Err(InvalidIdent::Nul);
        }
        if name.len() > LONGEST {
            return Err(InvalidIdent::TooLong { bytes: name.len(), name });
        }
        Ok(Self(name))
    }

    /// The name as the catalog holds it, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if needs_quotes(&self.0) {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        } else {
            f.write_str(&self.0)
        }
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for Ident {
    type Error = InvalidIdent;
    fn try_from(name: String) -> Result<Self, InvalidIdent> {
        Self::new(name)
    }
}

impl From<Ident> for String {
    fn from(ident: Ident) -> Self {
        ident.0
    }
}

impl FromStr for Ident {
    type Err = InvalidIdent;
    fn from_str(name: &str) -> Result<Self, InvalidIdent> {
        Self::new(name)
    }
}

/// `schema.name`. Displays as SQL. Serializes as `{ schema, name }`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct QualifiedName {
    pub schema: Ident,
    pub name: Ident,
}

impl QualifiedName {
    pub fn new(schema: Ident, name: Ident) -> Self {
        Self { schema, name }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Writes a text as a SQL literal that reads the same whatever `standard_conforming_strings` says.
///
/// Source: `quote_literal` of PostgreSQL, which switches to `E''` as soon as a backslash occurs.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ident(name: &str) -> Ident {
        Ident::new(name).unwrap()
    }

    #[test]
    fn a_plain_name_is_not_quoted_and_any_other_is() {
        for (name, sql) in [
            ("orders", "orders"),
            ("_a1$", "_a1$"),
            ("Orders", "\"Orders\""),
            ("select", "\"select\""),
            ("a\"b", "\"a\"\"b\""),
            ("1a", "\"1a\""),
            ("žluť", "\"žluť\""),
        ] {
            assert_eq!(ident(name).to_string(), sql);
        }
    }

    #[test]
    fn a_name_that_postgresql_would_cut_or_refuse_is_an_error() {
        assert!(Ident::new("x".repeat(63)).is_ok());
        assert!(Ident::new("x".repeat(64)).is_err());
        assert!(Ident::new("ž".repeat(32)).is_err());
        assert!(Ident::new("").is_err());
        assert!(Ident::new("a\0b").is_err());
    }

    #[test]
    fn a_literal_survives_quotes_and_backslashes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"a\'b"), r"E'a\\''b'");
    }
}
