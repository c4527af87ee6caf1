use std::collections::BTreeSet;

use pgkedge_model::{Operation, ReplicationSet, ServerVersion};
use serde_json::json;

use super::*;
use crate::testing::{Sample, ident, name, shown};

pub(crate) fn slot(slot: &str, sets: &[&str]) -> Slot {
    let set = |set: &&str| ReplicationSet {
        name: ident(set),
        slot: ident(slot),
        publication: None,
        operations: BTreeSet::from(Operation::ALL),
        tables: vec![name("public", "orders")],
        through_root: false,
    };
    let sets = sets.iter().map(set).collect();
    Slot { name: ident(slot), existing: false, groups: Vec::new(), sets }
}

fn draft(sample: &Sample, slot: &Slot) -> Draft {
    sample.expand_item::<StartApply>(Item::Slot(slot), json!({})).unwrap().remove(0)
}

#[test]
fn origin_and_enabling_are_one_transaction_and_the_position_is_the_slots_own() {
    let draft = draft(&Sample::default(), &slot("shop", &["changes", "logs"]));
    let of = "pgkedge_shop_‹run›";
    assert_eq!(
        shown(&draft.script.run),
        [
            format!(
                "create subscription {of} connection ‹{CONNECTION}› publication \
                 pgkedge_changes_‹run›, pgkedge_logs_‹run› with (create_slot = false, slot_name = \
                 '{of}', enabled = false, copy_data = false, streaming = off)"
            ),
            format!(
                "select pg_catalog.pg_replication_origin_advance('pg_' || s.oid, \
                 ‹slot_hand_off:shop.lsn›::pg_catalog.pg_lsn) from pg_catalog.pg_subscription s \
                 join pg_catalog.pg_database d on d.oid = s.subdbid where d.datname = \
                 pg_catalog.current_database() and s.subname = '{of}'"
            ),
            format!("alter subscription {of} enable"),
        ]
    );
    let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
    assert_eq!(
        shown(undo),
        [
            format!("alter subscription {of} disable"),
            format!("alter subscription {of} set (slot_name = none)"),
            format!("drop subscription {of}"),
        ]
    );
    assert!(draft.touches.contains(&Touch::read(Object::new("slot_hand_off", "shop"))));
    assert!(draft.touches.contains(&Touch::write(Object::new("stream", "shop"))));
}

#[test]
fn a_slot_that_was_there_goes_by_its_own_name() {
    let existing = Slot { existing: true, ..slot("shop", &["changes"]) };
    let create = draft(&Sample::default(), &existing).script.run[0].shown();
    assert!(create.contains("slot_name = 'shop'"), "{create}");
}

#[test]
fn a_publication_that_was_there_goes_by_its_own_name_whatever_it_is() {
    let mut existing = slot("shop", &["changes", "logs"]);
    existing.sets[1].publication = Some(ident("App \"logs\""));
    let create = draft(&Sample::default(), &existing).script.run[0].shown();
    let named = "publication pgkedge_changes_‹run›, \"App \"\"logs\"\"\" with (";
    assert!(create.contains(named), "{create}");
}

#[test]
fn old_targets_know_fewer_options_and_a_superuser_keeps_the_log_clean() {
    let mut sample = Sample::default();
    sample.target().server.version = ServerVersion(130_023);
    sample.target().server.session_role.superuser = true;
    let run = shown(&draft(&sample, &slot("shop", &["changes"])).script.run);
    assert!(run[0].contains("('log_statement', 'none')"), "{}", run[0]);
    assert!(run[1].ends_with("enabled = false, copy_data = false)"), "{}", run[1]);
}

#[test]
fn rows_under_policies_that_bind_their_owner_are_written_by_the_subscriptions_owner() {
    let mut sample = Sample::default();
    sample.target().server.version = ServerVersion(160_003);
    let table = sample.table(10, "public", "orders");
    (table.row_security, table.force_row_security) = (true, true);
    let create = draft(&sample, &slot("shop", &["changes"])).script.run[0].shown();
    assert!(create.ends_with("streaming = off, run_as_owner = true)"), "{create}");
}

#[test]
fn there_is_nothing_to_start_without_a_slot() {
    assert!(Sample::default().expand::<StartApply>(json!({})).unwrap().is_empty());
}
