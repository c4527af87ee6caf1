//! The list of step kinds: the only one.

use std::sync::LazyLock;

use pgkedge_model::KindSpec;

use crate::step::{Kind, kind};

/// Declares the module of each kind and lists it: a new kind is one line.
///
/// `cargo fmt` does not find modules that a macro declares; `make fmt` names their files.
macro_rules! kinds {
    ($($module:ident::$kind:ident,)*) => {
        $(pub(crate) mod $module;)*
        static KINDS: &[Kind] = &[$(kind::<$module::$kind>()),*];
    };
}

kinds! {
    preflight::Preflight,
    create_ledger::CreateLedger,
    close_target::CloseTarget,
    copy_globals::CopyGlobals,
    copy_schema::CopySchema,
    set_replica_identity::SetReplicaIdentity,
    create_publication::CreatePublication,
    create_slot::CreateSlot,
    hold_snapshot::HoldSnapshot,
    prove_hand_off::ProveHandOff,
    await_replica::AwaitReplica,
    pause_replay::PauseReplay,
    capture_hand_off::CaptureHandOff,
    copy_part::CopyPart,
    copy_large_objects::CopyLargeObjects,
    create_index::CreateIndex,
    create_constraint::CreateConstraint,
    set_sequence::SetSequence,
    release_snapshot::ReleaseSnapshot,
    resume_replay::ResumeReplay,
    create_foreign_key::CreateForeignKey,
    validate_foreign_key::ValidateForeignKey,
    refresh_materialized_view::RefreshMaterializedView,
    analyze::Analyze,
    fence_source::FenceSource,
    prove_quiet::ProveQuiet,
    open_target::OpenTarget,
    copy_database_settings::CopyDatabaseSettings,
    verify::Verify,
    compare_catalogs::CompareCatalogs,
    start_apply::StartApply,
    watch_capture::WatchCapture,
    await_lag::AwaitLag,
    write_marker::WriteMarker,
    await_drained::AwaitDrained,
    stop_apply::StopApply,
    prove_drained::ProveDrained,
    stop_watch::StopWatch,
    sql::Sql,
    command::Command,
    approval::Approval,
    drop_capture::DropCapture,
    drop_ledger::DropLedger,
}

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
