//! What a load from a paused replica needs of it.

use pgkedge_model::{CaptureFrom, Failure, Finding, Server, quote_literal};
use pgkedge_postgres::Sql;

use super::{Question, on};
use crate::replica::{Replay, ReplayState};

/// Asks the replica, where the plan has one and loads from it.
pub(super) async fn findings(
    question: &Question<'_>,
    replica: Option<&Sql>,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let Some(sql) = replica else { return Ok(findings) };
    if question.settings.change_capture.from != CaptureFrom::HandOff {
        return Ok(findings);
    }
    let state = ReplayState::read(sql).await?;
    findings.extend(stranger(question, sql).await?);
    findings.extend(role_of_server(&state));
    findings.extend(feedback(sql).await?);
    findings.extend(rights(sql).await?);
    findings.extend(synchronous(question, sql).await?);
    Ok(findings)
}

async fn stranger(question: &Question<'_>, sql: &Sql) -> Result<Option<Finding>, Failure> {
    let query = "select s.system_identifier from pg_catalog.pg_control_system() as s";
    let rows = sql.rows(query).await?;
    let theirs = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
    let ours = question.facts.source.server.system_identifier.as_str();
    Ok((ours != theirs).then(|| {
        let message = format!("the replica is of cluster {theirs}, the source of {ours}");
        Finding::error("replica::other_cluster", message)
            .at(on(Server::Replica))
            .help("check the urls of `databases.source` and `databases.replica`")
    }))
}

fn role_of_server(state: &ReplayState) -> Option<Finding> {
    if !state.in_recovery {
        let finding = Finding::error("replica::primary", "the replica is a primary");
        return Some(finding.at(on(Server::Replica)).help("give the url of a physical replica"));
    }
    (state.replay != Replay::Running).then(|| {
        let message = format!("replay of the replica is paused already, at {}", state.lsn);
        Finding::error("replica::paused", message).at(on(Server::Replica)).help(
            "find out for whom; if nobody counts on it: `select pg_wal_replay_resume()` there",
        )
    })
}

async fn feedback(sql: &Sql) -> Result<Option<Finding>, Failure> {
    let query = "select pg_catalog.current_setting('hot_standby_feedback')";
    let rows = sql.rows(query).await?;
    let is_on = rows.first().and_then(|row| row.get(0)) == Some("on");
    Ok(is_on.then(|| {
        let message = "hot_standby_feedback of the replica is on: while it is paused, VACUUM \
                       removes nothing on the source";
        Finding::warning("replica::feedback", message).at(on(Server::Replica)).help(
            "on the replica: `alter system set hot_standby_feedback = off`, then \
             `select pg_reload_conf()`; nothing conflicts with readers while it is paused",
        )
    }))
}

async fn rights(sql: &Sql) -> Result<Option<Finding>, Failure> {
    let query = "select pg_catalog.has_function_privilege(\
                 'pg_catalog.pg_wal_replay_pause()', 'execute') \
                 and pg_catalog.has_function_privilege(\
                 'pg_catalog.pg_wal_replay_resume()', 'execute'), current_user";
    let rows = sql.rows(query).await?;
    let allowed = rows.first().and_then(|row| row.get(0)) == Some("t");
    let role = rows.first().and_then(|row| row.get(1)).unwrap_or_default();
    Ok((!allowed).then(|| {
        let message = format!("`{role}` may not pause and resume the replica");
        Finding::error("replica::cannot_pause", message).at(on(Server::Replica)).help(
            "on the source, as a superuser: `grant execute on function pg_wal_replay_pause(), \
             pg_wal_replay_resume() to …`",
        )
    }))
}

/// A commit that waits until a paused replica has applied it waits as long as the load takes.
async fn synchronous(question: &Question<'_>, sql: &Sql) -> Result<Option<Finding>, Failure> {
    let settings = &question.facts.source.server.settings;
    let Some(names) = settings.get("synchronous_standby_names").filter(|names| !names.is_empty())
    else {
        return Ok(None);
    };
    // As the replica calls itself; only who may read the connection string sees that.
    let query = format!(
        "select coalesce((select pg_catalog.substring(r.conninfo, 'application_name=(\\S+)') \
         from pg_catalog.pg_stat_wal_receiver r), \
         nullif(pg_catalog.current_setting('cluster_name'), ''), {})",
        quote_literal("walreceiver")
    );
    let rows = sql.rows(&query).await?;
    let name = rows.first().and_then(|row| row.get(0)).unwrap_or_default().trim_matches('\'');
    let is_named = names
        .split([',', '(', ')', ' '])
        .any(|one| one.trim_matches('"').eq_ignore_ascii_case(name));
    Ok(is_named.then(|| {
        let message = format!(
            "the replica is `{name}` in synchronous_standby_names of the source ('{names}'): \
             commits may wait for it while it is paused"
        );
        Finding::error("replica::synchronous", message)
            .at(on(Server::Replica))
            .help("take it out of synchronous_standby_names, or give another replica")
    }))
}
