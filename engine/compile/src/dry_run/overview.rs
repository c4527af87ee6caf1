//! What both forms of the dry-run say of a compiled plan as a whole.

use std::collections::BTreeMap;

use pgkedge_model::{Facts, Server, StepNode, Table};
use serde::Serialize;

use super::Subject;

#[derive(Serialize)]
pub(super) struct GuardView<'a> {
    pub(super) open: &'a [String],
    pub(super) close: &'a [String],
}

#[derive(Serialize)]
pub(super) struct Database {
    pub(super) server: Server,
    /// Where the connection string is found; never the string.
    pub(super) url: String,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    /// The server was not asked, and the source's version is assumed.
    pub(super) assumed: bool,
}

pub(super) fn needs<'a>(subject: Subject<'a>, step: &StepNode) -> Vec<&'a str> {
    let needs = subject.graph.needs(&step.id).filter(|id| subject.graph.step(id).is_some());
    needs.map(|id| id.0.as_str()).collect()
}

/// Steps by phase, both in order.
pub(super) fn by_phase(subject: Subject<'_>) -> Vec<(&str, Vec<&StepNode>)> {
    let mut steps: BTreeMap<&str, Vec<&StepNode>> = BTreeMap::new();
    for step in subject.graph.steps() {
        steps.entry(&step.phase.0).or_default().push(step);
    }
    let phases = subject.graph.phases().iter().map(|phase| phase.0.as_str());
    phases.map(|phase| (phase, steps.remove(phase).unwrap_or_default())).collect()
}

pub(super) fn databases(subject: Subject<'_>) -> Vec<Database> {
    let described = |(server, reference): (&Server, &pgkedge_model::DatabaseRef)| {
        let catalog = subject.facts.catalog(*server);
        let assumed = catalog.is_none() && *server == Server::Target;
        let version = catalog.map(|catalog| catalog.server.version);
        let version = version.or(assumed.then(|| subject.facts.target_version()));
        Database {
            server: *server,
            url: reference.url.to_string(),
            name: catalog.map(|catalog| catalog.database.name.to_string()),
            version: version.map(|version| version.to_string()),
            assumed,
        }
    };
    subject.databases.iter().map(described).collect()
}

pub(super) fn bytes(subject: Subject<'_>) -> u64 {
    let Facts { source, target: _, replica: _ } = subject.facts;
    let left_out = &subject.selection.excluded;
    let moves = |table: &&Table| left_out.binary_search(&table.name).is_err();
    source.tables.iter().filter(moves).map(|table| table.bytes).sum()
}
