//! A statement as psql reads it: values that are open stand as variables, so that psql sends none
//! of them half filled in, and every other client finds an error of syntax.

use pgkedge_model::{Piece, QuotedAs};

/// Writes a statement, its open values under the names that are asked for. None where a value stands
/// in a place that no variable of psql can take.
pub(super) fn write(pieces: &[Piece], mut name: impl FnMut(&Piece) -> String) -> Option<String> {
    let mut written = Written::default();
    for piece in pieces {
        match piece {
            Piece::Sql(text) => written.add_text(text)?,
            Piece::Output { quoted_as, .. } => {
                let name = name(piece);
                written.add_variable(&match quoted_as {
                    QuotedAs::Ident => format!(":\"{name}\""),
                    QuotedAs::Literal => format!(":'{name}'"),
                    QuotedAs::Bare => format!(":{name}"),
                })?;
            }
            Piece::Secret { .. } => written.add_variable(&format!(":{}", name(piece)))?,
            Piece::RunName { prefix } => written.add_run_name(prefix, &name(piece))?,
        }
    }
    written.end()
}

#[derive(Default)]
struct Written {
    text: String,
    quote: Quote,
    /// The next text must close a literal, whose own quotes the variable brings along.
    closes: bool,
}

impl Written {
    fn add_text(&mut self, text: &str) -> Option<()> {
        let mut rest = text;
        if std::mem::take(&mut self.closes) {
            rest = rest.strip_prefix('\'').filter(|rest| !rest.starts_with('\''))?;
        } else if self.ends_with_variable() && rest.starts_with(is_of_variable) {
            return None;
        }
        self.quote = self.quote.clone().after(rest);
        self.text.push_str(rest);
        Some(())
    }

    fn add_variable(&mut self, variable: &str) -> Option<()> {
        if self.closes || self.quote != Quote::None {
            return None;
        }
        self.text.push_str(variable);
        Some(())
    }

    /// A name is a word of its own, or a whole literal.
    fn add_run_name(&mut self, prefix: &str, run: &str) -> Option<()> {
        match self.quote {
            Quote::None => self.add_variable(&format!("{prefix}_:{run}")),
            Quote::Single if self.text.ends_with('\'') && !self.text.ends_with("''") => {
                self.text.pop();
                self.quote = Quote::None;
                self.add_variable(&format!(":'{prefix}_{run}'"))?;
                self.closes = true;
                Some(())
            }
            Quote::Single | Quote::Double | Quote::Dollar(_) | Quote::Comment => None,
        }
    }

    fn ends_with_variable(&self) -> bool {
        let before = self.text.trim_end_matches(is_of_variable);
        before.len() < self.text.len() && before.ends_with(':') && !before.ends_with("::")
    }

    fn end(self) -> Option<String> {
        (!self.closes && self.quote == Quote::None).then_some(self.text)
    }
}

fn is_of_variable(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || !char.is_ascii()
}

/// What encloses the end of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Quote {
    #[default]
    None,
    Single,
    Double,
    /// With the whole delimiter, for example `$body$`.
    Dollar(String),
    /// Up to the end of the line.
    Comment,
}

impl Quote {
    /// As our own texts and the archive's have it: no backslash escapes, no nested comments.
    fn after(self, text: &str) -> Self {
        let (mut quote, mut rest) = (self, text);
        while !rest.is_empty() {
            let (next, length) = quote.step(rest);
            quote = next;
            rest = &rest[length..];
        }
        quote
    }

    /// The state behind the first token of a text, and how long that is. A doubled quote closes and
    /// opens again.
    fn step(self, text: &str) -> (Self, usize) {
        let first = text.chars().next().map_or(0, char::len_utf8);
        let to = |end: &str| text.find(end).map(|at| at + end.len());
        match self {
            Self::None if text.starts_with('\'') => (Self::Single, 1),
            Self::None if text.starts_with('"') => (Self::Double, 1),
            Self::None if text.starts_with("--") => (Self::Comment, 2),
            Self::None => match dollar(text) {
                Some(delimiter) => (Self::Dollar(delimiter.to_owned()), delimiter.len()),
                None => (Self::None, first),
            },
            Self::Single => to("'").map_or((Self::Single, text.len()), |end| (Self::None, end)),
            Self::Double => to("\"").map_or((Self::Double, text.len()), |end| (Self::None, end)),
            Self::Comment => to("\n").map_or((Self::Comment, text.len()), |end| (Self::None, end)),
            Self::Dollar(delimiter) => match to(&delimiter) {
                Some(end) => (Self::None, end),
                None => (Self::Dollar(delimiter), text.len()),
            },
        }
    }
}

/// The delimiter that a text starts with.
fn dollar(text: &str) -> Option<&str> {
    let tag = text.strip_prefix('$')?;
    let end = tag.find('$')?;
    tag[..end].chars().all(is_of_variable).then(|| &text[..end + 2])
}

#[cfg(test)]
mod tests {
    use pgkedge_model::OutputOf;

    use super::*;

    fn run(prefix: &str) -> Piece {
        Piece::RunName { prefix: prefix.into() }
    }

    fn value(quoted_as: QuotedAs) -> Piece {
        Piece::Output { of: OutputOf::Itself, field: "id".into(), quoted_as }
    }

    fn written(pieces: &[Piece]) -> Option<String> {
        write(pieces, |piece| {
            if matches!(piece, Piece::RunName { .. }) { "run" } else { "v" }.into()
        })
    }

    #[test]
    fn values_are_quoted_by_psql() {
        let all = [QuotedAs::Ident, QuotedAs::Literal, QuotedAs::Bare].map(|quoted_as| {
            written(&[Piece::sql("select "), value(quoted_as), Piece::sql(" from a")]).unwrap()
        });
        assert_eq!(all, ["select :\"v\" from a", "select :'v' from a", "select :v from a"]);
    }

    #[test]
    fn a_name_of_the_run_is_a_word_or_a_whole_literal() {
        let word = written(&[Piece::sql("drop table "), run("pgkedge"), Piece::sql(".effect")]);
        assert_eq!(word.unwrap(), "drop table pgkedge_:run.effect");
        let literal = written(&[
            Piece::sql("alter x \"it's\" set (slot_name = '"),
            run("pgkedge_orders"),
            Piece::sql("', enabled = '' )"),
        ]);
        assert_eq!(
            literal.unwrap(),
            "alter x \"it's\" set (slot_name = :'pgkedge_orders_run', enabled = '' )"
        );
    }

    #[test]
    fn a_value_in_the_midst_of_something_is_not_written() {
        let cases = [
            [Piece::sql("select 'a "), run("pgkedge"), Piece::sql("'")],
            [Piece::sql("select '"), run("pgkedge"), Piece::sql(" a'")],
            [Piece::sql("select $a$ "), run("pgkedge"), Piece::sql(" $a$")],
            [Piece::sql("select '"), value(QuotedAs::Literal), Piece::sql("'")],
            [Piece::sql("select "), value(QuotedAs::Bare), Piece::sql("0")],
            [Piece::sql("select -- "), value(QuotedAs::Bare), Piece::sql("\n1")],
            [Piece::sql("select \""), run("pgkedge"), Piece::sql("\"")],
        ];
        for pieces in cases {
            assert_eq!(written(&pieces), None, "{pieces:?}");
        }
    }

    #[test]
    fn quotes_that_are_closed_do_not_matter() {
        let text = "select 'it''s', \"a'b\", $$ ' $$, $1 -- '\n, ";
        let pieces = [Piece::sql(text), value(QuotedAs::Bare)];
        assert_eq!(written(&pieces).unwrap(), format!("{text}:v"));
    }
}
