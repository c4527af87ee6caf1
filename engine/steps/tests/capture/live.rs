//! A source that is written to, a target that follows it, and the steps between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pgkedge_model::{
    BoxFuture, Call, Capture, CatalogIndex, DatabaseRef, DeclaredStep, Draft, Epoch, Expansion,
    Facts, Failure, GraphNode, Ident, Item, Leaves, Member, Operation, OutputOf, Performer as _,
    PhaseName, Piece, Probe, Progress, QualifiedName, ReplicationSet, Reporter, Resources,
    RunHeader, RunId, SecretError, SecretRef, SecretString, Secrets, Selection, Server, Settings,
    Slot, Statement, StepDigest, StepGraph, StepId, StepNode,
};
use pgkedge_postgres::{Endpoint, Sql, introspect};
use pgkedge_sandbox::{Options, Sandbox, StatementLog, Temporary};
use pgkedge_steps::{SharedEpoch, StepPerformer, kinds};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

pub(crate) const SLOT: &str = "pgkedge_shop_1a2b3c4d";
const TABLES: &str = "create table public.orders (id int8 primary key, note text);
    create table public.\"Log lines\" (line text);
    create table public.parted (id int8 primary key) partition by range (id);
    create table public.parted_1 partition of public.parted for values from (0) to (1000000)";

/// A file is what it says it is.
struct Files;

impl Secrets for Files {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef::File(path) = reference else { panic!("{reference}") };
        Ok(std::fs::read_to_string(path).unwrap().trim_end().into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

/// What a step says while it runs.
#[derive(Default)]
pub(crate) struct Heard {
    ready: std::sync::Mutex<Option<oneshot::Sender<Value>>>,
    stop: Notify,
    said: std::sync::Mutex<Vec<String>>,
    noted: std::sync::Mutex<Vec<Value>>,
}

impl Heard {
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    pub(crate) fn noted(&self) -> Vec<Value> {
        self.noted.lock().unwrap().clone()
    }
}

impl Reporter for Heard {
    fn note(&self, _: &str, value: Value) -> BoxFuture<'_, Result<(), Failure>> {
        self.noted.lock().unwrap().push(value);
        Box::pin(async { Ok(()) })
    }

    fn progress(&self, _: Progress) {}

    fn waiting(&self, reason: &str) {
        self.said.lock().unwrap().push(reason.to_owned());
    }

    fn ready(&self, output: Value) -> BoxFuture<'_, Result<(), Failure>> {
        if let Some(ready) = self.ready.lock().unwrap().take() {
            ready.send(output).unwrap();
        }
        Box::pin(async { Ok(()) })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.notified())
    }

    fn approved(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::pending())
    }
}

/// A service at work.
pub(crate) struct Service {
    pub(crate) heard: Arc<Heard>,
    pub(crate) output: Value,
    work: JoinSet<Result<Value, Failure>>,
}

impl Service {
    pub(crate) async fn stop(mut self) -> Result<Value, Failure> {
        self.heard.stop.notify_one();
        self.ended().await
    }

    /// What it ends with by itself.
    pub(crate) async fn ended(&mut self) -> Result<Value, Failure> {
        self.work.join_next().await.unwrap().unwrap()
    }
}

/// Two servers with the same tables, and a slot that was there before the first rows.
pub(crate) struct Live {
    pub(crate) sandbox: Temporary,
    pub(crate) source: Sql,
    pub(crate) target: Sql,
    performer: Arc<StepPerformer>,
    nodes: BTreeMap<&'static str, Arc<StepNode>>,
    inputs: std::sync::Mutex<BTreeMap<StepId, Value>>,
}

const KINDS: [&str; 8] = [
    "create_ledger",
    "start_apply",
    "watch_capture",
    "await_lag",
    "write_marker",
    "await_drained",
    "stop_apply",
    "prove_drained",
];

impl Live {
    pub(crate) async fn start() -> Self {
        let options = Options { statement_log: StatementLog::All, ..Options::default() };
        let sandbox = Sandbox::up(&options).unwrap().temporary();
        let endpoints = BTreeMap::from([
            (Server::Source, endpoint(Server::Source, &sandbox.source.url)),
            (Server::Target, endpoint(Server::Target, &sandbox.target.url)),
        ]);
        let source = endpoints[&Server::Source].sql("a test").await.unwrap();
        let target = endpoints[&Server::Target].sql("a test").await.unwrap();
        source.execute("set synchronous_commit = on").await.unwrap();
        for side in [&source, &target] {
            side.execute(TABLES).await.unwrap();
        }
        let facts = Facts {
            source: introspect(&endpoints[&Server::Source], "pgkedge:read").await.unwrap(),
            target: Some(introspect(&endpoints[&Server::Target], "pgkedge:read").await.unwrap()),
            replica: None,
        };
        let nodes: BTreeMap<_, _> =
            KINDS.iter().map(|kind| (*kind, Arc::new(node(kind, &facts)))).collect();
        let performer = performer(&nodes, facts, endpoints);
        let inputs = std::sync::Mutex::default();
        let live = Self { sandbox, source, target, performer, nodes, inputs };
        live.perform("create_ledger").await.unwrap();
        live.create_capture().await;
        live
    }

    async fn create_capture(&self) {
        for sql in [
            "create publication pgkedge_changes_1a2b3c4d for table only public.orders, \
             public.parted with (publish_via_partition_root = true)",
            "create publication pgkedge_lines_1a2b3c4d for table only public.\"Log lines\" \
             with (publish = 'insert, truncate')",
            "select pg_create_logical_replication_slot('pgkedge_shop_1a2b3c4d', 'pgoutput')",
        ] {
            self.source.execute(sql).await.unwrap();
        }
    }

    /// Rows that the slot holds as well, copied as a load does; returns where the load ends.
    pub(crate) async fn load(&self) -> String {
        for side in [&self.source, &self.target] {
            let rows = "insert into public.orders select n, 'loaded' from generate_series(1, 50) n;
                insert into public.parted select n from generate_series(1, 50) n;
                insert into public.\"Log lines\" select 'loaded' from generate_series(1, 50)";
            side.execute(rows).await.unwrap();
        }
        let position = self.ask("select pg_current_wal_flush_lsn()").await;
        self.hand_over("slot_hand_off:shop", json!({ "lsn": position }));
        position
    }

    /// A stream that has begun at the end of the load.
    pub(crate) async fn streaming() -> Self {
        let live = Self::start().await;
        live.load().await;
        live.perform("start_apply").await.unwrap();
        live
    }

    pub(crate) fn hand_over(&self, object: &str, output: Value) {
        self.inputs.lock().unwrap().insert(object.into(), output);
    }

    pub(crate) fn call(&self, kind: &str, attempt: u32, heard: &Arc<Heard>) -> Call {
        Call {
            node: Arc::clone(&self.nodes[kind]),
            attempt,
            generation: 0,
            inputs: self.inputs.lock().unwrap().clone(),
            notes: BTreeMap::new(),
            reporter: Arc::clone(heard) as Arc<dyn Reporter>,
        }
    }

    pub(crate) async fn perform(&self, kind: &str) -> Result<Value, Failure> {
        self.performer.perform(self.call(kind, 1, &Arc::default())).await
    }

    pub(crate) async fn perform_heard(&self, kind: &str) -> (Result<Value, Failure>, Arc<Heard>) {
        let heard = Arc::default();
        (self.performer.perform(self.call(kind, 1, &heard)).await, heard)
    }

    pub(crate) async fn probe(&self, kind: &str) -> Probe {
        self.performer.probe(self.call(kind, 2, &Arc::default())).await.unwrap()
    }

    pub(crate) async fn undo(&self, kind: &str) {
        self.performer.undo(self.call(kind, 1, &Arc::default())).await.unwrap();
    }

    /// Writes the marker and hands it over.
    pub(crate) async fn mark(&self) -> String {
        let output = self.perform("write_marker").await.unwrap();
        self.hand_over("marker:lsn", output.clone());
        output["lsn"].as_str().unwrap().to_owned()
    }

    /// Starts a service and waits until it holds.
    pub(crate) async fn serve(&self, kind: &str) -> Result<Service, Failure> {
        let (ready, mut held) = oneshot::channel();
        let heard = Arc::new(Heard { ready: Some(ready).into(), ..Heard::default() });
        let (performer, call) = (Arc::clone(&self.performer), self.call(kind, 1, &heard));
        let mut work = JoinSet::new();
        work.spawn(async move { performer.perform(call).await });
        tokio::select! {
            output = &mut held => Ok(Service { heard, output: output.unwrap(), work }),
            ended = work.join_next() => Err(ended.unwrap().unwrap().unwrap_err()),
        }
    }

    pub(crate) async fn ask(&self, query: &str) -> String {
        ask(&self.source, query).await
    }

    pub(crate) async fn ask_target(&self, query: &str) -> String {
        ask(&self.target, query).await
    }

    /// Waits until a question is answered as it should be.
    pub(crate) async fn until(&self, side: &Sql, query: &str, expected: &str) {
        for _ in 0..300 {
            if ask(side, query).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("`{query}` is {}, not {expected}", ask(side, query).await);
    }

    /// A new session on the target, after a crash of it.
    pub(crate) async fn reconnected(&self) -> Sql {
        endpoint(Server::Target, &self.sandbox.target.url).sql("a test").await.unwrap()
    }

    /// Counts of all three tables on both sides.
    pub(crate) async fn counts(&self) -> [String; 2] {
        let count = "select (select count(*) from public.orders), \
             (select count(*) from public.parted), (select count(*) from public.\"Log lines\")";
        let counts = |rows: Vec<pgkedge_postgres::Row>| {
            (0..3).filter_map(|at| rows[0].get(at)).collect::<Vec<_>>().join(" ")
        };
        [
            counts(self.source.rows(count).await.unwrap()),
            counts(self.target.rows(count).await.unwrap()),
        ]
    }
}

async fn ask(side: &Sql, query: &str) -> String {
    side.rows(query).await.unwrap().first().and_then(|row| row.get(0)).unwrap_or("").to_owned()
}

fn endpoint(server: Server, url: &Path) -> Endpoint {
    Endpoint::new(server, DatabaseRef::new(SecretRef::File(url.to_owned())), Arc::new(Files))
}

fn performer(
    nodes: &BTreeMap<&str, Arc<StepNode>>,
    facts: Facts,
    endpoints: BTreeMap<Server, Endpoint>,
) -> Arc<StepPerformer> {
    let steps = nodes.values().map(|node| GraphNode::Step(Arc::clone(node))).collect();
    let header = Arc::new(RunHeader {
        run_id: RunId("01932c07-0000-7000-8000-00001a2b3c4d".to_owned()),
        engine: "0".to_owned(),
        plan_name: "shop".to_owned(),
        plan_path: "plan.yaml".to_owned(),
        databases: BTreeMap::new(),
        settings: Settings::default(),
        capture: Capture { slots: vec![slot()] },
        facts,
        graph: StepGraph::seal(Vec::new(), steps, BTreeMap::new()).unwrap(),
    });
    let epoch = SharedEpoch::default();
    epoch.set(Epoch(1));
    Arc::new(StepPerformer::new(endpoints, header, epoch))
}

fn slot() -> Slot {
    let ident = |name: &str| Ident::new(name).unwrap();
    let set = |name: &str, tables: &[&str], operations: &[Operation]| ReplicationSet {
        name: ident(name),
        slot: ident("shop"),
        publication: None,
        operations: operations.iter().copied().collect(),
        tables: tables
            .iter()
            .map(|name| QualifiedName::new(ident("public"), ident(name)))
            .collect(),
        through_root: true,
    };
    let lines = [Operation::Insert, Operation::Truncate];
    let sets = vec![
        set("changes", &["orders", "parted"], &Operation::ALL),
        set("lines", &["Log lines"], &lines),
    ];
    Slot { name: ident("shop"), existing: false, groups: Vec::new(), sets }
}

/// What compile makes of the only draft of a kind.
fn node(kind: &str, facts: &Facts) -> StepNode {
    let spec = kinds().iter().find(|spec| spec.kind == kind).unwrap();
    let declared = DeclaredStep {
        phase: PhaseName("live".to_owned()),
        name: kind.to_owned(),
        kind: kind.to_owned(),
        each: spec.each.first().copied(),
        params: json!({}),
        pointer: None,
    };
    let slot = slot();
    let item = if spec.each.is_empty() { Item::Once } else { Item::Slot(&slot) };
    let Draft { key, params, script, cost, .. } = (spec.expand)(&Expansion {
        declared: &declared,
        item,
        settings: &Settings::default(),
        selection: &Selection::default(),
        capture: &Capture { slots: vec![slot.clone()] },
        excluded_entries: &BTreeSet::new(),
        facts,
        source: &CatalogIndex::new(&facts.source),
    })
    .unwrap()
    .remove(0);
    let run = settled(script.run);
    StepNode {
        id: StepId(format!("live/{kind}")),
        phase: PhaseName("live".to_owned()),
        step: kind.to_owned(),
        kind: kind.to_owned(),
        params: json!({}),
        before: settled(script.before),
        members: vec![Member { key, params, run, undo: script.undo, cost }],
        after: settled(script.after),
        touches: Vec::new(),
        resources: Resources::default(),
        leaves: Leaves::Result,
        service: spec.service,
        stops: None,
        scope: None,
        digest: StepDigest::default(),
    }
}

/// Outputs go by the name of the object that their step writes.
fn settled(mut statements: Vec<Statement>) -> Vec<Statement> {
    for piece in statements.iter_mut().flat_map(|statement| &mut statement.text) {
        if let Piece::Output { of, .. } = piece
            && let OutputOf::Writer(object) = of
        {
            *of = OutputOf::Step(object.0.as_str().into());
        }
    }
    statements
}
