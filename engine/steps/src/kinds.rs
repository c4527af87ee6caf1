//! The list of step kinds: the only one.

mod copy_database_settings;
mod copy_globals;
mod copy_schema;
mod create_constraint;
mod create_foreign_key;
mod create_index;
mod create_ledger;
mod drop_ledger;
mod validate_foreign_key;

use std::sync::LazyLock;

use pgkedge_model::KindSpec;

use crate::step::{Kind, kind};

static KINDS: &[Kind] = &[];

/// Every kind, as `plan` and `compile` see it.
pub fn kinds() -> &'static [KindSpec] {
    static SPECS: LazyLock<Vec<KindSpec>> =
        LazyLock::new(|| KINDS.iter().map(|kind| kind.spec).collect());
    &SPECS
}

/// The kind of that name.
pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.spec.kind == name)
}
