//! Sets sequences of the target to where those of the source stand.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Object, QualifiedName,
    Script, Server, Touch, Undo,
};
use pgkedge_render::Block;
use pgkedge_verify::sequence_query;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::StepContext;
use crate::fill::Observed;
use crate::script;
use crate::step::{NoParams, Step};

/// `pg_class`.
const CLASS: u32 = 1259;
/// About what one call costs, in bytes copied.
const COST: u64 = 1024;

pub(crate) struct SetSequence;

/// A member of the step.
#[derive(Serialize, Deserialize)]
struct SetMember {
    sequence: QualifiedName,
}

impl Step for SetSequence {
    const KIND: &'static str = "set_sequence";
    const ABOUT: &'static str = "Sets a sequence to the source's last value.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::Sequence];
    const SERVERS: &'static [Server] = &[Server::Source];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Sequence(sequence) = expansion.item else { return Ok(Vec::new()) };
        let name = &sequence.name;
        let context = json!({ "sequence": name.to_string() });
        let entry = expansion.source.entries_by_object.get(&(CLASS, sequence.oid));
        let entry = entry.map(|entry| Touch::read(Object::new("entry", entry.number)));
        let mut touches = vec![Touch::write(Object::new("sequence", name))];
        touches.extend(entry);
        Ok(vec![Draft {
            key: name.to_string(),
            params: json!({ "sequence": name }),
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
        let sequences: Vec<QualifiedName> = members
            .iter()
            .map(|member| Ok(context.member::<SetMember>(&call.node, member)?.sequence))
            .collect::<Result<_, Failure>>()?;
        let names: Vec<&QualifiedName> = sequences.iter().collect();
        let rows = context.read(Server::Source).await?.rows(&sequence_query(&names)).await?;
        let mut observed = Observed::default();
        for row in &rows {
            let number = row.get(0).and_then(|text| text.parse::<usize>().ok());
            let value = row.get(1).and_then(|text| text.parse::<i64>().ok());
            let (Some(member), Some(value)) = (number.and_then(|at| members.get(at)), value) else {
                return Err(Failure::permanent("a sequence of the source has no readable value"));
            };
            observed.set(&member.key, "last_value", value);
            observed.set(&member.key, "is_called", row.get(2) == Some("true"));
        }
        Ok(observed)
    }
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
}
