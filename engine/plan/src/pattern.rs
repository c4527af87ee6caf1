//! Patterns that choose tables by name: `schema.table`, with `*` and `?`.

use std::fmt;

use pgkedge_model::{InvalidIdent, QualifiedName};

/// Chooses tables by schema and name. Letters match as they are written, as the catalog holds them;
/// double quotes take the special meaning from dots, stars and question marks, as in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    schema: Vec<Glob>,
    table: Vec<Glob>,
    /// Where it stands in the plan; none where it is implied.
    pub pointer: Option<String>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("it is empty")]
    Empty,
    #[error("it names no schema")]
    NoSchema,
    #[error("it has more than one dot")]
    TooManyDots,
    #[error("nothing stands {0} the dot")]
    EmptyPart(&'static str),
    #[error("a double quote is not closed")]
    OpenQuote,
    #[error("a space stands outside of double quotes")]
    Space,
    #[error("{0}")]
    TooLong(InvalidIdent),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glob {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
}

impl Pattern {
    /// The pattern that matches every table.
    pub fn everything() -> Self {
        let any = || vec![Glob::Any];
        Self { text: "*".to_owned(), schema: any(), table: any(), pointer: None }
    }

    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if text == "*" {
            return Ok(Self::everything());
        }
        let mut parts = split(text)?;
        let (table, schema) = match (parts.pop(), parts.pop(), parts.is_empty()) {
            (Some(table), Some(schema), true) => (table, schema),
            (_, None, _) => return Err(InvalidPattern::NoSchema),
            _ => return Err(InvalidPattern::TooManyDots),
        };
        for (part, side) in [(&schema, "before"), (&table, "after")] {
            if part.is_empty() {
                return Err(InvalidPattern::EmptyPart(side));
            }
            fits(part)?;
        }
        Ok(Self { text: text.to_owned(), schema, table, pointer: None })
    }

    #[must_use]
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    pub fn matches(&self, name: &QualifiedName) -> bool {
        globs(&self.schema, name.schema.as_str()) && globs(&self.table, name.name.as_str())
    }

    /// Whether it matches every table there can be.
    pub fn is_everything(&self) -> bool {
        let only_stars = |part: &[Glob]| part.iter().all(|glob| *glob == Glob::Any);
        only_stars(&self.schema) && only_stars(&self.table)
    }

    /// Whether both match the same tables, however they are written.
    pub fn same_as(&self, other: &Self) -> bool {
        (&self.schema, &self.table) == (&other.schema, &other.table)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits at dots outside of double quotes.
fn split(text: &str) -> Result<Vec<Vec<Glob>>, InvalidPattern> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), Vec::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => part.push(Glob::Char('"')),
            '"' => quoted = !quoted,
            _ if quoted => part.push(Glob::Char(c)),
            '.' => parts.push(std::mem::take(&mut part)),
            // Two stars are one: this keeps matching linear.
            '*' if part.last() == Some(&Glob::Any) => {}
            '*' => part.push(Glob::Any),
            '?' => part.push(Glob::One),
            _ if c.is_whitespace() => return Err(InvalidPattern::Space),
            _ => part.push(Glob::Char(c)),
        }
    }
    if quoted {
        return Err(InvalidPattern::OpenQuote);
    }
    parts.push(part);
    Ok(parts)
}

/// A part without a star that is longer than a name can be would never match.
fn fits(part: &[Glob]) -> Result<(), InvalidPattern> {
    let shortest: String = part
        .iter()
        .filter_map(|glob| match glob {
            Glob::Char(c) => Some(*c),
            Glob::One => Some('?'),
            Glob::Any => None,
        })
        .collect();
    match pgkedge_model::Ident::new(shortest) {
        Err(error @ InvalidIdent::TooLong { .. }) => Err(InvalidPattern::TooLong(error)),
        _ => Ok(()),
    }
}

/// Matches from left to right; a star that took too little takes one more character.
fn globs(pattern: &[Glob], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut taken, mut star) = (0, 0, None);
    while taken < name.len() {
        match pattern.get(at) {
            Some(Glob::Any) => {
                star = Some((at, taken));
                at += 1;
            }
            Some(Glob::One) => (at, taken) = (at + 1, taken + 1),
            Some(Glob::Char(c)) if *c == name[taken] => (at, taken) = (at + 1, taken + 1),
            Some(Glob::Char(_)) | None => {
                let Some((star_at, star_taken)) = star else { return false };
                star = Some((star_at, star_taken + 1));
                (at, taken) = (star_at + 1, star_taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|glob| *glob == Glob::Any)
}

#[cfg(test)]
mod tests {
    use pgkedge_model::Ident;

    use super::*;

    fn matches(pattern: &str, schema: &str, table: &str) -> bool {
        let name = QualifiedName::new(Ident::new(schema).unwrap(), Ident::new(table).unwrap());
        Pattern::parse(pattern).unwrap().matches(&name)
    }

    #[test]
    fn stars_and_question_marks_match_within_schema_or_name() {
        assert!(matches("*", "any", "thing"));
        assert!(matches("public.*", "public", "orders"));
        assert!(!matches("public.*", "billing", "orders"));
        assert!(matches("*.orders", "billing", "orders"));
        assert!(matches("public.tmp_*", "public", "tmp_1"));
        assert!(!matches("public.tmp_*", "public", "orders_tmp_1"));
        assert!(matches("public.*_20??_*", "public", "events_20_2024_q1"));
        assert!(!matches("public.event?", "public", "events_2024"));
        assert!(matches("p*c.o**s", "public", "orders"));
    }

    #[test]
    fn letters_match_as_the_catalog_holds_them() {
        assert!(matches("public.Orders", "public", "Orders"));
        assert!(!matches("public.Orders", "public", "orders"));
    }

    #[test]
    fn double_quotes_take_the_special_meaning_away() {
        assert!(matches(r#""a.b".c"#, "a.b", "c"));
        assert!(matches(r#"public."odd ""name"" *""#, "public", r#"odd "name" *"#));
        assert!(!matches(r#"public."*""#, "public", "orders"));
        assert!(matches(r#"public."Tmp "*"#, "public", "Tmp 1"));
    }

    #[test]
    fn a_malformed_pattern_says_what_is_wrong() {
        let long = format!("public.{}", "x".repeat(64));
        for (text, error) in [
            ("", InvalidPattern::Empty),
            ("orders", InvalidPattern::NoSchema),
            ("a.b.c", InvalidPattern::TooManyDots),
            (".orders", InvalidPattern::EmptyPart("before")),
            ("public.", InvalidPattern::EmptyPart("after")),
            (r#"public."orders"#, InvalidPattern::OpenQuote),
            ("public.a b", InvalidPattern::Space),
        ] {
            assert_eq!(Pattern::parse(text).unwrap_err(), error, "{text}");
        }
        assert!(matches!(Pattern::parse(&long).unwrap_err(), InvalidPattern::TooLong(_)));
    }

    #[test]
    fn patterns_that_match_the_same_are_known_to() {
        let parse = |text| Pattern::parse(text).unwrap();
        assert!(parse("*.*").is_everything() && parse("*").is_everything());
        assert!(parse("public.orders").same_as(&parse(r#""public"."orders""#)));
        assert!(!parse("public.orders").same_as(&parse("public.order?")));
    }
}
