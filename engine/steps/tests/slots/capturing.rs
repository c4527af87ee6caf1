//! A run between two servers of its own, without a scheduler: a node for each draft.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgkedge_model::{
    BoxFuture, Call, Capture, CatalogIndex, DatabaseRef, DeclaredStep, Draft, Epoch, Expansion,
    Facts, Failure, Ident, Item, KindSpec, Member, Operation, OutputOf, Performer as _, PhaseName,
    Piece, Probe, Progress, QualifiedName, ReplicationSet, Reporter, Resources, RunHeader, RunId,
    SecretError, SecretRef, SecretString, Secrets, Selection, Server, Settings, Slot, Statement,
    StepDigest, StepGraph, StepId, StepNode, TableGroup, Undo,
};
use pgkedge_postgres::{Endpoint, Sql, introspect};
use pgkedge_sandbox::{Options, Replica, Sandbox, Temporary};
use pgkedge_steps::{SharedEpoch, StepPerformer, kinds};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

pub(crate) const TAG: &str = "1a2b3c4d";

/// Takes a reference for the secret itself.
struct Plain;

impl Secrets for Plain {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef::Env(url) = reference else { panic!("no other is made here") };
        Ok(url.clone().into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

pub(crate) fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

fn public(name: &str) -> QualifiedName {
    QualifiedName::new(ident("public"), ident(name))
}

/// A slot with one replication set of its own name, of all operations.
pub(crate) fn slot(name: &str, tables: &[&str]) -> Slot {
    let set = ReplicationSet {
        name: ident(name),
        slot: ident(name),
        publication: None,
        operations: Operation::ALL.into(),
        tables: tables.iter().map(|table| public(table)).collect(),
        through_root: false,
    };
    let (name, groups) = (ident(name), vec![ident(name)]);
    Slot { name, existing: false, groups, sets: vec![set] }
}

pub(crate) struct Run {
    pub(crate) performer: Arc<StepPerformer>,
    pub(crate) header: Arc<RunHeader>,
    pub(crate) capture: Capture,
    selection: Selection,
    /// What each object's writer gave, by the id of its node.
    pub(crate) inputs: Mutex<BTreeMap<StepId, Value>>,
    pub(crate) source: Sql,
    pub(crate) target: Sql,
    endpoints: BTreeMap<Server, Endpoint>,
    pub(crate) sandbox: Temporary,
}

impl Run {
    /// Both servers get the schema.
    pub(crate) async fn start(schema: &str, slots: Vec<Slot>, settings: Settings) -> Self {
        Self::start_with(Replica::Absent, schema, slots, settings).await
    }

    pub(crate) async fn start_with(
        replica: Replica,
        schema: &str,
        slots: Vec<Slot>,
        settings: Settings,
    ) -> Self {
        // Slots are read up to what is flushed.
        let flushed = [("synchronous_commit".to_owned(), "on".to_owned())].into();
        let options = Options { settings: flushed, replica, ..Options::default() };
        let sandbox = Sandbox::up(&options).unwrap().temporary();
        let endpoint = |cluster: &pgkedge_sandbox::Cluster| {
            let url = std::fs::read_to_string(&cluster.url).unwrap().trim().to_owned();
            let url = format!("{url}?sslmode=disable");
            let database = DatabaseRef::new(SecretRef::Env(url));
            (cluster.server, Endpoint::new(cluster.server, database, Arc::new(Plain)))
        };
        let clusters = [&sandbox.source, &sandbox.target].into_iter().chain(&sandbox.replica);
        let endpoints: BTreeMap<_, _> = clusters.map(endpoint).collect();
        let source = endpoints[&Server::Source].sql("pgkedge:read").await.unwrap();
        let target = endpoints[&Server::Target].sql("pgkedge:read").await.unwrap();
        source.execute(schema).await.unwrap();
        target.execute(schema).await.unwrap();
        let facts = Facts {
            source: introspect(&endpoints[&Server::Source], "pgkedge:read").await.unwrap(),
            target: Some(introspect(&endpoints[&Server::Target], "pgkedge:read").await.unwrap()),
            replica: None,
        };
        let mut tables: Vec<_> =
            facts.source.tables.iter().map(|table| table.name.clone()).collect();
        tables.sort();
        let group = TableGroup { name: ident("all"), tables };
        let header = Arc::new(header(facts, settings));
        let epoch = SharedEpoch::default();
        epoch.set(Epoch(1));
        let performer = StepPerformer::new(endpoints.clone(), Arc::clone(&header), epoch);
        Self {
            performer: Arc::new(performer),
            header,
            capture: Capture { slots },
            selection: Selection { groups: vec![group], excluded: Vec::new() },
            inputs: Mutex::default(),
            source,
            target,
            endpoints,
            sandbox,
        }
    }

    pub(crate) fn endpoint(&self, server: Server) -> &Endpoint {
        &self.endpoints[&server]
    }

    /// The nodes of a kind, for every item that it is repeated for.
    pub(crate) fn nodes(&self, kind: &str, params: &Value) -> Vec<StepNode> {
        let spec = kinds().iter().find(|spec| spec.kind == kind).unwrap();
        let declared = DeclaredStep {
            phase: PhaseName("capture".to_owned()),
            name: kind.to_owned(),
            kind: kind.to_owned(),
            each: spec.each.first().copied(),
            params: params.clone(),
            pointer: None,
        };
        let index = CatalogIndex::new(&self.header.facts.source);
        let drafts = self.items(spec).into_iter().flat_map(|item| {
            let expansion = Expansion {
                declared: &declared,
                item,
                settings: &self.header.settings,
                selection: &self.selection,
                capture: &self.capture,
                excluded_entries: &BTreeSet::new(),
                facts: &self.header.facts,
                source: &index,
            };
            (spec.expand)(&expansion).unwrap()
        });
        drafts.map(|draft| node(spec, params, draft)).collect()
    }

    fn items(&self, spec: &KindSpec) -> Vec<Item<'_>> {
        use pgkedge_model::Each;
        match spec.each.first() {
            None => vec![Item::Once],
            Some(Each::Slot) => self.capture.slots.iter().map(Item::Slot).collect(),
            Some(Each::ReplicationSet) => self.capture.sets().map(Item::ReplicationSet).collect(),
            Some(_) => self.header.facts.source.tables.iter().map(Item::Table).collect(),
        }
    }

    pub(crate) fn call(&self, node: &StepNode, attempt: u32, reporter: &Arc<Told>) -> Call {
        Call {
            node: Arc::new(node.clone()),
            attempt,
            generation: 0,
            inputs: self.inputs.lock().unwrap().clone(),
            notes: BTreeMap::new(),
            reporter: Arc::<Told>::clone(reporter),
        }
    }

    /// Performs every node of a kind; returns them, to be undone.
    pub(crate) async fn perform(&self, kind: &str) -> Result<Vec<StepNode>, Failure> {
        let nodes = self.nodes(kind, &json!({}));
        for node in &nodes {
            let output = self.performer.perform(self.call(node, 1, &Told::new())).await?;
            self.inputs.lock().unwrap().insert(node.id.clone(), output);
        }
        Ok(nodes)
    }

    /// The ledger, identities, publications and slots.
    pub(crate) async fn capture(&self) -> Vec<StepNode> {
        let mut nodes = Vec::new();
        for kind in ["create_ledger", "set_replica_identity", "create_publication", "create_slot"] {
            nodes.extend(self.perform(kind).await.unwrap_or_else(|failure| {
                panic!("{kind}: {failure} {:#?}", failure.details);
            }));
        }
        nodes
    }

    pub(crate) async fn probe(&self, node: &StepNode) -> Probe {
        self.performer.probe(self.call(node, 2, &Told::new())).await.unwrap()
    }

    /// Takes nodes back, the last one first.
    pub(crate) async fn undo(&self, nodes: &[StepNode]) {
        for node in nodes.iter().rev() {
            self.performer.undo(self.call(node, 1, &Told::new())).await.unwrap();
        }
    }

    /// Starts `hold_snapshot` through a slot and waits until it holds.
    pub(crate) async fn hold(&self) -> Held {
        let node = self.nodes("hold_snapshot", &json!({ "through": "slot" })).remove(0);
        let told = Told::new();
        let (performer, call) = (Arc::clone(&self.performer), self.call(&node, 1, &told));
        let mut service = JoinSet::new();
        service.spawn(async move { performer.perform(call).await });
        let output = tokio::select! {
            output = told.output() => output,
            ended = service.join_next() => panic!("the service ended: {ended:?}"),
        };
        self.inputs.lock().unwrap().insert(node.id, output.clone());
        Held { told, service, output }
    }

    /// The one value that a query gives.
    pub(crate) async fn ask(&self, query: &str) -> String {
        value(&self.source, query).await
    }
}

pub(crate) async fn value(session: &Sql, query: &str) -> String {
    session.rows(query).await.unwrap()[0].get(0).unwrap_or("null").to_owned()
}

/// A snapshot that is held.
pub(crate) struct Held {
    told: Arc<Told>,
    service: JoinSet<Result<Value, Failure>>,
    pub(crate) output: Value,
}

impl Held {
    pub(crate) fn lsn(&self) -> &str {
        self.output["lsn"].as_str().unwrap()
    }

    pub(crate) async fn release(mut self) {
        self.told.stop.notify_one();
        self.service.join_next().await.unwrap().unwrap().unwrap();
    }

    /// Why it is not held any more, though nobody stopped it.
    pub(crate) async fn lost(mut self) -> Failure {
        self.service.join_next().await.unwrap().unwrap().unwrap_err()
    }
}

fn header(facts: Facts, settings: Settings) -> RunHeader {
    RunHeader {
        run_id: RunId(format!("01932c07-0000-7000-8000-0000{TAG}")),
        engine: "0".to_owned(),
        plan_name: "capture".to_owned(),
        plan_path: "plan.yaml".to_owned(),
        databases: BTreeMap::new(),
        settings,
        facts,
        capture: Capture::default(),
        graph: StepGraph::seal(Vec::new(), Vec::new(), BTreeMap::new()).unwrap(),
    }
}

fn node(spec: &KindSpec, params: &Value, draft: Draft) -> StepNode {
    StepNode {
        id: StepId(format!("capture/{}/{}", spec.kind, draft.key)),
        phase: PhaseName("capture".to_owned()),
        step: spec.kind.to_owned(),
        kind: spec.kind.to_owned(),
        params: params.clone(),
        before: settled(draft.script.before),
        after: settled(draft.script.after),
        members: vec![Member {
            key: draft.key,
            params: draft.params,
            run: settled(draft.script.run),
            undo: match draft.script.undo {
                Undo::Statements(statements) => Undo::Statements(settled(statements)),
                undo @ (Undo::Nothing | Undo::Irreversible(_)) => undo,
            },
            cost: draft.cost,
        }],
        touches: draft.touches,
        resources: Resources::default(),
        leaves: spec.leaves,
        scope: None,
        service: spec.service,
        stops: None,
        digest: StepDigest::default(),
    }
}

/// The hand-off comes from the snapshot, what is known of a slot from its creation.
fn settled(mut statements: Vec<Statement>) -> Vec<Statement> {
    for piece in statements.iter_mut().flat_map(|statement| &mut statement.text) {
        if let Piece::Output { of, .. } = piece
            && let OutputOf::Writer(object) = of
        {
            let step = match object.0.split_once(':') {
                Some(("slot", slot)) => format!("capture/create_slot/{slot}"),
                _ => "capture/hold_snapshot/".to_owned(),
            };
            *of = OutputOf::Step(StepId(step));
        }
    }
    statements
}

/// Remembers what a step tells.
pub(crate) struct Told {
    output: watch::Sender<Option<Value>>,
    waits: watch::Sender<String>,
    stop: Notify,
}

impl Told {
    pub(crate) fn new() -> Arc<Self> {
        let (output, waits) = (watch::Sender::default(), watch::Sender::default());
        Arc::new(Self { output, waits, stop: Notify::new() })
    }

    async fn output(&self) -> Value {
        let mut output = self.output.subscribe();
        output.wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }

    /// What the step waits for, once it names all of these.
    pub(crate) async fn waits_for(&self, all: &[&str]) -> String {
        let mut waits = self.waits.subscribe();
        let named = waits.wait_for(|reason| all.iter().all(|one| reason.contains(one)));
        tokio::time::timeout(Duration::from_secs(30), named).await.unwrap().unwrap().clone()
    }
}

impl Reporter for Told {
    fn note(&self, _: &str, _: Value) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn progress(&self, _: Progress) {}

    fn waiting(&self, reason: &str) {
        self.waits.send_replace(reason.to_owned());
    }

    fn ready(&self, output: Value) -> BoxFuture<'_, Result<(), Failure>> {
        self.output.send_replace(Some(output));
        Box::pin(async { Ok(()) })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.notified())
    }

    fn approved(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::pending())
    }
}
