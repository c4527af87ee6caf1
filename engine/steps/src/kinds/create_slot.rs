//! Creates a logical slot on the source once its publications are there, or proves one that the
//! plan names as existing.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves, Object,
    Probe, Script, Server, Touch, Undo, quote_literal,
};
use pgkedge_postgres::Row;
use pgkedge_render::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Fill;
use crate::script;
use crate::slots::{created, decodable_since, insist, process_id};
use crate::step::{NoParams, Step};
use crate::streams::Stream;

pub(crate) struct CreateSlot;

#[derive(Serialize, Deserialize)]
struct SlotMember {
    #[serde(flatten)]
    stream: Stream,
    /// A slot that was there may stand before publications that the run creates.
    publishes_anew: bool,
}

impl Step for CreateSlot {
    const KIND: &'static str = "create_slot";
    const ABOUT: &'static str = "Creates a logical replication slot (pgoutput) on the source, or \
                                 proves that an existing one can serve.";
    const LEAVES: Leaves = Leaves::Scaffold;
    const EACH: &'static [Each] = &[Each::Slot];
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Slot(slot) = expansion.item else { return Ok(Vec::new()) };
        let context = json!({
            "slot": slot.name,
            "existing": slot.existing,
            "major": expansion.facts.source.server.version.major(),
        });
        let statements = |block| script::alone(Server::Source, Self::KIND, block, &context);
        let publications =
            slot.sets.iter().map(|set| Touch::read(Object::new("publication", set.name.as_str())));
        let own = Touch::write(Object::new("slot", slot.name.as_str()));
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            params: json!(SlotMember {
                stream: slot.into(),
                publishes_anew: slot.publishes_anew(),
            }),
            touches: publications.chain([own]).collect(),
            script: Script {
                run: statements(Block::Run)?,
                undo: if slot.existing {
                    Undo::Nothing
                } else {
                    Undo::Statements(statements(Block::Undo)?)
                },
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let (slot, name) = slot(context, call)?;
        let texts = Fill::plain(call, context.tag()).texts("", call.node.statements())?;
        if slot.stream.existing {
            let rows = context.read(Server::Source).await?.rows(&texts.concat()).await?;
            fit(&name, rows.first())?;
            if !slot.publishes_anew {
                return Ok(json!({ "slot": name }));
            }
            let since = decodable_since(context, call, &name).await?;
            return Ok(json!({ "slot": name, "since": since }));
        }
        let session = context.sql(Server::Source).await?;
        let process_id = process_id(&session).await?;
        created(context, call, process_id, &name, session.execute(&texts[0])).await?;
        Ok(json!({ "slot": name }))
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let (slot, name) = slot(context, call)?;
        if slot.stream.existing {
            return Ok(Probe::Absent);
        }
        let session = context.read(Server::Source).await?;
        let rows = session.rows(&state_sql(&name)).await?;
        let Some(row) = rows.first() else { return Ok(Probe::Absent) };
        Ok(match (row.get(0), row.get(1)) {
            (Some("f"), _) => Probe::Foreign(format!(
                "slot {name} of the source is not as this run made it; drop it with \
                 `select pg_drop_replication_slot('{name}')`, then `pgkedge resume`"
            )),
            (_, Some("f")) => {
                let pid = row.get(2).unwrap_or("?");
                Probe::InProgress(format!("session {pid} still creates slot {name}"))
            }
            _ => Probe::Applied(json!({ "slot": name })),
        })
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        for member in &call.node.members {
            if let Undo::Statements(statements) = &member.undo {
                let texts = Fill::plain(call, context.tag()).texts(&member.key, statements)?;
                insist(&*context.sql(Server::Source).await?, &texts).await?;
            }
        }
        Ok(())
    }
}

/// Columns: it is one of ours, it is complete, who uses it.
fn state_sql(name: &str) -> String {
    format!(
        "select s.plugin = 'pgoutput' and s.database = pg_catalog.current_database() \
         and not s.temporary, s.confirmed_flush_lsn is not null, s.active_pid \
         from pg_catalog.pg_replication_slots s where s.slot_name = {}",
        quote_literal(name)
    )
}

/// The slot of a node, and its name on the source.
fn slot(context: &StepContext, call: &Call) -> Result<(SlotMember, String), Failure> {
    let Some(member) = call.node.members.first() else {
        return Err(Failure::permanent(format!("{} has no member", call.node.id)));
    };
    let slot: SlotMember = context.member(&call.node, member)?;
    let name = slot.stream.slot_name(context.tag());
    Ok((slot, name))
}

/// Whether a slot that was there before can serve.
fn fit(name: &str, row: Option<&Row>) -> Result<(), Failure> {
    let refused = |fact: String, help: String| {
        let message = format!("slot {name} of the source cannot serve: {fact}");
        Err(Failure::new(FailureClass::Operator, message).help(help))
    };
    let Some(row) = row else {
        return refused(
            "there is none of that name".to_owned(),
            "leave out `existing: true` in the plan, and pgkedge creates one".to_owned(),
        );
    };
    let text = |at: usize| row.get(at).unwrap_or("none");
    let other = "name another slot in the plan, or leave out `existing: true`".to_owned();
    if text(0) != "pgoutput" {
        return refused(format!("its plugin is {}, not pgoutput", text(0)), other);
    }
    if text(1) != "t" {
        return refused(format!("it belongs to database {}", text(2)), other);
    }
    if row.get(4) == Some("lost") {
        return refused("WAL that it needs is gone".to_owned(), other);
    }
    if let Some(pid) = row.get(3) {
        return refused(
            format!("session {pid} reads from it"),
            "stop its reader (a subscription: `alter subscription … disable` on its server), then \
             `pgkedge resume`"
                .to_owned(),
        );
    }
    if row.get(5).is_none() {
        return refused("it is not complete".to_owned(), other);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, set, shown};

    fn draft(existing: bool) -> Draft {
        let mut sample = Sample::default();
        sample.slot("orders", vec![set("rows", &[]), set("inserts", &[])]);
        sample.capture.slots[0].existing = existing;
        let item = Item::Slot(&sample.capture.slots[0]);
        sample.expand_item::<CreateSlot>(item, json!({})).unwrap().remove(0)
    }

    #[test]
    fn a_slot_comes_after_its_publications_and_goes_with_its_reader() {
        let draft = draft(false);
        assert_eq!(
            shown(&draft.script.run),
            ["select s.slot_name, s.lsn from pg_catalog.pg_create_logical_replication_slot(\
              'pgkedge_orders_‹run›', 'pgoutput') as s"]
        );
        let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
        assert!(shown(undo)[0].starts_with("select pg_catalog.pg_terminate_backend("));
        assert!(shown(undo)[1].starts_with("select pg_catalog.pg_drop_replication_slot("));
        assert_eq!(
            draft.touches,
            [
                Touch::read(Object::new("publication", "rows")),
                Touch::read(Object::new("publication", "inserts")),
                Touch::write(Object::new("slot", "orders")),
            ]
        );
    }

    #[test]
    fn one_that_is_there_already_is_looked_at_and_stays() {
        let draft = draft(true);
        let sql = shown(&draft.script.run).remove(0);
        assert!(sql.ends_with("s where s.slot_name = 'orders'"), "{sql}");
        assert_eq!(draft.script.undo, Undo::Nothing);
    }
}
