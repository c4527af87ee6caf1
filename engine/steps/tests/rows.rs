//! Performs the steps that move and compare rows, between two databases of a real server.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot be set up has failed"
)]
#![expect(dead_code, reason = "the cluster has helpers for other tests as well")]

#[path = "../../verify/tests/cluster/mod.rs"]
mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster::Cluster;
use pgkedge_model::{
    BoxFuture, ByteSize, Call, Capture, CatalogIndex, DeclaredStep, Draft, Epoch, Expansion, Facts,
    Failure, FailureClass, Fold, Ident, Item, Leaves, Member, OutputOf, Part, Performer as _,
    PhaseName, Piece, Probe, Progress, Reporter, Resources, RunHeader, RunId, Selection, Server,
    Settings, Statement, StepDigest, StepGraph, StepId, StepNode, TableGroup, TableKind,
};
use pgkedge_postgres::{Sql, introspect};
use pgkedge_steps::{SharedEpoch, StepPerformer, kinds};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::JoinSet;

const SNAPSHOT: &str = "load/snapshot";

const SHOP: &str = "create type public.mood as enum ('sad', 'glad');
    create table public.orders (id int8 primary key, note text, twice int8 generated always as (id * 2) stored);
    create table public.\"We\"\"ird\" (\"Se lect\" int4, mood public.mood, kind regclass);
    create table public.bare ();
    create unlogged table public.fleeting (a int4);
    create table public.moods (mood public.mood, a int4) partition by hash (mood);
    create table public.moods_0 partition of public.moods for values with (modulus 2, remainder 0);
    create table public.moods_1 partition of public.moods for values with (modulus 2, remainder 1);
    create sequence public.\"C d\";
    create sequence public.untouched;
    create materialized view public.first as select count(*) as orders from public.orders with no data;
    create materialized view public.second as select orders + 1 as more from public.first with no data";

const ROWS: &str = "insert into public.orders select n, repeat('x', n % 50) from generate_series(1, 20000) n;
    insert into public.\"We\"\"ird\" values (1, 'sad', 'pg_class'), (null, 'glad', null);
    insert into public.bare default values; insert into public.bare default values;
    insert into public.fleeting values (1);
    insert into public.moods select case n % 2 when 0 then 'sad'::public.mood else 'glad' end, n
    from generate_series(1, 100) n;
    select setval('public.\"C d\"', 77);
    refresh materialized view public.first; refresh materialized view public.second;
    select lo_from_bytea(o::oid, convert_to('object ' || o, 'UTF8')) from generate_series(50001, 51200) o;
    select lo_put(50002, 2500000, '\\xff'); select lo_create(50000);
    comment on large object 50003 is 'it''s'; grant select on large object 50004 to public;
    analyze";

/// A run between two databases, without a scheduler.
struct Run {
    performer: Arc<StepPerformer>,
    header: Arc<RunHeader>,
    selection: Selection,
    inputs: Mutex<BTreeMap<StepId, Value>>,
    source: Sql,
    target: Sql,
}

impl Run {
    async fn start(cluster: &Cluster, name: &str) -> Self {
        Self::start_in(cluster, name, "UTF8").await
    }

    async fn start_in(cluster: &Cluster, name: &str, encoding: &str) -> Self {
        let [source, target] = cluster.sides_in(name, encoding).await;
        source.execute(SHOP).await.unwrap();
        source.execute(ROWS).await.unwrap();
        // The target's OIDs are others, so that hash partitions of enums take other rows.
        target
            .execute("create type public.mood as enum ('a'); drop type public.mood")
            .await
            .unwrap();
        target.execute(SHOP).await.unwrap();
        let endpoints: BTreeMap<_, _> = [(Server::Source, "source"), (Server::Target, "target")]
            .map(|(server, side)| (server, cluster.endpoint(server, &format!("{name}_{side}"))))
            .into();
        let facts = Facts {
            source: introspect(&endpoints[&Server::Source], "pgkedge:read").await.unwrap(),
            target: Some(introspect(&endpoints[&Server::Target], "pgkedge:read").await.unwrap()),
            replica: None,
        };
        let mut tables: Vec<_> =
            facts.source.tables.iter().map(|table| table.name.clone()).collect();
        tables.sort();
        let group = TableGroup { name: Ident::new("all").unwrap(), tables };
        let mut settings = Settings::default();
        settings.load.part_size = ByteSize(256 << 10);
        let header = Arc::new(RunHeader {
            run_id: RunId("01932c07-0000-7000-8000-00001a2b3c4d".to_owned()),
            engine: "0".to_owned(),
            plan_name: name.to_owned(),
            plan_path: "plan.yaml".to_owned(),
            databases: BTreeMap::new(),
            settings,
            facts,
            capture: Capture::default(),
            graph: StepGraph::seal(Vec::new(), Vec::new(), BTreeMap::new()).unwrap(),
        });
        let epoch = SharedEpoch::default();
        epoch.set(Epoch(1));
        let performer = StepPerformer::new(endpoints, Arc::clone(&header), epoch);
        let (selection, inputs) =
            (Selection { groups: vec![group], excluded: Vec::new() }, Mutex::default());
        Self { performer: Arc::new(performer), header, selection, inputs, source, target }
    }

    /// The nodes of a kind for these items: small drafts share one, others stand alone.
    fn nodes(&self, kind: &str, items: &[Item<'_>], params: Value) -> Vec<StepNode> {
        let spec = kinds().iter().find(|spec| spec.kind == kind).unwrap();
        let declared = DeclaredStep {
            phase: PhaseName("load".to_owned()),
            name: kind.to_owned(),
            kind: kind.to_owned(),
            each: None,
            params,
            pointer: None,
        };
        let (mut small, mut nodes) = (Vec::new(), Vec::new());
        for item in items {
            let drafts = (spec.expand)(&Expansion {
                declared: &declared,
                item: *item,
                settings: &self.header.settings,
                selection: &self.selection,
                capture: &Capture::default(),
                excluded_entries: &BTreeSet::new(),
                facts: &self.header.facts,
                source: &CatalogIndex::new(&self.header.facts.source),
            });
            for draft in drafts.unwrap() {
                if draft.fold == Fold::Small {
                    small.push(draft);
                } else {
                    nodes.push(node(kind, &format!("load/{kind}/{}", draft.key), vec![draft]));
                }
            }
        }
        if !small.is_empty() {
            nodes.push(node(kind, &format!("load/{kind}/bundle"), small));
        }
        nodes
    }

    fn tables(&self) -> Vec<Item<'_>> {
        let tables = self.header.facts.source.tables.iter();
        tables.filter(|table| table.kind == TableKind::Ordinary).map(Item::Table).collect()
    }

    fn views(&self) -> Vec<Item<'_>> {
        let tables = self.header.facts.source.tables.iter();
        tables.filter(|table| table.kind == TableKind::MaterializedView).map(Item::Table).collect()
    }

    fn sequences(&self) -> Vec<Item<'_>> {
        self.header.facts.source.sequences.iter().map(Item::Sequence).collect()
    }

    /// The nodes of `copy_part`; orders in three parts.
    fn copies(&self) -> Vec<StepNode> {
        let source = &self.header.facts.source;
        let orders = source.tables.iter().find(|table| table.name.name.as_str() == "orders");
        let parts = Part::of_pages(orders.unwrap().pages, 3);
        let mut items: Vec<Item<'_>> =
            parts.iter().map(|part| Item::Part(orders.unwrap(), part)).collect();
        items.extend(
            source
                .tables
                .iter()
                .filter(|table| {
                    table.kind == TableKind::Ordinary && table.oid != orders.unwrap().oid
                })
                .map(|table| Item::Part(table, &Part::WHOLE)),
        );
        self.nodes("copy_part", &items, json!({}))
    }

    async fn call(&self, node: StepNode, attempt: u32) -> Call {
        Call {
            node: Arc::new(node),
            attempt,
            generation: 0,
            inputs: self.inputs.lock().await.clone(),
            notes: BTreeMap::new(),
            reporter: Arc::new(Quiet::default()),
        }
    }

    async fn perform(&self, node: StepNode) -> Result<Value, Failure> {
        let call = self.call(node, 1).await;
        self.performer.perform(call).await
    }

    async fn perform_all(&self, nodes: Vec<StepNode>) -> Result<(), Failure> {
        for node in nodes {
            self.perform(node).await?;
        }
        Ok(())
    }

    /// Performs something while a snapshot is held.
    async fn in_snapshot<T>(&self, work: impl Future<Output = T>) -> T {
        let node = self.nodes("hold_snapshot", &[Item::Once], json!({})).remove(0);
        assert!(
            node.statements().any(|one| one.shown().starts_with("lock table only public.orders"))
        );
        let (ready, held) = oneshot::channel();
        let (quiet, stop) =
            (Quiet { ready: Mutex::new(Some(ready)), ..Quiet::default() }, Arc::new(Notify::new()));
        let reporter = Arc::new(Quiet { stop: Arc::clone(&stop), ..quiet });
        let call = Call { reporter, ..self.call(node, 1).await };
        let performer = Arc::clone(&self.performer);
        let mut service = JoinSet::new();
        service.spawn(async move { performer.perform(call).await });
        let output = tokio::select! {
            output = held => output.unwrap(),
            ended = service.join_next() => panic!("the service ended: {ended:?}"),
        };
        self.inputs.lock().await.insert(SNAPSHOT.into(), output);
        let result = work.await;
        stop.notify_one();
        service.join_next().await.unwrap().unwrap().unwrap();
        result
    }

    async fn ask(&self, side: &Sql, query: &str) -> String {
        side.rows(query).await.unwrap()[0].get(0).unwrap_or_default().to_owned()
    }

    /// Everything that moves rows.
    async fn load(&self) -> Result<(), Failure> {
        self.perform_all(self.nodes("create_ledger", &[Item::Once], json!({}))).await?;
        self.in_snapshot(async {
            self.perform_all(self.copies()).await?;
            self.perform_all(self.nodes("copy_large_objects", &[Item::Once], json!({}))).await
        })
        .await?;
        self.perform_all(self.nodes("set_sequence", &self.sequences(), json!({}))).await?;
        let views = self.views();
        self.perform_all(self.nodes("refresh_materialized_view", &views, json!({}))).await?;
        self.perform_all(self.nodes("analyze", &self.tables(), json!({}))).await
    }

    async fn verify(&self) -> Result<(), Failure> {
        self.perform_all(self.nodes("verify", &self.tables(), json!({}))).await?;
        self.perform_all(self.nodes("verify", &self.views(), json!({}))).await?;
        self.perform_all(self.nodes("compare_catalogs", &[Item::Once], json!({}))).await
    }
}

/// What compile makes of drafts.
fn node(kind: &str, id: &str, drafts: Vec<Draft>) -> StepNode {
    let (before, after) = (drafts[0].script.before.clone(), drafts[0].script.after.clone());
    let member = |draft: Draft| Member {
        key: draft.key,
        params: draft.params,
        run: settled(draft.script.run),
        undo: draft.script.undo,
        cost: draft.cost,
    };
    StepNode {
        id: id.into(),
        phase: PhaseName("load".to_owned()),
        step: kind.to_owned(),
        kind: kind.to_owned(),
        params: json!({}),
        before: settled(before),
        members: drafts.into_iter().map(member).collect(),
        after: settled(after),
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
        if let Piece::Output { of: of @ OutputOf::Writer(_), .. } = piece {
            *of = OutputOf::Step(SNAPSHOT.into());
        }
    }
    statements
}

#[derive(Default)]
struct Quiet {
    ready: Mutex<Option<oneshot::Sender<Value>>>,
    stop: Arc<Notify>,
}

impl Reporter for Quiet {
    fn note(&self, _: &str, _: Value) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn progress(&self, _: Progress) {}

    fn waiting(&self, _: &str) {}

    fn ready(&self, output: Value) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            if let Some(ready) = self.ready.lock().await.take() {
                ready.send(output).unwrap();
            }
            Ok(())
        })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.notified())
    }

    fn approved(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn rows_sequences_large_objects_and_views_are_moved_and_found_equal() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start(&cluster, "whole").await;
    run.load().await.unwrap();
    run.verify().await.unwrap();
    let orders = "select count(*) || ' ' || sum(twice) from public.orders";
    assert_eq!(run.ask(&run.target, orders).await, "20000 400020000");
    let called = "select last_value || ' ' || is_called from public.untouched";
    assert_eq!(run.ask(&run.target, called).await, "1 false");
    assert_eq!(run.ask(&run.target, "select more from public.second").await, "20001");
    let statistics = "select count(*) from pg_statistic where starelid = 'public.moods'::regclass";
    assert_ne!(run.ask(&run.target, statistics).await, "0");
    let rows = "select rows from pgkedge_1a2b3c4d.effect where member = 'public.\"We\"\"ird\"'";
    assert_eq!(run.ask(&run.target, rows).await, "2");
}

#[tokio::test]
async fn text_of_another_encoding_arrives_and_is_found_equal() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start_in(&cluster, "latin", "LATIN1").await;
    run.source
        .execute(
            "insert into public.orders values (0, 'Überraschung'); refresh materialized view public.first;
             refresh materialized view public.second",
        )
        .await
        .unwrap();
    run.load().await.unwrap();
    let note = "select octet_length(note) from public.orders where id = 0";
    assert_eq!(run.ask(&run.source, note).await, "12");
    assert_eq!(run.ask(&run.target, note).await, "13");
    run.verify().await.unwrap();
}

#[tokio::test]
async fn differences_are_named_with_both_counts() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start(&cluster, "differ").await;
    run.load().await.unwrap();
    run.target
        .execute(
            "delete from public.bare where ctid = '(0,1)';
             update public.moods set a = 5000 where a = 7; create index extra on public.orders (note);
             select nextval('public.untouched'); select lo_unlink(50001)",
        )
        .await
        .unwrap();
    let mut told = Vec::new();
    for node in run.nodes("verify", &run.tables(), json!({})) {
        if let Err(failure) = run.perform(node).await {
            assert_eq!(failure.class, FailureClass::Differences);
            told.extend(failure.details);
        }
    }
    told.sort();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0]
            .starts_with("public.bare: row count differs: source 2 rows (digest 0), target 1 row")
    );
    assert!(told[1].starts_with("public.moods: content differs: source 100 rows"), "{told:#?}");

    let node = run.nodes("compare_catalogs", &[Item::Once], json!({})).remove(0);
    let failure = run.perform(node).await.unwrap_err();
    let told = failure.details.join("\n");
    assert_eq!(failure.class, FailureClass::Differences, "{failure:?}");
    for expected in [
        "INDEX public.extra: the object is on the target only",
        "public.untouched: value differs: source 1, not called yet, target 1",
        "large object 50001: the object is missing on the target",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert_eq!(failure.details.len(), 3, "{told}");
}

#[tokio::test]
async fn what_was_committed_is_found_and_never_done_twice() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start(&cluster, "twice").await;
    run.load().await.unwrap();
    let objects = run.nodes("copy_large_objects", &[Item::Once], json!({}));
    for node in run.copies().into_iter().chain(objects.clone()) {
        let call = run.call(node, 2).await;
        assert!(matches!(run.performer.probe(call).await.unwrap(), Probe::Applied(_)));
    }
    // As if the runner had died after the first batch.
    run.target
        .execute(
            "delete from pgkedge_1a2b3c4d.effect where member = 'large_objects' or member like '505%';
             select lo_unlink(oid) from pg_largeobject_metadata where oid between 50500 and 50999",
        )
        .await
        .unwrap();
    let left = "select count(*) from pg_largeobject_metadata";
    assert_eq!(run.ask(&run.target, left).await, "701");
    let call = run.call(objects[0].clone(), 2).await;
    assert_eq!(run.performer.probe(call).await.unwrap(), Probe::Partial);
    run.in_snapshot(async {
        let call = run.call(objects[0].clone(), 2).await;
        let output = run.performer.perform(call).await.unwrap();
        assert_eq!(output["objects"], 1201);
        // A second attempt of a part that is in: the ledger refuses it, and it is found.
        let call = run.call(run.copies().remove(0), 2).await;
        run.performer.perform(call).await.unwrap();
    })
    .await;
    run.verify().await.unwrap();
}

#[tokio::test]
async fn undo_takes_rows_and_large_objects_back() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start(&cluster, "undo").await;
    run.load().await.unwrap();
    let objects = run.nodes("copy_large_objects", &[Item::Once], json!({}));
    let views = run.nodes("refresh_materialized_view", &run.views(), json!({}));
    for node in run.copies().into_iter().chain(objects).chain(views) {
        let call = run.call(node, 1).await;
        run.performer.undo(call.clone()).await.unwrap();
        run.performer.undo(call).await.unwrap();
    }
    let left = "select (select count(*) from pg_largeobject_metadata) + (select count(*) from public.orders) \
                + (select count(*) from public.moods) + (select count(*) from public.bare)";
    assert_eq!(run.ask(&run.target, left).await, "0");
    let populated = "select count(*) from pg_class where relkind = 'm' and relispopulated";
    assert_eq!(run.ask(&run.target, populated).await, "0");
}

#[tokio::test]
async fn a_table_that_was_rewritten_is_not_copied_in_parts() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start(&cluster, "rewritten").await;
    run.perform_all(run.nodes("create_ledger", &[Item::Once], json!({}))).await.unwrap();
    run.source.execute("vacuum full public.orders").await.unwrap();
    let failure =
        run.in_snapshot(async { run.perform(run.copies().remove(0)).await.unwrap_err() }).await;
    assert_eq!(failure.class, FailureClass::Permanent);
    assert!(failure.message.contains("public.orders was rewritten"), "{failure:?}");
}

#[tokio::test]
async fn a_snapshot_that_is_gone_is_worth_another_attempt() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start(&cluster, "gone").await;
    run.perform_all(run.nodes("create_ledger", &[Item::Once], json!({}))).await.unwrap();
    run.in_snapshot(async {}).await;
    let failure = run.perform(run.copies().remove(0)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Transient, "{failure:?}");
}

#[tokio::test]
async fn a_session_that_loses_the_snapshot_is_worth_another_attempt() {
    let Some(cluster) = Cluster::start() else { return };
    let run = Run::start(&cluster, "lost").await;
    let node = run.nodes("hold_snapshot", &[Item::Once], json!({})).remove(0);
    let (ready, held) = oneshot::channel();
    let reporter = Arc::new(Quiet { ready: Mutex::new(Some(ready)), stop: Arc::default() });
    let call = Call { reporter, ..run.call(node, 1).await };
    let ended = async {
        held.await.unwrap();
        let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
                    where application_name = 'pgkedge:1a2b3c4d:1:do'";
        assert_eq!(run.ask(&run.source, kill).await, "t");
    };
    let (result, ()) = tokio::join!(run.performer.perform(call), ended);
    assert_eq!(result.unwrap_err().class, FailureClass::Transient);
}
