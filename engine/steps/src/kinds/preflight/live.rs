//! What only the servers themselves can tell, now.

use pgkedge_model::{Failure, Finding, Server};
use pgkedge_postgres::{Row, Sql};

use super::servers::wanted_sessions;
use super::{Beforehand, Question, listed, object, on};
use crate::scan;

pub(super) async fn source(question: &Question<'_>, sql: &Sql) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    findings.extend(prepared_transactions(question, sql).await?);
    if question.capture.is_empty() {
        findings.extend(writers(sql).await?);
    }
    findings.extend(named_like_ledgers(sql).await?);
    findings.extend(unreadable_large_objects(question, sql).await?);
    findings.extend(free_connections(question, Server::Source, sql).await?);
    Ok(findings)
}

pub(super) async fn target(question: &Question<'_>, sql: &Sql) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    if question.target_holds == Beforehand::Nothing {
        findings.extend(not_empty(sql).await?);
        findings.extend(large_objects(sql).await?);
    }
    findings.extend(other_runs(question, sql).await?);
    findings.extend(privileges(question, sql).await?);
    findings.extend(free_connections(question, Server::Target, sql).await?);
    Ok(findings)
}

async fn names(sql: &Sql, query: &str) -> Result<Vec<String>, Failure> {
    let rows = sql.rows(query).await?;
    Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
}

async fn number(sql: &Sql, query: &str) -> Result<u64, Failure> {
    let rows = sql.rows(query).await?;
    Ok(rows.first().and_then(|row| row.get(0)?.parse().ok()).unwrap_or(0))
}

/// They are not seen by a full load, and no slot can be created before they end.
async fn prepared_transactions(
    question: &Question<'_>,
    sql: &Sql,
) -> Result<Option<Finding>, Failure> {
    let query = "select pg_catalog.quote_literal(gid) from pg_catalog.pg_prepared_xacts \
                 where database = pg_catalog.current_database() order by prepared";
    let found = names(sql, query).await?;
    Ok((!found.is_empty()).then(|| {
        let so = if question.capture.is_empty() {
            "and their changes are not seen"
        } else {
            "and slots wait for them"
        };
        let message =
            format!("prepared transactions of the source are open, {so}: {}", listed(&found));
        Finding::warning("source::prepared_transactions", message)
            .at(on(Server::Source))
            .help(format!("`commit prepared {0}` or `rollback prepared {0}`", found[0]))
    }))
}

/// A full load shows the source as it was at one moment: what is written later is not moved.
async fn writers(sql: &Sql) -> Result<Option<Finding>, Failure> {
    let query = "select pg_catalog.concat(usename, ' (', application_name, ', pid ', pid, ')') \
                 from pg_catalog.pg_stat_activity \
                 where datname = pg_catalog.current_database() and backend_xid is not null \
                 and pid <> pg_catalog.pg_backend_pid() order by xact_start";
    let found = names(sql, query).await?;
    Ok((!found.is_empty()).then(|| {
        let message = format!("sessions are writing to the source: {}", listed(&found));
        Finding::warning("source::writers", message)
            .at(on(Server::Source))
            .help("a full load misses what is written after it began: stop the writers first")
    }))
}

/// Schemas that are passed over because of their names, and are no ledgers.
async fn named_like_ledgers(sql: &Sql) -> Result<Option<Finding>, Failure> {
    let query = "select pg_catalog.quote_ident(n.nspname) from pg_catalog.pg_namespace n \
         where n.nspname ~ '^pgkedge_[0-9a-f]{8}$' and ( \
         not exists (select from pg_catalog.pg_class c \
         where c.relnamespace = n.oid and c.relname = 'effect') \
         or exists (select from pg_catalog.pg_proc p where p.pronamespace = n.oid) \
         or exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid \
         and c.relkind not in ('i', 't') and c.relname not in ('run', 'effect'))) order by 1";
    let found = names(sql, query).await?;
    Ok((!found.is_empty()).then(|| {
        let message = format!(
            "schemas are named like pgkedge's own and would be left out: {}",
            listed(&found)
        );
        Finding::error("source::named_like_ledgers", message)
            .at(on(Server::Source))
            .help(format!("`alter schema {} rename to …`", found[0]))
    }))
}

async fn unreadable_large_objects(
    question: &Question<'_>,
    sql: &Sql,
) -> Result<Option<Finding>, Failure> {
    let source = &question.facts.source;
    let role = &source.server.session_role;
    if source.large_objects.count == 0 || role.superuser {
        return Ok(None);
    }
    let query = "select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata m \
         where not pg_catalog.pg_has_role(m.lomowner, 'usage') and not exists ( \
         select from pg_catalog.aclexplode(m.lomacl) a where a.privilege_type = 'SELECT' \
         and (a.grantee = 0 or pg_catalog.pg_has_role(a.grantee, 'usage'))) \
         and pg_catalog.current_setting('lo_compat_privileges') <> 'on'";
    let unreadable = number(sql, query).await?;
    Ok((unreadable > 0).then(|| {
        let name = &role.name;
        let message = format!("{name} may not read {unreadable} large objects");
        Finding::error("source::unreadable_large_objects", message)
            .at(on(Server::Source))
            .help(format!("`grant select on large object … to {name}`, or read as their owner"))
    }))
}

async fn free_connections(
    question: &Question<'_>,
    server: Server,
    sql: &Sql,
) -> Result<Option<Finding>, Failure> {
    let query = "select greatest(0, pg_catalog.current_setting('max_connections')::int \
         - pg_catalog.current_setting('superuser_reserved_connections')::int \
         - coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0) \
         - (select pg_catalog.count(*) from pg_catalog.pg_stat_activity \
            where datname is not null and application_name not like 'pgkedge:%'))";
    let free = number(sql, query).await?;
    let wanted = wanted_sessions(question, server);
    Ok((free < u64::from(wanted)).then(|| {
        let message =
            format!("the {server} has {free} connections free now, and the plan may take {wanted}");
        Finding::warning("server::busy_connections", message)
            .at(on(server))
            .help(format!("lower `limits.{server}_connections`, or end idle sessions"))
    }))
}

/// Objects of users: not the system's, not an extension's, not a ledger's.
const USER_OBJECTS: &str = r"
with user_schema as (
  select n.oid, n.nspname from pg_catalog.pg_namespace n
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname !~ '^pgkedge_[0-9a-f]{8}$'
    and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                    and d.objid = n.oid and d.deptype = 'e')
), found as (
  select 1 as place, pg_catalog.format('schema %I', s.nspname) as name from user_schema s where s.nspname <> 'public'
  union all
  select 2, pg_catalog.format('%I.%I', s.nspname, c.relname) from pg_catalog.pg_class c join user_schema s on s.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    and d.objid = c.oid and d.deptype = 'e')
  union all
  select 3, pg_catalog.format('%I.%I()', s.nspname, p.proname) from pg_catalog.pg_proc p join user_schema s on s.oid = p.pronamespace
  where not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                    and d.objid = p.oid and d.deptype = 'e')
  union all
  select 4, pg_catalog.format('type %I.%I', s.nspname, t.typname) from pg_catalog.pg_type t join user_schema s on s.oid = t.typnamespace
  where t.typtype in ('d', 'e', 'r', 'b') and t.typelem = 0
    and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
                    and d.objid = t.oid and d.deptype = 'e')
)
select name from found order by place, name limit 100";

async fn not_empty(sql: &Sql) -> Result<Option<Finding>, Failure> {
    let found = names(sql, USER_OBJECTS).await?;
    let Some(first) = found.first() else { return Ok(None) };
    let message = format!("the target database is not empty: {}", listed(&found));
    Ok(Some(
        Finding::error("target::not_empty", message).at(object(Server::Target, first)).help(
            "name a new database in `databases.target`: `create database … template template0`",
        ),
    ))
}

async fn large_objects(sql: &Sql) -> Result<Option<Finding>, Failure> {
    let query = "select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata";
    let count = number(sql, query).await?;
    Ok((count > 0).then(|| {
        let message = format!("the target database holds {count} large objects");
        Finding::error("target::large_objects", message)
            .at(on(Server::Target))
            .help("`select lo_unlink(oid) from pg_largeobject_metadata`, or use a new database")
    }))
}

async fn other_runs(question: &Question<'_>, sql: &Sql) -> Result<Vec<Finding>, Failure> {
    let found = scan::found(sql).await?;
    let others = found.into_iter().filter(|found| Some(&found.tag) != question.run);
    let mut findings = Vec::new();
    for found in others.filter(|found| found.ledger.is_some() || !found.sessions.is_empty()) {
        let message =
            format!("run {} has left its ledger or its sessions on the target", found.tag);
        findings.push(
            Finding::error("target::other_run", message)
                .at(on(Server::Target))
                .help("resume that run, or remove what it left: `pgkedge cleanup --scan`"),
        );
    }
    Ok(findings)
}

async fn privileges(question: &Question<'_>, sql: &Sql) -> Result<Vec<Finding>, Failure> {
    let query = "select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
         coalesce((select pg_catalog.has_schema_privilege(n.oid, 'create') \
                   from pg_catalog.pg_namespace n where n.nspname = 'public'), true), current_user";
    let rows = sql.rows(query).await?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let role = row.get(2).unwrap_or_default();
    let mut findings = Vec::new();
    findings.extend(no_create_on_database(question, row, role));
    findings.extend(no_create_on_public(question, row, role));
    Ok(findings)
}

fn no_create_on_database(question: &Question<'_>, row: &Row, role: &str) -> Option<Finding> {
    let database = question.facts.target_database();
    (row.get(0) != Some("t")).then(|| {
        let message = format!("`{role}` may not create schemas in database {database}");
        Finding::error("target::cannot_create_schemas", message)
            .at(on(Server::Target))
            .help(format!("`grant create on database {database} to …`"))
    })
}

/// Since 15 only the owner of the database may create anything in `public`.
fn no_create_on_public(question: &Question<'_>, row: &Row, role: &str) -> Option<Finding> {
    let entries = &question.facts.source.entries;
    let uses_public = entries.iter().any(|entry| entry.schema.as_deref() == Some("public"));
    (uses_public && row.get(1) != Some("t")).then(|| {
        let message = format!("`{role}` may not create objects in schema public");
        Finding::error("target::cannot_create_in_public", message)
            .at(on(Server::Target))
            .help("`grant create on schema public to …`, or let it own the database")
    })
}
