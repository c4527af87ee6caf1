//! Roles that the database uses, and who is a member of whom.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Catalog, DatabaseSetting, Ident, Membership, Role};

use crate::catalogs::{Scope, shown};
use crate::difference::{Comparison, Difference};

/// Kinds whose statements name roles beside the owner.
const NAMING_ROLES: &[&str] = &["ACL", "DEFAULT ACL", "POLICY", "USER MAPPING"];

/// Attributes of roles that a superuser alone can give.
const SUPERUSERS_TO_GIVE: [&str; 3] = ["superuser", "replication", "bypassrls"];

pub(super) fn compare(
    source: &Catalog,
    target: &Catalog,
    scope: Scope<'_>,
    found: &mut Comparison,
) {
    let used = used_roles(source);
    let theirs: BTreeMap<&Ident, &Role> =
        target.roles.iter().map(|role| (&role.name, role)).collect();
    for role in source.roles.iter().filter(|role| used.contains(&role.name)) {
        found.count("roles", 1);
        let title = format!("role {}", role.name);
        let Some(other) = theirs.get(&role.name) else {
            found.found(Difference::new(title, "the role", Some("there".to_owned()), None), false);
            continue;
        };
        // A role that was there before keeps what its owner gave it.
        let was_there = scope
            .before
            .is_some_and(|before| before.roles.iter().any(|before| before.name == role.name));
        for (what, ours, theirs) in unlike(role, other) {
            // The preflight has told that only a superuser can give these.
            let is_withheld = !target.server.session_role.superuser
                && SUPERUSERS_TO_GIVE.contains(&what)
                && theirs == "false";
            found.found(Difference::between(&title, what, ours, theirs), was_there || is_withheld);
        }
    }
    compare_memberships(source, target, &used, found);
}

/// Properties in which two roles differ.
fn unlike(source: &Role, target: &Role) -> Vec<(&'static str, String, String)> {
    let pairs = properties(source).into_iter().zip(properties(target));
    pairs
        .filter(|((_, ours), (_, theirs))| ours != theirs)
        .map(|((what, ours), (_, theirs))| (what, ours, theirs))
        .collect()
}

fn properties(role: &Role) -> Vec<(&'static str, String)> {
    vec![
        ("superuser", role.superuser.to_string()),
        ("inherit", role.inherits.to_string()),
        ("createrole", role.creates_roles.to_string()),
        ("createdb", role.creates_databases.to_string()),
        ("login", role.login.to_string()),
        ("replication", role.replication.to_string()),
        ("bypassrls", role.bypasses_row_security.to_string()),
        ("connection limit", role.connection_limit.to_string()),
        ("valid until", shown(role.valid_until.as_ref())),
        ("comment", shown(role.comment.as_ref())),
        ("settings", settings(&role.settings)),
    ]
}

fn settings(settings: &[DatabaseSetting]) -> String {
    let mut lines: Vec<String> =
        settings.iter().map(|setting| format!("{}={}", setting.name, setting.value)).collect();
    lines.sort();
    if lines.is_empty() { "none".to_owned() } else { lines.join(", ") }
}

fn compare_memberships(
    source: &Catalog,
    target: &Catalog,
    used: &BTreeSet<Ident>,
    found: &mut Comparison,
) {
    let concerns = |membership: &&Membership| {
        used.contains(&membership.role) && used.contains(&membership.member)
    };
    let ours = by_pair(source.memberships.iter().filter(concerns));
    let theirs = by_pair(target.memberships.iter().filter(concerns));
    for ((role, member), options) in &ours {
        found.count("memberships", 1);
        let title = format!("membership of {member} in {role}");
        match theirs.get(&(*role, *member)) {
            None => {
                let missing = Difference::new(title, "the membership", Some("there".into()), None);
                found.found(missing, false);
            }
            Some(other) => {
                found.equal(title, "options", &options.against(*other), &other.against(*options));
            }
        }
    }
    for (role, member) in theirs.keys().filter(|pair| !ours.contains_key(*pair)) {
        let title = format!("membership of {member} in {role}");
        let extra = Difference::new(title, "the membership", None, Some("there".to_owned()));
        found.found(extra, true);
    }
}

/// What all grants of one membership allow together: since 16 there may be several, by grantor.
#[derive(Clone, Copy)]
struct Options {
    admin: bool,
    inherit: Option<bool>,
    set: Option<bool>,
}

impl Options {
    fn joined(self, other: &Membership) -> Self {
        let either = |a: Option<bool>, b: Option<bool>| a.zip(b).map(|(a, b)| a || b);
        Self {
            admin: self.admin || other.admin,
            inherit: either(self.inherit, other.inherit),
            set: either(self.set, other.set),
        }
    }

    /// In words, as far as the other side knows the options.
    fn against(self, other: Self) -> String {
        let option = |name: &str, ours: Option<bool>, theirs: Option<bool>| {
            ours.filter(|_| theirs.is_some()).map(|value| format!(", {name} {value}"))
        };
        let inherit = option("inherit", self.inherit, other.inherit).unwrap_or_default();
        let set = option("set", self.set, other.set).unwrap_or_default();
        format!("admin {}{inherit}{set}", self.admin)
    }
}

fn by_pair<'a>(
    memberships: impl Iterator<Item = &'a Membership>,
) -> BTreeMap<(&'a Ident, &'a Ident), Options> {
    let mut pairs: BTreeMap<(&Ident, &Ident), Options> = BTreeMap::new();
    for one in memberships {
        let first = Options { admin: one.admin, inherit: one.inherit, set: one.set };
        pairs
            .entry((&one.role, &one.member))
            .and_modify(|options| *options = options.joined(one))
            .or_insert(first);
    }
    pairs
}

/// Owners, grantees and grantors, those named by policies, and every role these are members of.
fn used_roles(catalog: &Catalog) -> BTreeSet<Ident> {
    let database = &catalog.database;
    let named = catalog
        .entries
        .iter()
        .filter(|entry| NAMING_ROLES.contains(&entry.kind.as_str()))
        .flat_map(|entry| entry.statements.iter().flat_map(|statement| names_in(statement)));
    let owners = catalog.entries.iter().filter_map(|entry| entry.owner.clone());
    let grants = database.grants.iter().flatten();
    let grants = grants.flat_map(|grant| grant.grantee.iter().chain([&grant.grantor]));
    let settings = database.settings.iter().filter_map(|setting| setting.role.as_ref());
    let tables = catalog.tables.iter().map(|table| &table.owner);
    let mut used: BTreeSet<Ident> = named
        .chain(owners)
        .filter_map(|name| Ident::new(name).ok())
        .chain(grants.chain(settings).chain(tables).chain([&database.owner]).cloned())
        .filter(|name| catalog.roles.iter().any(|role| &role.name == name))
        .collect();
    loop {
        let before = used.len();
        let memberships = catalog.memberships.iter();
        let wider: Vec<Ident> = memberships
            .filter(|membership| used.contains(&membership.member))
            .map(|membership| membership.role.clone())
            .collect();
        used.extend(wider);
        if used.len() == before {
            return used;
        }
    }
}

/// Every word of a statement that could be a name.
fn names_in(statement: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = statement;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '_' || c.is_alphabetic()) {
        rest = &rest[start..];
        let end = if rest.starts_with('"') {
            quoted_end(rest)
        } else {
            rest.find(|c: char| !(c == '_' || c == '$' || c.is_alphanumeric()))
                .unwrap_or(rest.len())
        };
        let (word, after) = rest.split_at(end);
        let bare = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
        names.push(bare.map_or_else(|| word.to_owned(), |bare| bare.replace("\"\"", "\"")));
        rest = after;
    }
    names
}

/// Where a quoted name ends, behind its closing quote.
fn quoted_end(text: &str) -> usize {
    let mut at = 1;
    while let Some(quote) = text[at..].find('"') {
        at += quote + 1;
        if !text[at..].starts_with('"') {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_bare_and_quoted() {
        let statement = r#"GRANT SELECT ON TABLE public.t TO "the ""boss""", reader;"#;
        let names = names_in(statement);
        assert!(names.contains(&"the \"boss\"".to_owned()), "{names:?}");
        assert!(names.contains(&"reader".to_owned()), "{names:?}");
    }
}
