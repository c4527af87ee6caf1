//! Schema `public`, which every new database has: it is changed rather than created, and put back
//! rather than dropped.

use pgkedge_model::{Catalog, Draft, Entry, Expansion, Fold, Script, Statement, Undo};
use serde_json::Value;

pub(super) fn is_there(expansion: &Expansion<'_>) -> bool {
    expansion.facts.target.as_ref().is_none_or(has_public)
}

fn has_public(catalog: &Catalog) -> bool {
    catalog.schemas.iter().any(|schema| schema.as_str() == "public")
}

pub(super) fn is_entry(entry: &Entry) -> bool {
    entry.kind == "SCHEMA" && entry.name == "public"
}

/// Its comment, or its grants.
pub(super) fn is_attached_to_it(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "ACL" | "COMMENT") && entry.name == "SCHEMA public"
}

/// Drops the target's `public`, empty as preflight has found it, where the source has none.
pub(super) fn drop_empty(expansion: &Expansion<'_>) -> Option<Draft> {
    let target_has = expansion.facts.target.as_ref().is_some_and(has_public);
    if has_public(&expansion.facts.source) || !target_has {
        return None;
    }
    let mut undo = vec![create(expansion)];
    undo.extend(own_statements(expansion));
    Some(Draft {
        key: "drop public".to_owned(),
        params: Value::Null,
        touches: Vec::new(),
        script: Script {
            run: vec![Statement::guarded("drop schema public")],
            undo: Undo::Statements(undo.into_iter().map(Statement::guarded).collect()),
            ..Script::default()
        },
        cost: 0,
        fold: Fold::Chain,
        stops: None,
    })
}

fn create(expansion: &Expansion<'_>) -> String {
    let create = "create schema public";
    match owner_sql(expansion) {
        Owner::Named(owner) => format!("{create} authorization {owner}"),
        Owner::BootstrapSuperuser => create.to_owned(),
    }
}

/// What puts the target's own owner, comment and grants of `public` back.
pub(super) fn restore(entry: &Entry, expansion: &Expansion<'_>) -> Vec<String> {
    if !is_there(expansion) {
        return crate::drop::statements(entry, expansion.facts.target_version().major());
    }
    match entry.kind.as_str() {
        "SCHEMA" => vec![restore_owner(expansion)],
        "COMMENT" => restore_comment(expansion),
        "ACL" => restore_grants(expansion),
        _ => Vec::new(),
    }
}

enum Owner {
    Named(String),
    /// Before 15, whatever its name.
    BootstrapSuperuser,
}

fn owner_sql(expansion: &Expansion<'_>) -> Owner {
    let own = expansion.facts.target.iter().flat_map(|target| &target.entries);
    let named = own.filter(|entry| is_entry(entry)).find_map(|entry| entry.owner.as_deref());
    match named.and_then(|owner| pgkedge_model::Ident::new(owner).ok()) {
        Some(owner) => Owner::Named(owner.to_string()),
        None if expansion.facts.target_version().major() >= 15 => {
            Owner::Named("pg_database_owner".to_owned())
        }
        None => Owner::BootstrapSuperuser,
    }
}

fn restore_owner(expansion: &Expansion<'_>) -> String {
    match owner_sql(expansion) {
        Owner::Named(owner) => format!("alter schema public owner to {owner}"),
        Owner::BootstrapSuperuser => "do $$ begin execute pg_catalog.format('alter schema public \
             owner to %I', (select rolname from pg_catalog.pg_roles where oid = 10)); end $$"
            .to_owned(),
    }
}

/// Statements of the target's own archive about `public`, of one kind.
fn own(expansion: &Expansion<'_>, kind: &str) -> Vec<String> {
    let entries = expansion.facts.target.iter().flat_map(|target| &target.entries);
    entries
        .filter(|entry| is_attached_to_it(entry) && entry.kind == kind)
        .flat_map(|entry| entry.statements.clone())
        .collect()
}

fn own_statements(expansion: &Expansion<'_>) -> Vec<String> {
    let mut statements = restore_comment(expansion);
    statements.extend(restore_grants(expansion));
    statements
}

fn restore_comment(expansion: &Expansion<'_>) -> Vec<String> {
    match own(expansion, "COMMENT") {
        own if own.is_empty() => {
            vec!["comment on schema public is 'standard public schema'".to_owned()]
        }
        own => own,
    }
}

/// Takes all grants back, then grants what a new database grants, then what the target had changed.
fn restore_grants(expansion: &Expansion<'_>) -> Vec<String> {
    let default = if expansion.facts.target_version().major() >= 15 { "usage" } else { "all" };
    let mut statements = vec![
        "do $$ declare grantee text; begin \
         for grantee in select distinct case when a.grantee = 0 then 'public' \
         else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end \
         from pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
         where n.nspname = 'public' and a.grantee <> n.nspowner loop \
         execute 'revoke all on schema public from ' || grantee || ' cascade'; end loop; end $$"
            .to_owned(),
        format!("grant {default} on schema public to public"),
    ];
    statements.extend(own(expansion, "ACL"));
    statements
}
