//! Each test plants one difference between two equal catalogs and looks whether it is found.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "catalogs/moving.rs"]
mod moving;

use pgkedge_model::{Catalog, Entry, Grant, Ident, QualifiedName, Role, ServerVersion};
use pgkedge_verify::{Comparison, Scope, compare_catalogs};
use serde_json::json;

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

fn named(name: &str) -> QualifiedName {
    QualifiedName::new(ident("public"), ident(name))
}

fn entry(number: u32, kind: &str, name: &str, statements: &[&str], depends: &[u32]) -> Entry {
    serde_json::from_value(json!({
        "number": number, "class": 1259, "oid": 20_000 + number, "depends": depends,
        "kind": kind, "schema": "public", "name": name, "owner": "shop",
        "section": "pre-data", "settings": [], "statements": statements, "object": null,
    }))
    .unwrap()
}

fn role(name: &str) -> serde_json::Value {
    json!({
        "name": name, "superuser": false, "inherits": true, "creates_roles": false,
        "creates_databases": false, "login": true, "replication": false,
        "bypasses_row_security": false, "connection_limit": -1, "valid_until": null,
        "comment": null, "settings": [],
    })
}

fn table(oid: u32, name: &str) -> serde_json::Value {
    json!({
        "oid": oid, "name": {"schema": "public", "name": name}, "kind": "ordinary",
        "owner": "shop", "unlogged": false, "partition": null, "pages": 1, "bytes": 8192,
        "estimated_rows": 1, "filenode": 1, "row_security": false, "force_row_security": false,
        "populated": true, "extension_rows": null, "readable": true,
        "columns": [{
            "name": "id", "type_oid": 23, "type_name": "integer", "not_null": true,
            "generated": false, "nondeterministic": false,
        }],
    })
}

fn catalog() -> Catalog {
    let mut catalog: Catalog = serde_json::from_value(json!({
        "format": 1,
        "server": {
            "version": 150_020, "version_text": "PostgreSQL 15.20", "system_identifier": "1",
            "in_recovery": false, "settings": {}, "pg_dump": "15.20",
            "session_role": {
                "name": "postgres", "superuser": true, "bypasses_row_security": true,
                "replication": true, "creates_roles": true, "member_of": [],
            },
        },
        "database": {
            "name": "shop", "oid": 16_384, "owner": "shop", "encoding": "UTF8", "collate": "C",
            "ctype": "C", "locale_provider": "c", "icu_locale": null, "tablespace": "pg_default",
            "connection_limit": -1, "comment": "the shop", "grants": null,
            "settings": [{"role": null, "name": "work_mem", "value": "8MB"}], "bytes": 1,
            "subscriptions": [], "event_triggers": [],
        },
        "roles": [role("shop"), role("clerk"), role("stranger")],
        "memberships": [{
            "role": "clerk", "member": "shop", "admin": false, "grantor": "postgres",
            "inherit": null, "set": null,
        }],
        "tablespaces": [], "schemas": ["public"],
        "extensions": [{"name": "hstore", "version": "1.8", "schema": "public", "config_tables": []}],
        "available_extensions": {}, "types": {},
        "tables": [table(1, "orders"), table(2, "drafts")],
        "indexes": [{
            "oid": 3, "name": {"schema": "public", "name": "orders_at"}, "table_oid": 1,
            "table": {"schema": "public", "name": "orders"}, "unique": false, "primary": false,
            "valid": true, "constraint_oid": null, "bytes": 8192,
            "definition": "CREATE INDEX orders_at ON public.orders USING btree (id)",
        }],
        "constraints": [{
            "oid": 4, "name": "orders_id_check", "table_oid": 1,
            "table": {"schema": "public", "name": "orders"}, "kind": "check", "validated": true,
            "references": null, "definition": "CHECK ((id > 0))",
        }],
        "sequences": [{
            "oid": 20_005, "name": {"schema": "public", "name": "drafts_id_seq"},
            "type_name": "integer", "readable": true,
            "owned_by": [{"schema": "public", "name": "drafts"}, "id"],
        }],
        "large_objects": {"count": 0, "bytes": 0}, "entries": [],
    }))
    .unwrap();
    catalog.entries = vec![
        entry(1, "TABLE", "orders", &["CREATE TABLE public.orders (id integer NOT NULL)"], &[]),
        entry(2, "VIEW", "recent", &["CREATE VIEW public.recent AS SELECT 1"], &[1]),
        entry(
            3,
            "ACL",
            "TABLE orders",
            &["GRANT SELECT ON public.orders TO clerk", "GRANT ALL ON public.orders TO shop"],
            &[1],
        ),
        entry(4, "TABLE", "drafts", &["CREATE TABLE public.drafts (id integer NOT NULL)"], &[]),
        entry(5, "SEQUENCE", "drafts_id_seq", &["CREATE SEQUENCE public.drafts_id_seq"], &[]),
        entry(6, "DEFAULT", "drafts id", &["ALTER TABLE public.drafts …"], &[4, 5]),
        entry(7, "OPERATOR", "=", &["CREATE OPERATOR public.= (int, int)"], &[]),
        entry(8, "OPERATOR", "=", &["CREATE OPERATOR public.= (text, text)"], &[]),
    ];
    catalog
}

/// What the comparison says when the target is changed like this.
fn planted(plant: impl FnOnce(&mut Catalog)) -> Comparison {
    let mut target = catalog();
    plant(&mut target);
    compare_catalogs(&catalog(), &target, Scope::default())
}

/// The one difference that was planted, as it is told.
fn told(plant: impl FnOnce(&mut Catalog)) -> String {
    let found = planted(plant);
    assert_eq!(found.differences.len(), 1, "{:#?}", found.differences);
    found.differences[0].to_string()
}

/// The one difference that was planted on a target of another major version.
fn told_across(plant: impl FnOnce(&mut Catalog)) -> String {
    told(|target| {
        target.server.version = ServerVersion(180_001);
        plant(target);
    })
}

#[test]
fn equal_catalogs_have_no_difference() {
    let found = planted(|_| {});
    assert!(found.is_equal() && found.notes.is_empty(), "{found:#?}");
    assert_eq!(found.compared["entries"], 8);
}

#[test]
fn oids_names_of_databases_and_sizes_do_not_count() {
    let found = planted(|target| {
        target.database.name = ident("other");
        target.database.oid = 7;
        target.entries.iter_mut().for_each(|entry| entry.oid += 1000);
        target.tables[0].bytes = 1;
        target.memberships[0].grantor = Some(ident("rdsadmin"));
    });
    assert!(found.is_equal(), "{found:#?}");
}

#[test]
fn a_changed_definition_is_found() {
    let told = told(|target| {
        target.entries[1].statements[0] = "CREATE VIEW public.recent AS SELECT 2".into();
    });
    assert_eq!(
        told,
        "VIEW public.recent: definition differs: source CREATE VIEW public.recent AS SELECT 1, \
         target CREATE VIEW public.recent AS SELECT 2"
    );
}

#[test]
fn a_missing_object_is_found() {
    let told = told(|target| drop(target.entries.remove(1)));
    assert_eq!(told, "VIEW public.recent: the object is missing on the target");
}

#[test]
fn an_object_that_only_the_target_has_is_found_unless_it_was_there_before() {
    let extra = || entry(9, "FUNCTION", "f()", &["CREATE FUNCTION public.f()"], &[]);
    assert!(told(|target| target.entries.push(extra())).contains("on the target only"));
    let (source, mut target) = (catalog(), catalog());
    target.entries.push(extra());
    let before = target.clone();
    let scope = Scope { before: Some(&before), ..Scope::default() };
    let found = compare_catalogs(&source, &target, scope);
    assert!(found.is_equal(), "{found:#?}");
    assert_eq!(found.notes.len(), 1);
}

#[test]
fn the_order_of_grants_does_not_count_but_a_missing_one_does() {
    assert!(planted(|target| target.entries[2].statements.reverse()).is_equal());
    let told = told(|target| drop(target.entries[2].statements.remove(0)));
    assert!(told.contains("source GRANT SELECT ON public.orders TO clerk, target none"), "{told}");
}

#[test]
fn who_granted_counts() {
    let found = planted(|target| {
        let statements = &mut target.entries[2].statements;
        statements.insert(0, "SET SESSION AUTHORIZATION clerk".into());
        statements.insert(2, "RESET SESSION AUTHORIZATION".into());
    });
    assert_eq!(found.differences.len(), 1, "{found:#?}");
}

#[test]
fn one_of_two_operators_of_one_name_is_found_missing() {
    let told = told(|target| drop(target.entries.remove(6)));
    assert!(told.starts_with("OPERATOR public.=: the object is missing"), "{told}");
}

#[test]
fn entries_of_one_name_are_matched_by_text_in_any_order() {
    assert!(planted(|target| target.entries.swap(6, 7)).is_equal());
}

#[test]
fn a_tablespace_that_holds_for_an_entry_counts() {
    told(|target| target.entries[0].settings.push(("default_tablespace".into(), "fast".into())));
}

#[test]
fn deparsed_text_of_another_major_version_is_a_note() {
    let found = planted(|target| {
        target.server.version = ServerVersion(180_001);
        target.entries[1].statements[0] = "CREATE VIEW public.recent AS  SELECT 1".into();
    });
    assert!(found.is_equal(), "{found:#?}");
    assert_eq!(found.notes.len(), 1);
}

#[test]
fn objects_of_excluded_tables_are_ignored_on_both_sides() {
    let (source, mut target) = (catalog(), catalog());
    target.entries.retain(|entry| !entry.name.contains("drafts"));
    target.tables.retain(|table| table.name != named("drafts"));
    let excluded = [named("drafts")];
    let scope = Scope { excluded: &excluded, ..Scope::default() };
    let found = compare_catalogs(&source, &target, scope);
    assert!(found.is_equal(), "{found:#?}");
    let found = compare_catalogs(&source, &source, scope);
    assert!(found.is_equal(), "{found:#?}");
}

#[test]
fn the_ledger_is_ignored() {
    let found = planted(|target| {
        let mut schema = entry(20, "SCHEMA", "pgkedge_1a2b3c4d", &["CREATE SCHEMA …"], &[]);
        schema.schema = None;
        let mut run = entry(21, "TABLE", "run", &["CREATE TABLE …"], &[20]);
        run.schema = Some("pgkedge_1a2b3c4d".into());
        target.entries.extend([schema, run]);
        let mut ledger = target.tables[0].clone();
        ledger.name = QualifiedName::new(ident("pgkedge_1a2b3c4d"), ident("run"));
        target.tables.push(ledger);
    });
    assert!(found.is_equal(), "{found:#?}");
}

#[test]
fn only_the_lines_of_a_definition_that_differ_are_told() {
    let columns =
        |kind: &str| format!("CREATE TABLE public.orders (\n    id {kind},\n    a text\n)");
    let (mut source, mut target) = (catalog(), catalog());
    source.entries[0].statements[0] = columns("integer");
    target.entries[0].statements[0] = columns("bigint");
    let found = compare_catalogs(&source, &target, Scope::default());
    assert_eq!(
        found.differences[0].to_string(),
        "TABLE public.orders: definition differs: source id integer,, target id bigint,"
    );
}

#[test]
fn across_major_versions_columns_are_compared_one_by_one() {
    let told = told_across(|target| target.tables[0].columns[0].type_name = "bigint".into());
    assert_eq!(
        told,
        "public.orders.id: column differs: source integer not null, target bigint not null"
    );
    told_across(|target| target.tables[0].columns[0].not_null = false);
    let told = told_across(|target| target.tables[0].columns.clear());
    assert_eq!(told, "public.orders.id: column is missing on the target");
}

#[test]
fn across_major_versions_properties_of_tables_are_compared() {
    assert!(told_across(|target| target.tables[0].unlogged = true).contains("unlogged"));
    assert!(told_across(|target| target.tables[0].owner = ident("clerk")).contains("owner"));
    let told = told_across(|target| target.tables[0].row_security = true);
    assert!(told.contains("row security"));
    assert!(told_across(|target| target.constraints.clear()).contains("orders_id_check"));
}

#[test]
fn a_view_that_is_not_populated_is_found() {
    assert!(told(|target| target.tables[0].populated = false).contains("populated"));
}

#[test]
fn an_index_that_is_not_valid_on_the_target_is_found() {
    assert!(told(|target| target.indexes[0].valid = false).contains("validity"));
}

#[test]
fn an_index_that_is_valid_on_the_target_alone_is_a_note() {
    let (mut source, target) = (catalog(), catalog());
    source.indexes[0].valid = false;
    let found = compare_catalogs(&source, &target, Scope::default());
    assert!(found.is_equal() && found.notes.len() == 1, "{found:#?}");
}

#[test]
fn a_constraint_that_is_not_validated_is_found() {
    assert!(told(|target| target.constraints[0].validated = false).contains("validated"));
}

#[test]
fn another_version_of_an_extension_is_a_note_and_a_missing_one_a_difference() {
    let found = planted(|target| target.extensions[0].version = "1.9".into());
    assert!(found.is_equal() && found.notes.len() == 1, "{found:#?}");
    told(|target| target.extensions.clear());
}

#[test]
fn a_missing_role_counts_only_if_the_database_uses_it() {
    assert!(told(|target| drop(target.roles.remove(1))).contains("role clerk"));
    assert!(planted(|target| drop(target.roles.remove(2))).is_equal());
}

#[test]
fn a_property_of_a_role_counts_unless_the_role_was_there_before() {
    let change = |role: &mut Role| role.connection_limit = 5;
    assert!(told(|target| change(&mut target.roles[1])).contains("connection limit"));
    let (source, mut target) = (catalog(), catalog());
    change(&mut target.roles[1]);
    let before = target.clone();
    let scope = Scope { before: Some(&before), ..Scope::default() };
    assert!(compare_catalogs(&source, &target, scope).is_equal());
}

#[test]
fn what_only_a_superuser_could_give_is_noted_for_a_role_that_is_none() {
    let (mut source, mut target) = (catalog(), catalog());
    source.roles[1].replication = true;
    target.roles[1].replication = false;
    target.database.owner = ident("clerk");
    let before = target.clone();
    let scope = Scope { before: Some(&before), ..Scope::default() };
    assert_eq!(compare_catalogs(&source, &target, scope).differences.len(), 1, "the owner");
    target.server.session_role.superuser = false;
    let mut found = compare_catalogs(&source, &target, scope);
    assert!(found.is_equal(), "{found:?}");
    assert_eq!(found.notes.len(), 2, "{found:?}");
    // A role that comes with the move has no more than what its creator could give.
    found = compare_catalogs(&source, &target, Scope::default());
    assert_eq!(found.differences.len(), 1, "{found:?}");
}

#[test]
fn memberships_are_compared() {
    assert!(told(|target| target.memberships.clear()).contains("membership of shop in clerk"));
    assert!(told(|target| target.memberships[0].admin = true).contains("admin true"));
}

#[test]
fn properties_of_the_database_are_compared() {
    assert!(told(|target| target.database.owner = ident("clerk")).contains("owner"));
    assert!(told(|target| target.database.connection_limit = 9).contains("connection limit"));
    assert!(told(|target| target.database.comment = None).contains("comment"));
    assert!(told(|target| target.database.settings.clear()).contains("settings"));
}

#[test]
fn default_privileges_of_a_database_equal_the_same_written_out() {
    let grant = |grantee: Option<&str>, privileges: &[&str]| Grant {
        grantee: grantee.map(ident),
        grantor: ident("shop"),
        privileges: privileges.iter().map(|one| (*one).to_owned()).collect(),
        grantable: false,
    };
    let written_out = vec![
        grant(Some("shop"), &["CONNECT", "CREATE", "TEMPORARY"]),
        grant(None, &["CONNECT", "TEMPORARY"]),
    ];
    assert!(planted(|target| target.database.grants = Some(written_out)).is_equal());
    assert!(told(|target| target.database.grants = Some(Vec::new())).contains("privileges"));
}
