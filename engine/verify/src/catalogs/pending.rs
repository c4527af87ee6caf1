//! What of a move is not done yet, so that nobody expects it on the target.

use std::collections::BTreeSet;

use pgkedge_model::{Catalog, ConstraintKind, Entry, Ident, QualifiedName};
use serde::{Deserialize, Serialize};

/// What is still to come, or is there for the move alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Triggers and rules that fire in apply sessions.
    pub held_triggers: bool,
    /// Tables whose triggers come with those.
    #[serde(default)]
    pub late_tables: Vec<QualifiedName>,
    pub event_triggers: bool,
    /// The user's own publications.
    pub publications: bool,
    /// Publications of the source that the move captures by, although they were there before.
    pub capturing: Vec<Ident>,
    /// These foreign keys are added later.
    pub foreign_keys: Vec<ForeignKey>,
    /// These are validated later.
    pub unvalidated: Vec<ForeignKey>,
    /// Tables whose replica identity was changed for the move.
    pub identities: Vec<QualifiedName>,
    /// The connection limit, comment, privileges and settings of the database.
    pub database: bool,
    /// The rows of materialized views.
    pub views: bool,
}

/// A foreign key, by its table and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ForeignKey {
    pub table: QualifiedName,
    pub name: Ident,
}

impl Pending {
    /// Numbers of the entries that are not compared; what needs one of them is not either.
    pub(super) fn entries(&self, catalog: &Catalog) -> Vec<u32> {
        let keys: BTreeSet<u32> = catalog
            .constraints
            .iter()
            .filter(|one| one.kind == ConstraintKind::ForeignKey)
            .filter(|one| has(&self.foreign_keys, &one.table, &one.name))
            .map(|one| one.oid)
            .collect();
        let is_pending = |entry: &&Entry| match entry.kind.as_str() {
            "TRIGGER" | "RULE" => self.held_triggers && (is_held(entry) || self.is_late(entry)),
            "EVENT TRIGGER" => self.event_triggers,
            "PUBLICATION" | "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA" => {
                self.publications || self.capturing.iter().any(|name| name.as_str() == entry.name)
            }
            "FK CONSTRAINT" => keys.contains(&entry.oid),
            _ => false,
        };
        catalog.entries.iter().filter(is_pending).map(|entry| entry.number).collect()
    }

    fn is_late(&self, entry: &Entry) -> bool {
        let Some((_, identity)) = entry.object.as_ref().filter(|_| entry.kind == "TRIGGER") else {
            return false;
        };
        self.late_tables.iter().any(|table| identity.ends_with(&format!(" on {table}")))
    }

    pub(super) fn lacks_key(&self, table: &QualifiedName, name: &Ident) -> bool {
        has(&self.foreign_keys, table, name)
    }

    pub(super) fn lacks_validation(&self, table: &QualifiedName, name: &Ident) -> bool {
        has(&self.unvalidated, table, name)
    }

    /// The text of an entry, without what the move has changed for a time.
    pub(super) fn without_changes(&self, entry: &Entry, mut text: Vec<String>) -> Vec<String> {
        if entry.kind == "FK CONSTRAINT" && self.is_unvalidated(entry) {
            for statement in &mut text {
                if let Some(start) = statement.strip_suffix(" NOT VALID") {
                    statement.truncate(start.len());
                }
            }
        }
        text.retain(|statement| !self.is_changed_identity(statement));
        text
    }

    fn is_unvalidated(&self, entry: &Entry) -> bool {
        self.unvalidated.iter().any(|key| {
            entry.schema.as_deref() == Some(key.table.schema.as_str())
                && entry.name == format!("{} {}", key.table.name.as_str(), key.name.as_str())
        })
    }

    fn is_changed_identity(&self, statement: &str) -> bool {
        let Some(rest) = statement.strip_prefix("ALTER TABLE ONLY ") else { return false };
        self.identities.iter().any(|table| {
            let table = table.to_string();
            rest.strip_prefix(table.as_str())
                .is_some_and(|rest| rest.starts_with(" REPLICA IDENTITY "))
        })
    }
}

fn has(keys: &[ForeignKey], table: &QualifiedName, name: &Ident) -> bool {
    keys.iter().any(|key| &key.table == table && &key.name == name)
}

/// Whether a trigger or rule fires in sessions that apply changes: `ENABLE ALWAYS`, `ENABLE REPLICA`.
fn is_held(entry: &Entry) -> bool {
    let (always, replica) =
        (format!(" ENABLE ALWAYS {} ", entry.kind), format!(" ENABLE REPLICA {} ", entry.kind));
    entry.statements.iter().any(|statement| {
        statement.starts_with("ALTER TABLE ")
            && (statement.contains(&always) || statement.contains(&replica))
    })
}
