//! Properties of the database itself. Its name and OID may differ, and its locale is the user's choice.

use pgkedge_model::{Catalog, DatabaseFacts, Grant, Ident};

use crate::catalogs::{Scope, shown};
use crate::difference::{Comparison, Difference};

pub(super) fn compare(
    source: &Catalog,
    target: &Catalog,
    scope: Scope<'_>,
    found: &mut Comparison,
) {
    let (mut ours, theirs) = (source.database.clone(), &target.database);
    let title = format!("database {}", theirs.name);
    found.count("database properties", 5);
    if ours.owner != theirs.owner {
        let kept = keeps_its_owner(target, scope);
        found.found(Difference::between(&title, "owner", &ours.owner, &theirs.owner), kept);
        if kept {
            owned_by(&mut ours, &theirs.owner);
        }
    }
    if !scope.pending.is_some_and(|pending| pending.database) {
        compare_settings(&title, &ours, theirs, found);
    }
    for (what, ours, theirs) in [
        ("encoding", &ours.encoding, &theirs.encoding),
        ("collation", &ours.collate, &theirs.collate),
        ("character classes", &ours.ctype, &theirs.ctype),
    ] {
        if ours != theirs {
            found.found(Difference::between(&title, what, ours, theirs), true);
        }
    }
}

fn compare_settings(
    title: &str,
    ours: &DatabaseFacts,
    theirs: &DatabaseFacts,
    found: &mut Comparison,
) {
    found.equal(title, "connection limit", &ours.connection_limit, &theirs.connection_limit);
    let comments = [shown(ours.comment.as_ref()), shown(theirs.comment.as_ref())];
    found.equal(title, "comment", &comments[0], &comments[1]);
    // Where both have the default ones, they follow the owner.
    if ours.grants.is_some() || theirs.grants.is_some() {
        found.equal(title, "privileges", &privileges(ours), &privileges(theirs));
    }
    found.equal(title, "settings", &settings(ours), &settings(theirs));
}

/// Whether the owner is the one that the user chose, and not the role's to change: the preflight has
/// told so.
fn keeps_its_owner(target: &Catalog, scope: Scope<'_>) -> bool {
    let was = scope.before.map(|before| &before.database.owner);
    was == Some(&target.database.owner) && !target.server.session_role.superuser
}

/// The same grants, made by and to another owner.
fn owned_by(database: &mut DatabaseFacts, owner: &Ident) {
    let old = std::mem::replace(&mut database.owner, owner.clone());
    for grant in database.grants.iter_mut().flatten() {
        for role in std::iter::once(&mut grant.grantor).chain(&mut grant.grantee) {
            if *role == old {
                *role = owner.clone();
            }
        }
    }
}

/// One line per grantee, grantor and privilege; the default privileges are written out.
fn privileges(database: &DatabaseFacts) -> String {
    let default = || {
        let grant = |grantee: Option<_>, privileges: &[&str]| Grant {
            grantee,
            grantor: database.owner.clone(),
            privileges: privileges.iter().map(|one| (*one).to_owned()).collect(),
            grantable: false,
        };
        vec![
            grant(None, &["CONNECT", "TEMPORARY"]),
            grant(Some(database.owner.clone()), &["CONNECT", "CREATE", "TEMPORARY"]),
        ]
    };
    let grants = database.grants.clone().unwrap_or_else(default);
    let mut lines: Vec<String> = grants.iter().flat_map(privilege_lines).collect();
    lines.sort();
    lines.dedup();
    if lines.is_empty() { "none".to_owned() } else { lines.join(", ") }
}

fn privilege_lines(grant: &Grant) -> Vec<String> {
    let grantee = grant.grantee.as_ref().map_or_else(|| "PUBLIC".to_owned(), ToString::to_string);
    let option = if grant.grantable { " with grant option" } else { "" };
    grant
        .privileges
        .iter()
        .map(|privilege| {
            // Two words for one thing.
            let privilege = if privilege == "TEMP" { "TEMPORARY" } else { privilege };
            format!("{privilege} to {grantee}{option} by {}", grant.grantor)
        })
        .collect()
}

fn settings(database: &DatabaseFacts) -> String {
    let mut lines: Vec<String> = database
        .settings
        .iter()
        .map(|setting| {
            let role = setting.role.as_ref().map(|role| format!("{role}: ")).unwrap_or_default();
            format!("{role}{}={}", setting.name, setting.value)
        })
        .collect();
    lines.sort();
    if lines.is_empty() { "none".to_owned() } else { lines.join(", ") }
}
