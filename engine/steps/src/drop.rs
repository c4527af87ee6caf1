//! The statements that take an archive entry back.

use pgkedge_model::Entry;

use crate::archive::{find_word, split_once, words};

/// What takes one entry back, on a target of that major version. Empty: it goes with another object.
pub(crate) fn statements(entry: &Entry, target_major: u32) -> Vec<String> {
    match entry.kind.as_str() {
        "DEFAULT" => drop_default(entry).into_iter().collect(),
        "DEFAULT ACL" => inverted(entry),
        "USER MAPPING" => drop_user_mapping(entry).into_iter().collect(),
        _ => drop_object(entry, target_major).into_iter().collect(),
    }
}

/// Takes away what keeps a serial column's sequence from being dropped before its table.
fn drop_default(entry: &Entry) -> Option<String> {
    let (column, _) = split_once(entry.statements.first()?, " SET DEFAULT ")?;
    let column = column.strip_prefix("ALTER TABLE ")?;
    Some(format!("ALTER TABLE IF EXISTS {column} DROP DEFAULT"))
}

fn drop_user_mapping(entry: &Entry) -> Option<String> {
    Some(format!("drop user mapping if exists {}", user_mapping(entry)?))
}

/// `FOR role SERVER server` of a `USER MAPPING` entry, as its statement quotes it.
pub(crate) fn user_mapping(entry: &Entry) -> Option<&str> {
    let mapping = entry.statements.first()?.strip_prefix("CREATE USER MAPPING ")?;
    let end = find_word(mapping, " OPTIONS").unwrap_or(mapping.len());
    Some(mapping[..end].trim())
}

/// Each grant as a revocation and the other way round, last one first: privileges, and default
/// ones, go back to what they were when each change is reversed.
pub(crate) fn inverted(entry: &Entry) -> Vec<String> {
    entry.statements.iter().rev().filter_map(|sql| invert(sql)).collect()
}

fn invert(sql: &str) -> Option<String> {
    let words = words(sql);
    let at = words.iter().position(|word| *word == "GRANT" || *word == "REVOKE")?;
    let to = words.iter().rposition(|word| *word == "TO" || *word == "FROM")?;
    let (verb, link) = if words[at] == "GRANT" { ("REVOKE", "FROM") } else { ("GRANT", "TO") };
    let head = words.get(..at)?.join(" ");
    let what = words.get(at + 1..to)?.join(" ");
    let whom = words.get(to + 1)?;
    Some(format!("{head} {verb} {what} {link} {whom}").trim_start().to_owned())
}

fn drop_object(entry: &Entry, target_major: u32) -> Option<String> {
    let (kind, identity) = entry.object.as_ref()?;
    match kind.as_str() {
        // Goes with its table, or only its table can let go of it.
        "default value" | "table column" | "publication relation" | "publication namespace" => None,
        "sequence" if is_identity(entry) => None,
        // A partition's copy of its parent's trigger: the entry only switches it.
        "trigger" if !is_created(entry) => None,
        // The body of a view that waited for a primary key, which cannot be dropped before it.
        "rule" if identity.starts_with("\"_RETURN\" on ") => {
            let (_, view) = split_once(identity, " on ")?;
            Some(format!("drop view if exists {view} cascade"))
        }
        "table constraint" => {
            let (name, table) = split_once(identity, " on ")?;
            Some(format!("alter table if exists {table} drop constraint if exists {name}"))
        }
        "domain constraint" => {
            let (name, domain) = split_once(identity, " on ")?;
            Some(format!("alter domain {domain} drop constraint if exists {name}"))
        }
        "transform" => {
            let (of, language) = split_once(identity, " on language ")?;
            Some(format!("drop transform if exists {of} language {language}"))
        }
        // The functions of a base type need it and it needs them; views and functions may go round
        // in circles.
        "type" | "view" | "function" => Some(format!("drop {kind} if exists {identity} cascade")),
        "composite type" => Some(format!("drop type if exists {identity} cascade")),
        "aggregate" if target_major >= 11 => Some(format!("drop routine if exists {identity}")),
        "statistics object" => Some(format!("drop statistics if exists {identity}")),
        "foreign-data wrapper" => Some(format!("drop foreign data wrapper if exists {identity}")),
        kind if DROPPABLE.contains(&kind) => Some(format!("drop {kind} if exists {identity}")),
        _ => None,
    }
}

/// Types of `pg_identify_object` whose identity is what `drop` takes.
const DROPPABLE: &[&str] = &[
    "access method",
    "aggregate",
    "cast",
    "collation",
    "conversion",
    "domain",
    "event trigger",
    "extension",
    "foreign table",
    "index",
    "language",
    "materialized view",
    "operator",
    "operator class",
    "operator family",
    "policy",
    "procedure",
    "publication",
    "rule",
    "schema",
    "sequence",
    "server",
    "table",
    "text search configuration",
    "text search dictionary",
    "text search parser",
    "text search template",
    "trigger",
];

fn is_created(entry: &Entry) -> bool {
    entry.statements.iter().any(|sql| sql.starts_with("CREATE "))
}

/// The sequence of an identity column is a part of its table.
fn is_identity(entry: &Entry) -> bool {
    entry
        .statements
        .iter()
        .any(|sql| sql.starts_with("ALTER TABLE ") && find_word(sql, " ADD GENERATED ").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::entry;

    fn undo(kind: &str, statement: &str, object: (&str, &str)) -> Vec<String> {
        let mut entry = entry(1, kind, "x", &[statement]);
        entry.object = Some((object.0.to_owned(), object.1.to_owned()));
        statements(&entry, 15)
    }

    #[test]
    fn most_objects_are_dropped_by_their_identity() {
        assert_eq!(
            undo("TABLE", "CREATE TABLE public.\"a;b\" ()", ("table", "public.\"a;b\"")),
            ["drop table if exists public.\"a;b\""]
        );
        assert_eq!(
            undo("AGGREGATE", "CREATE AGGREGATE public.x()", ("aggregate", "public.x()")),
            ["drop routine if exists public.x()"]
        );
    }

    #[test]
    fn a_constraint_is_split_from_its_table_outside_of_quotes() {
        let object = ("table constraint", "\"a on b\" on public.\"t on u\"");
        assert_eq!(
            undo("CHECK CONSTRAINT", "", object),
            ["alter table if exists public.\"t on u\" drop constraint if exists \"a on b\""]
        );
    }

    #[test]
    fn what_belongs_to_a_table_goes_with_it() {
        let identity = "ALTER TABLE public.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (x)";
        assert!(undo("SEQUENCE", identity, ("sequence", "public.t_id_seq")).is_empty());
        let switch = "ALTER TABLE public.part DISABLE TRIGGER audit";
        assert!(undo("TRIGGER", switch, ("trigger", "audit on public.part")).is_empty());
    }

    #[test]
    fn the_body_of_a_view_that_needs_a_primary_key_goes_before_the_key() {
        assert_eq!(
            undo("RULE", "", ("rule", "\"_RETURN\" on public.\"on v\"")),
            ["drop view if exists public.\"on v\" cascade"]
        );
    }

    #[test]
    fn a_default_is_taken_from_its_column_so_that_its_sequence_can_go() {
        let sql = "ALTER TABLE ONLY public.t ALTER COLUMN id SET DEFAULT nextval('s'::regclass)";
        assert_eq!(
            undo("DEFAULT", sql, ("default value", "for public.t.id")),
            ["ALTER TABLE IF EXISTS ONLY public.t ALTER COLUMN id DROP DEFAULT"]
        );
    }

    #[test]
    fn default_privileges_are_reversed() {
        let grant = "ALTER DEFAULT PRIVILEGES FOR ROLE \"a TO b\" GRANT SELECT,INSERT ON TABLES  \
                     TO \"c d\" WITH GRANT OPTION";
        assert_eq!(
            undo("DEFAULT ACL", grant, ("default acl", "")),
            [
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"a TO b\" REVOKE SELECT,INSERT ON TABLES FROM \"c d\""
            ]
        );
    }

    #[test]
    fn a_user_mapping_is_dropped_by_role_and_server() {
        let sql = "CREATE USER MAPPING FOR \"a OPTIONS\" SERVER s OPTIONS (\n    password 'x'\n)";
        assert_eq!(
            undo("USER MAPPING", sql, ("user mapping", "")),
            ["drop user mapping if exists FOR \"a OPTIONS\" SERVER s"]
        );
    }
}
