//! Two servers, and a run between them without a scheduler: drafts become nodes of 50 members.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;

use pgkedge_model::{
    BoxFuture, Call, Capture, Catalog, CatalogIndex, DatabaseRef, DeclaredStep, Draft, Entry,
    Epoch, Expansion, Facts, Failure, Fence as _, FenceError, FenceGuard, Item, KindSpec, Leaves,
    Member, Performer as _, PhaseName, Probe, Progress, Reporter, Resources, RunHeader, RunId,
    SecretError, SecretRef, SecretString, Secrets, Selection, Server, Settings, StepDigest,
    StepGraph, StepId, StepNode,
};
use pgkedge_postgres::{Endpoint, introspect};
use pgkedge_steps::{Claim, ServerFence, SharedEpoch, StepPerformer, kinds};
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Members of one node.
const FOLDED: usize = 50;

/// Takes a reference for the secret itself.
struct Plain;

impl Secrets for Plain {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef::Env(url) = reference else { panic!("no other is made here") };
        Ok(url.clone().into())
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Says nothing, and approves.
struct Silent;

impl Reporter for Silent {
    fn note(&self, _: &str, _: Value) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn progress(&self, _: Progress) {}

    fn waiting(&self, _: &str) {}

    fn ready(&self, _: Value) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn approved(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async { Some("a test".to_owned()) })
    }
}

pub(crate) fn endpoint(cluster: &Cluster, server: Server, database: &str, user: &str) -> Endpoint {
    let (host, port) = (cluster.socket().display(), Cluster::PORT);
    let url = format!("host='{host}' port={port} user='{user}' dbname='{database}'");
    let database = DatabaseRef::new(SecretRef::Env(url));
    Endpoint::new(server, database, Arc::new(Plain))
}

/// Runs a script as a user would.
pub(crate) fn psql(cluster: &Cluster, database: &str, arguments: &[&str]) {
    let output = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database])
        .args(["-h", cluster.socket().to_str().unwrap(), "-p", &Cluster::PORT.to_string()])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A run that holds its fence.
pub(crate) struct Run {
    pub(crate) performer: Arc<StepPerformer>,
    pub(crate) facts: Facts,
    endpoints: BTreeMap<Server, Endpoint>,
    /// In the order in which they were performed.
    nodes: Vec<Arc<StepNode>>,
    pub(crate) guard: Box<dyn FenceGuard>,
}

impl Run {
    pub(crate) async fn take(source: Endpoint, target: Endpoint, epoch: u64) -> Self {
        Self::try_take("deadbeef", source, target, epoch).await.unwrap()
    }

    /// `tag` is what the run's names carry.
    pub(crate) async fn try_take(
        tag: &str,
        source: Endpoint,
        target: Endpoint,
        epoch: u64,
    ) -> Result<Self, FenceError> {
        let facts = Facts {
            source: introspect(&source, "pgkedge:read").await.unwrap(),
            target: Some(introspect(&target, "pgkedge:read").await.unwrap()),
            replica: None,
        };
        let endpoints = BTreeMap::from([(Server::Source, source), (Server::Target, target)]);
        let header = Arc::new(RunHeader {
            run_id: RunId(format!("01932c07-0000-7000-8000-0000{tag}")),
            engine: "test".into(),
            plan_name: "test".into(),
            plan_path: "test.yaml".into(),
            databases: BTreeMap::new(),
            settings: Settings::default(),
            facts: facts.clone(),
            capture: Capture::default(),
            graph: StepGraph::seal(Vec::new(), Vec::new(), BTreeMap::new()).unwrap(),
        });
        let shared = SharedEpoch::default();
        let fence = ServerFence::new(endpoints.clone(), shared.clone(), Claim::IfFree);
        let guard = fence.acquire(&header, Epoch(epoch)).await?;
        let performer = Arc::new(StepPerformer::new(endpoints.clone(), header, shared));
        Ok(Self { performer, facts, endpoints, nodes: Vec::new(), guard })
    }

    pub(crate) async fn target(&self) -> Catalog {
        introspect(&self.endpoints[&Server::Target], "pgkedge:read").await.unwrap()
    }

    /// Expands a declared step and performs its nodes.
    pub(crate) async fn perform(&mut self, kind: &str, params: Value) -> Result<(), Failure> {
        let entries = self.facts.source.entries.clone();
        let is_key = |entry: &&Entry| entry.kind == "FK CONSTRAINT";
        let spec = kinds().iter().find(|spec| spec.kind == kind).unwrap();
        let items: Vec<Item<'_>> = match spec.each {
            [] => vec![Item::Once],
            _ => entries.iter().filter(is_key).map(Item::Entry).collect(),
        };
        for node in self.nodes_of(kind, &params, &items) {
            let call = call(&node, 1);
            self.performer.perform(call).await?;
            self.nodes.push(node);
        }
        Ok(())
    }

    /// Performs indexes and constraints in the archive's order, as the graph would by what they need.
    pub(crate) async fn perform_indexes_and_constraints(&mut self) -> Result<(), Failure> {
        let entries = self.facts.source.entries.clone();
        for entry in entries.iter().filter(|entry| is_post_data(entry)) {
            let kind = match entry.kind.as_str() {
                "INDEX" | "INDEX ATTACH" => "create_index",
                "CONSTRAINT" | "CHECK CONSTRAINT" => "create_constraint",
                _ => continue,
            };
            for node in self.nodes_of(kind, &json!({}), &[Item::Entry(entry)]) {
                self.performer.perform(call(&node, 1)).await?;
                self.nodes.push(node);
            }
        }
        Ok(())
    }

    /// Every step says that it holds, as a resumed run would ask.
    pub(crate) async fn probe_all(&self) {
        for node in &self.nodes {
            let probe = self.performer.probe(call(node, 2)).await.unwrap();
            let reads = node.leaves == Leaves::Nothing;
            assert!(reads || matches!(probe, Probe::Applied(_)), "{}: {probe:?}", node.id);
        }
    }

    /// Performs the last step again, as if nobody had noted that it was done.
    pub(crate) async fn perform_again(&self) -> Result<Value, Failure> {
        self.performer.perform(call(self.nodes.last().unwrap(), 2)).await
    }

    /// Takes everything back, twice each, as after a crash in between.
    pub(crate) async fn undo_all(&self) {
        for node in self.nodes.iter().rev() {
            for _ in 0..2 {
                if let Err(failure) = self.performer.undo(call(node, 1)).await {
                    panic!("{}: {failure} {:#?}", node.id, failure.details);
                }
            }
        }
    }

    fn nodes_of(&self, kind: &str, params: &Value, items: &[Item<'_>]) -> Vec<Arc<StepNode>> {
        let spec = kinds().iter().find(|spec| spec.kind == kind).unwrap();
        let drafts = self.drafts(spec, params, items);
        let chunks = drafts.chunks(FOLDED).enumerate();
        let number = self.nodes.len();
        chunks.map(|(at, drafts)| Arc::new(node(spec, params, number + at, drafts))).collect()
    }

    fn drafts(&self, spec: &KindSpec, params: &Value, items: &[Item<'_>]) -> Vec<Draft> {
        let declared = DeclaredStep {
            phase: PhaseName("phase".into()),
            name: spec.kind.to_owned(),
            kind: spec.kind.to_owned(),
            each: spec.each.first().copied(),
            params: params.clone(),
            pointer: None,
        };
        let index = CatalogIndex::new(&self.facts.source);
        let expand = |item: &Item<'_>| {
            (spec.expand)(&Expansion {
                declared: &declared,
                item: *item,
                settings: &Settings::default(),
                selection: &Selection::default(),
                capture: &Capture::default(),
                excluded_entries: &BTreeSet::new(),
                facts: &self.facts,
                source: &index,
            })
            .unwrap()
        };
        items.iter().flat_map(expand).collect()
    }
}

fn is_post_data(entry: &Entry) -> bool {
    entry.section == pgkedge_model::Section::PostData
}

fn node(spec: &KindSpec, params: &Value, number: usize, drafts: &[Draft]) -> StepNode {
    StepNode {
        id: StepId(format!("phase/{}/bundle-{number:04}", spec.kind)),
        phase: PhaseName("phase".into()),
        step: spec.kind.to_owned(),
        kind: spec.kind.to_owned(),
        params: params.clone(),
        before: drafts.first().map(|draft| draft.script.before.clone()).unwrap_or_default(),
        members: drafts
            .iter()
            .map(|draft| Member {
                key: draft.key.clone(),
                params: draft.params.clone(),
                run: draft.script.run.clone(),
                undo: draft.script.undo.clone(),
                cost: draft.cost,
            })
            .collect(),
        after: drafts.first().map(|draft| draft.script.after.clone()).unwrap_or_default(),
        touches: Vec::new(),
        resources: Resources::default(),
        leaves: spec.leaves,
        service: spec.service,
        stops: None,
        scope: None,
        digest: StepDigest::default(),
    }
}

fn call(node: &Arc<StepNode>, attempt: u32) -> Call {
    Call {
        node: Arc::clone(node),
        attempt,
        generation: 0,
        inputs: BTreeMap::new(),
        notes: BTreeMap::new(),
        reporter: Arc::new(Silent),
    }
}

/// What a move keeps of a catalog's archive: everything but numbers and OIDs.
pub(crate) fn objects(catalog: &Catalog) -> BTreeSet<String> {
    let object =
        |entry: &Entry| json!([entry.kind, entry.schema, entry.name, entry.statements]).to_string();
    catalog.entries.iter().map(object).collect()
}
