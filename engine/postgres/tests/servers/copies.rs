//! The COPY relay: equal content, and every way to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgkedge_model::{Failure, FailureClass, Server, TlsMode};
use pgkedge_postgres::{Copied, Wire, relay};

use crate::cluster::{Cluster, cluster, endpoint_with, value};

const APPLICATION: &str = "pgkedge:1a2b3c4d:1:do";

/// Two databases of a test, and a wire to each.
struct Pair {
    cluster: Arc<Cluster>,
    source: String,
    target: String,
    out: Wire,
    into: Wire,
}

impl Pair {
    async fn new(name: &str, tables: &str, rows: &str) -> Self {
        let cluster = cluster();
        let source = cluster.database(&format!("{name}_source"), "");
        let target = cluster.database(&format!("{name}_target"), "");
        cluster.psql(&source, &format!("{tables}; {rows}"));
        cluster.psql(&target, tables);
        let out = cluster.source(&source).wire(APPLICATION, None).await.unwrap();
        let into = cluster.target(&target).wire(APPLICATION, None).await.unwrap();
        Self { cluster, source, target, out, into }
    }

    async fn relay(&mut self, out: &[String], into: &[String]) -> Result<Vec<Copied>, Failure> {
        relay(&mut self.out, out, &mut self.into, into, &|_, _| {}).await
    }

    /// Copies one table.
    async fn copy(&mut self, query: &str, table: &str, format: &str) -> Result<Copied, Failure> {
        let out = format!("copy ({query}) to stdout (format {format})");
        let into = format!("copy {table} from stdin (format {format})");
        self.relay(&[out], &[into]).await.map(|copied| copied[0])
    }

    async fn content(&self, table: &str) -> (String, String) {
        let query = format!(
            "select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) \
             from only {table} t"
        );
        let source = self.cluster.source(&self.source).sql("pgkedge:read").await.unwrap();
        let target = self.cluster.target(&self.target).sql("pgkedge:read").await.unwrap();
        (value(&source, &query).await, value(&target, &query).await)
    }

    /// After whatever happened, both connections take queries.
    async fn both_go_on(&mut self) {
        for wire in [&mut self.out, &mut self.into] {
            wire.execute("rollback").await.unwrap();
            assert_eq!(wire.rows("select 1").await.unwrap()[0].get(0), Some("1"));
        }
    }

    async fn nothing_arrived(&self, table: &str) {
        assert!(self.content(table).await.1.starts_with("0 "));
    }
}

const DOC: &str = "create table public.doc (id int, at timestamptz, price numeric, body text)";
const DOC_ROWS: &str = "insert into public.doc select i, now() + i * interval '1 s', i / 7.0, \
    case when i % 5 > 0 then repeat(chr(200 + i % 300), i % 900) end from generate_series(1, 20000) i";

#[tokio::test]
async fn rows_arrive_equal_in_both_formats() {
    for format in ["text", "binary"] {
        let mut pair = Pair::new(&format!("equal_{format}"), DOC, DOC_ROWS).await;
        let seen = AtomicU64::new(0);
        let progress = |bytes, rows| {
            assert!(rows <= 20_001);
            seen.fetch_max(bytes, Ordering::Relaxed);
        };
        let out = [format!("copy public.doc to stdout (format {format})")];
        let into = [format!("copy public.doc from stdin (format {format})")];
        let copied = relay(&mut pair.out, &out, &mut pair.into, &into, &progress).await.unwrap();
        assert_eq!(copied[0].rows, 20_000);
        assert!(copied[0].bytes > 10_000_000);
        assert_eq!(seen.into_inner(), copied[0].bytes);
        let (source, target) = pair.content("public.doc").await;
        assert_eq!(source, target);
        pair.both_go_on().await;
    }
}

#[tokio::test]
async fn many_copies_go_in_one_query() {
    let tables: Vec<String> =
        (0..50).map(|i| format!("create table public.t{i} (a int)")).collect();
    let rows: Vec<String> = (0..50)
        .map(|i| format!("insert into public.t{i} select generate_series(1, {})", i * i))
        .collect();
    let mut pair = Pair::new("many", &tables.join(";"), &rows.join(";")).await;
    for format in ["text", "binary"] {
        let copies = |way: &str| -> Vec<String> {
            (0..50).map(|i| format!("copy public.t{i} {way} (format {format})")).collect()
        };
        let copied = pair.relay(&copies("to stdout"), &copies("from stdin")).await.unwrap();
        let counted: Vec<u64> = copied.iter().map(|copied| copied.rows).collect();
        assert_eq!(counted, (0..50).map(|i| i * i).collect::<Vec<u64>>());
    }
    pair.both_go_on().await;
}

#[tokio::test]
async fn a_huge_value_passes_in_pieces() {
    let mut pair = Pair::new("huge", "create table public.h (a text)", "select 1").await;
    let query = "select repeat('0123456789', 6400000) union all select 'end'";
    let copied = pair.copy(query, "public.h", "binary").await.unwrap();
    assert_eq!(copied.rows, 2);
    let target = pair.cluster.target(&pair.target).sql("pgkedge:read").await.unwrap();
    assert_eq!(value(&target, "select max(length(a)) from public.h").await, "64000000");
}

#[tokio::test]
async fn an_error_of_the_source_takes_the_rows_back() {
    let mut pair = Pair::new("source_fails", DOC, DOC_ROWS).await;
    let query = "select id / (19000 - id), at, price, body from public.doc order by id";
    for format in ["text", "binary"] {
        let failure = pair.copy(query, "public.doc", format).await.unwrap_err();
        assert_eq!(failure.message, "source: division by zero");
        assert_eq!(failure.class, FailureClass::Permanent);
        pair.nothing_arrived("public.doc").await;
        pair.both_go_on().await;
    }
    assert_eq!(pair.copy("table public.doc", "public.doc", "binary").await.unwrap().rows, 20_000);
}

#[tokio::test]
async fn an_error_of_the_target_stops_the_source() {
    let mut pair = Pair::new("target_fails", DOC, DOC_ROWS).await;
    pair.cluster.psql(&pair.target, "create unique index on public.doc (id)");
    // Without the stop, the source would go on for minutes.
    let query = "select i % 5000, now(), 1::numeric, repeat('x', 100) \
                 from (select generate_series(1, 300000000)) endless (i)";
    for format in ["text", "binary"] {
        let failure = pair.copy(query, "public.doc", format).await.unwrap_err();
        assert_eq!(failure.sqlstate.as_deref(), Some("23505"), "{failure:?}");
        assert!(failure.message.starts_with("target: duplicate key"), "{failure:?}");
        assert!(failure.details.iter().any(|detail| detail.starts_with("context: COPY doc, line")));
        pair.nothing_arrived("public.doc").await;
        pair.both_go_on().await;
    }
}

#[tokio::test]
async fn a_statement_that_fails_before_its_data_stops_both_sides() {
    let mut pair = Pair::new("no_table", DOC, DOC_ROWS).await;
    let failure = pair.copy("table public.doc", "public.nowhere", "text").await.unwrap_err();
    assert_eq!(failure.sqlstate.as_deref(), Some("42P01"));
    assert!(failure.message.starts_with("target: "));
    pair.both_go_on().await;
    let failure = pair.copy("table public.nowhere", "public.doc", "text").await.unwrap_err();
    assert!(failure.message.starts_with("source: "));
    pair.both_go_on().await;
}

#[tokio::test]
async fn the_second_of_two_copies_fails_and_the_first_is_taken_back() {
    let mut pair = Pair::new("second_fails", DOC, DOC_ROWS).await;
    let out = ["copy public.doc to stdout".into(), "copy (select 1 / 0) to stdout".into()];
    let into = ["copy public.doc from stdin".into(), "copy public.doc (id) from stdin".into()];
    let failure = pair.relay(&out, &into).await.unwrap_err();
    assert_eq!(failure.message, "source: division by zero");
    pair.nothing_arrived("public.doc").await;
    pair.both_go_on().await;
}

/// Runs an endless COPY and does something to it.
async fn disturbed(pair: &mut Pair, disturb: impl AsyncFnOnce(&Cluster, i32, i32)) -> Failure {
    let query = "select i, now(), 1, repeat('x', 100) \
                 from (select generate_series(1, 300000000)) endless (i)";
    let (cluster, source, target) =
        (Arc::clone(&pair.cluster), pair.out.process_id(), pair.into.process_id());
    let disturb = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        disturb(&cluster, source, target).await;
    };
    let (result, ()) = tokio::join!(pair.copy(query, "public.doc", "text"), disturb);
    result.unwrap_err()
}

#[tokio::test]
async fn a_terminated_target_is_named_and_the_source_goes_on() {
    let mut pair = Pair::new("target_ends", DOC, "").await;
    let failure = disturbed(&mut pair, async |cluster, _, target| {
        cluster.psql("postgres", &format!("select pg_terminate_backend({target})"));
    })
    .await;
    assert_eq!(failure.class, FailureClass::Transient);
    assert!(failure.message.starts_with("target: "), "{failure:?}");
    assert!(pair.into.is_closed());
    pair.out.execute("select 1").await.unwrap();
    pair.nothing_arrived("public.doc").await;
}

#[tokio::test]
async fn a_terminated_source_is_named_and_the_target_goes_on() {
    let mut pair = Pair::new("source_ends", DOC, "").await;
    let failure = disturbed(&mut pair, async |cluster, source, _| {
        cluster.psql("postgres", &format!("select pg_terminate_backend({source})"));
    })
    .await;
    assert_eq!(failure.class, FailureClass::Transient);
    // A server that is blocked by a slower target hangs up without a word.
    assert!(failure.message.starts_with("source: "), "{failure:?}");
    assert!(pair.out.is_closed());
    pair.into.execute("select 1").await.unwrap();
    pair.nothing_arrived("public.doc").await;
}

#[tokio::test]
async fn either_side_can_be_cancelled() {
    let mut pair = Pair::new("cancelled", DOC, "").await;
    let canceller = pair.out.canceller();
    let failure =
        disturbed(&mut pair, async move |_, _, _| canceller.cancel().await.unwrap()).await;
    assert_eq!(failure.class, FailureClass::Cancelled);
    pair.both_go_on().await;
    let canceller = pair.into.canceller();
    let failure =
        disturbed(&mut pair, async move |_, _, _| canceller.cancel().await.unwrap()).await;
    assert_eq!(failure.class, FailureClass::Cancelled);
    pair.both_go_on().await;
    pair.nothing_arrived("public.doc").await;
}

#[tokio::test]
async fn warnings_between_rows_are_passed_over() {
    let mut pair = Pair::new("warned", DOC, DOC_ROWS).await;
    pair.cluster.psql(
        &pair.source,
        "create function public.noisy(i int) returns int language plpgsql as \
         $$ begin raise warning 'row %', i; return i; end $$",
    );
    let query = "select public.noisy(id), at, price, body from public.doc where id <= 1000";
    let copied = pair.copy(query, "public.doc", "binary").await.unwrap();
    assert_eq!(copied.rows, 1000);
}

#[tokio::test]
async fn data_travels_in_the_sources_encoding_and_names_do_not() {
    let cluster = cluster();
    let latin = cluster.database("latin_source", "encoding 'LATIN1' locale 'C' template template0");
    let utf = cluster.database("latin_target", "encoding 'UTF8' template template0");
    let table = "create table public.\"é\" (\"ü\" text)";
    cluster.psql(&latin, &format!("{table}; insert into public.\"é\" values ('äöü'), ('ß')"));
    cluster.psql(&utf, table);
    for format in ["text", "binary"] {
        let mut out = cluster.source(&latin).wire(APPLICATION, Some("LATIN1")).await.unwrap();
        let mut into = cluster.target(&utf).wire(APPLICATION, Some("LATIN1")).await.unwrap();
        let out_sql = [format!("copy public.\"é\" (\"ü\") to stdout (format {format})")];
        let in_sql = [format!("copy public.\"é\" (\"ü\") from stdin (format {format})")];
        let copied = relay(&mut out, &out_sql, &mut into, &in_sql, &|_, _| {}).await.unwrap();
        // Four characters and two line ends; header, trailer and, for each row, field count and length.
        let bytes = if format == "text" { 4 + 2 } else { 19 + 2 + 2 * (2 + 4) + 4 };
        assert_eq!(copied, [Copied { rows: 2, bytes }]);
        let encoding = into.rows("show client_encoding").await.unwrap();
        assert_eq!(encoding[0].get(0), Some("UTF8"));
    }
    let sql = cluster.target(&utf).sql("pgkedge:read").await.unwrap();
    let values =
        value(&sql, "select string_agg(\"ü\", ',' order by \"ü\") from public.\"é\"").await;
    let mut values: Vec<&str> = values.split(',').collect();
    values.sort_unstable();
    assert_eq!(values, ["ß", "ß", "äöü", "äöü"]);
}

#[tokio::test]
async fn rows_travel_encrypted() {
    let mut pair = Pair::new("encrypted", DOC, DOC_ROWS).await;
    let wire = async |server, database: &str| {
        let url = pair
            .cluster
            .tcp("user=scrammer password='pass word'")
            .replace("dbname=postgres", &format!("dbname={database}"));
        let tls = Some((TlsMode::VerifyFull, Some(pair.cluster.path("ca.crt"))));
        endpoint_with(server, &url, tls, &[]).wire(APPLICATION, None).await.unwrap()
    };
    let out = wire(Server::Source, &pair.source).await;
    let into = wire(Server::Target, &pair.target).await;
    (pair.out, pair.into) = (out, into);
    assert_eq!(pair.copy("table public.doc", "public.doc", "text").await.unwrap().rows, 20_000);
    let (source, target) = pair.content("public.doc").await;
    assert_eq!(source, target);
    let query = "select 1 / (20000 - id), at, price, body from public.doc order by id";
    pair.copy(query, "public.doc", "text").await.unwrap_err();
    pair.both_go_on().await;
}

#[tokio::test]
async fn a_statement_that_is_no_copy_is_refused() {
    let mut pair = Pair::new("no_copy", DOC, "").await;
    let failure = pair.relay(&["select 1".into()], &["copy public.doc from stdin".into()]).await;
    assert_eq!(failure.unwrap_err().class, FailureClass::Permanent);
    assert!(pair.out.is_closed());
    pair.into.execute("select 1").await.unwrap();
}

/// `cargo test -p pgkedge-postgres --release --test servers cost -- --ignored --nocapture`
#[tokio::test]
#[ignore = "measures; run it alone and in release mode"]
async fn cost_of_a_gigabyte() {
    let table = "create unlogged table public.a (aid int, bid int, abalance int, filler char(84))";
    let rows = "insert into public.a select i, 1, 0, '' from generate_series(1, 5000000) i";
    let mut pair = Pair::new("cost", table, rows).await;
    for format in ["binary", "text"] {
        let before = cpu_ticks();
        let copied = pair.copy("table public.a", "public.a", format).await.unwrap();
        let seconds = (cpu_ticks() - before) / 100.0;
        let gigabytes = f64::from(u32::try_from(copied.bytes).unwrap()) / 1e9;
        println!("{format}: {seconds} s for {gigabytes} GB: {} s/GB", seconds / gigabytes);
    }
}

/// User and system time of this process so far.
fn cpu_ticks() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
}
