//! Roles of the server, and who belongs to whom. Never their passwords.

use std::collections::BTreeSet;

use pgkedge_model::{DatabaseSetting, Failure, Membership, Role};
use serde::Deserialize;

use super::database::settings_query;
use super::rows::Reader;

/// All roles but those that every server has.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Role>, Failure> {
    let query = "select r.rolname as name, r.rolsuper as superuser, r.rolinherit as inherits,
           r.rolcreaterole as creates_roles, r.rolcreatedb as creates_databases,
           r.rolcanlogin as login, r.rolreplication as replication,
           r.rolbypassrls as bypasses_row_security, r.rolconnlimit as connection_limit,
           r.rolvaliduntil::text as valid_until,
           pg_catalog.shobj_description(r.oid, 'pg_authid') as comment, '[]'::json as settings
         from pg_catalog.pg_roles r where r.rolname !~ '^pg_' order by r.rolname";
    let mut roles: Vec<Role> = reader.rows("the roles", query).await?;
    let everywhere = settings_query("s.setdatabase = 0 and s.setrole <> 0");
    let settings: Vec<DatabaseSetting> =
        reader.rows("the settings of the roles", &everywhere).await?;
    for role in &mut roles {
        let own = settings.iter().filter(|setting| setting.role.as_ref() == Some(&role.name));
        role.settings = own.cloned().collect();
    }
    Ok(roles)
}

/// Memberships of those roles; they may be in a role that every server has.
pub(crate) async fn memberships(reader: &Reader<'_>) -> Result<Vec<Membership>, Failure> {
    let inherit = reader.since(16, "a.inherit_option", "null::boolean");
    let set = reader.since(16, "a.set_option", "null::boolean");
    let query = format!(
        "select r.rolname as role, m.rolname as member, a.admin_option as admin,
           g.rolname as grantor, {inherit} as inherit, {set} as set
         from pg_catalog.pg_auth_members a
           join pg_catalog.pg_roles r on r.oid = a.roleid
           join pg_catalog.pg_roles m on m.oid = a.member
           left join pg_catalog.pg_roles g on g.oid = a.grantor
         where m.rolname !~ '^pg_'"
    );
    let mut memberships: Vec<Membership> = reader.rows("the memberships of roles", &query).await?;
    memberships.sort();
    Ok(memberships)
}

/// Names of all roles, those of the system among them.
pub(crate) async fn names(reader: &Reader<'_>) -> Result<BTreeSet<String>, Failure> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let query = "select r.rolname as name from pg_catalog.pg_roles r";
    let rows: Vec<Row> = reader.rows("the names of the roles", query).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
