//! Holds one snapshot of the source for every reader, until another step stops it.

mod settled;

use std::pin::pin;
use std::time::Duration;

use pgkedge_model::{
    Call, CaptureFrom, Draft, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves,
    Object, QualifiedName, Script, Server, Session, Statement, Table, TableKind, Touch, Undo,
};
use pgkedge_postgres::{ExportedSnapshot, Pooled, Replication, Row, Sql};
use pgkedge_render::Block;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::{StepContext, application};
use crate::fill::{Fill, Observed};
use crate::script;
use crate::slots::created;
use crate::step::Step;

/// Tables in one `lock table`.
const LOCKED_AT_ONCE: usize = 50;
/// How often the session that holds the snapshot is looked at.
const PULSE: Duration = Duration::from_secs(1);
/// After that time a lock is worth telling that it is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct HoldSnapshot;

/// Where the snapshot comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldParams {
    /// `slot`: the snapshot is one of the source's log, exported by a temporary slot; every slot
    /// carries what was committed later. Left out: of the moment at which it is taken.
    #[serde(default)]
    through: Option<Through>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Through {
    Slot,
}

impl Step for HoldSnapshot {
    const KIND: &'static str = "hold_snapshot";
    const ABOUT: &'static str = "Holds one snapshot of the source that all readers share.";
    const LEAVES: Leaves = Leaves::Nothing;
    const SERVICE: bool = true;
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source];
    type Params = HoldParams;

    fn expand(params: &HoldParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let through_slot = params.through.is_some();
        if through_slot && is_known(expansion) {
            return Ok(Vec::new());
        }
        let tables: Vec<&QualifiedName> = locked(expansion).collect();
        let context = json!({
            "locked": tables.chunks(LOCKED_AT_ONCE).collect::<Vec<_>>(),
            "through_slot": through_slot,
            "major": expansion.facts.source.server.version.major(),
        });
        let statements = |block| script::alone(Server::Source, Self::KIND, block, &context);
        let replication = |statement| Statement { session: Session::Replication, ..statement };
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: touches(through_slot, expansion),
            script: Script {
                before: statements(Block::Before)?.into_iter().map(replication).collect(),
                run: statements(Block::Run)?,
                after: statements(Block::After)?,
                undo: Undo::Nothing,
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let session = context.sql(Server::Source).await?;
        let mut observed = Observed::default();
        observed.set("", "epoch", context.epoch().0);
        observed.set("", "attempt", call.attempt);
        let output = match call.node.before.first() {
            None => json!({ "id": export(context, &session, call, &observed).await? }),
            Some(statement) => {
                let fill = Fill { call, tag: context.tag(), observed: &observed };
                let (exporter, exported) =
                    export_slot(context, call, &fill.text("", statement)?).await?;
                observed.set("", "snapshot", exported.snapshot);
                let id = export(context, &session, call, &observed).await?;
                // The holder has the snapshot now: the temporary slot goes with its session.
                drop(exporter);
                json!({ "id": id, "lsn": exported.consistent_point })
            }
        };
        call.reporter.note("snapshot", output.clone()).await?;
        call.reporter.ready(output.clone()).await?;
        hold(context, &session, call).await?;
        for statement in &call.node.after {
            // It only read: nothing is lost if the session is gone by now.
            if let Err(failure) = session.execute(&statement.shown()).await {
                tracing::debug!(%failure, "the session that held the snapshot is gone");
            }
        }
        Ok(output)
    }
}

/// Whether the plan says itself where capture begins, so that no snapshot has to tell it.
pub(super) fn is_known(expansion: &Expansion<'_>) -> bool {
    matches!(expansion.settings.change_capture.from, CaptureFrom::Lsn(_))
}

/// The slots come first, so that none begins after the snapshot.
fn touches(through_slot: bool, expansion: &Expansion<'_>) -> Vec<Touch> {
    let mut touches = vec![Touch::write(Object::new("snapshot", Server::Source))];
    if through_slot {
        let slots = expansion.capture.slots.iter();
        touches.extend(slots.map(|slot| Touch::read(Object::new("slot", slot.name.as_str()))));
        touches.push(Touch::write(Object::new("hand_off", "lsn")));
    }
    touches
}

/// Tables large enough for several parts: a rewrite between two of them would move rows from one
/// to the other.
fn locked<'a>(expansion: &Expansion<'a>) -> impl Iterator<Item = &'a QualifiedName> {
    let part_size = expansion.settings.load.part_size.0;
    let selection = expansion.selection;
    let is_large = move |table: &&Table| {
        // By the largest block size: a lock too many does no harm.
        let pages = u64::from(table.pages) * 32_768;
        table.kind == TableKind::Ordinary && table.bytes.max(pages) > part_size
    };
    let is_selected = move |table: &&Table| {
        selection.groups.iter().any(|group| group.tables.binary_search(&table.name).is_ok())
    };
    let tables = expansion.facts.source.tables.iter().filter(is_large).filter(is_selected);
    tables.map(|table| &table.name)
}

/// Makes a temporary slot and takes its snapshot, both of which last as long as the session.
async fn export_slot(
    context: &StepContext,
    call: &Call,
    command: &str,
) -> Result<(Replication, ExportedSnapshot), Failure> {
    let name = application(&context.header().run_id, context.epoch(), "do");
    let mut session = context.endpoint(Server::Source)?.replication(&name).await?;
    let (canceller, process_id) = (session.canceller(), session.process_id());
    let creating = session.create_slot(command);
    let ended = tokio::select! {
        made = created(context, call, process_id, "of the snapshot", creating) => {
            let exported = made.map_err(|failure| {
                script::explained(failure, "", &call.node.before[0])
            })?;
            return Ok((session, exported));
        }
        failure = context.cancelled() => failure,
        () = call.reporter.stopped() => {
            Failure::new(FailureClass::Cancelled, "the step was stopped before its slot was there")
        }
    };
    // The session waits in a lock, where the server does not notice that its client is gone.
    canceller.cancel().await?;
    Err(ended)
}

/// Sends the script; the last statement returns the snapshot, and one before it, where there is
/// one, what an imported snapshot shows.
async fn export(
    context: &StepContext,
    session: &Pooled<Sql>,
    call: &Call,
    observed: &Observed,
) -> Result<String, Failure> {
    let fill = Fill { call, tag: context.tag(), observed };
    let statements: Vec<&Statement> =
        call.node.members.iter().flat_map(|member| &member.run).collect();
    let mut id = None;
    for (at, statement) in statements.iter().enumerate() {
        let text = fill.text("", statement)?;
        let rows = patiently(session, call, &text).await;
        let rows = rows.map_err(|failure| script::snapshot_gone(failure, statement))?;
        id = rows.first().and_then(|row| row.get(0)).map(str::to_owned);
        if let Some(shown) = id.as_deref().filter(|_| at + 1 < statements.len()) {
            settled::settled(context, call, shown).await?;
        }
    }
    id.ok_or_else(|| Failure::permanent("the source exported no snapshot"))
}

/// Sends a statement, and says so when it waits.
async fn patiently(session: &Pooled<Sql>, call: &Call, text: &str) -> Result<Vec<Row>, Failure> {
    let mut sent = pin!(session.rows(text));
    if let Ok(result) = tokio::time::timeout(PATIENCE, &mut sent).await {
        return result;
    }
    call.reporter.waiting(&format!("the source: {}", cut(text)));
    sent.await
}

/// The start of a statement that may name many tables.
fn cut(text: &str) -> String {
    let start: String = text.chars().take(100).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

/// Returns when the service is stopped; fails when the session is gone, and the snapshot with it.
async fn hold(context: &StepContext, session: &Pooled<Sql>, call: &Call) -> Result<(), Failure> {
    let mut pulse = tokio::time::interval(PULSE);
    let mut stopped = call.reporter.stopped();
    let mut cancelled = pin!(context.cancelled());
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            failure = &mut cancelled => return Err(failure),
            _ = pulse.tick() => {}
        }
        if session.is_closed() {
            let lost = "the session that held the snapshot of the source is gone";
            return Err(Failure::transient(lost)
                .help("the next attempt takes a new snapshot; parts that are in stay"));
        }
    }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{ByteSize, TableGroup};

    use super::*;
    use crate::testing::{Sample, ident, name, shown};

    fn sample(large: usize) -> Sample {
        let mut sample = Sample::default();
        sample.settings.load.part_size = ByteSize(1 << 20);
        sample.table(1, "public", "small");
        let mut group = TableGroup { name: ident("all"), tables: vec![name("public", "small")] };
        for number in 0..large {
            let table = format!("t{number:02}");
            let oid = 10 + u32::try_from(number).unwrap();
            sample.table(oid, "public", &table).bytes = 2 << 20;
            group.tables.push(name("public", &table));
        }
        sample.table(9, "public", "left out").bytes = 2 << 20;
        group.tables.sort();
        sample.selection.groups.push(group);
        sample
    }

    fn script(large: usize) -> Script {
        sample(large).expand::<HoldSnapshot>(json!({})).unwrap().remove(0).script
    }

    fn through_slot(sample: &Sample) -> Vec<Draft> {
        sample.expand::<HoldSnapshot>(json!({ "through": "slot" })).unwrap()
    }

    #[test]
    fn a_slot_exports_a_snapshot_that_the_holder_imports_after_its_locks() {
        let mut sample = sample(1);
        sample.slot("orders", Vec::new());
        let draft = through_slot(&sample).remove(0);
        assert_eq!(
            shown(&draft.script.before),
            ["CREATE_REPLICATION_SLOT pgkedge_snapshot_‹run›_‹epoch›_‹attempt› TEMPORARY LOGICAL \
              pgoutput (SNAPSHOT 'export')"]
        );
        assert_eq!(draft.script.before[0].session, Session::Replication);
        assert_eq!(
            shown(&draft.script.run),
            [
                "begin transaction isolation level repeatable read read only",
                "lock table only public.t00 in access share mode",
                "set transaction snapshot ‹snapshot›",
                "select pg_catalog.pg_current_snapshot()",
                "select pg_catalog.pg_export_snapshot()",
            ]
        );
        assert_eq!(
            draft.touches,
            [
                Touch::write(Object::new("snapshot", Server::Source)),
                Touch::read(Object::new("slot", "orders")),
                Touch::write(Object::new("hand_off", "lsn")),
            ]
        );
    }

    #[test]
    fn older_servers_are_asked_in_their_own_words() {
        let mut sample = sample(0);
        sample.facts.source.server.version = pgkedge_model::ServerVersion(120_022);
        let draft = through_slot(&sample).remove(0);
        assert!(shown(&draft.script.before)[0].ends_with("LOGICAL pgoutput EXPORT_SNAPSHOT"));
        assert_eq!(shown(&draft.script.run)[2], "select pg_catalog.txid_current_snapshot()");
    }

    #[test]
    fn a_plan_that_says_where_capture_begins_needs_no_snapshot_of_a_slot() {
        let mut sample = sample(0);
        sample.settings.change_capture.from = CaptureFrom::Lsn(pgkedge_model::Lsn(1));
        assert!(through_slot(&sample).is_empty());
    }

    #[test]
    fn tables_of_several_parts_are_locked_before_the_snapshot_is_taken() {
        let script = script(2);
        assert_eq!(
            shown(&script.run),
            [
                "begin transaction isolation level repeatable read read only",
                "lock table only public.t00, only public.t01 in access share mode",
                "select pg_catalog.pg_export_snapshot()",
            ]
        );
        assert_eq!(shown(&script.after), ["commit"]);
        assert!(script.run.iter().all(|statement| statement.on == Server::Source));
    }

    #[test]
    fn many_tables_are_locked_in_bundles_and_none_if_all_are_small() {
        assert_eq!(script(51).run.len(), 4);
        assert_eq!(script(0).run.len(), 2);
    }
}
