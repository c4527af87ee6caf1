//! Creates the roles that the source has and the target lacks, with their memberships.

use std::collections::BTreeSet;

use pgkedge_model::{
    Call, Catalog, Draft, Expansion, Failure, Finding, Fold, Ident, Leaves, Membership, Object,
    Role, Script, SecretString, Server, Touch, Undo, quote_literal,
};
use pgkedge_render::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Observed;
use crate::script;
use crate::setting::SettingSql;
use crate::step::{NoParams, Step};

/// What the secret of a role's password is called.
const VERIFIER: &str = "password verifier of the role";

pub(crate) struct CopyGlobals;

/// What is known of a member at run time.
#[derive(Debug, Serialize, Deserialize)]
struct MemberParams {
    /// The role whose password verifier is read from the source.
    verifier_of: Ident,
}

impl Step for CopyGlobals {
    const KIND: &'static str = "copy_globals";
    const ABOUT: &'static str =
        "Creates the roles that the target lacks, with their attributes, memberships and settings.";
    const LEAVES: Leaves = Leaves::Result;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let (source, target) = (&expansion.facts.source, expansion.facts.target.as_ref());
        let missing: Vec<&Role> = missing_roles(source, target).collect();
        let created: BTreeSet<&Ident> = missing.iter().map(|role| &role.name).collect();
        let mut drafts = Vec::new();
        for role in missing {
            drafts.push(role_draft(role, expansion)?);
        }
        for membership in new_memberships(source, &created) {
            drafts.push(membership_draft(membership, expansion)?);
        }
        for membership in own_memberships(expansion, &created) {
            drafts.push(membership_draft(&membership, expansion)?);
        }
        drafts.extend(owner_draft(expansion)?);
        Ok(drafts)
    }

    async fn observe(context: &StepContext, call: &Call) -> Result<Observed, Failure> {
        let mut observed = Observed::default();
        for member in &call.node.members {
            let params: Option<MemberParams> = context.member(&call.node, member)?;
            if let Some(params) = params {
                let verifier = verifier(context, &params.verifier_of).await?;
                observed.set_secret(&member.key, VERIFIER, verifier);
            }
        }
        Ok(observed)
    }
}

/// Roles of the source that the target lacks and that no provider keeps for itself.
pub(crate) fn missing_roles<'a>(
    source: &'a Catalog,
    target: Option<&Catalog>,
) -> impl Iterator<Item = &'a Role> {
    let there: BTreeSet<Ident> =
        target.iter().flat_map(|target| &target.roles).map(|role| role.name.clone()).collect();
    source.roles.iter().filter(move |role| !is_provided(&role.name) && !there.contains(&role.name))
}

/// Whether a role comes with PostgreSQL or with a provider's service.
pub(crate) fn is_provided(role: &Ident) -> bool {
    ["pg_", "rds", "cloudsql", "azure"].iter().any(|prefix| role.as_str().starts_with(prefix))
}

/// Memberships of roles that are created. Those between roles that were there are left as they are.
fn new_memberships<'a>(
    source: &'a Catalog,
    created: &BTreeSet<&Ident>,
) -> impl Iterator<Item = &'a Membership> {
    let mut seen = BTreeSet::new();
    source.memberships.iter().filter(move |membership| {
        let is_new = created.contains(&membership.member) || created.contains(&membership.role);
        // The same membership may be granted by several; the target's role grants it once.
        let is_ours = !membership.role.as_str().starts_with("rds") && is_new;
        is_ours && seen.insert((&membership.role, &membership.member))
    })
}

/// Only a member of a role may make it an owner, so a target's role that is no superuser joins the
/// new roles that own something.
fn own_memberships(expansion: &Expansion<'_>, created: &BTreeSet<&Ident>) -> Vec<Membership> {
    let Some(target) = &expansion.facts.target else { return Vec::new() };
    let source = &expansion.facts.source;
    let session_role = &target.server.session_role;
    if session_role.superuser {
        return Vec::new();
    }
    let owners: BTreeSet<&str> = source
        .entries
        .iter()
        .filter_map(|entry| entry.owner.as_deref())
        .chain([source.database.owner.as_str()])
        .collect();
    created
        .iter()
        .filter(|role| owners.contains(role.as_str()) && ***role != session_role.name)
        .map(|role| Membership {
            role: (**role).clone(),
            member: session_role.name.clone(),
            admin: false,
            grantor: None,
            inherit: None,
            set: None,
        })
        .collect()
}

fn is_superuser(catalog: Option<&Catalog>) -> bool {
    catalog.is_some_and(|catalog| catalog.server.session_role.superuser)
}

fn role_draft(role: &Role, expansion: &Expansion<'_>) -> Result<Draft, Vec<Finding>> {
    let facts = expansion.facts;
    let password = is_superuser(Some(&facts.source));
    let context = json!({
        "role": role,
        "membership": null,
        "owner": null,
        // Only a superuser may say these, even to deny them.
        "full": is_superuser(facts.target.as_ref()),
        "password": password,
        "verifier": VERIFIER,
        "settings": role.settings.iter().map(SettingSql::from).collect::<Vec<_>>(),
    });
    let params = MemberParams { verifier_of: role.name.clone() };
    let params = if password { json!(params) } else { Value::Null };
    draft(format!("role {}", role.name), params, &context)
}

fn membership_draft(
    membership: &Membership,
    expansion: &Expansion<'_>,
) -> Result<Draft, Vec<Finding>> {
    let by_option = membership.inherit.is_some() && expansion.facts.target_version().major() >= 16;
    let context = json!({
        "role": null, "membership": membership, "by_option": by_option, "owner": null,
    });
    let key = format!("member {} of {}", membership.member, membership.role);
    draft(key, Value::Null, &context)
}

/// The database's owner comes first of what the database has: what an owner of its own may create in
/// schema `public` hangs on it.
fn owner_draft(expansion: &Expansion<'_>) -> Result<Option<Draft>, Vec<Finding>> {
    let Some(target) = &expansion.facts.target else { return Ok(None) };
    let owner = wanted_owner(&expansion.facts.source, target);
    if *owner == target.database.owner {
        return Ok(None);
    }
    let context = json!({
        "role": null,
        "membership": null,
        "owner": owner,
        "previous": target.database.owner,
        "database": target.database.name,
    });
    draft("owner of the database".to_owned(), Value::Null, &context).map(Some)
}

/// The owner that the target's database gets: the source's, where that can be.
pub(crate) fn wanted_owner<'a>(source: &'a Catalog, target: &'a Catalog) -> &'a Ident {
    let wanted = &source.database.owner;
    let will_be = target.roles.iter().any(|role| role.name == *wanted)
        || missing_roles(source, Some(target)).any(|role| role.name == *wanted);
    if will_be && may_change_owner(target) { wanted } else { &target.database.owner }
}

/// A database changes hands only by a role that could create one, and so could a superuser.
pub(crate) fn may_change_owner(target: &Catalog) -> bool {
    let session_role = &target.server.session_role;
    let creates =
        target.roles.iter().any(|role| role.name == session_role.name && role.creates_databases);
    session_role.superuser || (creates && session_role.member_of.contains(&target.database.owner))
}

fn draft(key: String, params: Value, context: &Value) -> Result<Draft, Vec<Finding>> {
    Ok(Draft {
        key,
        params,
        touches: vec![Touch::write(Object::new("roles", Server::Target))],
        script: Script {
            run: script::guarded(CopyGlobals::KIND, Block::Run, context)?,
            undo: match script::guarded(CopyGlobals::KIND, Block::Undo, context)? {
                statements if statements.is_empty() => Undo::Nothing,
                statements => Undo::Statements(statements),
            },
            ..Script::default()
        },
        cost: 0,
        fold: Fold::Chain,
        stops: None,
    })
}

/// The verifier of a role's password; none if it has no password.
async fn verifier(context: &StepContext, role: &Ident) -> Result<Option<SecretString>, Failure> {
    let session = context.read(Server::Source).await?;
    let rows = session
        .rows(&format!(
            "select rolpassword from pg_catalog.pg_authid where rolname = {}",
            quote_literal(role.as_str())
        ))
        .await?;
    Ok(rows.first().and_then(|row| row.get(0)).map(|text| SecretString::from(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, ident, shown};

    fn role(name: &str) -> Role {
        Role {
            name: ident(name),
            superuser: false,
            inherits: true,
            creates_roles: false,
            creates_databases: false,
            login: true,
            replication: true,
            bypasses_row_security: false,
            connection_limit: -1,
            valid_until: None,
            comment: None,
            settings: Vec::new(),
        }
    }

    fn membership(role: &str, member: &str) -> Membership {
        let (role, member) = (ident(role), ident(member));
        Membership {
            role,
            member,
            admin: true,
            grantor: None,
            inherit: Some(false),
            set: Some(true),
        }
    }

    fn run(sample: &Sample) -> Vec<Vec<String>> {
        let drafts = sample.expand::<CopyGlobals>(json!({})).unwrap();
        drafts.iter().map(|draft| shown(&draft.script.run)).collect()
    }

    #[test]
    fn only_roles_that_the_target_lacks_are_created() {
        let mut sample = Sample::default();
        sample.facts.source.roles =
            vec![role("app\"; drop"), role("mover"), role("pg_monitor"), role("rdsadmin")];
        sample.target().roles = vec![role("mover")];
        assert_eq!(
            run(&sample),
            [["create role \"app\"\"; drop\" with login inherit nocreatedb nocreaterole \
             connection limit -1"]]
        );
    }

    #[test]
    fn superusers_carry_passwords_and_attributes_over_and_no_password_is_shown() {
        let mut sample = Sample::default();
        sample.facts.source.server.session_role.superuser = true;
        sample.target().server.session_role.superuser = true;
        let mut app = role("app");
        app.comment = Some("it's".to_owned());
        app.valid_until = Some("infinity".to_owned());
        app.settings = vec![pgkedge_model::DatabaseSetting {
            role: None,
            name: "search_path".to_owned(),
            value: "\"$user\", public".to_owned(),
        }];
        sample.facts.source.roles = vec![app];
        assert_eq!(
            run(&sample),
            [[
                "create role app with login inherit nocreatedb nocreaterole nosuperuser replication \
             nobypassrls connection limit -1 valid until 'infinity'",
                "alter role app password ‹password verifier of the role›",
                "alter role app set search_path to '$user', 'public'",
                "comment on role app is 'it''s'",
            ]]
        );
    }

    #[test]
    fn memberships_of_new_roles_are_granted_once_and_after_the_roles() {
        let mut sample = Sample::default();
        sample.facts.source.roles = vec![role("app"), role("team")];
        let mut again = membership("team", "app");
        again.grantor = Some(ident("team"));
        sample.facts.source.memberships =
            vec![membership("team", "app"), again, membership("old", "older")];
        assert_eq!(run(&sample)[2..], [["grant team to app with admin option"]]);
        sample.target().server.version = pgkedge_model::ServerVersion(160_000);
        assert_eq!(
            run(&sample)[2..],
            [["grant team to app with admin true, inherit false, set true"]]
        );
    }

    #[test]
    fn a_plain_role_joins_the_new_owners() {
        let mut sample = Sample::default();
        sample.facts.source.roles = vec![role("shop"), role("app")];
        sample.facts.source.entries = vec![crate::testing::entry(1, "TABLE", "t", &[])];
        assert_eq!(run(&sample)[2..], [["grant shop to mover"]]);
        sample.target().server.session_role.superuser = true;
        assert_eq!(run(&sample).len(), 2);
    }

    #[test]
    fn a_new_role_is_dropped_again() {
        let mut sample = Sample::default();
        sample.facts.source.roles = vec![role("app")];
        let drafts = sample.expand::<CopyGlobals>(json!({})).unwrap();
        let Undo::Statements(undo) = &drafts[0].script.undo else { panic!("no undo") };
        assert_eq!(shown(undo), ["drop role if exists app"]);
    }
}
