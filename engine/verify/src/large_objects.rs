//! Compares large objects: which there are, and owner, privileges, comment and content of each.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::Failure;
use pgkedge_postgres::Row;

use crate::difference::{Comparison, Difference};
use crate::hashing::DigestPlan;
use crate::sides::{Sides, text};

/// Objects in one query. Each holds a descriptor open until the query ends.
const BATCH: u32 = 1000;
/// Bytes of an object that are in memory at a time.
const CHUNK: u32 = 1 << 20;

/// Compares all large objects, page by page, in the order of their OIDs.
pub async fn compare_large_objects(
    sides: Sides<'_>,
    plan: &DigestPlan,
) -> Result<Comparison, Failure> {
    let mut found = Comparison::default();
    for_each_page(sides, plan, |source, target| compare_page(source, target, &mut found)).await?;
    Ok(found)
}

/// The OIDs of all objects that are not the same on both sides, or on one side only.
pub async fn differing_large_objects(
    sides: Sides<'_>,
    plan: &DigestPlan,
) -> Result<Vec<u32>, Failure> {
    let mut differing = Vec::new();
    for_each_page(sides, plan, |source, target| {
        let oids: BTreeSet<u32> = source.keys().chain(target.keys()).copied().collect();
        differing.extend(oids.into_iter().filter(|oid| source.get(oid) != target.get(oid)));
    })
    .await?;
    Ok(differing)
}

/// Objects of both sides by their OID.
type Page = BTreeMap<u32, Properties>;

async fn for_each_page(
    sides: Sides<'_>,
    plan: &DigestPlan,
    mut visit: impl FnMut(&Page, &Page),
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let source = objects(&sides.source.rows(&query(plan, after, Reach::Batch)).await?);
        // The last page takes whatever else the target has.
        let is_last = u32::try_from(source.len()).is_ok_and(|number| number < BATCH);
        let until = source.keys().next_back().copied().filter(|_| !is_last);
        let reach = until.map_or(Reach::Rest, Reach::Until);
        let target = objects(&sides.target.rows(&query(plan, after, reach)).await?);
        visit(&source, &target);
        match until {
            Some(until) => after = until,
            None => return Ok(()),
        }
    }
}

/// Owner, privileges, comment, size and digest of one large object.
type Properties = [String; 5];

const NAMES: [&str; 5] = ["owner", "privileges", "comment", "size", "content"];

fn compare_page(source: &Page, target: &Page, found: &mut Comparison) {
    let oids: BTreeSet<u32> = source.keys().chain(target.keys()).copied().collect();
    found.count("large objects", source.len());
    for oid in oids {
        let title = format!("large object {oid}");
        let there = |side: Option<&Properties>| side.map(|one| format!("{} bytes", one[3]));
        let (Some(ours), Some(theirs)) = (source.get(&oid), target.get(&oid)) else {
            let (ours, theirs) = (there(source.get(&oid)), there(target.get(&oid)));
            found.differences.push(Difference::new(title, "the object", ours, theirs));
            continue;
        };
        for ((what, ours), theirs) in NAMES.iter().zip(ours).zip(theirs) {
            found.equal(&title, what, ours, theirs);
        }
    }
}

fn objects(rows: &[Row]) -> Page {
    rows.iter()
        .filter_map(|row| {
            let oid = text(row, 0).parse().ok()?;
            Some((oid, [1, 2, 3, 4, 5].map(|column| text(row, column))))
        })
        .collect()
}

/// How far a page of objects reaches.
#[derive(Clone, Copy)]
enum Reach {
    /// As many as a batch has.
    Batch,
    /// To this OID, which ends the other side's page.
    Until(u32),
    /// To the last object.
    Rest,
}

/// One page of objects with an OID above `after`.
fn query(plan: &DigestPlan, after: u32, reach: Reach) -> String {
    let number = plan.row_number(&[
        "chunk".to_owned(),
        format!("pg_catalog.lo_get(page.oid, chunk * {CHUNK}, {CHUNK})"),
    ]);
    let limit = match reach {
        Reach::Batch => format!("order by oid limit {BATCH}"),
        Reach::Rest => "order by oid".to_owned(),
        Reach::Until(until) => format!("and oid <= {until} order by oid"),
    };
    format!(
        "select page.oid::pg_catalog.text,\n\
         pg_catalog.pg_get_userbyid(page.lomowner)::pg_catalog.text,\n\
         (select pg_catalog.string_agg(item::pg_catalog.text, ', ' \
          order by item::pg_catalog.text collate \"C\") from pg_catalog.unnest(\
          coalesce(page.lomacl, pg_catalog.acldefault('L', page.lomowner))) as item),\n\
         pg_catalog.obj_description(page.oid, 'pg_largeobject'),\n\
         sized.bytes::pg_catalog.text,\n\
         (select coalesce(pg_catalog.sum({number}), 0)::pg_catalog.text \
          from pg_catalog.generate_series(0::pg_catalog.int8, (sized.bytes - 1) / {CHUNK}) as chunk)\n\
         from (select * from pg_catalog.pg_largeobject_metadata where oid > {after} {limit}) as page,\n\
         lateral (select pg_catalog.lo_lseek64(\
          pg_catalog.lo_open(page.oid, 262144), 0, 2) as bytes) as sized\n\
         order by page.oid"
    )
}
