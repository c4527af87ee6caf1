//! Graphs for the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use pgkedge_model::{
    Barrier, Capture, Clock, GraphNode, Ident, Leaves, Member, Object, OnFailure, PhaseEdge,
    PhaseName, PhaseRule, Resources, RunHeader, RunId, Server, Settings, StepDigest, StepGraph,
    StepId, StepNode, TimeSpan, Timestamp, Touch, Undo,
};
use serde_json::json;

/// A step in short.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    pub(crate) id: String,
    pub(crate) phase: usize,
    pub(crate) needs: Vec<String>,
    pub(crate) cost: u64,
    pub(crate) worker: bool,
    pub(crate) connections: u16,
    pub(crate) service: bool,
    pub(crate) stops: Option<String>,
    pub(crate) leaves: Leaves,
    pub(crate) scope: Option<String>,
    pub(crate) touches: Vec<Touch>,
    pub(crate) undo: Undo,
}

pub(crate) fn step(id: &str, needs: &[&str]) -> Sketch {
    Sketch {
        id: id.to_owned(),
        phase: 0,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        cost: 1,
        worker: true,
        connections: 1,
        service: false,
        stops: None,
        leaves: Leaves::Result,
        scope: None,
        touches: Vec::new(),
        undo: Undo::Nothing,
    }
}

impl Sketch {
    pub(crate) fn service(self) -> Self {
        Self { service: true, worker: false, leaves: Leaves::Nothing, ..self }
    }

    pub(crate) fn stops(self, service: &str) -> Self {
        Self { stops: Some(service.to_owned()), leaves: Leaves::Nothing, ..self }
    }

    pub(crate) fn phase(self, phase: usize) -> Self {
        Self { phase, ..self }
    }

    pub(crate) fn leaves(self, leaves: Leaves) -> Self {
        Self { leaves, ..self }
    }

    pub(crate) fn scope(self, scope: &str) -> Self {
        Self { scope: Some(scope.to_owned()), ..self }
    }

    pub(crate) fn reads(mut self, object: &str) -> Self {
        self.touches.push(Touch::read(Object(object.to_owned())));
        self
    }

    pub(crate) fn writes(mut self, object: &str) -> Self {
        self.touches.push(Touch::write(Object(object.to_owned())));
        self
    }

    pub(crate) fn irreversible(self) -> Self {
        Self { undo: Undo::Irreversible("it is in use".to_owned()), ..self }
    }

    fn node(&self) -> StepNode {
        StepNode {
            id: StepId(self.id.clone()),
            phase: phase(self.phase),
            step: self.id.clone(),
            kind: "fake".to_owned(),
            params: json!({}),
            before: Vec::new(),
            members: vec![Member {
                key: String::new(),
                params: json!({}),
                run: Vec::new(),
                undo: self.undo.clone(),
                cost: self.cost,
            }],
            after: Vec::new(),
            touches: self.touches.clone(),
            resources: Resources {
                connections: vec![(Server::Source, self.connections)],
                worker: self.worker,
                cost: self.cost,
            },
            leaves: self.leaves,
            scope: self.scope.clone().map(|scope| Ident::new(scope).unwrap()),
            service: self.service,
            stops: self.stops.clone().map(StepId),
            digest: StepDigest::default(),
        }
    }
}

pub(crate) fn phase(number: usize) -> PhaseName {
    PhaseName(format!("phase{number}"))
}

/// Every step between the two ends of its phase, and the phases one after the other.
pub(crate) fn graph(sketches: &[Sketch]) -> StepGraph {
    let phases = sketches.iter().map(|sketch| sketch.phase + 1).max().unwrap_or(0);
    let mut nodes = Vec::new();
    let mut needs: BTreeMap<StepId, BTreeSet<StepId>> = BTreeMap::new();
    for number in 0..phases {
        let end = |number, edge| Barrier { phase: phase(number), edge };
        let opened = end(number, PhaseEdge::Opened);
        let closed = end(number, PhaseEdge::Closed);
        if number > 0 {
            let before = end(number - 1, PhaseEdge::Closed);
            needs.entry(opened.id()).or_default().insert(before.id());
        }
        needs.entry(closed.id()).or_default().insert(opened.id());
        nodes.push(GraphNode::Barrier(opened.clone()));
        for sketch in sketches.iter().filter(|sketch| sketch.phase == number) {
            let id = StepId(sketch.id.clone());
            let needed = needs.entry(id.clone()).or_default();
            needed.insert(opened.id());
            needed.extend(sketch.needs.iter().cloned().map(StepId));
            needs.entry(closed.id()).or_default().insert(id);
            nodes.push(GraphNode::Step(Arc::new(sketch.node())));
        }
        nodes.push(GraphNode::Barrier(closed));
    }
    StepGraph::seal((0..phases).map(phase).collect(), nodes, needs).unwrap()
}

/// A run some of whose phases are taken back together.
pub(crate) fn header_with_window(
    sketches: &[Sketch],
    phases: std::ops::Range<usize>,
    deadline: Option<u64>,
) -> RunHeader {
    let mut header = header(sketches, 4, 4);
    let rule = PhaseRule { on_failure: OnFailure::Undo, deadline: deadline.map(TimeSpan) };
    header.graph = header.graph.with_rules(phases.map(|at| (phase(at), rule.clone())).collect());
    header
}

pub(crate) fn header(sketches: &[Sketch], workers: u16, connections: u16) -> RunHeader {
    let mut settings = Settings::default();
    settings.load.workers = workers;
    settings.limits.source_connections = connections;
    RunHeader {
        run_id: RunId("01890000-0000-7000-8000-00001a2b3c4d".to_owned()),
        engine: "test".to_owned(),
        plan_name: "test".to_owned(),
        plan_path: "test.yaml".to_owned(),
        databases: BTreeMap::new(),
        settings,
        facts: serde_json::from_value(json!({
            "source": {
                "format": 1,
                "server": {
                    "version": 150_000, "version_text": "", "system_identifier": "1",
                    "in_recovery": false, "settings": {}, "pg_dump": "15",
                    "session_role": {
                        "name": "a", "superuser": true, "bypasses_row_security": true,
                        "replication": true, "creates_roles": true, "member_of": []
                    }
                },
                "database": {
                    "name": "a", "oid": 1, "owner": "a", "encoding": "UTF8", "collate": "C",
                    "ctype": "C", "locale_provider": "c", "icu_locale": null,
                    "tablespace": "pg_default", "connection_limit": -1, "comment": null,
                    "grants": null, "settings": [], "bytes": 0, "subscriptions": [],
                    "event_triggers": []
                },
                "roles": [], "memberships": [], "tablespaces": [], "schemas": [],
                "extensions": [], "available_extensions": {}, "types": {}, "tables": [],
                "indexes": [], "constraints": [], "sequences": [],
                "large_objects": serde_json::to_value(
                    pgkedge_model::LargeObjectFacts::default()).unwrap(),
                "entries": []
            },
            "target": null, "replica": null
        }))
        .unwrap(),
        capture: Capture::default(),
        graph: graph(sketches),
    }
}

/// Stands still.
pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(StoppedClock)
}

/// A folder as a journal wants it.
pub(crate) fn private_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}
