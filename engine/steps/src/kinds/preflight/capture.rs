//! What change capture needs of the source and the target. Only asked where the plan captures.

use pgkedge_model::{
    Catalog, Failure, Finding, ReplicationSet, Server, ServerFacts, Slot, Table, quote_literal,
};
use pgkedge_postgres::{Row, Sql};

use super::{Question, listed, object, on};
use crate::kinds::create_publication::existing as publications;

/// The plugin that native subscriptions read.
const PLUGIN: &str = "pgoutput";
/// From 16 on a role may be let create subscriptions.
const SUBSCRIBERS_SINCE: u32 = 16;
/// Roles that let others replicate, where there is no superuser.
const REPLICATING: &[&str] = &["rds_replication", "azure_pg_admin"];

/// What the catalogs alone tell.
pub(super) fn findings(question: &Question<'_>) -> Vec<Finding> {
    if question.capture.is_empty() {
        return Vec::new();
    }
    let source = &question.facts.source;
    let mut findings = Vec::new();
    findings.extend(wal_level(&source.server));
    findings.extend(plugin(&source.server));
    findings.extend(any_standby(&source.server));
    findings.extend(kept_wal(&source.server));
    findings.extend(replication_role(&source.server));
    findings.extend(owners(question, source));
    findings.extend(subscriber(question));
    findings
}

fn setting<'a>(server: &'a ServerFacts, name: &str) -> Option<&'a str> {
    server.settings.get(name).map(String::as_str)
}

fn wal_level(source: &ServerFacts) -> Option<Finding> {
    let level = setting(source, "wal_level").filter(|level| *level != "logical")?;
    let message = format!("wal_level of the source is {level}, and no change can be decoded");
    Some(Finding::error("source::wal_level", message).at(on(Server::Source)).help(
        "`alter system set wal_level = 'logical'`, then restart it (managed services: their \
         parameter for logical replication)",
    ))
}

/// Servers of August 2026 and later load no plugin that is not listed.
fn plugin(source: &ServerFacts) -> Option<Finding> {
    let listed = setting(source, "output_plugin_libraries")?;
    let has_it = listed.split(',').any(|name| name.trim().trim_matches('"') == PLUGIN);
    (!has_it).then(|| {
        let message = format!("output_plugin_libraries of the source does not list {PLUGIN}");
        Finding::error("source::output_plugin", message).at(on(Server::Source)).help(format!(
            "add it: `alter system set output_plugin_libraries = '{PLUGIN}'`, then \
             `select pg_reload_conf()`"
        ))
    })
}

/// `*` waits for whoever connects first: subscriptions are candidates too.
fn any_standby(source: &ServerFacts) -> Option<Finding> {
    let names = setting(source, "synchronous_standby_names").filter(|names| names.contains('*'))?;
    let message = format!(
        "synchronous_standby_names of the source is '{names}': commits would wait for our \
         subscriptions"
    );
    Some(
        Finding::error("source::any_synchronous_standby", message)
            .at(on(Server::Source))
            .help("name the standbys in it, one by one"),
    )
}

fn kept_wal(source: &ServerFacts) -> Option<Finding> {
    let kept = setting(source, "max_slot_wal_keep_size").filter(|kept| *kept != "-1")?;
    let message =
        format!("a slot that is {kept} behind is dropped by the source, and the move lost");
    Some(
        Finding::warning("source::max_slot_wal_keep_size", message)
            .at(on(Server::Source))
            .help("raise max_slot_wal_keep_size to what is written during the load, or set it -1"),
    )
}

fn replication_role(source: &ServerFacts) -> Option<Finding> {
    let role = &source.session_role;
    let may = role.superuser
        || role.replication
        || role.member_of.iter().any(|of| REPLICATING.contains(&of.as_str()));
    (!may).then(|| {
        let name = &role.name;
        let message = format!("role {name} of the source may not create replication slots");
        Finding::error("source::no_replication", message)
            .at(on(Server::Source))
            .help(format!("`alter role {name} replication`"))
    })
}

/// Only its owner may publish a table.
fn owners(question: &Question<'_>, source: &Catalog) -> Option<Finding> {
    let role = &source.server.session_role;
    if role.superuser {
        return None;
    }
    let anew = question.capture.sets().filter(|set| set.publication.is_none());
    let published: Vec<_> = anew.flat_map(|set| &set.tables).collect();
    let is_foreign =
        |table: &&Table| published.contains(&&table.name) && !role.member_of.contains(&table.owner);
    let foreign: Vec<&Table> = source.tables.iter().filter(is_foreign).collect();
    let first = foreign.first()?;
    let (name, owner) = (&role.name, &first.owner);
    let message = format!(
        "role {name} does not own what is to be published: {}",
        listed(foreign.iter().map(|table| &table.name))
    );
    Some(
        Finding::error("source::not_owner", message)
            .at(object(Server::Source, &first.name))
            .help(format!("`grant {owner} to {name}`, or connect as a superuser")),
    )
}

fn subscriber(question: &Question<'_>) -> Option<Finding> {
    let target = &question.facts.target.as_ref()?.server;
    let role = &target.session_role;
    let may = |of: &str| role.member_of.iter().any(|role| role.as_str() == of);
    if role.superuser {
        return None;
    }
    let (name, major) = (&role.name, target.version.major());
    let (allowed, help) = if major >= SUBSCRIBERS_SINCE {
        (may("pg_create_subscription"), format!("`grant pg_create_subscription to {name}`"))
    } else {
        (may("rds_superuser"), "connect to the target as a superuser".to_owned())
    };
    (!allowed).then(|| {
        let message = format!("role {name} of the target may not create subscriptions");
        Finding::error("target::no_subscriptions", message).at(on(Server::Target)).help(help)
    })
}

/// What only the source can tell.
pub(super) async fn source(question: &Question<'_>, sql: &Sql) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    if question.capture.is_empty() {
        return Ok(findings);
    }
    let slots = &question.capture.slots;
    // One more is temporary: it exports the snapshot.
    let made = slots.iter().filter(|slot| !slot.existing).count() + 1;
    for room in [
        Room::new("max_replication_slots", "pg_catalog.pg_replication_slots", made),
        Room::new("max_wal_senders", "pg_catalog.pg_stat_replication", slots.len() + 1),
    ] {
        findings.extend(room.findings(Server::Source, sql).await?);
    }
    if slots.iter().any(Slot::publishes_anew) {
        findings.extend(may_publish(question, sql).await?);
    }
    for slot in slots.iter().filter(|slot| slot.existing) {
        findings.extend(existing(slot, sql).await?);
    }
    for set in question.capture.sets() {
        findings.extend(publication(set, sql).await?);
    }
    findings.extend(taken(question, sql).await?);
    Ok(findings)
}

/// What only the target can tell.
pub(super) async fn target(question: &Question<'_>, sql: &Sql) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    if question.capture.is_empty() {
        return Ok(findings);
    }
    let number = question.capture.slots.len();
    let workers = "pg_catalog.pg_stat_subscription s where s.pid is not null";
    let processes = "pg_catalog.pg_stat_activity a where a.backend_type = 'parallel worker' \
                     or a.backend_type like 'logical replication %'";
    let origins = match sql.server_version().major() {
        18.. => "max_active_replication_origins",
        _ => "max_replication_slots",
    };
    for room in [
        Room::new("max_logical_replication_workers", workers, number),
        Room::new("max_worker_processes", processes, number),
        Room::new(origins, "pg_catalog.pg_replication_origin", number),
    ] {
        findings.extend(room.findings(Server::Target, sql).await?);
    }
    findings.extend(may_advance(sql).await?);
    Ok(findings)
}

/// A limit of a server, and what the plan wants of it.
struct Room {
    setting: &'static str,
    /// What is counted: a relation, maybe with a condition.
    used: &'static str,
    wanted: usize,
}

impl Room {
    fn new(setting: &'static str, used: &'static str, wanted: usize) -> Self {
        Self { setting, used, wanted }
    }

    async fn findings(&self, server: Server, sql: &Sql) -> Result<Option<Finding>, Failure> {
        let Self { setting, used, wanted } = self;
        let query = format!(
            "select pg_catalog.current_setting('{setting}'), \
             (select pg_catalog.count(*) from {used})"
        );
        let rows = sql.rows(&query).await?;
        let number = |column| -> Option<usize> { rows.first()?.get(column)?.parse().ok() };
        let (Some(most), Some(used)) = (number(0), number(1)) else { return Ok(None) };
        let left = most.saturating_sub(used);
        Ok((left < *wanted).then(|| {
            let message = format!(
                "{setting} of the {server} is {most}, of which {used} are in use: the plan needs \
                 {wanted}, only {left} remain"
            );
            Finding::error(&format!("{server}::{setting}"), message).at(on(server)).help(format!(
                "`alter system set {setting} = {}`, then restart the {server}",
                used + wanted
            ))
        }))
    }
}

fn is_true(rows: &[Row]) -> bool {
    rows.first().and_then(|row| row.get(0)) == Some("t")
}

async fn may_publish(question: &Question<'_>, sql: &Sql) -> Result<Option<Finding>, Failure> {
    let query = "select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')";
    let allowed = is_true(&sql.rows(query).await?);
    Ok((!allowed).then(|| {
        let source = &question.facts.source;
        let (role, database) = (&source.server.session_role.name, &source.database.name);
        let message = format!("role {role} may not create publications in database {database}");
        Finding::error("source::cannot_publish", message)
            .at(on(Server::Source))
            .help(format!("`grant create on database {database} to {role}`"))
    }))
}

/// A slot that the plan takes as it is.
async fn existing(slot: &Slot, sql: &Sql) -> Result<Option<Finding>, Failure> {
    let name = slot.name.as_str();
    let query = format!(
        "select s.plugin, s.database = pg_catalog.current_database(), s.active, s.temporary \
         from pg_catalog.pg_replication_slots s where s.slot_name = {}",
        quote_literal(name)
    );
    let rows = sql.rows(&query).await?;
    let wrong = match rows.first() {
        None => "is not there".to_owned(),
        Some(row) if row.get(0) != Some(PLUGIN) => {
            format!("is of plugin {}, not {PLUGIN}", row.get(0).unwrap_or("none: it is physical"))
        }
        Some(row) if row.get(1) != Some("t") => "is of another database".to_owned(),
        Some(row) if row.get(2) == Some("t") => "is read by somebody else now".to_owned(),
        Some(row) if row.get(3) == Some("t") => "is temporary".to_owned(),
        Some(_) => return Ok(None),
    };
    let message = format!("slot {name}, which the plan calls existing, {wrong}");
    Ok(Some(Finding::error("source::existing_slot", message).at(on(Server::Source)).help(format!(
        "see `select * from pg_replication_slots`; without `existing` in `slots.{name}` pgkedge \
         creates one of its own"
    ))))
}

/// A publication that the plan takes as it is.
async fn publication(set: &ReplicationSet, sql: &Sql) -> Result<Option<Finding>, Failure> {
    let (Some(name), Some(unfit)) = (&set.publication, publications::asked(sql, set).await?) else {
        return Ok(None);
    };
    let message = format!("publication {name}, which the plan names, cannot serve: {}", unfit.fact);
    let finding = Finding::error("source::existing_publication", message);
    Ok(Some(finding.at(on(Server::Source)).help(unfit.help)))
}

/// Names that this run will give, and that are given already.
async fn taken(question: &Question<'_>, sql: &Sql) -> Result<Option<Finding>, Failure> {
    let Some(run) = question.run else { return Ok(None) };
    let names = |column: &str, relation: &str| {
        let end = quote_literal(&format!("%\\_{run}"));
        format!(
            "select {column} from {relation} where {column} like 'pgkedge\\_%' \
             and {column} like {end}"
        )
    };
    let query = format!(
        "{} union all {} order by 1",
        names("pubname", "pg_catalog.pg_publication"),
        names("slot_name", "pg_catalog.pg_replication_slots")
    );
    let rows = sql.rows(&query).await?;
    let found: Vec<&str> = rows.iter().filter_map(|row| row.get(0)).collect();
    Ok((!found.is_empty()).then(|| {
        let message = format!(
            "publications or slots of this run are on the source already: {}",
            listed(&found)
        );
        Finding::error("source::names_taken", message)
            .at(on(Server::Source))
            .help("this state is a copy of another run's: start a new one")
    }))
}

async fn may_advance(sql: &Sql) -> Result<Option<Finding>, Failure> {
    let function = "pg_catalog.pg_replication_origin_advance(text, pg_lsn)";
    let query =
        format!("select pg_catalog.has_function_privilege('{function}', 'execute'), current_user");
    let rows = sql.rows(&query).await?;
    let role = rows.first().and_then(|row| row.get(1)).unwrap_or_default();
    Ok((!is_true(&rows)).then(|| {
        let message = format!("`{role}` may not set where a subscription starts");
        Finding::error("target::cannot_advance", message)
            .at(on(Server::Target))
            .help(format!("`grant execute on function {function} to …`, as a superuser"))
    }))
}
