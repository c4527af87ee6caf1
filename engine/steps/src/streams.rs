//! Slots of the source and the subscriptions of the target that read them: their names on the
//! servers, how they stand, and what is wrong with them.

use std::collections::BTreeMap;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, FailureClass, Fold, Ident, Item, Lsn, Object, RunTag, Script,
    Server, Slot, Touch, quote_literal,
};
use pgkedge_postgres::{Row, Sql};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::StepContext;
use crate::slots::server_name;

/// What a step knows at run time of a slot and of the subscription that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stream {
    pub(crate) slot: Ident,
    /// The slot was there before the run, and goes by its own name.
    pub(crate) existing: bool,
}

impl From<&Slot> for Stream {
    fn from(slot: &Slot) -> Self {
        Self { slot: slot.name.clone(), existing: slot.existing }
    }
}

impl Stream {
    /// Those of a plan.
    pub(crate) fn all(expansion: &Expansion<'_>) -> Vec<Self> {
        expansion.capture.slots.iter().map(Self::from).collect()
    }

    /// The slots of a plan, in its order.
    /// What all that touch the stream agree upon.
    pub(crate) fn object(&self) -> Object {
        Object::new("stream", self.slot.as_str())
    }

    pub(crate) fn slot_name(&self, tag: &RunTag) -> String {
        if self.existing { self.slot.as_str().to_owned() } else { self.subscription(tag) }
    }

    pub(crate) fn subscription(&self, tag: &RunTag) -> String {
        server_name(self.slot.as_str(), tag)
    }
}

/// The draft of a step that looks at every stream of a plan; none where nothing is captured.
pub(crate) fn over_all(expansion: &Expansion<'_>) -> Option<Draft> {
    let streams = Stream::all(expansion);
    let once = matches!(expansion.item, Item::Once) && !streams.is_empty();
    once.then(|| Draft {
        key: String::new(),
        touches: streams.iter().map(|stream| Touch::read(stream.object())).collect(),
        params: json!(streams),
        script: Script::default(),
        cost: 0,
        fold: Fold::Alone,
        stops: None,
    })
}

/// The streams that such a step looks at.
pub(crate) fn of_all(context: &StepContext, call: &Call) -> Result<Vec<Stream>, Failure> {
    let mut streams = Vec::new();
    for member in &call.node.members {
        streams.extend(context.member::<Vec<Stream>>(&call.node, member)?);
    }
    Ok(streams)
}

/// A logical slot, as the source shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotSeen {
    pub(crate) plugin: Option<String>,
    pub(crate) here: bool,
    pub(crate) active_pid: Option<String>,
    pub(crate) confirmed: Option<Lsn>,
    pub(crate) restart: Option<Lsn>,
    /// None before 13.
    pub(crate) wal_status: Option<String>,
}

impl SlotSeen {
    pub(crate) fn is_lost(&self) -> bool {
        self.wal_status.as_deref() == Some("lost") || self.confirmed.is_none()
    }
}

/// The slots of some streams, and how far the source's log is flushed at the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceSeen {
    pub(crate) flushed: Lsn,
    /// By name on the server.
    pub(crate) slots: BTreeMap<String, SlotSeen>,
}

/// A subscription and its apply worker, as the target shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionSeen {
    pub(crate) enabled: bool,
    pub(crate) pid: Option<String>,
    pub(crate) received: Option<Lsn>,
    /// None before 15, which does not count.
    pub(crate) errors: Option<u64>,
}

/// One stream on both servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamSeen {
    pub(crate) slot: SlotSeen,
    pub(crate) subscription: SubscriptionSeen,
    /// `stop_apply` has disabled it.
    pub(crate) stopped: bool,
    /// Bytes of the source's log that the target has not confirmed.
    pub(crate) lag: u64,
    /// Bytes of log that the source keeps for the slot.
    pub(crate) retained: u64,
}

/// Looks at streams on both servers. Fails when a slot is lost, or a subscription gone or disabled
/// by others.
pub(crate) async fn look(
    context: &StepContext,
    streams: &[Stream],
) -> Result<(Lsn, Vec<StreamSeen>), Failure> {
    let tag = context.tag();
    let slot_names: Vec<String> = streams.iter().map(|stream| stream.slot_name(tag)).collect();
    let source = source_seen(&*context.read(Server::Source).await?, &slot_names).await?;
    let names: Vec<String> = streams.iter().map(|stream| stream.subscription(tag)).collect();
    let target = target_seen(&*context.read(Server::Target).await?, &names).await?;
    let mut seen = Vec::with_capacity(streams.len());
    for (stream, (slot_name, name)) in streams.iter().zip(slot_names.iter().zip(&names)) {
        let slot = source.slots.get(slot_name).filter(|slot| !slot.is_lost());
        let slot = slot.ok_or_else(|| slot_lost(slot_name))?.clone();
        let subscription = target.get(name).ok_or_else(|| subscription_gone(name))?.clone();
        let stopped = !subscription.enabled && is_stopped(context, stream).await?;
        if !subscription.enabled && !stopped {
            still_disabled(context, name).await?;
        }
        let behind = |lsn: Option<Lsn>| source.flushed.0.saturating_sub(lsn.map_or(0, |lsn| lsn.0));
        let (lag, retained) = (behind(slot.confirmed), behind(slot.restart));
        seen.push(StreamSeen { slot, subscription, stopped, lag, retained });
    }
    Ok((source.flushed, seen))
}

/// Fails unless a step has enabled the subscription again in the moment between.
async fn still_disabled(context: &StepContext, name: &str) -> Result<(), Failure> {
    let session = context.read(Server::Target).await?;
    let seen = target_seen(&session, &[name.to_owned()]).await?;
    match seen.get(name) {
        Some(seen) if seen.enabled => Ok(()),
        Some(_) => Err(disabled(name)),
        None => Err(subscription_gone(name)),
    }
}

/// The slots of these names that there are.
pub(crate) async fn source_seen(session: &Sql, names: &[String]) -> Result<SourceSeen, Failure> {
    let status = if session.server_version().major() >= 13 { "s.wal_status" } else { "null" };
    let rows = session
        .rows(&format!(
            "select f.flushed, s.slot_name, s.plugin, \
             s.database = pg_catalog.current_database() as here, s.active_pid, \
             s.confirmed_flush_lsn, s.restart_lsn, {status} as wal_status \
             from (select pg_catalog.pg_current_wal_flush_lsn() as flushed) f \
             left join pg_catalog.pg_replication_slots s on s.slot_name in ({})",
            literals(names)
        ))
        .await?;
    let flushed = rows.first().and_then(|row| lsn(row, "flushed"));
    let flushed = flushed.ok_or_else(|| Failure::permanent("the source gives no log position"))?;
    let text = |row: &Row, column| row.named(column).map(str::to_owned);
    let slots = rows.iter().filter_map(|row| {
        let seen = SlotSeen {
            plugin: text(row, "plugin"),
            here: row.named("here") == Some("t"),
            active_pid: text(row, "active_pid"),
            confirmed: lsn(row, "confirmed_flush_lsn"),
            restart: lsn(row, "restart_lsn"),
            wal_status: text(row, "wal_status"),
        };
        Some((text(row, "slot_name")?, seen))
    });
    Ok(SourceSeen { flushed, slots: slots.collect() })
}

/// The subscriptions of these names that there are in the target's database.
pub(crate) async fn target_seen(
    session: &Sql,
    names: &[String],
) -> Result<BTreeMap<String, SubscriptionSeen>, Failure> {
    let (errors, counts) = if session.server_version().major() >= 15 {
        let join = "left join pg_catalog.pg_stat_subscription_stats c on c.subid = s.oid";
        ("c.apply_error_count", join)
    } else {
        ("null", "")
    };
    let rows = session
        .rows(&format!(
            "select s.subname, s.subenabled, w.pid, w.received_lsn, {errors} as errors \
             from pg_catalog.pg_subscription s \
             join pg_catalog.pg_database d on d.oid = s.subdbid \
             left join pg_catalog.pg_stat_subscription w on w.subid = s.oid and w.relid is null \
             {counts} where d.datname = pg_catalog.current_database() and s.subname in ({})",
            literals(names)
        ))
        .await?;
    let seen = |row: &Row| {
        let seen = SubscriptionSeen {
            enabled: row.named("subenabled") == Some("t"),
            pid: row.named("pid").map(str::to_owned),
            received: lsn(row, "received_lsn"),
            errors: row.named("errors").and_then(|errors| errors.parse().ok()),
        };
        Some((row.named("subname")?.to_owned(), seen))
    };
    Ok(rows.iter().filter_map(seen).collect())
}

/// Whether a step of this run has stopped the stream: it leaves a row in the ledger with the
/// disabled subscription, and takes it away when it is undone.
async fn is_stopped(context: &StepContext, stream: &Stream) -> Result<bool, Failure> {
    let session = context.read(Server::Target).await?;
    if !context.ledger().exists(&session).await? {
        return Ok(false);
    }
    let graph = &context.header().graph;
    for node in graph.steps().filter(|node| node.kind == "stop_apply") {
        if context.ledger().holds(&session, &node.id.0, stream.slot.as_str()).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) fn slot_lost(name: &str) -> Failure {
    Failure::permanent(format!("the source has lost slot `{name}`, and the changes since with it"))
        .detail("the slot is not there, or the log that it needs was removed (`wal_status`)")
        .help("take the run back with `pgkedge abort`, raise max_slot_wal_keep_size, run again")
}

fn subscription_gone(name: &str) -> Failure {
    Failure::permanent(format!("the target has no subscription `{name}`: somebody dropped it"))
        .help("take the run back with `pgkedge abort`, and run again")
}

fn disabled(name: &str) -> Failure {
    let message = format!("subscription `{name}` of the target is disabled, and not by this run");
    Failure::new(FailureClass::Operator, message)
        .help(format!("on the target: alter subscription {name} enable; then `pgkedge resume`"))
}

/// A change that fails each time. What is wrong is told to nobody but the target's server log.
pub(crate) fn apply_failed(name: &str, errors: Option<u64>) -> Failure {
    let count = match errors {
        Some(1) => " (1 error)".to_owned(),
        Some(errors) => format!(" ({errors} errors)"),
        None => String::new(),
    };
    let message = format!("subscription `{name}` of the target fails over a change{count}");
    Failure::new(FailureClass::Operator, message)
        .detail("PostgreSQL writes the error to the target's server log, and nowhere else")
        .help(format!(
            "look for `{name}` in the target's server log and mend what it says: the worker tries \
             again by itself every few seconds; then `pgkedge resume`"
        ))
}

/// Errors of apply workers, as they are counted from 15 on, since their streams moved last.
#[derive(Default)]
pub(crate) struct Errors(Vec<(Option<Lsn>, u64)>);

impl Errors {
    /// Fails when a stream has had so many errors without a step forward. A lost connection is one.
    pub(crate) fn check(
        &mut self,
        tag: &RunTag,
        streams: &[Stream],
        seen: &[StreamSeen],
        limit: u64,
    ) -> Result<(), Failure> {
        for (at, (stream, seen)) in streams.iter().zip(seen).enumerate() {
            let now = (seen.slot.confirmed, seen.subscription.errors.unwrap_or(0));
            match self.0.get_mut(at) {
                None => self.0.push(now),
                Some(last) if now.0 > last.0 => *last = now,
                Some(last) if now.1 >= last.1 + limit => {
                    return Err(apply_failed(&stream.subscription(tag), Some(now.1)));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

pub(crate) fn literals(names: &[String]) -> String {
    names.iter().map(|name| quote_literal(name)).collect::<Vec<_>>().join(", ")
}

fn lsn(row: &Row, column: &str) -> Option<Lsn> {
    row.named(column)?.parse().ok()
}
