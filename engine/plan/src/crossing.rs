//! Foreign keys by name: `schema.table.constraint`.

use std::fmt;

use pgkedge_model::{Ident, InvalidIdent, QualifiedName};

/// A foreign key that may lead from one slot to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossingKey {
    /// The table that refers to another.
    pub table: QualifiedName,
    pub name: Ident,
    /// Where it stands in the plan.
    pub pointer: Option<String>,
    text: String,
}

/// Why a text names no foreign key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error("it needs three parts")]
    Parts,
    #[error("a part of it is empty")]
    EmptyPart,
    #[error("a double quote is not closed")]
    OpenQuote,
    #[error("{0}")]
    Name(InvalidIdent),
}

impl CrossingKey {
    /// Dots stand between the parts; a part in double quotes may hold dots itself.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let parts = split(text)?;
        if parts.iter().any(String::is_empty) {
            return Err(InvalidKey::EmptyPart);
        }
        let [schema, table, name] =
            <[String; 3]>::try_from(parts).map_err(|_| InvalidKey::Parts)?;
        let ident = |part: String| Ident::new(part).map_err(InvalidKey::Name);
        Ok(Self {
            table: QualifiedName::new(ident(schema)?, ident(table)?),
            name: ident(name)?,
            pointer: None,
            text: text.to_owned(),
        })
    }

    #[must_use]
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    pub fn is(&self, table: &QualifiedName, name: &Ident) -> bool {
        self.table == *table && self.name == *name
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for CrossingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split(text: &str) -> Result<Vec<String>, InvalidKey> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
    }
    if quoted {
        return Err(InvalidKey::OpenQuote);
    }
    parts.push(part);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_schema_table_and_constraint() {
        let key = CrossingKey::parse(r#"public."Old.Orders".orders_fkey"#).unwrap();
        assert_eq!(key.table.name.as_str(), "Old.Orders");
        assert_eq!(key.name.as_str(), "orders_fkey");
    }

    #[test]
    fn a_malformed_key_says_what_is_wrong() {
        for (text, error) in [
            ("orders.orders_fkey", InvalidKey::Parts),
            ("a.b.c.d", InvalidKey::Parts),
            ("public..orders_fkey", InvalidKey::EmptyPart),
            ("public.orders.\"fkey", InvalidKey::OpenQuote),
        ] {
            assert_eq!(CrossingKey::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
