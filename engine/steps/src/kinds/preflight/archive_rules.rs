//! What the archive needs of the target: extensions, tablespaces, a superuser.

use std::collections::BTreeSet;

use pgkedge_model::{Catalog, Entry, Finding, Server};

use super::roles::ALMOST_SUPERUSERS;
use super::{Question, listed, on};
use crate::archive::{self, find_word};

pub(super) fn findings(question: &Question<'_>) -> Vec<Finding> {
    let Some(target) = &question.facts.target else { return Vec::new() };
    let source = &question.facts.source;
    let mut findings = Vec::new();
    findings.extend(extensions(source, target));
    findings.extend(tablespaces(source, target));
    findings.extend(user_mappings(source));
    if !question.is_target_superuser() {
        findings.extend(superuser_objects(source, target));
    }
    findings
}

fn extensions(source: &Catalog, target: &Catalog) -> Vec<Finding> {
    let mut findings = Vec::new();
    for extension in &source.extensions {
        let name = &extension.name;
        let installed = target.extensions.iter().find(|there| there.name == *name);
        let versions: Vec<&String> = installed
            .map(|there| &there.version)
            .into_iter()
            .chain(target.available_extensions.get(name).into_iter().flatten())
            .collect();
        if versions.is_empty() {
            let message = format!("the target cannot install extension `{name}`");
            findings.push(
                Finding::error("target::extension_missing", message)
                    .at(on(Server::Target))
                    .help("install its package on the target's server, or drop it on the source"),
            );
        } else if !versions.contains(&&extension.version) {
            let (version, listed) = (&extension.version, listed(versions));
            let message =
                format!("extension `{name}` is {version} on the source and {listed} on the target");
            findings
                .push(Finding::note("target::extension_version", message).at(on(Server::Target)));
        }
    }
    findings
}

fn tablespaces(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let used: BTreeSet<&str> = source
        .entries
        .iter()
        .flat_map(|entry| archive::settings(entry, u32::MAX))
        .filter(|(name, value)| *name == "default_tablespace" && !value.is_empty())
        .map(|(_, value)| value)
        .collect();
    let is_there = |name: &&str| target.tablespaces.iter().any(|there| there.as_str() == *name);
    let missing: Vec<&str> = used.into_iter().filter(|name| !is_there(name)).collect();
    (!missing.is_empty()).then(|| {
        let message = format!("the target lacks tablespaces that are used: {}", listed(missing));
        Finding::error("target::tablespaces", message)
            .at(on(Server::Target))
            .help("`create tablespace … location '…'` on the target, one for each")
    })
}

fn user_mappings(source: &Catalog) -> Option<Finding> {
    let mappings: Vec<&str> = source
        .entries
        .iter()
        .filter(|entry| entry.kind == "USER MAPPING")
        .map(|entry| entry.name.as_str())
        .collect();
    (!mappings.is_empty()).then(|| {
        let message = format!("user mappings move with their passwords: {}", listed(mappings));
        Finding::note("source::user_mappings", message)
            .at(on(Server::Source))
            .help("they are read when they are sent, and are in no file; rotate them afterwards")
    })
}

/// A code, what it is about, and which entries it concerns.
type SuperuserRule = (&'static str, &'static str, fn(&Entry) -> bool);

const SUPERUSER_RULES: &[SuperuserRule] = &[
    ("target::event_triggers", "event triggers", |entry| entry.kind == "EVENT TRIGGER"),
    ("target::publication_for_all_tables", "publications for all tables", is_for_all_tables),
    ("target::c_functions", "functions in C", is_in_c),
    ("target::base_types", "base types", is_base_type),
    ("target::grants_by_others", "grants made by others than the owner", is_grant_by_other),
];

/// Objects that a plain role cannot create.
fn superuser_objects(source: &Catalog, target: &Catalog) -> Vec<Finding> {
    let role = &target.server.session_role;
    let is_managed = role.member_of.iter().any(|of| ALMOST_SUPERUSERS.contains(&of.as_str()));
    let mut findings = Vec::new();
    for (code, what, concerns) in SUPERUSER_RULES {
        let entries: Vec<&str> = source
            .entries
            .iter()
            .filter(|entry| concerns(entry))
            .map(|entry| entry.name.as_str())
            .collect();
        if entries.is_empty() || (is_managed && *code == "target::event_triggers") {
            continue;
        }
        let name = &role.name;
        let message = format!("only a superuser can create {what}: {}", listed(entries));
        findings.push(Finding::error(code, message).at(on(Server::Target)).help(format!(
            "run as a superuser of the target (`alter role {name} superuser`), or drop them on \
             the source"
        )));
    }
    findings
}

fn is_for_all_tables(entry: &Entry) -> bool {
    entry.kind == "PUBLICATION"
        && entry.statements.iter().any(|sql| find_word(sql, " FOR ALL TABLES").is_some())
}

fn is_in_c(entry: &Entry) -> bool {
    let in_c = |sql: &String| {
        [" LANGUAGE c ", " LANGUAGE internal "].iter().any(|word| find_word(sql, word).is_some())
    };
    matches!(entry.kind.as_str(), "FUNCTION" | "PROCEDURE") && entry.statements.iter().any(in_c)
}

fn is_base_type(entry: &Entry) -> bool {
    entry.kind == "SHELL TYPE"
}

fn is_grant_by_other(entry: &Entry) -> bool {
    entry.kind == "ACL"
        && entry.statements.iter().any(|sql| sql.starts_with("SET SESSION AUTHORIZATION "))
}
