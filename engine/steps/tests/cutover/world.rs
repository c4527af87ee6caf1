//! Two servers, shared by the tests of this program, and a run between two databases of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pgkedge_model::{
    BoxFuture, Call, Capture, CatalogIndex, DatabaseRef, DeclaredStep, Draft, Epoch, Expansion,
    Facts, Failure, Item, KindSpec, Member, OutputOf, Performer as _, PhaseName, Piece, Probe,
    Progress, Reporter, Resources, RunHeader, RunId, SecretError, SecretRef, SecretString, Secrets,
    Selection, Server, Settings, Statement, StepDigest, StepGraph, StepId, StepNode,
};
use pgkedge_postgres::{Endpoint, Sql, introspect};
use pgkedge_sandbox::{Options, Sandbox, Temporary};
use pgkedge_steps::{SharedEpoch, StepPerformer, kinds};
use serde_json::{Value, json};

/// What every role of these tests logs in with.
const PASSWORD: &str = "secret";

/// Two servers with databases of each test.
pub(crate) struct Servers(Temporary);

/// The servers of this program; they go with the last test that uses them.
pub(crate) fn servers() -> Arc<Servers> {
    static SHARED: Mutex<Weak<Servers>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(servers) = shared.upgrade() {
        return servers;
    }
    let settings = BTreeMap::from([("max_prepared_transactions".to_owned(), "10".to_owned())]);
    let options = Options { settings, ..Options::default() };
    let servers = Arc::new(Servers(Sandbox::up(&options).unwrap().temporary()));
    *shared = Arc::downgrade(&servers);
    servers
}

impl Servers {
    /// A database, reached as one of the test's roles or as the superuser.
    pub(crate) fn endpoint(&self, server: Server, database: &str, role: &str) -> Endpoint {
        let cluster = if server == Server::Source { &self.0.source } else { &self.0.target };
        let url = std::fs::read_to_string(&cluster.url).unwrap();
        let (scheme, rest) = url.trim().split_once("://").unwrap();
        let (login, place) = rest.split_once('@').unwrap();
        let (place, _) = place.split_once('/').unwrap();
        let login =
            if role == "postgres" { login.to_owned() } else { format!("{role}:{PASSWORD}") };
        let url = format!("{scheme}://{login}@{place}/{database}");
        let database = DatabaseRef::new(SecretRef::Env(url));
        Endpoint::new(server, database, Arc::new(Plain))
    }

    /// As the superuser, in a database that no test closes.
    pub(crate) async fn admin(&self, server: Server) -> Sql {
        self.endpoint(server, "postgres", "postgres").sql("admin").await.unwrap()
    }
}

/// Makes a role that can log in.
pub(crate) async fn create_role(admin: &Sql, role: &str, attributes: &str) {
    admin
        .execute(&format!("create role {role} login password '{PASSWORD}' {attributes}"))
        .await
        .unwrap();
}

pub(crate) async fn value(sql: &Sql, query: &str) -> String {
    let rows = sql.rows(query).await.unwrap();
    rows.first().and_then(|row| row.get(0)).unwrap_or("null").to_owned()
}

/// What a fence changes: the ACL and the settings of a database.
pub(crate) async fn access(admin: &Sql, database: &str) -> (String, String) {
    let acl = format!("select datacl from pg_database where datname = '{database}'");
    let settings = format!(
        "select string_agg(s.setrole || ': ' || s.setconfig::text, '; ' order by s.setrole) from pg_db_role_setting s \
         join pg_database d on d.oid = s.setdatabase where d.datname = '{database}'"
    );
    (value(admin, &acl).await, value(admin, &settings).await)
}

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

/// Keeps what steps note, as a journal does.
#[derive(Default)]
pub(crate) struct Notes {
    notes: Mutex<BTreeMap<String, Value>>,
    /// Fails after this note is kept, as if the engine had died there.
    dies_after: Option<&'static str>,
}

impl Notes {
    /// Of an engine that dies after it has noted this.
    pub(crate) fn until(key: &'static str) -> Self {
        Self { dies_after: Some(key), ..Self::default() }
    }

    fn kept(&self) -> BTreeMap<String, Value> {
        self.notes.lock().unwrap().clone()
    }
}

impl Reporter for Notes {
    fn note(&self, key: &str, value: Value) -> BoxFuture<'_, Result<(), Failure>> {
        self.notes.lock().unwrap().insert(key.to_owned(), value);
        let died = self.dies_after == Some(key);
        Box::pin(async move { if died { Err(Failure::permanent("died")) } else { Ok(()) } })
    }

    fn progress(&self, _: Progress) {}

    fn waiting(&self, _: &str) {}

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

/// A run without a scheduler. Each kind is one step, `phase/<kind>`.
pub(crate) struct Run {
    endpoints: BTreeMap<Server, Endpoint>,
    header: Arc<RunHeader>,
    performer: StepPerformer,
    inputs: Mutex<BTreeMap<StepId, Value>>,
    notes: Mutex<BTreeMap<StepId, Arc<Notes>>>,
    attempts: Mutex<BTreeMap<StepId, u32>>,
}

impl Run {
    pub(crate) async fn new(source: Endpoint, target: Endpoint, settings: Settings) -> Self {
        let facts = Facts {
            source: introspect(&source, "pgkedge:read").await.unwrap(),
            target: Some(introspect(&target, "pgkedge:read").await.unwrap()),
            replica: None,
        };
        // Runs on one server are told apart by their tag.
        let tag = facts.source.database.oid;
        let header = Arc::new(RunHeader {
            run_id: RunId(format!("01932c07-0000-7000-8000-0000{tag:08x}")),
            engine: "test".into(),
            plan_name: "test".into(),
            plan_path: "test.yaml".into(),
            databases: BTreeMap::new(),
            settings,
            facts,
            capture: Capture::default(),
            graph: StepGraph::seal(Vec::new(), Vec::new(), BTreeMap::new()).unwrap(),
        });
        let endpoints = BTreeMap::from([(Server::Source, source), (Server::Target, target)]);
        let performer = performer(&endpoints, &header);
        let (inputs, notes, attempts) = Default::default();
        Self { endpoints, header, performer, inputs, notes, attempts }
    }

    /// The engine dies and comes back: what it noted is all that it knows.
    pub(crate) fn restarted(self) -> Self {
        let performer = performer(&self.endpoints, &self.header);
        Self { performer, ..self }
    }

    pub(crate) async fn perform(&self, kind: &str) -> Result<Value, Failure> {
        self.perform_with(kind, json!({}), Notes::default()).await
    }

    /// Performs a step, with a reporter of its own at the first attempt.
    pub(crate) async fn perform_with(
        &self,
        kind: &str,
        params: Value,
        notes: Notes,
    ) -> Result<Value, Failure> {
        let node = self.node(kind, params);
        let id = node.id.clone();
        let kept = Arc::clone(
            self.notes.lock().unwrap().entry(id.clone()).or_insert_with(|| Arc::new(notes)),
        );
        *self.attempts.lock().unwrap().entry(id.clone()).or_default() += 1;
        let output = self.performer.perform(self.call(node, kept)).await?;
        self.inputs.lock().unwrap().insert(id, output.clone());
        Ok(output)
    }

    pub(crate) async fn probe(&self, kind: &str) -> Probe {
        let node = self.node(kind, json!({}));
        let kept = self.kept(&node.id);
        self.performer.probe(self.call(node, kept)).await.unwrap()
    }

    pub(crate) async fn undo(&self, kind: &str) -> Result<(), Failure> {
        let node = self.node(kind, json!({}));
        let kept = self.kept(&node.id);
        self.performer.undo(self.call(node, kept)).await
    }

    /// Forgets what a step noted, as the journal does when it was undone.
    pub(crate) async fn undo_and_forget(&self, kind: &str) {
        self.undo(kind).await.unwrap();
        self.notes.lock().unwrap().remove(&id(kind));
        self.attempts.lock().unwrap().remove(&id(kind));
    }

    fn kept(&self, id: &StepId) -> Arc<Notes> {
        self.notes.lock().unwrap().get(id).cloned().unwrap_or_default()
    }

    fn call(&self, node: StepNode, notes: Arc<Notes>) -> Call {
        Call {
            attempt: self.attempts.lock().unwrap().get(&node.id).copied().unwrap_or(1),
            node: Arc::new(node),
            generation: 0,
            inputs: self.inputs.lock().unwrap().clone(),
            notes: notes.kept(),
            reporter: notes,
        }
    }

    fn node(&self, kind: &str, params: Value) -> StepNode {
        let spec = kinds().iter().find(|spec| spec.kind == kind).unwrap();
        let drafts = self.drafts(spec, &params);
        StepNode {
            id: id(kind),
            phase: PhaseName("phase".into()),
            step: kind.to_owned(),
            kind: kind.to_owned(),
            params,
            before: settled(drafts[0].script.before.clone()),
            after: settled(drafts[0].script.after.clone()),
            members: drafts.into_iter().map(member).collect(),
            touches: Vec::new(),
            resources: Resources::default(),
            leaves: spec.leaves,
            service: false,
            stops: None,
            scope: None,
            digest: StepDigest::default(),
        }
    }

    fn drafts(&self, spec: &KindSpec, params: &Value) -> Vec<Draft> {
        let declared = DeclaredStep {
            phase: PhaseName("phase".into()),
            name: spec.kind.to_owned(),
            kind: spec.kind.to_owned(),
            each: spec.each.first().copied(),
            params: params.clone(),
            pointer: None,
        };
        let source = &self.header.facts.source;
        let items: Vec<Item<'_>> = match spec.each {
            [] => vec![Item::Once],
            _ => source.sequences.iter().map(Item::Sequence).collect(),
        };
        let expand = |item| {
            (spec.expand)(&Expansion {
                declared: &declared,
                item,
                settings: &self.header.settings,
                selection: &Selection::default(),
                capture: &Capture::default(),
                excluded_entries: &BTreeSet::new(),
                facts: &self.header.facts,
                source: &CatalogIndex::new(source),
            })
            .unwrap()
        };
        items.into_iter().flat_map(expand).collect()
    }
}

fn performer(endpoints: &BTreeMap<Server, Endpoint>, header: &Arc<RunHeader>) -> StepPerformer {
    let epoch = SharedEpoch::default();
    epoch.set(Epoch(1));
    StepPerformer::new(endpoints.clone(), Arc::clone(header), epoch)
}

fn id(kind: &str) -> StepId {
    StepId(format!("phase/{kind}"))
}

fn member(draft: Draft) -> Member {
    Member {
        key: draft.key,
        params: draft.params,
        run: settled(draft.script.run),
        undo: draft.script.undo,
        cost: draft.cost,
    }
}

/// Writers of objects become steps, as compile makes them.
fn settled(mut statements: Vec<Statement>) -> Vec<Statement> {
    for piece in statements.iter_mut().flat_map(|statement| &mut statement.text) {
        if let Piece::Output { of, .. } = piece
            && let OutputOf::Writer(object) = of
        {
            let writer = match object.0.as_str() {
                "access:target" => "close_target",
                "fence:source" => "fence_source",
                other => panic!("nobody writes {other}"),
            };
            *of = OutputOf::Step(id(writer));
        }
    }
    statements
}
