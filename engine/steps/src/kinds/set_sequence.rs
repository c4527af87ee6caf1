//! Sets sequences of the target to where those of the source stand.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Object, QualifiedName,
    Script, Server, Touch, Undo,
};
use pgkedge_postgres::Row;
use pgkedge_render::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::StepContext;
use crate::fill::Observed;
use crate::gap;
use crate::script;
use crate::step::Step;

/// `pg_class`.
const CLASS: u32 = 1259;
/// About what one call costs, in bytes copied.
const COST: u64 = 1024;

pub(crate) struct SetSequence;

/// How far a sequence goes.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Skips `cutover.sequences.gap` values, in the direction of the sequence and within its bounds.
    #[serde(default)]
    gap: bool,
}

/// A member of the step.
#[derive(Serialize, Deserialize)]
struct SetMember {
    sequence: QualifiedName,
    /// Values that are skipped.
    #[serde(default, skip_serializing_if = "is_none")]
    gap: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(gap: &u32) -> bool {
    *gap == 0
}

impl Step for SetSequence {
    const KIND: &'static str = "set_sequence";
    const ABOUT: &'static str = "Sets a sequence to the source's last value.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::Sequence];
    const SERVERS: &'static [Server] = &[Server::Source];
    type Params = Params;

    fn expand(params: &Params, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Sequence(sequence) = expansion.item else { return Ok(Vec::new()) };
        let name = &sequence.name;
        let gap = if params.gap { expansion.settings.cutover.sequences.gap } else { 0 };
        let context = json!({ "sequence": name.to_string() });
        let entry = expansion.source.entries_by_object.get(&(CLASS, sequence.oid));
        let entry = entry.map(|entry| Touch::read(Object::new("entry", entry.number)));
        let mut touches = vec![Touch::write(Object::new("sequence", name))];
        touches.extend(entry);
        Ok(vec![Draft {
            key: name.to_string(),
            params: json!(SetMember { sequence: name.clone(), gap }),
            touches,
            script: Script {
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                // Its value goes with the sequence, which another step takes back.
                undo: Undo::Nothing,
                ..Script::default()
            },
            cost: COST,
            fold: Fold::Small,
            stops: None,
        }])
    }

    async fn observe(context: &StepContext, call: &Call) -> Result<Observed, Failure> {
        let members = &call.node.members;
        let wanted: Vec<SetMember> = members
            .iter()
            .map(|member| context.member::<SetMember>(&call.node, member))
            .collect::<Result<_, Failure>>()?;
        let rows = context.read(Server::Source).await?.rows(&query(&wanted)).await?;
        let mut observed = Observed::default();
        for row in &rows {
            let number = row.get(0).and_then(|text| text.parse::<usize>().ok());
            let member = number.and_then(|at| Some((members.get(at)?, wanted.get(at)?.gap)));
            let (Some((member, gap)), Some(stands)) = (member, stands(row)) else {
                return Err(Failure::permanent("a sequence of the source has no readable value"));
            };
            let set = stands.skip(gap);
            observed.set(&member.key, "last_value", set.last_value);
            observed.set(&member.key, "is_called", set.is_called);
        }
        Ok(observed)
    }
}

/// Asks where sequences stand and how they go on, by their numbers in the list.
fn query(wanted: &[SetMember]) -> String {
    let lines = wanted.iter().enumerate().map(|(number, SetMember { sequence, .. })| {
        format!(
            "select {number}, q.last_value, q.is_called, s.seqincrement, s.seqmin, s.seqmax, \
             s.seqcycle from {sequence} q join pg_catalog.pg_sequence s on s.seqrelid = q.tableoid"
        )
    });
    lines.collect::<Vec<_>>().join("\nunion all ")
}

fn stands(row: &Row) -> Option<gap::Sequence> {
    let number = |at| row.get(at)?.parse::<i64>().ok();
    Some(gap::Sequence {
        last_value: number(1)?,
        is_called: row.get(2)? == "t",
        increment: number(3)?,
        min: number(4)?,
        max: number(5)?,
        cycles: row.get(6)? == "t",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, entry, shown};

    #[test]
    fn a_sequence_waits_for_its_definition_and_is_set_to_what_the_step_reads() {
        let mut sample = Sample::default();
        sample.sequence(40, "It's");
        let mut definition = entry(8, "SEQUENCE", "It's", &[]);
        (definition.class, definition.oid) = (CLASS, 40);
        sample.facts.source.entries.push(definition);
        let item = Item::Sequence(&sample.facts.source.sequences[0]);
        let draft = sample.expand_item::<SetSequence>(item, json!({})).unwrap().remove(0);
        assert_eq!(
            shown(&draft.script.run),
            ["select pg_catalog.setval('public.\"It''s\"'::pg_catalog.regclass, ‹last_value›, \
              ‹is_called›)"]
        );
        let sequence = Object::new("sequence", "public.\"It's\"");
        let definition = Touch::read(Object::new("entry", 8));
        assert_eq!(draft.touches, [Touch::write(sequence), definition]);
        assert_eq!(draft.fold, Fold::Small);
    }

    #[test]
    fn values_are_skipped_where_the_step_says_so() {
        let mut sample = Sample::default();
        sample.sequence(40, "s");
        sample.settings.cutover.sequences.gap = 7;
        let gap = |params| {
            let item = Item::Sequence(&sample.facts.source.sequences[0]);
            let draft = sample.expand_item::<SetSequence>(item, params).unwrap().remove(0);
            serde_json::from_value::<SetMember>(draft.params).unwrap().gap
        };
        assert_eq!((gap(json!({})), gap(json!({ "gap": true }))), (0, 7));
    }
}
