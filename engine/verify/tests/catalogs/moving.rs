//! A source that goes on while it is moved: what has moved since, and what is still to come.

use pgkedge_model::{Catalog, Column};
use pgkedge_verify::{DriftScope, ForeignKey, Pending, Scope, compare_catalogs, drift};

use super::{catalog, entry, ident, named};

/// What has moved since, with `drafts` left out.
fn moved(change: impl FnOnce(&mut Catalog)) -> Vec<String> {
    let mut now = catalog();
    change(&mut now);
    let left_out = [named("drafts")];
    let orders = [named("orders")];
    let scope = DriftScope { excluded: &left_out, identities: &orders, split: &orders };
    drift(&catalog(), &now, scope).iter().map(ToString::to_string).collect()
}

#[test]
fn sizes_and_what_is_left_out_are_no_drift() {
    let found = moved(|now| {
        let orders = &mut now.tables[0];
        (orders.pages, orders.bytes, orders.estimated_rows) = (99, 999, Some(9));
        orders.identity.usable = !orders.identity.usable;
        now.tables.remove(1);
        now.entries.retain(|entry| entry.name != "drafts");
        now.entries.push(entry(9, "PUBLICATION", "pgkedge_all_1a2b3c4d", &["CREATE …"], &[]));
        now.roles.pop();
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn whatever_a_move_depends_on_is_drift() {
    assert_eq!(moved(|now| now.tables[0].oid = 77), ["public.orders was dropped and made anew"]);
    assert_eq!(moved(|now| now.tables[0].filenode = 77), ["public.orders was rewritten"]);
    let unlogged = moved(|now| now.tables[0].unlogged = true);
    assert_eq!(unlogged, ["public.orders was made logged or unlogged"]);
    let invalid = moved(|now| now.indexes[0].valid = false);
    assert_eq!(invalid, ["index public.orders_at is valid or invalid since"]);
    let view = moved(|now| now.entries.retain(|entry| entry.kind != "VIEW"));
    assert_eq!(view, ["VIEW public.recent is gone"]);
    let version = moved(|now| now.extensions[0].version = "1.9".to_owned());
    assert_eq!(version, ["extension hstore is of version 1.9 now"]);
}

#[test]
fn a_column_is_told_once() {
    let found = moved(|now| {
        let column = now.tables[0].columns[0].clone();
        let added = Column { name: ident("extra"), ..column };
        now.tables[0].columns.push(added);
        now.entries[0].statements = vec!["CREATE TABLE public.orders (id integer, extra …)".into()];
    });
    assert_eq!(found, ["public.orders has a new column extra (integer)"]);
}

#[test]
fn what_is_still_to_come_is_not_expected() {
    let always = "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER audit";
    let key =
        "ALTER TABLE ONLY public.orders ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES public.x(id)";
    let mut source = catalog();
    source.entries.extend([
        entry(9, "TRIGGER", "orders audit", &["CREATE TRIGGER audit …", always], &[]),
        entry(10, "COMMENT", "TRIGGER audit ON orders", &["COMMENT ON TRIGGER …"], &[9]),
        entry(11, "PUBLICATION", "theirs", &["CREATE PUBLICATION theirs"], &[]),
        entry(12, "EVENT TRIGGER", "watch", &["CREATE EVENT TRIGGER watch …"], &[]),
        entry(13, "PUBLICATION TABLE", "pgkedge_a_1a2b3c4d orders", &["ALTER …"], &[]),
        entry(14, "FK CONSTRAINT", "orders k", &[key], &[]),
    ]);
    let mut target = catalog();
    target.database.connection_limit = 7;
    target.tables[0].populated = false;
    target.entries.push(entry(9, "FK CONSTRAINT", "orders k", &[&format!("{key} NOT VALID")], &[]));
    let full = "ALTER TABLE ONLY public.orders REPLICA IDENTITY FULL";
    source.entries[0].statements.push(full.to_owned());
    let crossing = ForeignKey { table: named("orders"), name: ident("k") };
    let pending = Pending {
        held_triggers: true,
        event_triggers: true,
        publications: true,
        capturing: Vec::new(),
        late_tables: Vec::new(),
        foreign_keys: Vec::new(),
        unvalidated: vec![crossing],
        identities: vec![named("orders")],
        database: true,
        views: true,
    };
    let compared = |pending| {
        let scope = Scope { pending, ..Scope::default() };
        compare_catalogs(&source, &target, scope).differences.len()
    };
    assert_eq!(compared(Some(&pending)), 0);
    // The trigger and its comment, a publication, an event trigger, the key, the identity, the
    // limit and the rows: our own publication is never expected.
    assert_eq!(compared(None), 8);
}
