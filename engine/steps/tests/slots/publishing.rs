//! Publications and identities.

use pgkedge_model::{FailureClass, Ident, Operation, Probe, Settings, WithoutIdentity};
use serde_json::Value;

use crate::capturing::{Run, TAG, slot};

const TABLES: &str = "create table public.bare (a int);
    create table public.\"We\"\"ird\" (a int primary key);
    create table public.indexed (a int not null, b int);
    create unique index by_a on public.indexed (a);
    alter table public.indexed replica identity using index by_a;
    create table public.parts (a int, b int) partition by range (a);
    create table public.parts_1 partition of public.parts for values from (0) to (10);
    create table public.parts_2 partition of public.parts for values from (10) to (20)";

async fn run() -> Run {
    let settings =
        Settings { tables_without_identity: WithoutIdentity::Full, ..Settings::default() };
    let mut rooted = slot("rooted", &["bare", "parts"]);
    rooted.sets[0].through_root = true;
    let mut leaves = slot("leaves", &["We\"ird", "indexed"]);
    leaves.sets[0].operations = [Operation::Delete, Operation::Insert].into();
    Run::start(TABLES, vec![rooted, leaves], settings).await
}

const IDENTITIES: &str = "select string_agg(relname || ' ' || relreplident::text, ', ' order by relname) \
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')";

#[tokio::test]
async fn a_capture_is_set_up_probed_and_taken_back_without_a_trace() {
    let run = run().await;
    let before = run.ask(IDENTITIES).await;
    let nodes = run.capture().await;
    assert_eq!(
        run.ask(IDENTITIES).await,
        "We\"ird d, bare f, indexed i, parts f, parts_1 f, parts_2 f"
    );
    let published = "select string_agg(pubname || ' ' || tablename, ', ' order by pubname, tablename) \
                     from pg_publication_tables";
    assert_eq!(
        run.ask(published).await,
        format!(
            "pgkedge_leaves_{TAG} We\"ird, pgkedge_leaves_{TAG} indexed, pgkedge_rooted_{TAG} bare, \
                 pgkedge_rooted_{TAG} parts"
        )
    );
    run.source
        .execute(
            "insert into public.parts values (1, 1), (11, 1); update public.parts set b = 2;
            insert into public.bare values (1); delete from public.bare",
        )
        .await
        .unwrap();
    for node in &nodes {
        let probe = run.probe(node).await;
        assert!(matches!(probe, Probe::Applied(_)), "{}: {probe:?}", node.id);
    }
    run.undo(&nodes).await;
    run.undo(&nodes).await;
    for node in nodes.iter().filter(|node| node.kind != "create_ledger") {
        assert_eq!(run.probe(node).await, Probe::Absent, "{}", node.id);
    }
    assert_eq!(run.ask(IDENTITIES).await, before);
    let left = "select (select count(*) from pg_publication) + (select count(*) from pg_replication_slots)";
    assert_eq!(run.ask(left).await, "0");
}

#[tokio::test]
async fn what_somebody_else_changed_is_told() {
    let run = run().await;
    let nodes = run.capture().await;
    let of = |kind: &str| nodes.iter().filter(|node| node.kind == kind).collect::<Vec<_>>();
    let changed = format!("alter publication pgkedge_rooted_{TAG} add table public.indexed");
    run.source.execute(&changed).await.unwrap();
    let Probe::Foreign(said) = run.probe(of("create_publication")[0]).await else {
        panic!("the publication is taken for ours")
    };
    assert!(said.contains("it has public.indexed too"), "{said}");
    assert_eq!(run.probe(of("create_publication")[1]).await, Probe::Applied(Value::Null));

    run.source.execute("alter table public.parts_1 replica identity default").await.unwrap();
    let identity = of("set_replica_identity");
    let parts = identity.iter().find(|node| node.id.0.ends_with("public.parts_1")).unwrap();
    assert_eq!(run.probe(parts).await, Probe::Partial);
    run.perform("set_replica_identity").await.unwrap();
    assert_eq!(run.probe(parts).await, Probe::Applied(Value::Null));
}

#[tokio::test]
async fn a_publication_that_was_there_is_proved_and_left_alone() {
    let mut there = slot("mine", &["We\"ird", "parts"]);
    there.sets[0].publication = Some(Ident::new("It's \"mine\"").unwrap());
    there.sets[0].through_root = true;
    let run = Run::start(TABLES, vec![there], Settings::default()).await;
    let publication = "publication \"It's \"\"mine\"\"\"";
    let refused = async || {
        let failure = run.perform("create_publication").await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Operator, "{failure:?}");
        format!("{} {}", failure.message, failure.help.unwrap())
    };
    assert!(refused().await.contains("there is none of that name"));
    let all = "for table public.\"We\"\"ird\", public.parts";
    let create = format!("create {publication} {all} with (publish = 'insert, update, delete')");
    run.source.execute(&create).await.unwrap();
    assert!(refused().await.contains("it does not publish truncate"));
    let alter = async |what: &str| {
        run.source.execute(&format!("alter {publication} {what}")).await.unwrap();
    };
    alter("set (publish = 'insert, update, delete, truncate')").await;
    let said = refused().await;
    assert!(
        said.contains("it lacks public.parts") && said.contains("`partitions: leaf`"),
        "{said}"
    );
    alter("set (publish_via_partition_root = true)").await;
    alter("add table public.indexed where (b > 0)").await;
    assert!(refused().await.contains("it leaves out rows or columns"));
    alter("drop table public.indexed").await;
    alter("add table public.indexed").await;
    assert!(refused().await.contains("it has public.indexed too"));
    alter("drop table public.indexed").await;

    let nodes = run.capture().await;
    run.undo(&nodes).await;
    run.perform("drop_capture").await.unwrap();
    let left = run.ask("select string_agg(pubname, ', ') from pg_publication").await;
    assert_eq!(left, "It's \"mine\"");
}

#[tokio::test]
async fn a_table_in_use_is_waited_for() {
    let run = run().await;
    let user = run.endpoint(pgkedge_model::Server::Source).sql("busy one").await.unwrap();
    user.execute("begin; select * from public.bare").await.unwrap();
    let nodes = run.nodes("set_replica_identity", &serde_json::json!({}));
    let node = nodes.iter().find(|node| node.id.0.ends_with("public.bare")).unwrap();
    let told = crate::capturing::Told::new();
    let performing = pgkedge_model::Performer::perform(&*run.performer, run.call(node, 1, &told));
    let ending = async {
        told.waits_for(&["public.bare of the source is in use", "`busy one`"]).await;
        user.execute("commit").await.unwrap();
    };
    let (performed, ()) = tokio::join!(performing, ending);
    performed.unwrap();
}
