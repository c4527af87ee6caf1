//! Properties of the database itself. Its name and OID may differ, and its locale is the user's choice.

use pgkedge_model::{Catalog, DatabaseFacts, Grant};

use crate::catalogs::shown;
use crate::difference::{Comparison, Difference};

pub(super) fn compare(source: &Catalog, target: &Catalog, found: &mut Comparison) {
    let (ours, theirs) = (&source.database, &target.database);
    let title = format!("database {}", theirs.name);
    found.count("database properties", 5);
    found.equal(&title, "owner", &ours.owner, &theirs.owner);
    found.equal(&title, "connection limit", &ours.connection_limit, &theirs.connection_limit);
    let comments = [shown(ours.comment.as_ref()), shown(theirs.comment.as_ref())];
    found.equal(&title, "comment", &comments[0], &comments[1]);
    // Where both have the default ones, they follow the owner.
    if ours.grants.is_some() || theirs.grants.is_some() {
        found.equal(&title, "privileges", &privileges(ours), &privileges(theirs));
    }
    found.equal(&title, "settings", &settings(ours), &settings(theirs));
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
