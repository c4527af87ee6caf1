//! The list of step kinds: the only one.

mod analyze;
mod approval;
mod command;
mod compare_catalogs;
mod copy_database_settings;
mod copy_globals;
mod copy_large_objects;
mod copy_part;
mod copy_schema;
mod create_constraint;
mod create_foreign_key;
mod create_index;
mod create_ledger;
mod drop_ledger;
mod hold_snapshot;
pub(crate) mod preflight;
mod refresh_materialized_view;
mod release_snapshot;
mod set_sequence;
mod sql;
mod validate_foreign_key;
mod verify;

use std::sync::LazyLock;

use pgkedge_model::KindSpec;

use crate::step::{Kind, kind};

static KINDS: &[Kind] = &[
    kind::<preflight::Preflight>(),
    kind::<create_ledger::CreateLedger>(),
    kind::<copy_globals::CopyGlobals>(),
    kind::<copy_schema::CopySchema>(),
    kind::<hold_snapshot::HoldSnapshot>(),
    kind::<copy_part::CopyPart>(),
    kind::<copy_large_objects::CopyLargeObjects>(),
    kind::<create_index::CreateIndex>(),
    kind::<create_constraint::CreateConstraint>(),
    kind::<set_sequence::SetSequence>(),
    kind::<release_snapshot::ReleaseSnapshot>(),
    kind::<create_foreign_key::CreateForeignKey>(),
    kind::<validate_foreign_key::ValidateForeignKey>(),
    kind::<refresh_materialized_view::RefreshMaterializedView>(),
    kind::<analyze::Analyze>(),
    kind::<copy_database_settings::CopyDatabaseSettings>(),
    kind::<verify::Verify>(),
    kind::<compare_catalogs::CompareCatalogs>(),
    kind::<sql::Sql>(),
    kind::<command::Command>(),
    kind::<approval::Approval>(),
    kind::<drop_ledger::DropLedger>(),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_schema_without_unknown_fields() {
        let names: BTreeSet<_> = kinds().iter().map(|kind| kind.kind).collect();
        assert_eq!(names.len(), kinds().len());
        for kind in kinds() {
            let schema = (kind.params)();
            assert_eq!(schema["additionalProperties"], false, "{}", kind.kind);
        }
    }

    #[test]
    fn every_step_template_belongs_to_a_kind() {
        for template in pgkedge_render::step_kinds() {
            assert!(find(template).is_some(), "{template}");
        }
    }
}
