//! Takes one slot's capture away: its subscription, the slot, its publications, and the identities
//! that were changed for them.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Object, Probe, Script,
    Server, Statement, Touch, Transaction, quote_literal,
};
use pgkedge_postgres::Sql;
use pgkedge_render::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Fill;
use crate::guarded::Guarded;
use crate::identities::{Changed, alter_each, is_full, needs_full};
use crate::script;
use crate::slots::{insist, server_name};
use crate::step::{NoParams, Step};
use crate::streams::Stream;

pub(crate) struct DropCapture;

/// What belongs to one slot.
#[derive(Serialize, Deserialize)]
struct CaptureMember {
    slot: Stream,
    /// Those whose publications the run created.
    sets: Vec<String>,
    tables: Vec<Changed>,
}

impl Step for DropCapture {
    const KIND: &'static str = "drop_capture";
    const ABOUT: &'static str = "Removes a slot's subscription, the slot, its publications and \
                                 changed identities. What was there before stays.";
    const LEAVES: Leaves = Leaves::Nothing;
    const EACH: &'static [Each] = &[Each::Slot];
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Slot(slot) = expansion.item else { return Ok(Vec::new()) };
        let needs =
            |table: &&pgkedge_model::Table| needs_full(table, slot.sets.iter(), expansion.settings);
        let tables = expansion.facts.source.tables.iter().filter(needs).map(Changed::from);
        let member = CaptureMember {
            slot: slot.into(),
            sets: slot
                .sets
                .iter()
                .filter(|set| set.publication.is_none())
                .map(|set| set.name.as_str().to_owned())
                .collect(),
            tables: tables.collect(),
        };
        let context = json!({
            "slot": slot.name,
            "existing": slot.existing,
            "sets": member.sets,
            "tables": member.tables,
        });
        let source = |block| script::alone(Server::Source, Self::KIND, block, &context);
        let sets =
            slot.sets.iter().map(|set| Touch::write(Object::new("publication", set.name.as_str())));
        let own =
            ["stream", "slot"].map(|kind| Touch::write(Object::new(kind, slot.name.as_str())));
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            params: json!(member),
            touches: own.into_iter().chain(sets).collect(),
            script: Script {
                before: script::guarded(Self::KIND, Block::Before, &context)?,
                run: source(Block::Run)?,
                after: source(Block::After)?,
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let fill = Fill::plain(call, context.tag());
        for member in &call.node.members {
            let of: CaptureMember = context.member(&call.node, member)?;
            drop_subscription(context, call, &of, &member.key).await?;
            let texts = fill.texts(&member.key, &member.run)?;
            insist(&*context.sql(Server::Source).await?, &texts).await?;
            let texts = fill.texts(&member.key, &call.node.after)?;
            alter_each(context, call, &of.tables, &texts, true).await?;
        }
        Ok(Value::Null)
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        for member in &call.node.members {
            if is_left(context, &context.member(&call.node, member)?).await? {
                return Ok(Probe::Partial);
            }
        }
        Ok(Probe::Applied(Value::Null))
    }
}

/// In one guarded transaction, if the subscription is there at all.
async fn drop_subscription(
    context: &StepContext,
    call: &Call,
    of: &CaptureMember,
    key: &str,
) -> Result<(), Failure> {
    let mut session = context.sql(Server::Target).await?;
    let reader = context.read(Server::Target).await?;
    if !has_subscription(&reader, &of.slot.subscription(context.tag())).await? {
        return Ok(());
    }
    let is_guarded = |one: &&Statement| one.transaction == Transaction::Guarded;
    let statements = call.node.before.iter().filter(is_guarded);
    let texts = Fill::plain(call, context.tag()).texts(key, statements)?;
    let mut transaction = Guarded::begin(&mut *session, context.ledger()).await?;
    if let Err((at, failure)) = transaction.execute_all(&texts).await {
        transaction.rollback().await;
        return Err(match call.node.before.get(at) {
            Some(statement) => script::explained(failure, key, statement),
            None => failure,
        });
    }
    transaction.commit(call, &[(key, None)]).await
}

async fn has_subscription(target: &Sql, name: &str) -> Result<bool, Failure> {
    holds(
        target,
        &format!(
            "select from pg_catalog.pg_subscription s join pg_catalog.pg_database d \
             on d.oid = s.subdbid and d.datname = pg_catalog.current_database() \
             where s.subname = {}",
            quote_literal(name)
        ),
    )
    .await
}

async fn holds(session: &Sql, query: &str) -> Result<bool, Failure> {
    let rows = session.rows(&format!("select exists ({query})")).await?;
    Ok(rows.first().and_then(|row| row.get(0)) == Some("t"))
}

/// Whether anything of a slot's capture is there.
async fn is_left(context: &StepContext, of: &CaptureMember) -> Result<bool, Failure> {
    let tag = context.tag();
    let target = context.read(Server::Target).await?;
    if has_subscription(&target, &of.slot.subscription(tag)).await? {
        return Ok(true);
    }
    let source = context.read(Server::Source).await?;
    let slot = quote_literal(&of.slot.slot_name(tag));
    let slots = format!("from pg_catalog.pg_replication_slots s where s.slot_name = {slot}");
    if !of.slot.existing && holds(&source, &format!("select {slots}")).await? {
        return Ok(true);
    }
    for set in &of.sets {
        let name = quote_literal(&server_name(set, tag));
        let query = format!("select from pg_catalog.pg_publication p where p.pubname = {name}");
        if holds(&source, &query).await? {
            return Ok(true);
        }
    }
    for changed in &of.tables {
        if is_full(&source, &changed.table).await? == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{Undo, WithoutIdentity};

    use super::*;
    use crate::testing::{Sample, ident, set, shown};

    fn draft(existing: bool) -> Draft {
        let mut sample = Sample::default();
        sample.settings.tables_without_identity = WithoutIdentity::Full;
        sample.slot("orders", vec![set("rows", &["public.t"]), set("inserts", &["public.u"])]);
        sample.capture.slots[0].existing = existing;
        sample.capture.slots[0].sets[1].operations = [pgkedge_model::Operation::Insert].into();
        sample.table(1, "public", "t");
        sample.table(2, "public", "u");
        let item = Item::Slot(&sample.capture.slots[0]);
        sample.expand_item::<DropCapture>(item, json!({})).unwrap().remove(0)
    }

    #[test]
    fn everything_of_a_slot_goes_subscription_first() {
        let draft = draft(false);
        assert_eq!(
            shown(&draft.script.before),
            [
                "alter subscription pgkedge_orders_‹run› disable",
                "alter subscription pgkedge_orders_‹run› set (slot_name = none)",
                "drop subscription pgkedge_orders_‹run›",
            ]
        );
        assert_eq!(
            shown(&draft.script.run),
            [
                "select pg_catalog.pg_terminate_backend(s.active_pid) from \
                 pg_catalog.pg_replication_slots s where s.slot_name = 'pgkedge_orders_‹run›' and \
                 s.active_pid is not null",
                "select pg_catalog.pg_drop_replication_slot(s.slot_name) from \
                 pg_catalog.pg_replication_slots s where s.slot_name = 'pgkedge_orders_‹run›'",
                "drop publication if exists pgkedge_rows_‹run›",
                "drop publication if exists pgkedge_inserts_‹run›",
            ]
        );
        let restored = "alter table only public.t replica identity default";
        assert_eq!(shown(&draft.script.after)[2..], [restored, "commit"]);
        assert_eq!(draft.script.undo, Undo::Nothing);
    }

    #[test]
    fn a_slot_that_was_there_before_stays() {
        let run = shown(&draft(true).script.run);
        assert!(run.iter().all(|sql| sql.starts_with("drop publication")), "{run:?}");
    }

    #[test]
    fn a_publication_that_was_there_before_stays() {
        let mut sample = Sample::default();
        sample.slot("orders", vec![set("rows", &["public.t"]), set("mine", &["public.u"])]);
        sample.capture.slots[0].existing = true;
        sample.capture.slots[0].sets[1].publication = Some(ident("app"));
        let item = Item::Slot(&sample.capture.slots[0]);
        let draft = sample.expand_item::<DropCapture>(item, json!({})).unwrap().remove(0);
        assert_eq!(shown(&draft.script.run), ["drop publication if exists pgkedge_rows_‹run›"]);
    }
}
