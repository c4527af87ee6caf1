use pgkedge_model::{
    Capture, CutoverVerify, Operation, ReplicationSet, Slot, TableGroup, WithoutIdentity,
};

use super::*;
use crate::testing::{Sample, ident, name};

/// `child` and `parent` on slots of their own.
fn captured() -> Sample {
    let mut sample = Sample::with_foreign_key();
    for (group, table) in [("one", "child"), ("two", "parent")] {
        let tables = vec![name("public", table)];
        sample.selection.groups.push(TableGroup { name: ident(group), tables: tables.clone() });
        let set = ReplicationSet {
            name: ident(group),
            slot: ident(group),
            publication: None,
            operations: Operation::ALL.into(),
            tables,
            through_root: false,
        };
        let (name, groups) = (ident(group), vec![ident(group)]);
        sample.capture.slots.push(Slot { name, existing: false, groups, sets: vec![set] });
    }
    sample
}

fn sides(sample: &Sample, params: Value) -> SidesMember {
    let draft = sample.expand::<CompareCatalogs>(params).unwrap().remove(0);
    match serde_json::from_value(draft.params).unwrap() {
        CompareMember::Sides(member) => member,
        CompareMember::Compiled(_) => panic!("compared with the compiled catalog"),
    }
}

#[test]
fn a_full_load_is_compared_as_a_whole() {
    let member = sides(&Sample::with_foreign_key(), json!({}));
    assert_eq!((member.pending, member.values), (Pending::default(), Values::All));
}

#[test]
fn settings_of_the_database_can_wait_alone() {
    let params = json!({ "without": ["database_settings"] });
    let member = sides(&Sample::with_foreign_key(), params.clone());
    let pending = Pending { database: true, ..Pending::default() };
    assert_eq!((member.pending, member.values), (pending, Values::All));
    let captured = sides(&captured(), params);
    assert_eq!(captured.values, Values::Final(Some(VerifyMethod::Digest)));
    assert!(!captured.pending.views);
}

#[test]
fn before_the_cutover_only_definitions_are_there() {
    let params = json!({ "without": ["held_triggers", "crossing_foreign_keys"] });
    let member = sides(&captured(), params);
    assert_eq!(member.values, Values::Nothing);
    let Pending { held_triggers, publications, foreign_keys, database, views, .. } = member.pending;
    assert!(held_triggers && !publications && database && views);
    assert_eq!(foreign_keys[0].name, ident("f k"));
}

#[test]
fn at_the_cutover_sequences_have_a_gap_and_crossing_keys_are_not_validated() {
    let mut sample = captured();
    let member = sides(&sample, json!({}));
    assert_eq!(member.values, Values::Final(Some(VerifyMethod::Digest)));
    assert!(member.pending.foreign_keys.is_empty() && member.pending.database);
    assert_eq!(member.pending.unvalidated.len(), 1);
    sample.settings.cutover.verify = CutoverVerify::None;
    assert_eq!(sides(&sample, json!({})).values, Values::Final(None));
}

#[test]
fn keys_within_one_slot_do_not_cross() {
    let mut sample = captured();
    let slot = sample.capture.slots.pop().unwrap();
    sample.capture.slots[0].groups.extend(slot.groups);
    assert!(sides(&sample, json!({})).pending.unvalidated.is_empty());
}

#[test]
fn identities_that_the_move_changes_are_its_own() {
    let mut sample = captured();
    sample.facts.source.tables[0].identity.usable = true;
    sample.settings.tables_without_identity = WithoutIdentity::Full;
    assert_eq!(sides(&sample, json!({})).pending.identities, [name("public", "parent")]);
    sample.capture = Capture::default();
    assert!(sides(&sample, json!({})).pending.identities.is_empty());
}

#[test]
fn only_tables_of_several_parts_must_keep_their_files() {
    let mut sample = captured();
    let large = &mut sample.facts.source.tables[0];
    (large.bytes, large.pages) = (4 << 30, 500);
    let draft =
        sample.expand::<CompareCatalogs>(json!({ "against": "compiled" })).unwrap().remove(0);
    assert_eq!(draft.params["compiled"]["split"], json!([name("public", "child")]));
}
