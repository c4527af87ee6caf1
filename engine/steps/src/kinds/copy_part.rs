//! Copies the rows of one load part, or of many small tables in one transaction.
//!
//! The rows and the ledger's rows are committed together: a part is in exactly once.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Object, Part, PartRange,
    Probe, Progress, QualifiedName, Script, Server, Session, Statement, Table, Touch, Transaction,
    Undo, UnloggedPolicy, quote_literal,
};
use pgkedge_postgres::{Copied, Wire, relay};
use pgkedge_render::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::copy_format::{self, RowFormat};
use crate::fill::{Fill, Observed};
use crate::guarded::Guarded;
use crate::reading::{self, LoadFrom, Reading};
use crate::script;
use crate::step::Step;

/// `pg_class`.
const CLASS: u32 = 1259;

pub(crate) struct CopyPart;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyParams {
    /// Where the rows come from. Unlogged parts always come from the source, as it is.
    #[serde(default)]
    from: LoadFrom,
}

/// A member of the step.
#[derive(Debug, Serialize, Deserialize)]
struct CopyMember {
    table: QualifiedName,
    part: Part,
    format: RowFormat,
    /// Why the rows do not travel binary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// Of a table in several parts: what its file was when it was split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filenode: Option<u32>,
}

impl Step for CopyPart {
    const KIND: &'static str = "copy_part";
    const ABOUT: &'static str =
        "Copies the rows of a load part: as of the held snapshot, or of the paused replica.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::Part, Each::UnloggedPart];
    type Params = CopyParams;

    fn expand(params: &CopyParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Part(table, part) = expansion.item else { return Ok(Vec::new()) };
        let Some(reading) = reading(*params, expansion, table) else { return Ok(Vec::new()) };
        let load = &expansion.settings.load;
        let cost = table.bytes / u64::from(part.of.max(1));
        let is_small = part.of == 1 && cost <= load.bundle_below.0;
        let (format, because) = copy_format::format(table, expansion.facts, load.format);
        let member = CopyMember {
            table: table.name.clone(),
            part: part.clone(),
            format,
            because,
            filenode: (part.of > 1 && matches!(reading, Reading::Snapshot))
                .then_some(table.filenode),
        };
        Ok(vec![Draft {
            key: key(table, part),
            params: serde_json::to_value(&member).map_err(|error| {
                vec![Finding::error("steps::parameters", format!("{}: {error}", table.name))]
            })?,
            touches: touches(reading, expansion, table),
            script: statements(expansion, reading, (table, part), format)?,
            cost,
            fold: if is_small { Fold::Small } else { Fold::Alone },
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        match Box::pin(copy(context, call)).await {
            // An earlier attempt that lost its connection may have committed in the meantime.
            Err(failure) if call.attempt > 1 => match Self::probe(context, call).await {
                Ok(Probe::Applied(output)) => Ok(output),
                Ok(_) | Err(_) => Err(failure),
            },
            result => result,
        }
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let effects = script::effects(context, call).await?;
        let mut rows = 0;
        for member in &call.node.members {
            let Some(copied) = effects.get(&member.key) else { return Ok(Probe::Absent) };
            rows += copied.unwrap_or(0);
        }
        Ok(Probe::Applied(json!({ "rows": rows })))
    }
}

fn key(table: &Table, part: &Part) -> String {
    if part.of == 1 {
        return table.name.to_string();
    }
    format!("{} {}/{}", table.name, part.number, part.of)
}

/// What the rows of a part are read from; nothing where they stay behind.
fn reading<'a>(
    params: CopyParams,
    expansion: &Expansion<'a>,
    table: &Table,
) -> Option<Reading<'a>> {
    if expansion.declared.each == Some(Each::UnloggedPart) {
        let moves = expansion.settings.unlogged == UnloggedPolicy::AtCutover;
        return moves.then_some(Reading::Present);
    }
    Some(match params.from {
        LoadFrom::Source => Reading::Snapshot,
        LoadFrom::Replica => Reading::Paused(reading::slot_of(expansion, &table.name)),
    })
}

fn touches(reading: Reading<'_>, expansion: &Expansion<'_>, table: &Table) -> Vec<Touch> {
    let mut touches = reading.touches(reading::slot_of(expansion, &table.name));
    touches.push(Touch::add(Object::new("data", &table.name)));
    touches.push(Touch::add(Object::new("rows", Server::Target)));
    let root = table.partition.as_ref().filter(|partition| partition.through_root);
    let root = root.and_then(|partition| expansion.source.tables_by_name.get(&partition.root));
    for table in [Some(&table), root].into_iter().flatten() {
        let entry = expansion.source.entries_by_object.get(&(CLASS, table.oid));
        touches.extend(entry.map(|entry| Touch::read(Object::new("entry", entry.number))));
    }
    touches
}

fn statements(
    expansion: &Expansion<'_>,
    reading: Reading<'_>,
    (table, part): (&Table, &Part),
    format: RowFormat,
) -> Result<Script, Vec<Finding>> {
    let facts = expansion.facts;
    let columns: Vec<_> =
        copy_format::copied(table).into_iter().map(|column| &column.name).collect();
    let partition = table.partition.as_ref().filter(|partition| partition.through_root);
    let pages = match &part.range {
        PartRange::Whole => Value::Null,
        PartRange::Pages { from, to } => json!({ "from": from, "to": to }),
    };
    let context = json!({
        "table": table.name,
        "columns": columns,
        "expressions": copy_format::expressions(table, &facts.source.types),
        "pages": pages,
        "condition": table.extension_rows.as_deref().unwrap_or_default(),
        "into": partition.map_or(&table.name, |partition| &partition.root),
        "binary": format == RowFormat::Binary,
    });
    let run = script::alone(reading.server(), CopyPart::KIND, Block::Run, &context)?;
    let mut run: Vec<Statement> = run.into_iter().map(by_wire).collect();
    for statement in run.iter_mut().skip(1) {
        statement.on = Server::Target;
        statement.transaction = Transaction::Guarded;
    }
    Ok(Script {
        before: reading.before(facts, Session::Wire),
        run,
        after: reading.after(facts, Session::Wire),
        undo: Undo::Statements(script::guarded(CopyPart::KIND, Block::Undo, &context)?),
    })
}

fn by_wire(statement: Statement) -> Statement {
    Statement { session: Session::Wire, ..statement }
}

/// Copies all members through one transaction on each side.
async fn copy(context: &StepContext, call: &Call) -> Result<Value, Failure> {
    let encoding = Some(context.facts().source.database.encoding.as_str());
    let mut source = context.wire(read_from(call), encoding).await?;
    let mut target = context.wire(Server::Target, encoding).await?;
    refuse_rewritten(context, call).await?;
    reading::send(context, call, &mut *source, &call.node.before).await?;

    let observed = Observed::default();
    let fill = Fill { call, tag: context.tag(), observed: &observed };
    let (out, into) = both_sides(&fill, call)?;
    let mut transaction = Guarded::begin(&mut *target, context.ledger()).await?;
    let progress = |bytes, rows| {
        let step = Some(call.node.id.clone());
        call.reporter.progress(Progress { step, bytes, rows });
    };
    let copied = relay(&mut source, &out, transaction.carrier(), &into, &progress).await;
    let checked = match copied {
        Ok(copied) => prove_unmoved(context, call, &mut source).await.map(|()| copied),
        Err(failure) => Err(explained(failure, call)),
    };
    let copied = match checked {
        Ok(copied) => copied,
        Err(failure) => {
            transaction.rollback().await;
            return Err(failure);
        }
    };
    let members: Vec<(&str, Option<u64>)> = call
        .node
        .members
        .iter()
        .zip(&copied)
        .map(|(member, copied)| (member.key.as_str(), Some(copied.rows)))
        .collect();
    transaction.commit(call, &members).await?;
    Ok(totals(&copied))
}

/// The server that the rows are read from.
fn read_from(call: &Call) -> Server {
    call.node.before.first().map_or(Server::Source, |begin| begin.on)
}

/// Proves, before anything is committed, that nothing was rewritten or replayed meanwhile.
async fn prove_unmoved(
    context: &StepContext,
    call: &Call,
    source: &mut Wire,
) -> Result<(), Failure> {
    // Our own lock on the table has held since its COPY began.
    refuse_rewritten(context, call).await?;
    match reading::send(context, call, source, &call.node.after).await {
        // A snapshot that was read from proves itself: nothing is lost if its server is gone by now.
        Err(failure) if read_from(call) == Server::Source => {
            tracing::debug!(%failure, "the source went away after its rows were read");
            Ok(())
        }
        sent => sent,
    }
}

/// The COPY statements of all members, of the source and of the target.
fn both_sides(fill: &Fill<'_>, call: &Call) -> Result<(Vec<String>, Vec<String>), Failure> {
    let (mut out, mut into) = (Vec::new(), Vec::new());
    for member in &call.node.members {
        for statement in &member.run {
            let side = if statement.on == Server::Target { &mut into } else { &mut out };
            side.push(fill.text(&member.key, statement)?);
        }
    }
    Ok((out, into))
}

/// Parts are ranges of pages: they hold other rows as soon as the table is written anew.
async fn refuse_rewritten(context: &StepContext, call: &Call) -> Result<(), Failure> {
    let mut split = Vec::new();
    for member in &call.node.members {
        let params: CopyMember = context.member(&call.node, member)?;
        if let Some(filenode) = params.filenode {
            split.push((params.table.to_string(), filenode.to_string()));
        }
    }
    if split.is_empty() {
        return Ok(());
    }
    let file = |table: &String| {
        format!("pg_catalog.pg_relation_filenode({}::pg_catalog.regclass)", quote_literal(table))
    };
    let files: Vec<String> = split.iter().map(|(table, _)| file(table)).collect();
    let rows =
        context.read(Server::Source).await?.rows(&format!("select {}", files.join(", "))).await?;
    for (at, (table, filenode)) in split.iter().enumerate() {
        if rows.first().and_then(|row| row.get(at)) != Some(filenode.as_str()) {
            let message = format!("table {table} was rewritten since the plan was compiled");
            return Err(Failure::permanent(message).help(
                "its parts are ranges of pages that hold other rows now: start a new run, and \
                 keep VACUUM FULL, CLUSTER, TRUNCATE and ALTER TABLE away until it has ended",
            ));
        }
    }
    Ok(())
}

fn explained(failure: Failure, call: &Call) -> Failure {
    match call.node.members.as_slice() {
        [member] => failure.detail(format!("while at: {}", member.key)),
        members => failure.detail(format!("while at: a bundle of {} tables", members.len())),
    }
}

fn totals(copied: &[Copied]) -> Value {
    let rows: u64 = copied.iter().map(|copied| copied.rows).sum();
    let bytes: u64 = copied.iter().map(|copied| copied.bytes).sum();
    json!({ "rows": rows, "bytes": bytes })
}

#[cfg(test)]
mod tests;
