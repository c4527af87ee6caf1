//! Reads the text that `pg_restore` writes for one section into entries.
//!
//! What counts is what the lexer sees: the comment of an entry stands between statements, never
//! inside one, so that the body of a function may look like anything.

use pgkedge_model::{Entry, Failure, Section};

use super::header::{Header, KnownNames, opening};
use super::secrets::withhold;
use crate::lexer;

/// The entries of one section, in their order.
pub(crate) fn entries(
    script: &str,
    section: Section,
    known: &KnownNames,
) -> Result<Vec<Entry>, Failure> {
    let mut reader =
        Reader { section, known, in_force: InForce::default(), open: None, entries: Vec::new() };
    let mut end = 0;
    for statement in lexer::statements(script) {
        let start = statement.as_ptr().addr() - script.as_ptr().addr();
        reader.take_comments(&script[end..start])?;
        reader.take_statement(statement);
        end = start + statement.len();
    }
    reader.take_comments(&script[end..])?;
    reader.close();
    Ok(reader.entries)
}

struct Reader<'a> {
    section: Section,
    known: &'a KnownNames,
    in_force: InForce<'a>,
    open: Option<Open<'a>>,
    entries: Vec<Entry>,
}

/// Settings that hold for what follows; as SQL, empty where it is the server's own.
#[derive(Clone, Copy, Default)]
struct InForce<'a> {
    tablespace: &'a str,
    access_method: &'a str,
}

/// An entry whose statements are being read. The settings of the next one may already follow.
struct Open<'a> {
    header: Header,
    in_force: InForce<'a>,
    statements: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Takes what stands between two statements: comments, semicolons, white space.
    fn take_comments(&mut self, text: &str) -> Result<(), Failure> {
        for line in text.lines() {
            if let Some(header) = opening(line) {
                self.close();
                let (header, in_force) = (header.map_err(unreadable)?, self.in_force);
                self.open = Some(Open { header, in_force, statements: Vec::new() });
            } else if let Some(open) = &mut self.open {
                let tablespace = unquoted(open.in_force.tablespace);
                open.header.add(line, &tablespace, self.known).map_err(unreadable)?;
            }
        }
        Ok(())
    }

    fn take_statement(&mut self, statement: &'a str) {
        if let Some(value) = statement.strip_prefix("SET default_tablespace = ") {
            self.in_force.tablespace = value;
        } else if let Some(value) = statement.strip_prefix("SET default_table_access_method = ") {
            self.in_force.access_method = value;
        } else if statement.starts_with('\\') {
            // `\restrict` and `\unrestrict` are for psql.
        } else if let Some(open) = &mut self.open {
            open.statements.push(statement.to_owned());
        }
    }

    fn close(&mut self) {
        let Some(Open { mut header, in_force, statements }) = self.open.take() else { return };
        header.restore(self.known, &statements);
        let mut settings = Vec::new();
        if header.has_tablespace {
            settings.push(("default_tablespace".to_owned(), unquoted(in_force.tablespace)));
        }
        let access_method = unquoted(in_force.access_method);
        let holds_rows = matches!(header.kind.as_str(), "TABLE" | "MATERIALIZED VIEW");
        if holds_rows && !matches!(access_method.as_str(), "" | "heap") {
            settings.push(("default_table_access_method".to_owned(), access_method));
        }
        let mut entry = Entry {
            number: header.number,
            class: header.class,
            oid: header.oid,
            depends: header.depends,
            kind: header.kind,
            schema: header.schema,
            name: header.name,
            owner: header.owner,
            section: self.section,
            settings,
            statements,
            object: None,
        };
        withhold(&mut entry);
        self.entries.push(entry);
    }
}

fn unreadable(line: String) -> Failure {
    Failure::permanent("cannot read the comment of an entry of pg_dump's archive")
        .detail(line)
        .help("report this line, and the versions of pg_dump and of the server")
}

/// The value of a setting that was written as an identifier or a literal.
fn unquoted(sql: &str) -> String {
    let inside = |quote: char| sql.strip_prefix(quote)?.strip_suffix(quote);
    match (inside('"'), inside('\'')) {
        (Some(name), _) => name.replace("\"\"", "\""),
        (_, Some(text)) => text.replace("''", "'"),
        _ => sql.to_owned(),
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
