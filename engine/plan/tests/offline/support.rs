//! Step kinds as `plan` sees them, and the ways to run it. The real ones are checked against the
//! pipelines by the tests of the whole workspace.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(dead_code, reason = "parameters of kinds are types for their schemas")]

use std::path::PathBuf;

use pgkedge_model::{Draft, Each, Expansion, Finding, KindSpec, Leaves, Server};
use pgkedge_plan::{Pipelines, Plan, PlanSource, Rejection, check};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, JsonSchema)]
struct Nothing;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CopySchema {
    /// The part of the dump.
    section: Section,
    /// Leave these out.
    #[serde(default)]
    without: Vec<String>,
    /// Only these.
    #[serde(default)]
    only: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Section {
    PreData,
    PostData,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReleaseSnapshot {
    /// The step that holds the snapshot.
    service: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sql {
    /// The server that the statements are for.
    #[serde(default = "target")]
    on: Server,
    /// Statements, with semicolons between them.
    #[schemars(extend("examples" = ["select 1"]))]
    run: String,
    /// Whether the statements may be sent again after a crash.
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    probe: Option<String>,
    #[serde(default)]
    undo: Option<String>,
}

fn target() -> Server {
    Server::Target
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Command {
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    run: Vec<String>,
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    probe: Option<Vec<String>>,
    #[serde(default)]
    undo: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Approval {
    /// What is asked.
    message: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reading {
    /// The server that is read.
    #[serde(default)]
    from: Option<String>,
    /// What is compared with.
    #[serde(default)]
    against: Option<String>,
    /// When.
    #[serde(default)]
    at: Option<String>,
    /// What holds the snapshot.
    #[serde(default)]
    through: Option<String>,
    /// Which foreign keys.
    #[serde(default)]
    slots: Option<String>,
    /// Adds the gap of the plan.
    #[serde(default)]
    gap: bool,
    #[serde(default)]
    below: Option<String>,
    #[serde(default)]
    within: Option<String>,
    #[serde(default)]
    without: Vec<String>,
    /// Leaves out what takes long.
    #[serde(default)]
    quick: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Preflight {
    #[serde(default)]
    target_holds: Option<String>,
}

fn params<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of every kind")]
fn expand(_: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
    Ok(Vec::new())
}

const fn kind(kind: &'static str, params: fn() -> Value, each: &'static [Each]) -> KindSpec {
    KindSpec {
        kind,
        about: "A kind for tests.",
        params,
        each,
        version: 1,
        leaves: Leaves::Nothing,
        service: false,
        worker: true,
        servers: &[],
        expand,
    }
}

pub(crate) const KINDS: &[KindSpec] = &[
    kind("analyze", params::<Nothing>, &[Each::Table, Each::MaterializedView]),
    kind("approval", params::<Approval>, &[]),
    kind("command", params::<Command>, &[]),
    kind("await_drained", params::<Nothing>, &[Each::Slot]),
    kind("await_lag", params::<Reading>, &[]),
    kind("await_replica", params::<Nothing>, &[]),
    kind("capture_hand_off", params::<Nothing>, &[]),
    kind("close_target", params::<Nothing>, &[]),
    kind("compare_catalogs", params::<Reading>, &[]),
    kind("copy_database_settings", params::<Nothing>, &[]),
    kind("copy_globals", params::<Nothing>, &[]),
    kind("copy_large_objects", params::<Reading>, &[]),
    kind("copy_part", params::<Reading>, &[Each::Part, Each::UnloggedPart]),
    kind("copy_schema", params::<CopySchema>, &[]),
    kind("create_constraint", params::<Nothing>, &[Each::Constraint]),
    kind("create_foreign_key", params::<Reading>, &[Each::ForeignKey]),
    kind("create_index", params::<Nothing>, &[Each::Index]),
    kind("create_ledger", params::<Nothing>, &[]),
    kind("create_publication", params::<Nothing>, &[Each::ReplicationSet]),
    kind("create_slot", params::<Nothing>, &[Each::Slot]),
    kind("drop_capture", params::<Nothing>, &[Each::Slot]),
    kind("drop_ledger", params::<Nothing>, &[]),
    kind("fence_source", params::<Nothing>, &[]),
    KindSpec { service: true, ..kind("hold_snapshot", params::<Reading>, &[]) },
    kind("open_target", params::<Nothing>, &[]),
    kind("pause_replay", params::<Nothing>, &[]),
    kind("preflight", params::<Preflight>, &[]),
    kind("prove_drained", params::<Nothing>, &[Each::Slot]),
    kind("prove_hand_off", params::<Nothing>, &[Each::Slot]),
    kind("prove_quiet", params::<Nothing>, &[]),
    kind("refresh_materialized_view", params::<Nothing>, &[Each::MaterializedView]),
    kind("release_snapshot", params::<ReleaseSnapshot>, &[]),
    kind("resume_replay", params::<Nothing>, &[]),
    kind("set_replica_identity", params::<Nothing>, &[Each::Table]),
    kind("set_sequence", params::<Reading>, &[Each::Sequence]),
    kind("sql", params::<Sql>, &[]),
    kind("start_apply", params::<Nothing>, &[Each::Slot]),
    kind("stop_apply", params::<Nothing>, &[Each::Slot]),
    kind("stop_watch", params::<ReleaseSnapshot>, &[]),
    kind("validate_foreign_key", params::<Reading>, &[Each::ForeignKey]),
    kind("verify", params::<Reading>, &[Each::Table, Each::MaterializedView]),
    KindSpec { service: true, ..kind("watch_capture", params::<Nothing>, &[]) },
    kind("write_marker", params::<Nothing>, &[]),
];

/// The shipped pipelines, and those beside the fixtures.
pub(crate) struct Folders;

impl Pipelines for Folders {
    fn load(&self, name: &str) -> Option<String> {
        let path = if name.contains('/') {
            fixtures().join(name)
        } else {
            root().join("pipelines").join(format!("{name}.yaml"))
        };
        std::fs::read_to_string(path).ok()
    }

    fn names(&self) -> Vec<String> {
        vec!["full-load".to_owned()]
    }

    fn part(&self, name: &str) -> Option<String> {
        let own = fixtures().join("parts").join(format!("{name}.yaml"));
        let shipped = root().join("pipelines/parts").join(format!("{name}.yaml"));
        std::fs::read_to_string(shipped).or_else(|_| std::fs::read_to_string(own)).ok()
    }

    fn parts(&self) -> Vec<String> {
        vec!["closing".to_owned()]
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn fixtures() -> PathBuf {
    root().join("tests/offline/plan")
}

/// Files of a folder by name, sorted.
pub(crate) fn files(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

pub(crate) fn checked(bytes: impl AsRef<[u8]>) -> Result<Plan, Rejection> {
    check(PlanSource { path: "plan.yaml", bytes: bytes.as_ref() }, &Folders, KINDS)
}

/// The smallest plan, with more behind it.
pub(crate) fn plan_with(more: &str) -> String {
    format!(
        "version: 1\nname: move-shop\npipeline: full-load\ndatabases:\n  \
         source: {{ url: {{ env: SOURCE_URL }} }}\n  target: {{ url: {{ env: TARGET_URL }} }}\n{more}"
    )
}

pub(crate) fn rendered(diagnostic: &dyn miette::Diagnostic) -> String {
    let mut text = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut text, diagnostic)
        .unwrap();
    text
}
