//! Proves of one slot that it carries every change since the hand-off: the load ends there, and
//! apply begins there.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves, Object,
    RunTag, Script, Server, Slot, Touch,
};
use pgkedge_postgres::{Row, Sql};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::{Fill, giver};
use crate::replica::ReplayState;
use crate::script;
use crate::step::{NoParams, Step};
use crate::streams::Stream;

/// What `wal_status` says of a slot that has all it needs; nothing before 13.
const RETAINED: [&str; 2] = ["reserved", "extended"];
const START_OVER: &str =
    "what was written meanwhile is lost to it: `pgkedge abort`, and start another run";

pub(crate) struct ProveHandOff;

impl Step for ProveHandOff {
    const KIND: &'static str = "prove_hand_off";
    const ABOUT: &'static str =
        "Proves that a slot still carries every change since the hand-off position.";
    const LEAVES: Leaves = Leaves::Nothing;
    const EACH: &'static [Each] = &[Each::Slot];
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Slot(slot) = expansion.item else { return Ok(Vec::new()) };
        let context = json!({
            "slot": slot.name,
            "existing": slot.existing,
            "anew": slot.existing && slot.publishes_anew(),
            "major": expansion.facts.source.server.version.major(),
        });
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            params: json!(slot),
            touches: vec![
                Touch::read(Object::new("slot", slot.name.as_str())),
                Touch::read(Object::new("hand_off", "lsn")),
                Touch::read(Object::new("replay", Server::Replica)),
                Touch::write(Object::new("slot_hand_off", slot.name.as_str())),
            ],
            script: Script {
                run: script::alone(Server::Source, Self::KIND, Block::Run, &context)?,
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let Some(member) = call.node.members.first() else {
            return Err(Failure::permanent(format!("{} has no member", call.node.id)));
        };
        let slot: Slot = context.member(&call.node, member)?;
        let hand_off = giver(call, member, "lsn");
        let lsn = hand_off.and_then(|given| given.get("lsn")?.as_str()).ok_or_else(|| {
            Failure::permanent(format!("{}: no step has given a hand-off position", call.node.id))
        })?;
        let texts = Fill::plain(call, context.tag()).texts(&member.key, &member.run)?;
        let rows = context.read(Server::Source).await?.rows(&texts.concat()).await?;
        let confirmed = rows.first().and_then(|row| row.get(4)).unwrap_or("unknown");
        let proof = Proof { tag: context.tag(), slot: &slot, lsn, confirmed };
        proof.of_slot(rows.first())?;
        // Only a paused replica has one.
        if hand_off.is_some_and(|given| given.get("timeline").is_some()) {
            let source = rows.first().and_then(|row| row.get(9)).unwrap_or_default();
            proof.of_replica(&*context.read(Server::Replica).await?, source).await?;
        }
        Ok(json!({ "lsn": lsn }))
    }
}

/// One slot, held against the position where the load ends.
struct Proof<'a> {
    tag: &'a RunTag,
    slot: &'a Slot,
    lsn: &'a str,
    /// What the slot has been read up to.
    confirmed: &'a str,
}

impl Proof<'_> {
    fn refused(&self, fact: &str) -> Failure {
        let Self { lsn, confirmed, .. } = self;
        let name = Stream::from(self.slot).slot_name(self.tag);
        let message = format!("slot {name} of the source cannot serve from {lsn} on: {fact}");
        Failure::new(FailureClass::Operator, message)
            .detail(format!("hand-off {lsn}, confirmed position of the slot {confirmed}"))
    }

    fn of_slot(&self, row: Option<&Row>) -> Result<(), Failure> {
        let Some(row) = row else {
            return Err(self.refused("it is gone").help(START_OVER));
        };
        if row.get(0) != Some("pgoutput") || row.get(1) != Some("t") {
            return Err(self.refused("it is of another plugin or database").help(START_OVER));
        }
        self.unused(row)?;
        if let Some(status) = row.get(5).filter(|status| !RETAINED.contains(status)) {
            let fact = format!("WAL that it needs is going or gone (`{status}`)");
            let help = format!("raise max_slot_wal_keep_size; {START_OVER}");
            return Err(self.refused(&fact).help(help));
        }
        if row.get(6) != Some("t") {
            let fact = "changes up to its confirmed position are gone from it already";
            return Err(self.refused(fact).help(self.later()));
        }
        self.written(row)
    }

    /// The position is one that the source has written, after all that the slot needs to decode.
    fn written(&self, row: &Row) -> Result<(), Failure> {
        if row.get(10) != Some("t") {
            let fact = "its publications were not there yet, so that changes would be lost";
            return Err(self.refused(fact).help(
                "let pgkedge create the slot (leave out `existing: true`), or name publications \
                 that were there before it (`publication` of the replication sets)",
            ));
        }
        if row.get(7) != Some("t") {
            let written = row.get(8).unwrap_or("none");
            let fact = format!("the source has written up to {written} only");
            return Err(self.refused(&fact).help(
                "the position belongs to another server, or the source was restored: see \
                 `change_capture.from` in the plan",
            ));
        }
        Ok(())
    }

    /// A walsender of our own last subscription may take a moment to end.
    fn unused(&self, row: &Row) -> Result<(), Failure> {
        let Some(pid) = row.get(2) else { return Ok(()) };
        let application = row.get(3).unwrap_or("unknown");
        let own = application == Stream::from(self.slot).subscription(self.tag);
        let fact = format!("session {pid} (`{application}`) reads from it");
        let class = if own { FailureClass::Transient } else { FailureClass::Operator };
        Err(Failure { class, ..self.refused(&fact) }.help(format!(
            "end it with `select pg_terminate_backend({pid})` on the source, then `pgkedge resume`"
        )))
    }

    /// The replica still stands where its rows are read from, and follows this source.
    async fn of_replica(&self, replica: &Sql, source: &str) -> Result<(), Failure> {
        let state = ReplayState::read(replica).await?;
        let again = "let it be, and start the load of the unfinished groups over with \
                     `pgkedge redo --group …` and `pgkedge resume`";
        if !state.is_paused() || state.lsn.to_string() != self.lsn {
            let what = if state.is_paused() { "is paused" } else { "is not paused any more, and" };
            let fact = format!("the replica {what} at {}", state.lsn);
            return Err(self.refused(&fact).help(again));
        }
        let received = "select r.received_tli from pg_catalog.pg_stat_wal_receiver r";
        let rows = replica.rows(received).await?;
        let theirs = rows.first().and_then(|row| row.get(0)?.parse::<u32>().ok());
        let ours = source.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        // A replica that takes whole segments from an archive does not tell.
        if theirs.is_none_or(|theirs| Some(theirs) == ours) {
            return Ok(());
        }
        let fact = format!(
            "the source is on timeline {}, the replica follows {}",
            ours.unwrap_or_default(),
            theirs.unwrap_or_default()
        );
        Err(self.refused(&fact).help(START_OVER))
    }

    fn later(&self) -> String {
        match self.slot.groups.first() {
            Some(group) if !self.slot.existing => format!(
                "let nobody else read from it; a later hand-off: `pgkedge redo --group {}`, then \
                 `pgkedge resume`",
                group.as_str()
            ),
            _ => {
                format!("begin at {} or later: `change_capture.from` in the plan", self.confirmed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, ident, set, shown};

    #[test]
    fn one_that_was_there_must_not_begin_before_its_publications() {
        let mut sample = Sample::default();
        sample.slot("orders", vec![set("rows", &[])]);
        sample.capture.slots[0].existing = true;
        let item = Item::Slot(&sample.capture.slots[0]);
        let draft = sample.expand_item::<ProveHandOff>(item, json!({})).unwrap().remove(0);
        let sql = shown(&draft.script.run).remove(0);
        let guard = "‹slot:orders.since›::pg_catalog.pg_lsn <= ‹hand_off:lsn.lsn›";
        assert!(sql.contains(guard), "{sql}");
        assert!(sql.ends_with("where s.slot_name = 'orders'"), "{sql}");
        // Publications that were there as well are no younger than the slot.
        sample.capture.slots[0].sets[0].publication = Some(ident("app"));
        let item = Item::Slot(&sample.capture.slots[0]);
        let draft = sample.expand_item::<ProveHandOff>(item, json!({})).unwrap().remove(0);
        let sql = shown(&draft.script.run).remove(0);
        assert!(!sql.contains("since") && sql.ends_with("where s.slot_name = 'orders'"), "{sql}");
    }

    #[test]
    fn a_slot_is_held_against_the_position_that_another_step_gives() {
        let mut sample = Sample::default();
        sample.slot("orders", Vec::new());
        let item = Item::Slot(&sample.capture.slots[0]);
        let draft = sample.expand_item::<ProveHandOff>(item, json!({})).unwrap().remove(0);
        let sql = shown(&draft.script.run).remove(0);
        let guard = "s.confirmed_flush_lsn <= ‹hand_off:lsn.lsn›::pg_catalog.pg_lsn";
        assert!(sql.contains(guard), "{sql}");
        assert!(sql.ends_with("where s.slot_name = 'pgkedge_orders_‹run›'"), "{sql}");
        let proved = Touch::write(Object::new("slot_hand_off", "orders"));
        assert!(draft.touches.contains(&proved));
        assert!(draft.touches.contains(&Touch::read(Object::new("replay", "replica"))));
    }
}
