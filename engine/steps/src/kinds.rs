//! The list of step kinds: the only one.

mod analyze;
mod compare_catalogs;
mod copy_large_objects;
mod copy_part;
mod hold_snapshot;
mod refresh_materialized_view;
mod release_snapshot;
mod set_sequence;
mod verify;

use std::sync::LazyLock;

use pgkedge_model::KindSpec;

use crate::step::{Kind, kind};

static KINDS: &[Kind] = &[
    kind::<analyze::Analyze>(),
    kind::<compare_catalogs::CompareCatalogs>(),
    kind::<copy_large_objects::CopyLargeObjects>(),
    kind::<copy_part::CopyPart>(),
    kind::<hold_snapshot::HoldSnapshot>(),
    kind::<refresh_materialized_view::RefreshMaterializedView>(),
    kind::<release_snapshot::ReleaseSnapshot>(),
    kind::<set_sequence::SetSequence>(),
    kind::<verify::Verify>(),
];

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
