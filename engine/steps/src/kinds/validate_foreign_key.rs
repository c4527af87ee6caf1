//! Checks the rows of one foreign key that was added without a check.

use pgkedge_model::{Draft, Each, Expansion, Finding, Item, Leaves, Object, Script, Touch, Undo};
use pgkedge_render::Block;
use serde_json::{Value, json};

use super::create_constraint::{constraint, table};
use super::create_foreign_key::{Params, data_of_both, is_validated_later, unknown};
use super::create_index::fold;
use crate::step::Step;
use crate::{archive, script};

pub(crate) struct ValidateForeignKey;

impl Step for ValidateForeignKey {
    const KIND: &'static str = "validate_foreign_key";
    const ABOUT: &'static str = "Checks the rows of a foreign key that was added without a check.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::ForeignKey];
    type Params = Params;

    fn expand(params: &Params, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Entry(entry) = expansion.item else { return Ok(Vec::new()) };
        let Some((key, table)) =
            constraint(expansion, entry).and_then(|key| Some((key, table(expansion, key)?)))
        else {
            return Err(vec![unknown(entry)]);
        };
        if !params.takes(expansion, key) || !is_validated_later(expansion, key, table) {
            return Ok(Vec::new());
        }
        let context = json!({ "table": table.name, "constraint": key.name });
        let mut touches = vec![Touch::read(Object::new("entry", entry.number))];
        touches.extend(data_of_both(key));
        Ok(vec![Draft {
            key: archive::item_key(entry, expansion.source),
            params: Value::Null,
            touches,
            script: Script {
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                undo: Undo::Nothing,
                ..Script::default()
            },
            cost: table.bytes,
            fold: fold(expansion, table.bytes),
            stops: None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn a_key_that_was_added_unchecked_is_validated() {
        let drafts =
            Sample::with_foreign_key().expand_entry::<ValidateForeignKey>(11, json!({})).unwrap();
        assert_eq!(
            shown(&drafts[0].script.run),
            ["alter table public.child validate constraint \"f k\""]
        );
        assert_eq!(drafts[0].touches[0], Touch::read(Object::new("entry", 11)));
    }

    #[test]
    fn a_key_between_two_slots_is_another_steps() {
        let mut sample = Sample::with_foreign_key();
        sample.on_slots(&[("one", &["child"]), ("two", &["parent"])]);
        let taken = |slots: &str| {
            let params = json!({ "slots": slots });
            sample.expand_entry::<ValidateForeignKey>(11, params).unwrap().len()
        };
        assert_eq!((taken("all"), taken("same"), taken("crossing")), (1, 0, 1));
    }

    #[test]
    fn a_key_that_the_source_has_not_validated_is_left_alone() {
        let mut sample = Sample::with_foreign_key();
        sample.facts.source.constraints[0].validated = false;
        assert!(sample.expand_entry::<ValidateForeignKey>(11, json!({})).unwrap().is_empty());
    }
}
