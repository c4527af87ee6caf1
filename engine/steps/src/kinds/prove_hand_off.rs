//! Proves of one slot that it carries every change since the hand-off: the load ends there, and
//! apply begins there.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves, Object,
    OutputOf, Piece, Script, Server, Touch,
};
use pgkedge_postgres::{Row, Sql};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Fill;
use crate::script;
use crate::slots::{SlotMember, server_name};
use crate::step::{NoParams, Step};

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
            "major": expansion.facts.source.server.version.major(),
        });
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            params: json!(SlotMember::from(slot)),
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
        let hand_off = HandOff::of(call)?;
        let fill = Fill::plain(call, context.tag());
        for member in &call.node.members {
            let slot: SlotMember = context.member(&call.node, member)?;
            let texts = fill.texts(&member.key, &member.run)?;
            let rows = context.read(Server::Source).await?.rows(&texts.concat()).await?;
            let proof = Proof { context, slot: &slot, hand_off: &hand_off };
            proof.of_slot(rows.first())?;
        }
        if hand_off.timeline.is_some() {
            still_paused(&*context.read(Server::Replica).await?, &hand_off).await?;
        }
        Ok(json!({ "lsn": hand_off.lsn }))
    }
}

/// Where the load ends.
struct HandOff {
    lsn: String,
    /// Of a paused replica alone.
    timeline: Option<u32>,
}

impl HandOff {
    /// The output of the step that the statement takes the position from.
    fn of(call: &Call) -> Result<Self, Failure> {
        let of_step = |piece: &Piece| match piece {
            Piece::Output { of: OutputOf::Step(step), .. } => call.inputs.get(step),
            Piece::Output { of: OutputOf::Itself | OutputOf::Writer(_), .. }
            | Piece::Sql(_)
            | Piece::Secret { .. }
            | Piece::RunName { .. } => None,
        };
        let output = call.node.statements().flat_map(|one| &one.text).find_map(of_step);
        let lsn = output.and_then(|output| output.get("lsn")?.as_str());
        let lsn = lsn.ok_or_else(|| {
            Failure::permanent(format!("{}: no step has given a hand-off position", call.node.id))
        })?;
        let timeline = output.and_then(|output| output.get("timeline")).and_then(|timeline| {
            let number = timeline.as_u64().or_else(|| timeline.as_str()?.parse().ok())?;
            u32::try_from(number).ok()
        });
        Ok(Self { lsn: lsn.to_owned(), timeline })
    }
}

struct Proof<'a> {
    context: &'a StepContext,
    slot: &'a SlotMember,
    hand_off: &'a HandOff,
}

impl Proof<'_> {
    fn name(&self) -> String {
        self.slot.name(self.context.tag())
    }

    /// The class says whether the same again may work.
    fn refused(&self, class: FailureClass, fact: &str, confirmed: &str) -> Failure {
        let (name, lsn) = (self.name(), &self.hand_off.lsn);
        Failure::new(class, format!("slot {name} of the source cannot serve from {lsn} on: {fact}"))
            .detail(format!("hand-off {lsn}, confirmed position of the slot {confirmed}"))
    }

    fn of_slot(&self, row: Option<&Row>) -> Result<(), Failure> {
        let operator = FailureClass::Operator;
        let Some(row) = row else {
            return Err(self.refused(operator, "it is gone", "unknown").help(START_OVER));
        };
        let confirmed = row.get(4).unwrap_or("none");
        if row.get(0) != Some("pgoutput") || row.get(1) != Some("t") {
            let fact = "it is of another plugin or database";
            return Err(self.refused(operator, fact, confirmed).help(START_OVER));
        }
        self.unused(row, confirmed)?;
        if let Some(status) = row.get(5).filter(|status| !RETAINED.contains(status)) {
            let fact = format!("WAL that it needs is going or gone (`{status}`)");
            let help = format!("raise max_slot_wal_keep_size; {START_OVER}");
            return Err(self.refused(operator, &fact, confirmed).help(help));
        }
        if row.get(6) != Some("t") {
            let fact = "changes up to its confirmed position are gone from it already";
            return Err(self.refused(operator, fact, confirmed).help(self.later(confirmed)));
        }
        if row.get(7) != Some("t") {
            let written = row.get(8).unwrap_or("none");
            let fact = format!("the source has written up to {written} only");
            return Err(self.refused(operator, &fact, confirmed).help(
                "the position belongs to another server, or the source was restored: see \
                 `change_capture.from` in the plan",
            ));
        }
        self.same_timeline(row.get(9).unwrap_or_default(), confirmed)
    }

    /// A walsender of our own last subscription may take a moment to end.
    fn unused(&self, row: &Row, confirmed: &str) -> Result<(), Failure> {
        let Some(pid) = row.get(2) else { return Ok(()) };
        let application = row.get(3).unwrap_or("unknown");
        let fact = format!("session {pid} (`{application}`) reads from it");
        let own = application == server_name(&self.slot.slot, self.context.tag());
        let class = if own { FailureClass::Transient } else { FailureClass::Operator };
        Err(self.refused(class, &fact, confirmed).help(format!(
            "end it with `select pg_terminate_backend({pid})` on the source, then `pgkedge resume`"
        )))
    }

    fn same_timeline(&self, wal_file: &str, confirmed: &str) -> Result<(), Failure> {
        let Some(then) = self.hand_off.timeline else { return Ok(()) };
        let now = wal_file.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if now == Some(then) {
            return Ok(());
        }
        let now = now.map_or_else(|| "an unknown timeline".to_owned(), |now| format!("{now}"));
        let fact = format!("the source is on timeline {now} now, the replica was on {then}");
        let operator = FailureClass::Operator;
        Err(self.refused(operator, &fact, confirmed).help(START_OVER))
    }

    fn later(&self, confirmed: &str) -> String {
        match self.slot.groups.first() {
            Some(group) if !self.slot.existing => format!(
                "let nobody else read from it; a later hand-off: `pgkedge redo --group {group}`, \
                 then `pgkedge resume`"
            ),
            _ => format!("begin at {confirmed} or later: `change_capture.from` in the plan"),
        }
    }
}

/// The replica still stands where the load of its rows begins.
async fn still_paused(replica: &Sql, hand_off: &HandOff) -> Result<(), Failure> {
    let paused = if replica.server_version().major() >= 14 {
        "pg_catalog.pg_get_wal_replay_pause_state() = 'paused'"
    } else {
        "pg_catalog.pg_is_wal_replay_paused()"
    };
    let rows = replica
        .rows(&format!(
            "select pg_catalog.pg_is_in_recovery(), case when pg_catalog.pg_is_in_recovery() \
             then {paused} end, pg_catalog.pg_last_wal_replay_lsn()"
        ))
        .await?;
    let value = |at: usize| rows.first().and_then(|row| row.get(at));
    let lsn = hand_off.lsn.as_str();
    let fact = match (value(0), value(1), value(2)) {
        (Some("t"), Some("t"), Some(at)) if at == lsn => return Ok(()),
        (Some("t"), Some("t"), at) => format!("it is paused at {}", at.unwrap_or("none")),
        (Some("t"), _, at) => format!("it replays, and is at {}", at.unwrap_or("none")),
        (_, _, at) => format!("it is no replica any more, and is at {}", at.unwrap_or("none")),
    };
    let message = format!("the replica does not stand at the hand-off {lsn}: {fact}");
    Err(Failure::new(FailureClass::Operator, message).help(
        "what is not loaded yet needs another hand-off: `pgkedge redo --group NAME` for each \
         group that is not finished, then `pgkedge resume`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

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
