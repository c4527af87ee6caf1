//! Comparisons on a real server: what is equal must be found equal, what was changed must be found.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot be set up has failed"
)]

mod cluster;

use std::collections::BTreeMap;

use cluster::{Cluster, named, table, types};
use pgkedge_model::{Server, ServerVersion, Table, TypeFacts, VerifyMethod};
use pgkedge_postgres::Sql;
use pgkedge_verify::{
    Comparison, DigestPlan, RowHash, Sides, Stand, compare_large_objects,
    compare_materialized_views, compare_sequences, compare_tables, settle,
};

/// A type, a value, and another value that is not equal to it.
const TYPES: &[(&str, &str, &str)] = &[
    ("bool", "t", "f"),
    ("bytea", "\\x00ff", "\\x00fe"),
    ("\"char\"", "a", "b"),
    ("name", "relname", "Relname"),
    ("int8", "-1", "4294967295"),
    ("int2", "1", "2"),
    ("int4", "1", "-1"),
    ("text", "Příliš", "Prilis"),
    ("oid", "4294967295", "0"),
    ("tid", "(1,2)", "(2,1)"),
    ("xid", "3", "4"),
    ("cid", "3", "4"),
    ("xid8", "3", "4"),
    ("json", "{\"b\":1, \"a\":2}", "{\"a\":2, \"b\":1}"),
    ("jsonb", "{\"a\": [1, null]}", "{\"a\": [1]}"),
    ("jsonb", "{\"a\": 1.0}", "{\"a\": 1.00}"),
    ("float8", "0", "-0"),
    ("bpchar", "a", "a "),
    ("float4", "0", "-0"),
    ("jsonpath", "$.a", "$.b"),
    ("xml", "<a/>", "<b/>"),
    ("point", "(1,2)", "(2,1)"),
    ("line", "{1,2,3}", "{1,2,4}"),
    ("lseg", "[(1,2),(3,4)]", "[(3,4),(1,2)]"),
    ("box", "(3,4),(1,2)", "(3,5),(1,2)"),
    ("path", "[(1,2),(3,4)]", "((1,2),(3,4))"),
    ("polygon", "((1,2),(3,4),(5,6))", "((1,2),(3,4),(5,7))"),
    ("circle", "<(1,2),3>", "<(1,2),4>"),
    ("float4", "0.1", "NaN"),
    ("float8", "0.1", "0.10000000000000002"),
    ("money", "$12.34", "$12.35"),
    ("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    ("macaddr8", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:06"),
    ("inet", "10.0.0.1/8", "10.0.0.1"),
    ("cidr", "10.0.0.0/8", "10.0.0.0/16"),
    ("bpchar(5)", "ab", "abc"),
    ("varchar(9)", "ab", "ab "),
    ("date", "2026-02-28", "infinity"),
    ("time", "23:59:59.999999", "24:00"),
    ("timetz", "12:00+02", "10:00+00"),
    ("timestamp", "2026-02-28 12:00", "2026-02-28 12:00:00.000001"),
    ("timestamptz", "2026-02-28 12:00+02", "2026-02-28 12:00+00"),
    ("interval", "1 mon", "30 days"),
    ("bit(3)", "101", "100"),
    ("varbit", "101", "1010"),
    ("numeric", "0.1", "0.10"),
    ("refcursor", "a", "b"),
    ("regclass", "pg_catalog.pg_class", "pg_catalog.pg_type"),
    ("regtype", "int4", "int8"),
    ("regproc", "pg_catalog.now", "pg_catalog.random"),
    ("regrole", "postgres", "pg_monitor"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"),
    ("pg_lsn", "0/1", "1/0"),
    ("tsvector", "'a':1 'b'", "'a':2 'b'"),
    ("tsquery", "'a' & 'b'", "'a' | 'b'"),
    ("txid_snapshot", "1:5:2", "1:5:3"),
    ("pg_snapshot", "1:5:2", "1:5:3"),
    ("aclitem", "postgres=r/postgres", "postgres=w/postgres"),
    ("int2vector", "1 2", "2 1"),
    ("oidvector", "1 2", "2 1"),
    ("int4range", "[1,5)", "[1,6)"),
    ("numrange", "[1,5)", "(1,5)"),
    ("daterange", "[2026-01-01,)", "[2026-01-02,)"),
    ("tstzrange", "empty", "(,)"),
    ("tsrange", "[2026-01-01,2026-02-01)", "[2026-01-01,2026-02-01]"),
    ("int8multirange", "{[0,4294967296)}", "{[0,1)}"),
    ("int4multirange", "{[1,3),[5,7)}", "{[1,7)}"),
    ("public.mood", "glad", "sad"),
    ("public.mood_domain", "glad", "sad"),
    ("public.year", "1999", "2000"),
    ("public.pair", "(1,x)", "(1,y)"),
    ("public.textrange", "[a,b)", "[a,c)"),
    ("text collate public.blind", "Straße", "STRASSE"),
];

const DEFINITIONS: &str = "create domain public.year as int4 check (value > 1900);
    create domain public.mood_domain as public.mood;
    create type public.pair as (n float8, t text);
    create type public.textrange as range (subtype = text);
    create collation public.blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)";

/// Every type twice, as a column and as an array, with the same rows on both sides. OIDs differ.
async fn filled(sides: &[Sql; 2]) {
    sides[0].execute("create type public.mood as enum ('sad', 'glad')").await.unwrap();
    sides[1]
        .execute(
            "create type public.other as enum ('x');
             create type public.mood as enum ('glad'); alter type public.mood add value 'sad' before 'glad'",
        )
        .await
        .unwrap();
    let column = |(at, (kind, ..)): (usize, &(&str, &str, &str))| {
        let array = match kind.split_once(" collate ") {
            Some((kind, collation)) => format!("{kind}[] collate {collation}"),
            None => format!("{kind}[]"),
        };
        format!("c{at} {kind}, a{at} {array}")
    };
    let columns: Vec<String> = TYPES.iter().enumerate().map(column).collect();
    let values = |value: fn(&(&str, &str, &str)) -> String| -> String {
        let value = |(at, one): (usize, &(&str, &str, &str))| {
            let kind = one.0.split(" collate ").next().unwrap();
            let _ = at;
            format!(
                "{0}, array[{0}, null]::{kind}[]",
                format!("'{}'::{kind}", value(one).replace('\'', "''"))
            )
        };
        TYPES.iter().enumerate().map(value).collect::<Vec<_>>().join(", ")
    };
    let nulls = vec!["null"; TYPES.len() * 2].join(", ");
    let (first, second) = (values(|one| one.1.to_owned()), values(|one| one.2.to_owned()));
    for sql in sides {
        sql.execute(DEFINITIONS).await.unwrap();
        sql.execute(&format!("create table public.every (id int8, {})", columns.join(", ")))
            .await
            .unwrap();
        sql.execute(&format!(
            "insert into public.every values (1, {first}), (2, {second}), (3, {nulls}), (3, {nulls})"
        ))
        .await
        .unwrap();
    }
}

fn newest() -> DigestPlan {
    let version = ServerVersion(150_000);
    DigestPlan::new(42, VerifyMethod::Digest, [version, version], ["UTF8", "UTF8"])
}

/// Every way of hashing, settled on the servers.
async fn plans(
    sides: Sides<'_>,
    table: &Table,
    types: &BTreeMap<u32, TypeFacts>,
) -> Vec<DigestPlan> {
    let mut plans = Vec::new();
    for row_hash in [RowHash::Record, RowHash::Text, RowHash::Sha256, RowHash::Md5] {
        for differ in [false, true] {
            let plan = DigestPlan {
                row_hash,
                encodings_differ: differ,
                floats_print_differently: differ,
                ..newest()
            };
            let settled = settle(sides, [table], types, plan.clone()).await.unwrap();
            assert_eq!(settled, plan, "one server agrees with itself");
            plans.push(settled);
        }
    }
    plans
}

async fn compared(
    sides: &[Sql; 2],
    tables: &[&Table],
    types: &BTreeMap<u32, TypeFacts>,
    plan: &DigestPlan,
) -> Comparison {
    compare_tables(both(sides), tables, types, plan).await.unwrap()
}

fn both(sides: &[Sql; 2]) -> Sides<'_> {
    Sides { source: &sides[0], target: &sides[1] }
}

#[tokio::test]
async fn values_of_every_type_are_equal_until_one_is_changed() {
    let Some(cluster) = Cluster::start() else { return };
    let sides = cluster.sides("every").await;
    filled(&sides).await;
    let (table, types) = (table(&sides[0], "every").await, types(&sides[0]).await);
    let plans = plans(both(&sides), &table, &types).await;
    for plan in &plans {
        let found = compared(&sides, &[&table], &types, plan).await;
        assert!(found.is_equal(), "{plan:?}: {found:#?}");
        assert_eq!(found.compared["rows"], 4);
    }
    for (at, (kind, ..)) in TYPES.iter().enumerate() {
        for column in [format!("c{at}"), format!("a{at}")] {
            let other = format!(
                "update public.every set {column} = (select {column} from public.every where id = 2) where id = 1"
            );
            sides[1].execute(&format!("begin; {other}")).await.unwrap();
            for plan in &plans {
                let found = compared(&sides, &[&table], &types, plan).await;
                assert_eq!(found.differences.len(), 1, "{kind} as {column}: {plan:?}");
                assert_eq!(found.differences[0].what, "content");
            }
            sides[1].execute("rollback").await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_dimensions_of_arrays_count() {
    let Some(cluster) = Cluster::start() else { return };
    let sides = cluster.sides("dimensions").await;
    for (sql, value) in sides.iter().zip(["{1,2,3}", "[0:2]={1,2,3}"]) {
        sql.execute(&format!("create table public.t as select '{value}'::int4[] as a"))
            .await
            .unwrap();
    }
    let (table, types) = (table(&sides[0], "t").await, types(&sides[0]).await);
    for plan in plans(both(&sides), &table, &types).await {
        let found = compared(&sides, &[&table], &types, &plan).await;
        assert_eq!(found.differences.len(), 1, "{plan:?}");
    }
}

#[tokio::test]
async fn values_that_two_rows_have_swapped_are_found() {
    let Some(cluster) = Cluster::start() else { return };
    let sides = cluster.sides("swapped").await;
    for (sql, values) in sides.iter().zip(["(1, 'a'), (2, 'b')", "(1, 'b'), (2, 'a')"]) {
        sql.execute(&format!(
            "create table public.t (n int4, t text); insert into public.t values {values}"
        ))
        .await
        .unwrap();
    }
    let (table, types) = (table(&sides[0], "t").await, types(&sides[0]).await);
    for plan in plans(both(&sides), &table, &types).await {
        let found = compared(&sides, &[&table], &types, &plan).await;
        assert_eq!(found.differences.len(), 1, "{plan:?}");
    }
}

#[tokio::test]
async fn rows_are_compared_whatever_their_order_and_that_of_columns() {
    let Some(cluster) = Cluster::start() else { return };
    let sides = cluster.sides("rows").await;
    sides[0]
        .execute(
            "create table public.t (a int4, b text, g int4 generated always as (a * 2) stored);
             insert into public.t select n, n::text from generate_series(1, 100) n;
             create table public.twice (a int4); insert into public.twice values (1), (1);
             create table public.bare (); insert into public.bare default values;
             create table public.missing (a int4)",
        )
        .await
        .unwrap();
    sides[1]
        .execute(
            "create table public.t (b text, a int4, g int4 generated always as (a * 2) stored);
             insert into public.t select n::text, n from generate_series(100, 1, -1) n;
             create table public.twice (a int4); insert into public.twice values (2), (2);
             create table public.bare ()",
        )
        .await
        .unwrap();
    let types = types(&sides[0]).await;
    let mut tables = Vec::new();
    for name in ["t", "twice", "bare", "missing"] {
        tables.push(table(&sides[0], name).await);
    }
    let tables: Vec<&Table> = tables.iter().collect();
    let found = compared(&sides, &tables, &types, &newest()).await;
    let told: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("public.twice: content differs: source 2 rows"), "{told:#?}");
    assert!(told[1].starts_with("public.bare: row count differs: source 1 row"), "{told:#?}");
    assert!(
        told[2].starts_with("public.missing: rows differs: source 0 rows, target cannot be read"),
        "{told:#?}"
    );

    let counted = DigestPlan { method: VerifyMethod::Count, ..newest() };
    assert!(compared(&sides, &tables[..2], &types, &counted).await.is_equal());
    sides[1].execute("delete from public.t where a = 7").await.unwrap();
    let found = compared(&sides, &tables[..1], &types, &counted).await;
    assert_eq!(found.differences[0].what, "row count");
}

#[tokio::test]
async fn a_sequence_that_stands_elsewhere_is_found() {
    let Some(cluster) = Cluster::start() else { return };
    let sides = cluster.sides("sequences").await;
    for sql in &sides {
        sql.execute(
            "create sequence public.a; create sequence public.b; create sequence public.\"C d\"",
        )
        .await
        .unwrap();
    }
    let names = [named("a"), named("b"), named("C d")];
    let names: Vec<_> = names.iter().collect();
    assert!(compare_sequences(both(&sides), &names, Stand::Equal).await.unwrap().is_equal());
    // The same value, but called.
    sides[1]
        .execute("select setval('public.a', 1, true); drop sequence public.\"C d\"")
        .await
        .unwrap();
    let found = compare_sequences(both(&sides), &names, Stand::Equal).await.unwrap();
    let told: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "public.a: value differs: source 1, not called yet, target 1",
            "public.\"C d\": value is missing on the target",
        ]
    );
    // With a gap, in the direction of each; then behind.
    sides[0].execute("alter sequence public.b increment -1 minvalue -99").await.unwrap();
    sides[1].execute("select setval('public.a', 9); create sequence public.\"C d\"").await.unwrap();
    let reached = async || compare_sequences(both(&sides), &names, Stand::Reached).await.unwrap();
    assert!(reached().await.is_equal());
    sides[1].execute("select setval('public.b', 2)").await.unwrap();
    let found = reached().await;
    let told: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["public.b: value differs: source 1, not called yet, target 2"]);
}

#[tokio::test]
async fn every_property_of_a_large_object_is_compared() {
    let Some(cluster) = Cluster::start() else { return };
    let sides = cluster.sides("objects").await;
    let admin = cluster.session(Server::Source, "postgres").await;
    admin.execute("create role reader").await.unwrap();
    for sql in &sides {
        sql.execute(
            "select lo_from_bytea(o::oid, convert_to('object ' || o, 'UTF8')) from generate_series(50001, 51500) o;
             select lo_put(50001, 3000000, '\\xff');
             grant select on large object 50002 to reader; comment on large object 50003 is 'three'",
        )
        .await
        .unwrap();
    }
    for row_hash in [RowHash::Record, RowHash::Sha256] {
        let plan = DigestPlan { row_hash, ..newest() };
        let found = compare_large_objects(both(&sides), &plan).await.unwrap();
        assert!(found.is_equal(), "{found:#?}");
        assert_eq!(found.compared["large objects"], 1500);
    }
    sides[1]
        .execute(
            "select lo_put(50001, 2999999, '\\x01'); revoke select on large object 50002 from reader;
             comment on large object 50003 is null; alter large object 50004 owner to reader;
             select lo_unlink(51000); select lo_create(60000); select lo_put(50005, 50, '\\x01')",
        )
        .await
        .unwrap();
    let found = compare_large_objects(both(&sides), &newest()).await.unwrap();
    let told: Vec<String> = found
        .differences
        .iter()
        .map(|difference| format!("{} {}", difference.object, difference.what))
        .collect();
    assert_eq!(
        told,
        [
            "large object 50001 content",
            "large object 50002 privileges",
            "large object 50003 comment",
            "large object 50004 owner",
            "large object 50004 privileges",
            "large object 50005 size",
            "large object 50005 content",
            "large object 51000 the object",
            "large object 60000 the object",
        ]
    );
}

#[tokio::test]
async fn a_stale_materialized_view_is_a_note_and_a_wrong_one_a_difference() {
    let Some(cluster) = Cluster::start() else { return };
    let sides = cluster.sides("views").await;
    for (at, sql) in sides.iter().enumerate() {
        sql.execute(
            "create table public.t (a int4); insert into public.t values (1);
             create materialized view public.fresh as select a from public.t;
             create materialized view public.stale as select a, a + 1 as \"B c\" from public.t;
             create materialized view public.clock as select a, clock_timestamp() from public.t;
             create materialized view public.empty as select a from public.t with no data;
             insert into public.t values (2); refresh materialized view public.fresh;
             refresh materialized view public.clock",
        )
        .await
        .unwrap();
        if at == 1 {
            sql.execute("refresh materialized view public.stale").await.unwrap();
        }
    }
    let types = types(&sides[0]).await;
    let mut views = Vec::new();
    for name in ["fresh", "stale", "clock", "empty"] {
        views.push(table(&sides[0], name).await);
    }
    let views: Vec<&Table> = views.iter().collect();
    let found = compare_materialized_views(both(&sides), &views, &types, &newest()).await.unwrap();
    assert!(found.is_equal(), "{found:#?}");
    assert_eq!(found.notes.len(), 2, "{found:#?}");
    sides[1]
        .execute("insert into public.t values (3); refresh materialized view public.fresh")
        .await
        .unwrap();
    let found = compare_materialized_views(both(&sides), &views, &types, &newest()).await.unwrap();
    assert_eq!(found.differences.len(), 1, "{found:#?}");
}
