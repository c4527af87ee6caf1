//! Roles: those that the target lacks, and what its own role may do for them.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Catalog, Entry, Finding, Ident, Role, Server};

use super::{Question, listed, on};
use crate::archive::find_word;
use crate::kinds::copy_database_settings::needs_owner;
use crate::kinds::copy_globals::{may_change_owner, missing_roles, wanted_owner};

/// Roles of providers that may do some of what takes a superuser elsewhere.
pub(super) const ALMOST_SUPERUSERS: &[&str] =
    &["rds_superuser", "cloudsqlsuperuser", "azure_pg_admin", "alloydbsuperuser"];

pub(super) fn findings(question: &Question<'_>) -> Vec<Finding> {
    let Some(target) = &question.facts.target else { return Vec::new() };
    let source = &question.facts.source;
    let missing: Vec<&Role> = missing_roles(source, Some(target)).collect();
    let mut findings = Vec::new();
    findings.extend(cannot_create(target, &missing));
    findings.extend(lost_attributes(target, &missing));
    findings.extend(lost_passwords(source, &missing));
    findings.extend(absent_owners(source, target));
    findings.extend(not_member(source, target));
    findings.extend(database_owner(source, target));
    findings.extend(owners_without_create(source, target));
    findings.extend(not_database_owner(question, target));
    findings
}

fn names(roles: &[&Role]) -> Vec<Ident> {
    roles.iter().map(|role| role.name.clone()).collect()
}

fn cannot_create(target: &Catalog, missing: &[&Role]) -> Option<Finding> {
    let session_role = &target.server.session_role;
    let may = session_role.superuser || session_role.creates_roles;
    (!missing.is_empty() && !may).then(|| {
        let name = &session_role.name;
        let message = format!(
            "the target lacks roles that {name} may not create: {}",
            listed(names(missing))
        );
        Finding::error("target::cannot_create_roles", message)
            .at(on(Server::Target))
            .help(format!("create them there, or `alter role {name} createrole`"))
    })
}

fn lost_attributes(target: &Catalog, missing: &[&Role]) -> Option<Finding> {
    if target.server.session_role.superuser {
        return None;
    }
    let has_more = |role: &&&Role| role.superuser || role.replication || role.bypasses_row_security;
    let lost: Vec<&Role> = missing.iter().filter(has_more).copied().collect();
    (!lost.is_empty()).then(|| {
        let message = format!(
            "only a superuser may create a role as superuser, for replication or past row \
             security: {} will be none",
            listed(names(&lost))
        );
        Finding::warning("target::role_attributes", message)
            .at(on(Server::Target))
            .help("grant what they need by hand; a managed server has roles of its own for it")
    })
}

fn lost_passwords(source: &Catalog, missing: &[&Role]) -> Option<Finding> {
    let login: Vec<&Role> = missing.iter().filter(|role| role.login).copied().collect();
    (!login.is_empty() && !source.server.session_role.superuser).then(|| {
        let message = format!(
            "passwords can be read on the source by superusers alone; {} will have none",
            listed(names(&login))
        );
        Finding::warning("source::passwords_unreadable", message)
            .at(on(Server::Source))
            .help("set them on the target after `schema`: `alter role … password …`")
    })
}

fn is_owned(entry: &Entry) -> bool {
    entry.statements.iter().any(|sql| find_word(sql, " OWNER TO ").is_some())
}

/// Roles that own something in the archive.
fn owners(source: &Catalog) -> BTreeSet<Ident> {
    source
        .entries
        .iter()
        .filter(|entry| is_owned(entry))
        .filter_map(|entry| Ident::new(entry.owner.clone()?).ok())
        .collect()
}

fn will_exist(role: &Ident, source: &Catalog, target: &Catalog) -> bool {
    target.roles.iter().any(|there| there.name == *role)
        || missing_roles(source, Some(target)).any(|missing| missing.name == *role)
        || role.as_str().starts_with("pg_")
}

fn absent_owners(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let is_absent = |role: &Ident| !will_exist(role, source, target);
    let absent: Vec<Ident> = owners(source).into_iter().filter(is_absent).collect();
    (!absent.is_empty()).then(|| {
        let names = listed(&absent);
        let message = format!("objects of the source belong to {names}, which the target lacks");
        Finding::error("target::absent_owners", message).at(on(Server::Target)).help(
            "these roles are a provider's own and are not copied: give their objects another \
             owner on the source, or create the roles on the target",
        )
    })
}

fn not_member(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let session_role = &target.server.session_role;
    if session_role.superuser {
        return None;
    }
    let is_foreign = |role: &Ident| {
        target.roles.iter().any(|there| there.name == *role)
            && !session_role.member_of.contains(role)
            && role.as_str() != "pg_database_owner"
    };
    let foreign: Vec<Ident> = owners(source).into_iter().filter(is_foreign).collect();
    (!foreign.is_empty()).then(|| {
        let (name, owners) = (&session_role.name, listed(&foreign));
        let message = format!("{name} cannot make {owners} the owner of anything on the target");
        let grants: Vec<String> = foreign.iter().map(ToString::to_string).collect();
        Finding::error("target::not_member_of_owner", message)
            .at(on(Server::Target))
            .help(format!("`grant {} to {name}`", grants.join(", ")))
    })
}

fn database_owner(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let (wanted, present) = (&source.database.owner, &target.database.owner);
    (wanted != present && !may_change_owner(target)).then(|| {
        let database = &target.database.name;
        let message = format!("database {database} will stay with {present}, not {wanted}");
        Finding::warning("target::database_owner", message)
            .at(on(Server::Target))
            .help(format!("as a role that may: `alter database {database} owner to {wanted}`"))
    })
}

/// Settings, comment and grants of a database are its owner's to change.
fn not_database_owner(question: &Question<'_>, target: &Catalog) -> Option<Finding> {
    let session_role = &target.server.session_role;
    let owner = &target.database.owner;
    let owns = session_role.superuser || session_role.member_of.contains(owner);
    (!owns && needs_owner(question.facts)).then(|| {
        let (database, name) = (&target.database.name, &session_role.name);
        let message = format!(
            "{name} does not own database {database}, whose settings or grants have to change"
        );
        Finding::error("target::not_database_owner", message).at(on(Server::Target)).help(format!(
            "`alter database {database} owner to {name}`, or `grant {owner} to {name}`"
        ))
    })
}

/// Unless a superuser says so, only a role that may create objects in a schema can come to own one.
fn owners_without_create(source: &Catalog, target: &Catalog) -> Option<Finding> {
    if target.server.session_role.superuser {
        return None;
    }
    let schema_owners: BTreeMap<&str, &str> = source
        .entries
        .iter()
        .filter(|entry| entry.kind == "SCHEMA")
        .filter_map(|entry| Some((entry.name.as_str(), entry.owner.as_deref()?)))
        .collect();
    let of_database = wanted_owner(source, target).as_str();
    // Before 15 everyone may create objects in `public`.
    let public = (target.server.version.major() >= 15).then_some(of_database);
    let schema_owner = |schema: &str| match schema_owners.get(schema) {
        Some(&"pg_database_owner") => Some(of_database),
        Some(owner) => Some(*owner),
        None if schema == "public" => public,
        None => None,
    };
    let mut outside = BTreeSet::new();
    for entry in source.entries.iter().filter(|entry| is_owned(entry)) {
        let (Some(owner), Some(schema)) = (entry.owner.as_deref(), entry.schema.as_deref()) else {
            continue;
        };
        if schema_owner(schema).is_some_and(|of| !is_member(source, owner, of)) {
            outside.insert(format!("{owner} in {schema}"));
        }
    }
    (!outside.is_empty()).then(|| {
        let message = format!(
            "roles own objects in schemas where they may not create any: {}",
            listed(outside)
        );
        let (name, database) = (&target.server.session_role.name, &target.database.name);
        let owner = &source.database.owner;
        Finding::error("target::owners_without_create", message).at(on(Server::Target)).help(
            format!(
                "run as a superuser of the target, or make them members of the schema's owner on \
                 the source; for `public`, which is the database owner's: `create role {owner}`, \
                 `alter database {database} owner to {owner}`, `grant {owner} to {name}`"
            ),
        )
    })
}

/// Whether a role is another one, a superuser, or a member of it, be it by way of others.
fn is_member(source: &Catalog, role: &str, of: &str) -> bool {
    let mut seen = BTreeSet::from([role]);
    let mut open = vec![role];
    while let Some(role) = open.pop() {
        let found = source.roles.iter().find(|found| found.name.as_str() == role);
        if role == of || found.is_some_and(|found| found.superuser) {
            return true;
        }
        let of_role = source.memberships.iter().filter(|m| m.member.as_str() == role);
        open.extend(of_role.map(|m| m.role.as_str()).filter(|role| seen.insert(role)));
    }
    false
}
