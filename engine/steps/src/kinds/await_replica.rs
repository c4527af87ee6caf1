//! Waits until the replica has replayed every slot's position and what the source has flushed.

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves, Lsn, Object,
    Script, Server, Touch, Undo, quote_literal,
};
use pgkedge_postgres::{Pooled, Row, Sql};
use pgkedge_render::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::replica::{Replay, ReplayState};
use crate::script;
use crate::step::{NoParams, Step};
use crate::streams::Stream;

/// How often the replica is asked.
const PULSE: Duration = Duration::from_millis(250);
/// After so many answers without a move it is worth telling what is waited for.
const PATIENCE: u32 = 8;
/// After so many a replica that takes whole segments is given the one that the source writes.
const STUCK: u32 = 20;

pub(crate) struct AwaitReplica;

/// The only member of the step.
#[derive(Serialize, Deserialize)]
struct AwaitMember {
    slots: Vec<Stream>,
}

impl Step for AwaitReplica {
    const KIND: &'static str = "await_replica";
    const ABOUT: &'static str = "Waits until the replica has replayed past every slot's position.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source, Server::Replica];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let slots = &expansion.capture.slots;
        let mut touches: Vec<Touch> =
            slots.iter().map(|slot| Touch::read(Object::new("slot", slot.name.as_str()))).collect();
        touches.push(Touch::write(Object::new("replay", Server::Replica)));
        Ok(vec![Draft {
            key: String::new(),
            params: json!(AwaitMember { slots: slots.iter().map(Stream::from).collect() }),
            touches,
            script: Script {
                run: script::alone(Server::Source, Self::KIND, Block::Run, &json!({}))?,
                undo: Undo::Nothing,
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let source = context.read(Server::Source).await?;
        let replica = context.read(Server::Replica).await?;
        refuse_stranger(&source, &replica).await?;
        let wanted = wanted(context, call, &source).await?;
        let wait = Wait { context, call, source, replica, wanted };
        let lsn = wait.until_replayed().await?;
        Ok(json!({ "lsn": lsn.to_string(), "wanted": wanted.to_string() }))
    }
}

/// The replica must be one, and this source's.
async fn refuse_stranger(source: &Sql, replica: &Sql) -> Result<(), Failure> {
    let query = "select s.system_identifier from pg_catalog.pg_control_system() as s";
    let (ours, theirs) = (source.rows(query).await?, replica.rows(query).await?);
    let identifier = |rows: &[Row]| rows.first().and_then(|row| row.get(0)).map(str::to_owned);
    if identifier(&ours) != identifier(&theirs) {
        return Err(refused("the replica belongs to another cluster than the source")
            .help("check the two urls under `databases`: their system identifiers differ"));
    }
    let state = ReplayState::read(replica).await?;
    if !state.in_recovery {
        return Err(refused("the server of `databases.replica` is a primary, not a replica")
            .help("give the url of a physical replica of the source"));
    }
    if state.replay != Replay::Running {
        let message = format!("replay of the replica is paused already, at {}", state.lsn);
        return Err(refused(&message).help(
            "whoever paused it may count on that; if nobody does: \
             `select pg_wal_replay_resume()` there, then `pgkedge resume`",
        ));
    }
    Ok(())
}

fn refused(message: &str) -> Failure {
    Failure::new(FailureClass::Blocked, message)
}

/// What has to be replayed: all that the source has flushed by now, and every slot's position, which
/// no hand-off may lie before.
async fn wanted(context: &StepContext, call: &Call, source: &Sql) -> Result<Lsn, Failure> {
    let mut names = Vec::new();
    for member in &call.node.members {
        let AwaitMember { slots } = context.member(&call.node, member)?;
        names.extend(slots.iter().map(|slot| quote_literal(&slot.slot_name(context.tag()))));
    }
    let confirmed = match names.len() {
        0 => "null".to_owned(),
        _ => format!(
            "(select pg_catalog.max(s.confirmed_flush_lsn) from pg_catalog.pg_replication_slots s \
             where s.slot_name in ({}))",
            names.join(", ")
        ),
    };
    let query = format!("select pg_catalog.pg_current_wal_flush_lsn(), {confirmed}");
    let rows = source.rows(&query).await?;
    let lsn = |column: usize| {
        rows.first().and_then(|row| row.get(column)).and_then(|text| text.parse::<Lsn>().ok())
    };
    let flushed = lsn(0).ok_or_else(|| Failure::permanent("the source tells no position"))?;
    Ok(lsn(1).map_or(flushed, |confirmed| flushed.max(confirmed)))
}

/// One wait for the replica.
struct Wait<'a> {
    context: &'a StepContext,
    call: &'a Call,
    source: Pooled<Sql>,
    replica: Pooled<Sql>,
    wanted: Lsn,
}

impl Wait<'_> {
    /// Returns the position that the replica has got to.
    async fn until_replayed(&self) -> Result<Lsn, Failure> {
        let (mut last, mut unmoved) = (None, 0_u32);
        loop {
            let state = ReplayState::read(&self.replica).await?;
            if !state.in_recovery {
                return Err(refused("the replica was promoted while it was waited for")
                    .help("give the url of another physical replica of the source"));
            }
            let receiver = Receiver::read(&self.replica).await?;
            self.refuse_other_timeline(receiver.timeline).await?;
            if state.lsn >= self.wanted {
                return Ok(state.lsn);
            }
            unmoved = if last == Some(state.lsn) { unmoved + 1 } else { 0 };
            last = Some(state.lsn);
            if unmoved > 0 && unmoved.is_multiple_of(STUCK) && !receiver.streams {
                self.switch_segment().await;
            }
            if unmoved.is_multiple_of(PATIENCE) {
                self.tell(&state, &receiver);
            }
            tokio::select! {
                () = tokio::time::sleep(PULSE) => {}
                failure = self.context.cancelled() => return Err(failure),
            }
        }
    }

    /// A replica on another timeline never gets to a position of this one.
    async fn refuse_other_timeline(&self, theirs: Option<u32>) -> Result<(), Failure> {
        let Some(theirs) = theirs else { return Ok(()) };
        let query = "select pg_catalog.substr(pg_catalog.pg_walfile_name(\
                     pg_catalog.pg_current_wal_lsn()), 1, 8)";
        let rows = self.source.rows(query).await?;
        let ours = rows.first().and_then(|row| row.get(0));
        let ours = ours.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if ours.is_none_or(|ours| ours == theirs) {
            return Ok(());
        }
        let ours = ours.unwrap_or_default();
        let message = format!("the replica is on timeline {theirs}, the source on {ours}");
        Err(refused(&message).help(
            "the replica follows another server: let it follow the source, or give another one",
        ))
    }

    /// Ends the segment that the source writes: it is archived, and the replica finds it.
    async fn switch_segment(&self) {
        for statement in self.call.node.statements() {
            let sent =
                async { self.context.sql(statement.on).await?.execute(&statement.shown()).await };
            if let Err(failure) = sent.await {
                self.call.reporter.waiting(&format!(
                    "the replica: it takes whole segments, and the source's role may not end one \
                     ({failure}); `{}` there helps",
                    statement.shown()
                ));
            }
        }
    }

    fn tell(&self, state: &ReplayState, receiver: &Receiver) {
        let how = if receiver.streams { "" } else { ", and streams from nobody" };
        let (lsn, wanted) = (state.lsn, self.wanted);
        self.call
            .reporter
            .waiting(&format!("the replica: it has replayed to {lsn}{how}; wanted is {wanted}"));
    }
}

/// How the replica gets its log.
struct Receiver {
    streams: bool,
    /// None where it does not stream, or the role may not see it.
    timeline: Option<u32>,
}

impl Receiver {
    async fn read(replica: &Sql) -> Result<Self, Failure> {
        let query = "select r.received_tli from pg_catalog.pg_stat_wal_receiver r";
        let rows = replica.rows(query).await?;
        let timeline = rows.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
        Ok(Self { streams: !rows.is_empty(), timeline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn it_comes_after_every_slot_and_before_whoever_reads_from_the_replica() {
        let mut sample = Sample::default();
        sample.slot("orders", Vec::new());
        sample.slot("rest", Vec::new());
        sample.capture.slots[1].existing = true;
        let draft = sample.expand::<AwaitReplica>(json!({})).unwrap().remove(0);
        assert_eq!(
            draft.touches,
            [
                Touch::read(Object::new("slot", "orders")),
                Touch::read(Object::new("slot", "rest")),
                Touch::write(Object::new("replay", "replica")),
            ]
        );
        assert_eq!(shown(&draft.script.run), ["select pg_catalog.pg_switch_wal()"]);
        assert_eq!(draft.script.run[0].on, Server::Source);
        let AwaitMember { slots } = serde_json::from_value(draft.params).unwrap();
        let tag = pgkedge_model::RunTag("1a2b3c4d".to_owned());
        let names: Vec<String> = slots.iter().map(|slot| slot.slot_name(&tag)).collect();
        assert_eq!(names, ["pgkedge_orders_1a2b3c4d", "rest"]);
    }
}
