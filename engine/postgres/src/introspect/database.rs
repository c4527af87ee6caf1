//! The database: its locale, privileges and settings, and what in it concerns all of it.

use std::collections::BTreeSet;

use pgkedge_model::{DatabaseFacts, DatabaseSetting, Failure, Ident, LargeObjectFacts};
use serde::de::DeserializeOwned;

use super::rows::{Reader, USER_SCHEMA};

/// Settings of a role in a database, `setconfig` split at its first `=`.
pub(crate) fn settings_query(condition: &str) -> String {
    format!(
        "select r.rolname as role, pg_catalog.split_part(c.setting, '=', 1) as name,
           pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1) as value
         from pg_catalog.pg_db_role_setting s
           left join pg_catalog.pg_roles r on r.oid = s.setrole
           cross join lateral pg_catalog.unnest(s.setconfig) c (setting)
         where {condition}
         order by r.rolname nulls first, 2"
    )
}

/// The database that the session is connected to.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<DatabaseFacts, Failure> {
    let mut facts: DatabaseFacts = reader.row("the database", &query(reader)).await?;
    let this = "s.setdatabase = (select d.oid from pg_catalog.pg_database d \
                where d.datname = pg_catalog.current_database())";
    facts.settings = reader
        .rows::<DatabaseSetting>("the settings of the database", &settings_query(this))
        .await?;
    Ok(facts)
}

fn query(reader: &Reader<'_>) -> String {
    let provider = reader.since(15, "d.datlocprovider::text", "'c'");
    let icu_locale = reader.since(
        17,
        "case when d.datlocprovider <> 'c' then d.datlocale end",
        reader.since(15, "d.daticulocale", "null::text"),
    );
    format!(
        "select d.datname as name, d.oid::int8 as oid, pg_catalog.pg_get_userbyid(d.datdba) as owner,
           pg_catalog.pg_encoding_to_char(d.encoding) as encoding, d.datcollate as collate,
           d.datctype as ctype, {provider} as locale_provider, {icu_locale} as icu_locale,
           t.spcname as tablespace, d.datconnlimit as connection_limit,
           pg_catalog.shobj_description(d.oid, 'pg_database') as comment,
           case when d.datacl is not null then coalesce((
             select pg_catalog.json_agg(g order by g.grantee nulls first, g.grantor, g.grantable)
             from (select r.rolname as grantee, pg_catalog.pg_get_userbyid(a.grantor) as grantor,
                     pg_catalog.json_agg(a.privilege_type order by a.privilege_type) as privileges,
                     a.is_grantable as grantable
                   from pg_catalog.aclexplode(d.datacl) a
                     left join pg_catalog.pg_roles r on r.oid = a.grantee
                   group by r.rolname, a.grantor, a.is_grantable) g), '[]') end as grants,
           '[]'::json as settings, pg_catalog.pg_database_size(d.oid) as bytes,
           coalesce((select pg_catalog.json_agg(s.subname order by s.subname)
             from pg_catalog.pg_subscription s where s.subdbid = d.oid), '[]') as subscriptions,
           coalesce((select pg_catalog.json_agg(e.evtname order by e.evtname)
             from pg_catalog.pg_event_trigger e), '[]') as event_triggers
         from pg_catalog.pg_database d join pg_catalog.pg_tablespace t on t.oid = d.dattablespace
         where d.datname = pg_catalog.current_database()"
    )
}

/// Tablespaces of the server, without the one that holds shared catalogs.
pub(crate) async fn tablespaces(reader: &Reader<'_>) -> Result<Vec<Ident>, Failure> {
    let query = "select t.spcname as name from pg_catalog.pg_tablespace t \
                 where t.spcname <> 'pg_global' order by t.spcname";
    names(reader, "the tablespaces", query).await
}

/// Schemas of users; those that extensions made are left out.
pub(crate) async fn schemas(reader: &Reader<'_>) -> Result<Vec<Ident>, Failure> {
    let query = format!(
        "select n.nspname as name from pg_catalog.pg_namespace n
         where {USER_SCHEMA} and not exists (select from pg_catalog.pg_depend d
           where d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.objid = n.oid
             and d.deptype = 'e')
         order by n.nspname"
    );
    names(reader, "the schemas", &query).await
}

/// Names of all schemas, those of the system among them.
pub(crate) async fn schema_names(reader: &Reader<'_>) -> Result<BTreeSet<String>, Failure> {
    let query = "select n.nspname as name from pg_catalog.pg_namespace n";
    Ok(names(reader, "the names of the schemas", query).await?.into_iter().collect())
}

/// How many large objects there are. Their pages are readable to everyone, their content is not.
pub(crate) async fn large_objects(reader: &Reader<'_>) -> Result<LargeObjectFacts, Failure> {
    let query = "select pg_catalog.count(*) as count, \
                   pg_catalog.pg_relation_size('pg_catalog.pg_largeobject') as bytes \
                 from pg_catalog.pg_largeobject_metadata";
    reader.row("the large objects", query).await
}

async fn names<T: DeserializeOwned>(
    reader: &Reader<'_>,
    what: &str,
    query: &str,
) -> Result<Vec<T>, Failure> {
    #[derive(serde::Deserialize)]
    struct Row<T> {
        name: T,
    }
    let rows: Vec<Row<T>> = reader.rows(what, query).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
