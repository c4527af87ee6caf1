//! Compares two databases now, whatever moved them: for `verify`, and for the end of a demo.

use std::collections::BTreeMap;

use pgkedge_model::{
    Facts, Failure, QualifiedName, Server, Table, TableKind, VerifyMethod, quote_literal,
};
use pgkedge_postgres::{Endpoint, Sql};
use pgkedge_verify::{
    Comparison, DigestPlan, Scope, Sides, Stand, compare_catalogs, compare_large_objects,
    compare_materialized_views, compare_sequences, compare_tables, settle,
};
use serde::Serialize;

use crate::exit::Stop;

/// What was compared, and what is not the same.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) tables: u64,
    pub(crate) rows: u64,
    #[serde(flatten)]
    pub(crate) found: Comparison,
}

/// What of the source is compared.
#[derive(Clone, Copy, Default)]
pub(crate) struct What<'a> {
    /// Tables that a plan leaves out.
    pub(crate) excluded: &'a [QualifiedName],
    /// This table's rows alone, and nothing else.
    pub(crate) only: Option<&'a QualifiedName>,
    pub(crate) method: VerifyMethod,
}

/// Compares rows, definitions, sequences, large objects and materialized views. Only reads.
pub(crate) async fn now(
    endpoints: &BTreeMap<Server, Endpoint>,
    facts: &Facts,
    what: What<'_>,
) -> Result<Compared, Stop> {
    let source = reader(endpoints, Server::Source).await?;
    let target = reader(endpoints, Server::Target).await?;
    let sides = Sides { source: &source, target: &target };
    let wanted = |table: &&Table| match what.only {
        Some(name) => &table.name == name,
        None => !what.excluded.contains(&table.name),
    };
    let all: Vec<&Table> = facts.source.tables.iter().filter(wanted).collect();
    let of_kind = |kind| all.iter().copied().filter(move |table| table.kind == kind);
    let tables: Vec<&Table> = whole_trees(of_kind(TableKind::Ordinary).collect(), facts);
    let views: Vec<&Table> = of_kind(TableKind::MaterializedView).collect();
    let plan = digest_plan(sides, facts, &all, what.method).await?;
    let types = &facts.source.types;
    let mut found = compare_tables(sides, &tables, types, &plan).await?;
    found.absorb(compare_materialized_views(sides, &views, types, &plan).await?);
    if what.only.is_none() {
        found.absorb(objects(sides, facts, what.excluded, &plan).await?);
    }
    let rows = rows(&source, &tables).await?;
    let number = tables.len() + of_kind(TableKind::Partitioned).count();
    Ok(Compared { tables: number as u64, rows, found })
}

/// Where a row may be in another partition on the target, the whole tree is compared instead.
fn whole_trees<'a>(leaves: Vec<&'a Table>, facts: &'a Facts) -> Vec<&'a Table> {
    let mut tables: Vec<&Table> = Vec::new();
    for leaf in leaves {
        let root = leaf.partition.as_ref().filter(|partition| partition.through_root);
        let table =
            root.and_then(|partition| facts.source.table_named(&partition.root)).unwrap_or(leaf);
        if !tables.iter().any(|known| known.oid == table.oid) {
            tables.push(table);
        }
    }
    tables
}

async fn objects(
    sides: Sides<'_>,
    facts: &Facts,
    excluded: &[QualifiedName],
    plan: &DigestPlan,
) -> Result<Comparison, Failure> {
    let mut found = Comparison::default();
    if let Some(target) = &facts.target {
        let scope = Scope { excluded, ..Scope::default() };
        found.absorb(compare_catalogs(&facts.source, target, scope));
    }
    let kept = |owner: &QualifiedName| !excluded.contains(owner);
    let sequences: Vec<&QualifiedName> = facts
        .source
        .sequences
        .iter()
        .filter(|sequence| sequence.owned_by.as_ref().is_none_or(|(owner, _)| kept(owner)))
        .map(|sequence| &sequence.name)
        .collect();
    found.absorb(compare_sequences(sides, &sequences, Stand::Equal).await?);
    found.absorb(compare_large_objects(sides, plan).await?);
    Ok(found)
}

async fn reader(endpoints: &BTreeMap<Server, Endpoint>, server: Server) -> Result<Sql, Failure> {
    let endpoint = endpoints
        .get(&server)
        .ok_or_else(|| Failure::permanent(format!("the plan names no {server}")))?;
    endpoint.sql("pgkedge:read").await
}

async fn digest_plan(
    sides: Sides<'_>,
    facts: &Facts,
    tables: &[&Table],
    method: VerifyMethod,
) -> Result<DigestPlan, Failure> {
    let versions = [sides.source.server_version(), sides.target.server_version()];
    let target = facts.target.as_ref().unwrap_or(&facts.source);
    let encodings = [facts.source.database.encoding.as_str(), target.database.encoding.as_str()];
    // Any seed will do; one that nobody can foresee keeps planted collisions out.
    let seed = i64::from_be_bytes(*uuid::Uuid::now_v7().as_bytes().last_chunk().expect("16 bytes"));
    let plan = DigestPlan::new(seed, method, versions, encodings);
    if method == VerifyMethod::Count {
        return Ok(plan);
    }
    settle(sides, tables.iter().copied(), &facts.source.types, plan).await
}

/// How many rows the tables hold, in one query for many of them.
async fn rows(source: &Sql, tables: &[&Table]) -> Result<u64, Failure> {
    let mut rows = 0;
    for batch in tables.chunks(200) {
        let counts: Vec<String> = batch
            .iter()
            .map(|table| {
                let name = quote_literal(&table.name.to_string());
                format!("select {name}, pg_catalog.count(*) from {}", from(table))
            })
            .collect();
        for row in source.rows(&counts.join(" union all ")).await? {
            rows += row.get(1).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(rows)
}

fn from(table: &Table) -> String {
    match table.kind {
        TableKind::Partitioned => table.name.to_string(),
        TableKind::Ordinary | TableKind::MaterializedView | TableKind::Foreign => {
            format!("only {}", table.name)
        }
    }
}
