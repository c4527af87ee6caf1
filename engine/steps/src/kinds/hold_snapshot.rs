//! Holds one snapshot of the source for every reader, until another step stops it.

use std::pin::pin;
use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Item, Leaves, Object, QualifiedName, Script,
    Server, Statement, Table, TableKind, Touch, Undo,
};
use pgkedge_postgres::{Pooled, Sql};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::script;
use crate::step::{NoParams, Step};

/// Tables in one `lock table`.
const LOCKED_AT_ONCE: usize = 50;
/// How often the session that holds the snapshot is looked at.
const PULSE: Duration = Duration::from_secs(1);
/// After that time a lock is worth telling that it is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct HoldSnapshot;

impl Step for HoldSnapshot {
    const KIND: &'static str = "hold_snapshot";
    const ABOUT: &'static str = "Holds one snapshot of the source that all readers share.";
    const LEAVES: Leaves = Leaves::Nothing;
    const SERVICE: bool = true;
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let tables: Vec<&QualifiedName> = locked(expansion).collect();
        let batches: Vec<_> = tables.chunks(LOCKED_AT_ONCE).collect();
        let context = json!({ "locked": batches });
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![Touch::write(Object::new("snapshot", Server::Source))],
            script: Script {
                before: Vec::new(),
                run: script::alone(Server::Source, Self::KIND, Block::Run, &context)?,
                after: script::alone(Server::Source, Self::KIND, Block::After, &context)?,
                undo: Undo::Nothing,
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let session = context.sql(Server::Source).await?;
        let id = export(&session, call).await?;
        let output = json!({ "id": id });
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

/// Sends the script; the last statement returns the snapshot.
async fn export(session: &Pooled<Sql>, call: &Call) -> Result<String, Failure> {
    let statements: Vec<&Statement> =
        call.node.members.iter().flat_map(|member| &member.run).collect();
    let Some((last, first)) = statements.split_last() else {
        return Err(Failure::permanent(format!("{} has no statements", call.node.id)));
    };
    let explained = |failure, statement| script::explained(failure, "", statement);
    for statement in first {
        let text = statement.shown();
        let mut sent = pin!(session.execute(&text));
        let result = if let Ok(result) = tokio::time::timeout(PATIENCE, &mut sent).await {
            result
        } else {
            call.reporter.waiting(&format!("the source: {}", cut(&text)));
            sent.await
        };
        result.map_err(|failure| explained(failure, statement))?;
    }
    let rows = session.rows(&last.shown()).await.map_err(|failure| explained(failure, last))?;
    let id = rows.first().and_then(|row| row.get(0));
    id.map(str::to_owned).ok_or_else(|| Failure::permanent("the source exported no snapshot"))
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
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            failure = context.cancelled() => return Err(failure),
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

    fn script(large: usize) -> Script {
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
        sample.expand::<HoldSnapshot>(json!({})).unwrap().remove(0).script
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
