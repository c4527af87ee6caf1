//! A source, its replica and a target, and the steps of a run on them, without a scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgkedge_model::{
    BoxFuture, Call, Capture, CatalogIndex, DatabaseRef, DeclaredStep, Draft, Epoch, Expansion,
    Facts, Failure, Finding, Fold, Ident, Item, Leaves, Lsn, Member, Object, Operation, OutputOf,
    Part, Performer as _, PhaseName, Piece, Probe, Progress, ReplicationSet, Reporter, Resources,
    RunHeader, RunId, SecretError, SecretRef, SecretString, Secrets, Selection, Server, Settings,
    Slot, Statement, StepDigest, StepGraph, StepId, StepNode, TableGroup, TableKind, Undo,
};
use pgkedge_postgres::{Endpoint, Sql, introspect};
use pgkedge_sandbox::{Cluster, Options, Replica, Sandbox, Temporary};
use pgkedge_steps::{Beforehand, Question, Sessions, SharedEpoch, StepPerformer, kinds};
use serde_json::{Value, json};

const STATE: &str = "select pg_get_wal_replay_pause_state()";
const POSITION: &str = "select pg_last_wal_replay_lsn()";
/// The tables that are copied.
const TABLES: [&str; 1] = ["orders"];

pub(crate) struct World {
    sandbox: Temporary,
    performer: StepPerformer,
    header: Arc<RunHeader>,
    selection: Selection,
    capture: Capture,
    pub(crate) source: Sql,
    pub(crate) target: Sql,
    endpoints: BTreeMap<Server, Endpoint>,
    /// By the object that a step has written.
    outputs: Mutex<BTreeMap<StepId, Value>>,
    notes: Mutex<BTreeMap<String, BTreeMap<String, Value>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// The source and the target get the same tables; the target none of the rows.
    pub(crate) async fn start(script: &str) -> Self {
        let settings =
            BTreeMap::from([("max_standby_streaming_delay".to_owned(), "-1".to_owned())]);
        let options = Options { replica: Replica::Streaming, settings, ..Options::default() };
        let sandbox = tokio::task::spawn_blocking(move || Sandbox::up(&options).unwrap());
        let sandbox = sandbox.await.unwrap().temporary();
        let clusters = [&sandbox.source, sandbox.replica.as_ref().unwrap(), &sandbox.target];
        let endpoints: BTreeMap<Server, Endpoint> =
            clusters.map(|cluster| (cluster.server, endpoint(cluster))).into();
        let session = async |server: Server| endpoints[&server].sql("pgkedge:read").await.unwrap();
        let (source, target) = (session(Server::Source).await, session(Server::Target).await);
        // What a test has written is on its way to the replica at once.
        source.execute("set synchronous_commit to on").await.unwrap();
        for side in [&source, &target] {
            side.execute(script).await.unwrap();
        }
        let empty = "truncate public.orders, public.fleeting; \
                     select lo_unlink(oid) from pg_largeobject_metadata";
        target.execute(empty).await.unwrap();
        let slot = "select pg_create_logical_replication_slot('pgkedge_all_1a2b3c4d', 'pgoutput')";
        source.execute(slot).await.unwrap();
        let facts = Facts {
            source: introspect(&endpoints[&Server::Source], "pgkedge:read").await.unwrap(),
            target: Some(introspect(&endpoints[&Server::Target], "pgkedge:read").await.unwrap()),
            replica: None,
        };
        let (selection, capture) = captured(&facts);
        let header = Arc::new(header(facts));
        let epoch = SharedEpoch::default();
        epoch.set(Epoch(1));
        let performer = StepPerformer::new(endpoints.clone(), Arc::clone(&header), epoch);
        let world = Self {
            sandbox,
            performer,
            header,
            selection,
            capture,
            source,
            target,
            endpoints,
            outputs: Mutex::default(),
            notes: Mutex::default(),
            told: Arc::default(),
        };
        world.perform_once("create_ledger", json!({})).await.unwrap();
        world
    }

    pub(crate) fn cluster(&self, server: Server) -> &Cluster {
        match server {
            Server::Source => &self.sandbox.source,
            Server::Replica => self.sandbox.replica.as_ref().unwrap(),
            Server::Target => &self.sandbox.target,
        }
    }

    pub(crate) fn capture(&self) -> &Capture {
        &self.capture
    }

    /// What preflight says of a plan that captures this.
    pub(crate) async fn preflight(&self, capture: &Capture) -> Vec<Finding> {
        let replica = self.replica().await;
        let question = Question {
            facts: &self.header.facts,
            settings: &self.header.settings,
            excluded: &[],
            capture,
            target_holds: Beforehand::Nothing,
            run: None,
        };
        let sessions =
            Sessions { source: &self.source, target: &self.target, replica: Some(&replica) };
        pgkedge_steps::preflight(&question, sessions).await.unwrap()
    }

    pub(crate) fn endpoint(&self, server: Server) -> &Endpoint {
        &self.endpoints[&server]
    }

    /// A new session on the replica.
    pub(crate) async fn replica(&self) -> Sql {
        self.endpoints[&Server::Replica].sql("somebody").await.unwrap()
    }

    pub(crate) async fn ask(&self, side: &Sql, query: &str) -> String {
        side.rows(query).await.unwrap()[0].get(0).unwrap_or_default().to_owned()
    }

    /// The state of replay.
    pub(crate) async fn replay(&self) -> String {
        self.ask(&self.replica().await, STATE).await
    }

    pub(crate) async fn replay_is(&self, state: &str) {
        while self.replay().await != state {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The position that the replica is paused at.
    pub(crate) async fn noted_lsn(&self) -> String {
        self.ask(&self.replica().await, POSITION).await
    }

    pub(crate) async fn replica_catches_up(&self) {
        let flushed = self.ask(&self.source, "select pg_current_wal_flush_lsn()").await;
        let wanted: Lsn = flushed.parse().unwrap();
        while self.noted_lsn().await.parse::<Lsn>().unwrap() < wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the replica has received what it does not replay.
    pub(crate) async fn replay_stands_still(&self) {
        let flushed = self.ask(&self.source, "select pg_current_wal_flush_lsn()").await;
        let received = format!("select pg_last_wal_receive_lsn() >= '{flushed}'");
        let replica = self.replica().await;
        while self.ask(&replica, &received).await != "t" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a step says that it waits for this.
    pub(crate) async fn told(&self, what: &str) {
        while !self.told.lock().unwrap().iter().any(|told| told.contains(what)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything up to the hand-off; what proves each slot's is not part of this.
    pub(crate) async fn hand_off(&self) -> Result<(), Failure> {
        for kind in ["await_replica", "pause_replay"] {
            self.perform_once(kind, json!({})).await?;
        }
        let hand_off = self.perform_once("capture_hand_off", json!({})).await?;
        let mut outputs = self.outputs.lock().unwrap();
        outputs.insert("slot_hand_off:all".into(), json!({ "lsn": hand_off["lsn"] }));
        outputs.insert("hand_off:lsn".into(), hand_off);
        Ok(())
    }

    pub(crate) async fn load(&self, params: Value) -> Result<(), Failure> {
        self.perform_all("copy_part", &self.parts(), params.clone()).await?;
        self.perform_once("copy_large_objects", params).await.map(drop)
    }

    pub(crate) fn tables(&self) -> Vec<Item<'_>> {
        let tables = self.header.facts.source.tables.iter();
        tables.filter(|table| table.kind == TableKind::Ordinary).map(Item::Table).collect()
    }

    pub(crate) fn parts(&self) -> Vec<Item<'_>> {
        let tables = self.header.facts.source.tables.iter();
        let moved = tables.filter(|table| TABLES.contains(&table.name.name.as_str()));
        moved.map(|table| Item::Part(table, &Part::WHOLE)).collect()
    }

    pub(crate) async fn perform_once(&self, kind: &str, params: Value) -> Result<Value, Failure> {
        let node = self.nodes(kind, &[Item::Once], params).remove(0);
        self.perform(node).await
    }

    pub(crate) async fn perform_all(
        &self,
        kind: &str,
        items: &[Item<'_>],
        params: Value,
    ) -> Result<(), Failure> {
        for node in self.nodes(kind, items, params) {
            self.perform(node).await?;
        }
        Ok(())
    }

    pub(crate) async fn perform(&self, node: StepNode) -> Result<Value, Failure> {
        let (call, noted) = self.call(node);
        let result = self.performer.perform(call.clone()).await;
        let mut notes = self.notes.lock().unwrap();
        notes.entry(call.node.kind.clone()).or_default().extend(noted.lock().unwrap().clone());
        result
    }

    pub(crate) async fn probe(&self, kind: &str) -> Result<Probe, Failure> {
        let (call, _) = self.call(self.nodes(kind, &[Item::Once], json!({})).remove(0));
        self.performer.probe(call).await
    }

    pub(crate) async fn undo(&self, kind: &str, params: Value) -> Result<(), Failure> {
        let (call, _) = self.call(self.nodes(kind, &[Item::Once], params).remove(0));
        self.performer.undo(call).await
    }

    fn call(&self, node: StepNode) -> (Call, Arc<Mutex<BTreeMap<String, Value>>>) {
        let notes = self.notes.lock().unwrap().get(&node.kind).cloned().unwrap_or_default();
        let noted = Arc::new(Mutex::default());
        let reporter = Listener { noted: Arc::clone(&noted), told: Arc::clone(&self.told) };
        let call = Call {
            node: Arc::new(node),
            attempt: 1,
            generation: 0,
            inputs: self.outputs.lock().unwrap().clone(),
            notes,
            reporter: Arc::new(reporter),
        };
        (call, noted)
    }

    pub(crate) fn nodes(&self, kind: &str, items: &[Item<'_>], params: Value) -> Vec<StepNode> {
        let spec = kinds().iter().find(|spec| spec.kind == kind).unwrap();
        let declared = DeclaredStep {
            phase: PhaseName("load".to_owned()),
            name: kind.to_owned(),
            kind: kind.to_owned(),
            each: None,
            params,
            pointer: None,
        };
        let expanded = items.iter().flat_map(|item| {
            (spec.expand)(&Expansion {
                declared: &declared,
                item: *item,
                settings: &self.header.settings,
                selection: &self.selection,
                capture: &self.capture,
                excluded_entries: &BTreeSet::new(),
                facts: &self.header.facts,
                source: &CatalogIndex::new(&self.header.facts.source),
            })
            .unwrap()
        });
        expanded.map(|draft| node(&declared, draft)).collect()
    }
}

fn endpoint(cluster: &Cluster) -> Endpoint {
    let url = std::fs::read_to_string(&cluster.url).unwrap();
    let database = DatabaseRef::new(SecretRef::Env(url.trim().to_owned()));
    Endpoint::new(cluster.server, database, Arc::new(Named))
}

/// All that is copied is in one group, on one slot.
fn captured(facts: &Facts) -> (Selection, Capture) {
    let all = Ident::new("all").unwrap();
    let mut tables: Vec<_> = facts.source.tables.iter().map(|table| table.name.clone()).collect();
    tables.sort();
    let set = ReplicationSet {
        name: all.clone(),
        slot: all.clone(),
        publication: None,
        operations: Operation::ALL.into(),
        tables: tables.clone(),
        through_root: false,
    };
    let group = TableGroup { name: all.clone(), tables };
    let slot = Slot { name: all.clone(), existing: false, groups: vec![all], sets: vec![set] };
    let selection = Selection { groups: vec![group], excluded: Vec::new() };
    (selection, Capture { slots: vec![slot] })
}

fn header(facts: Facts) -> RunHeader {
    RunHeader {
        run_id: RunId("01932c07-0000-7000-8000-00001a2b3c4d".to_owned()),
        engine: "0".to_owned(),
        plan_name: "replica".to_owned(),
        plan_path: "plan.yaml".to_owned(),
        databases: BTreeMap::new(),
        settings: Settings::default(),
        facts,
        capture: Capture::default(),
        graph: StepGraph::seal(Vec::new(), Vec::new(), BTreeMap::new()).unwrap(),
    }
}

/// What compile makes of a draft.
fn node(declared: &DeclaredStep, draft: Draft) -> StepNode {
    assert_ne!(draft.fold, Fold::Chain);
    let undo = match draft.script.undo {
        Undo::Statements(statements) => Undo::Statements(settled(statements)),
        undo @ (Undo::Nothing | Undo::Irreversible(_)) => undo,
    };
    let member = Member {
        key: draft.key,
        params: draft.params,
        run: settled(draft.script.run),
        undo,
        cost: draft.cost,
    };
    // The two copies of large objects are two steps.
    let moment = declared.params["at"].as_str().unwrap_or_default();
    StepNode {
        id: format!("load/{}{moment}/{}", declared.kind, member.key).as_str().into(),
        phase: declared.phase.clone(),
        step: declared.name.clone(),
        kind: declared.kind.clone(),
        params: declared.params.clone(),
        before: settled(draft.script.before),
        members: vec![member],
        after: settled(draft.script.after),
        touches: Vec::new(),
        resources: Resources::default(),
        leaves: Leaves::Result,
        service: false,
        stops: None,
        scope: None,
        digest: StepDigest::default(),
    }
}

fn settled(mut statements: Vec<Statement>) -> Vec<Statement> {
    for piece in statements.iter_mut().flat_map(|statement| &mut statement.text) {
        if let Piece::Output { of, .. } = piece
            && let OutputOf::Writer(Object(object)) = of
        {
            *of = OutputOf::Step(object.as_str().into());
        }
    }
    statements
}

/// The same statement with another text.
pub(crate) fn with_text(statement: &Statement, sql: &str) -> Statement {
    Statement { text: vec![Piece::sql(sql)], ..statement.clone() }
}

struct Listener {
    noted: Arc<Mutex<BTreeMap<String, Value>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Reporter for Listener {
    fn note(&self, key: &str, value: Value) -> BoxFuture<'_, Result<(), Failure>> {
        self.noted.lock().unwrap().insert(key.to_owned(), value);
        Box::pin(async { Ok(()) })
    }

    fn progress(&self, _: Progress) {}

    fn waiting(&self, reason: &str) {
        self.told.lock().unwrap().push(reason.to_owned());
    }

    fn ready(&self, _: Value) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn approved(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::pending())
    }
}

/// The name of a variable is its value.
struct Named;

impl Secrets for Named {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef::Env(url) = reference else { panic!("{reference}") };
        Ok(SecretString::from(url.clone()))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
