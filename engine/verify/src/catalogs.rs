//! Compares what introspection found on both sides: definitions, roles, properties, validity.
//!
//! Rows, values of sequences and large objects are compared by queries, not here.

mod database;
mod entries;
mod entry_text;
mod objects;
mod pending;
mod roles;

use pgkedge_model::{Catalog, QualifiedName};

use crate::difference::Comparison;

pub(crate) use entries::compare as compare_entries;
pub use pending::{ForeignKey, Pending};

/// What a comparison of catalogs leaves out, and what explains a difference.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Tables that the plan leaves out: they and what hangs on them are ignored.
    pub excluded: &'a [QualifiedName],
    /// The target before the move: what was there already, and still is as it was, is only noted.
    pub before: Option<&'a Catalog>,
    /// What is not done yet; none where everything is.
    pub pending: Option<&'a Pending>,
}

/// Compares two catalogs. A difference that the servers' major versions explain is a note.
pub fn compare_catalogs(source: &Catalog, target: &Catalog, scope: Scope<'_>) -> Comparison {
    let mut found = Comparison::default();
    entries::compare(source, target, scope, &mut found);
    objects::compare(source, target, scope, &mut found);
    roles::compare(source, target, scope, &mut found);
    database::compare(source, target, scope, &mut found);
    found
}

/// Whether a name is that of a publication of pgkedge's own.
fn is_own_publication(name: &str) -> bool {
    name.starts_with("pgkedge_")
}

/// Whether deparsed definitions may read differently for this reason alone.
fn majors_differ(source: &Catalog, target: &Catalog) -> bool {
    source.server.version.major() != target.server.version.major()
}

/// Whether a schema is one of pgkedge's own: `pgkedge_` and eight hex digits.
fn is_own_schema(schema: &str) -> bool {
    schema
        .strip_prefix("pgkedge_")
        .is_some_and(|tag| tag.len() == 8 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn shown<T: std::fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}
