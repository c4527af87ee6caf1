//! Gives the target's database what the source's has and a dump of one database does not carry:
//! connection limit, comment, grants, settings. Its owner came with the roles.

use std::collections::BTreeSet;

use pgkedge_model::{
    Catalog, DatabaseFacts, DatabaseSetting, Draft, Expansion, Facts, Finding, Fold, Grant, Ident,
    Leaves, Object, Script, Server, Touch, Undo,
};
use pgkedge_render::Block;
use serde::Serialize;
use serde_json::{Value, json};

use super::copy_globals::{missing_roles, wanted_owner};
use crate::script;
use crate::setting::SettingSql;
use crate::step::{NoParams, Step};

pub(crate) struct CopyDatabaseSettings;

impl Step for CopyDatabaseSettings {
    const KIND: &'static str = "copy_database_settings";
    const ABOUT: &'static str =
        "Sets the target database's connection limit, comment, grants and settings.";
    const LEAVES: Leaves = Leaves::Result;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let (run, undo) = changes(expansion.facts);
        let database = expansion.facts.target_database();
        let context = json!({ "database": database, "run": run, "undo": undo });
        let run = script::guarded(Self::KIND, Block::Run, &context)?;
        if run.is_empty() {
            return Ok(Vec::new());
        }
        let undo = script::guarded(Self::KIND, Block::Undo, &context)?;
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![Touch::write(Object::new("database", Server::Target))],
            script: Script { run, undo: Undo::Statements(undo), ..Script::default() },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }
}

/// What the step changes, and what takes it back.
fn changes(facts: &Facts) -> (Change, Change) {
    let roles = roles_on_target(&facts.source, facts.target.as_ref());
    let target = facts.target.clone().unwrap_or_else(|| bare(&facts.source));
    let owner = wanted_owner(&facts.source, &target);
    let wanted = Wanted::of(&facts.source.database, owner, &roles);
    let present = Wanted::present(&target.database, owner);
    (Change::between(&present, &wanted), Change::between(&wanted, &present))
}

/// Whether the databases differ in anything that only the target database's owner may change.
pub(crate) fn needs_owner(facts: &Facts) -> bool {
    let (change, _) = changes(facts);
    change.connection_limit.is_some()
        || change.comments
        || !change.revoke.is_empty()
        || change.reset.iter().chain(&change.set).any(|setting| setting.role.is_none())
}

/// Roles that will be on the target when this step runs.
fn roles_on_target(source: &Catalog, target: Option<&Catalog>) -> BTreeSet<Ident> {
    let there = target.iter().flat_map(|target| &target.roles);
    let owner = target.map(|target| target.database.owner.clone());
    there.chain(missing_roles(source, target)).map(|role| role.name.clone()).chain(owner).collect()
}

/// A new database of the source's owner, where the target could not be asked.
fn bare(source: &Catalog) -> Catalog {
    let mut bare = source.clone();
    bare.database.connection_limit = -1;
    bare.database.comment = None;
    bare.database.grants = None;
    bare.database.settings.clear();
    bare
}

/// How a database is meant to be.
struct Wanted {
    connection_limit: i32,
    comment: Option<String>,
    grants: Vec<Grant>,
    settings: Vec<DatabaseSetting>,
}

impl Wanted {
    /// As a database is, under the owner that it gets: the owner's own privileges follow the owner.
    fn present(database: &DatabaseFacts, owner: &Ident) -> Self {
        let moved = |grant: Grant| {
            let is_owner = grant.grantee.as_ref() == Some(&database.owner);
            let grantee = if is_owner { Some(owner.clone()) } else { grant.grantee };
            Grant { grantee, grantor: owner.clone(), ..grant }
        };
        let mut grants: Vec<Grant> = grants(database).into_iter().map(moved).collect();
        grants.sort();
        Self {
            connection_limit: database.connection_limit,
            comment: database.comment.clone(),
            grants,
            settings: database.settings.clone(),
        }
    }

    /// As the source is, as far as the target has the roles.
    fn of(source: &DatabaseFacts, owner: &Ident, roles: &BTreeSet<Ident>) -> Self {
        let is_there = |role: Option<&Ident>| role.is_none_or(|role| roles.contains(role));
        let mut wanted = Self::present(source, owner);
        wanted.grants.retain(|grant| is_there(grant.grantee.as_ref()));
        wanted.settings.retain(|setting| is_there(setting.role.as_ref()));
        wanted
    }
}

/// Grants without their grantors, one for each grantee and grant option.
fn grants(database: &DatabaseFacts) -> Vec<Grant> {
    let Some(grants) = &database.grants else { return default_grants(&database.owner) };
    let mut merged: Vec<Grant> = Vec::new();
    for grant in grants {
        let grant = Grant { grantor: database.owner.clone(), ..grant.clone() };
        let same = |other: &&mut Grant| {
            other.grantee == grant.grantee && other.grantable == grant.grantable
        };
        match merged.iter_mut().find(same) {
            Some(other) => other.privileges.extend(grant.privileges),
            None => merged.push(grant),
        }
    }
    for grant in &mut merged {
        grant.privileges.sort();
        grant.privileges.dedup();
    }
    merged.sort();
    merged
}

/// What a database grants when nothing was ever granted.
///
/// Source: `acldefault` for databases.
fn default_grants(owner: &Ident) -> Vec<Grant> {
    let grant = |grantee: Option<&Ident>, privileges: &[&str]| Grant {
        grantee: grantee.cloned(),
        grantor: owner.clone(),
        privileges: privileges.iter().map(|privilege| (*privilege).to_owned()).collect(),
        grantable: false,
    };
    vec![
        grant(None, &["CONNECT", "TEMPORARY"]),
        grant(Some(owner), &["CONNECT", "CREATE", "TEMPORARY"]),
    ]
}

/// What makes one state of a database another.
#[derive(Debug, Serialize)]
struct Change {
    connection_limit: Option<i32>,
    /// Whether the comment changes.
    comments: bool,
    comment: Option<String>,
    revoke: Vec<Option<Ident>>,
    grant: Vec<Grant>,
    reset: Vec<RoleSetting>,
    set: Vec<RoleSetting>,
}

#[derive(Debug, Serialize)]
struct RoleSetting {
    role: Option<Ident>,
    #[serde(flatten)]
    setting: SettingSql,
}

impl From<&DatabaseSetting> for RoleSetting {
    fn from(setting: &DatabaseSetting) -> Self {
        Self { role: setting.role.clone(), setting: setting.into() }
    }
}

impl Change {
    fn between(from: &Wanted, to: &Wanted) -> Self {
        let regrants = from.grants != to.grants;
        let revoke: BTreeSet<Option<Ident>> =
            from.grants.iter().filter(|_| regrants).map(|grant| grant.grantee.clone()).collect();
        let is_set = |setting: &&DatabaseSetting, of: &Wanted| {
            of.settings.iter().any(|o| (&o.role, &o.name) == (&setting.role, &setting.name))
        };
        let settings = |settings: Vec<&DatabaseSetting>| {
            settings.into_iter().map(RoleSetting::from).collect::<Vec<_>>()
        };
        Self {
            connection_limit: (from.connection_limit != to.connection_limit)
                .then_some(to.connection_limit),
            comments: from.comment != to.comment,
            comment: to.comment.clone(),
            revoke: revoke.into_iter().collect(),
            grant: if regrants { to.grants.clone() } else { Vec::new() },
            reset: settings(from.settings.iter().filter(|s| !is_set(s, to)).collect()),
            set: settings(to.settings.iter().filter(|s| !from.settings.contains(s)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, ident, shown};

    fn run(sample: &Sample) -> (Vec<String>, Vec<String>) {
        let drafts = sample.expand::<CopyDatabaseSettings>(json!({})).unwrap();
        let Some(draft) = drafts.first() else { return (Vec::new(), Vec::new()) };
        let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
        (shown(&draft.script.run), shown(undo))
    }

    #[test]
    fn databases_that_agree_need_no_step() {
        assert!(run(&Sample::default()).0.is_empty());
    }

    #[test]
    fn limit_comment_and_settings_change_and_are_put_back() {
        let mut sample = Sample::default();
        let source = &mut sample.facts.source.database;
        source.connection_limit = 9;
        source.comment = Some("it's".to_owned());
        source.settings = vec![DatabaseSetting {
            role: None,
            name: "my.note".to_owned(),
            value: "a, b".to_owned(),
        }];
        sample.target().database.settings = vec![DatabaseSetting {
            role: Some(ident("mover")),
            name: "work_mem".to_owned(),
            value: "1MB".to_owned(),
        }];
        let (run, undo) = run(&sample);
        assert_eq!(
            run,
            [
                "alter database \"new \"\"shop\" connection limit 9",
                "comment on database \"new \"\"shop\" is 'it''s'",
                "alter role mover in database \"new \"\"shop\" reset work_mem",
                "alter database \"new \"\"shop\" set my.note to 'a, b'",
            ]
        );
        assert_eq!(
            undo,
            [
                "alter database \"new \"\"shop\" connection limit -1",
                "comment on database \"new \"\"shop\" is null",
                "alter database \"new \"\"shop\" reset my.note",
                "alter role mover in database \"new \"\"shop\" set work_mem to '1MB'",
            ]
        );
    }

    #[test]
    fn grants_follow_the_owner_and_those_of_missing_roles_are_left_out() {
        let mut sample = Sample::default();
        sample.facts.source.database.owner = ident("shop");
        let grant = |grantee: Option<&str>, privilege: &str| Grant {
            grantee: grantee.map(ident),
            grantor: ident("shop"),
            privileges: vec![privilege.to_owned()],
            grantable: false,
        };
        sample.facts.source.database.grants =
            Some(vec![grant(Some("shop"), "CREATE"), grant(Some("rdsadmin"), "CONNECT")]);
        let (run, undo) = run(&sample);
        assert_eq!(
            run,
            [
                "revoke all on database \"new \"\"shop\" from public cascade",
                "revoke all on database \"new \"\"shop\" from mover cascade",
                "grant CREATE on database \"new \"\"shop\" to mover",
            ]
        );
        assert_eq!(
            undo,
            [
                "revoke all on database \"new \"\"shop\" from mover cascade",
                "grant CONNECT, TEMPORARY on database \"new \"\"shop\" to public",
                "grant CONNECT, CREATE, TEMPORARY on database \"new \"\"shop\" to mover",
            ]
        );
    }
}
