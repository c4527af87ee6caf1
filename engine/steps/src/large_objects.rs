//! Large objects of the source, as they are listed, put into batches and described in SQL.

use pgkedge_model::{Failure, Ident, quote_literal};
use pgkedge_postgres::{Row, Sql};

/// Objects that are listed at a time.
pub(crate) const PAGE: usize = 1000;
/// Objects of a batch, at most: each takes a lock of the target, and a descriptor of the source.
const MOST_OBJECTS: usize = 500;
/// Bytes after which a batch is closed.
const ENOUGH_BYTES: u64 = 32 << 20;

/// One large object of the source, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LargeObject {
    pub(crate) oid: u32,
    pub(crate) bytes: u64,
    pub(crate) owner: Ident,
    /// None where the owner alone has the default ones.
    pub(crate) grants: Option<Vec<LargeObjectGrant>>,
    pub(crate) comment: Option<String>,
}

/// One privilege of one role; no grantee means everybody.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct LargeObjectGrant {
    pub(crate) grantee: Option<Ident>,
    pub(crate) privilege: String,
    pub(crate) grantable: bool,
}

/// A range of OIDs, both ends in it. The OIDs of a batch, and the name of its row in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OidRange {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl OidRange {
    /// Reads the name of a ledger row; none for a row that is no batch.
    pub(crate) fn parse(member: &str) -> Option<Self> {
        let (first, last) = member.split_once('-')?;
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()? })
    }

    pub(crate) fn member(self) -> String {
        format!("{}-{}", self.first, self.last)
    }

    fn contains(self, oid: u32) -> bool {
        (self.first..=self.last).contains(&oid)
    }
}

/// Lists objects with an OID above `after`, within the session's snapshot.
pub(crate) async fn list(session: &Sql, after: u32) -> Result<Vec<LargeObject>, Failure> {
    list_where(session, &format!("oid > {after} order by oid limit {PAGE}")).await
}

/// Lists those of these objects that there are.
pub(crate) async fn list_these(session: &Sql, oids: &[u32]) -> Result<Vec<LargeObject>, Failure> {
    let oids = quote_literal(&oid_array(oids));
    list_where(session, &format!("oid = any ({oids}::pg_catalog.oid[])")).await
}

/// OIDs as the text of an array.
pub(crate) fn oid_array(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    format!("{{{}}}", oids.join(","))
}

async fn list_where(session: &Sql, condition: &str) -> Result<Vec<LargeObject>, Failure> {
    let rows = session
        .rows(&format!(
            "select listed.oid, sized.bytes, pg_catalog.pg_get_userbyid(listed.lomowner), \
             case when listed.lomacl is not null then coalesce((select pg_catalog.json_agg(\
             pg_catalog.json_build_object('grantee', case when item.grantee <> 0 then \
             pg_catalog.pg_get_userbyid(item.grantee) end, 'privilege', item.privilege_type, \
             'grantable', item.is_grantable)) from pg_catalog.aclexplode(listed.lomacl) as item), \
             '[]')::pg_catalog.text end, \
             pg_catalog.obj_description(listed.oid, 'pg_largeobject') \
             from (select * from pg_catalog.pg_largeobject_metadata \
             where {condition}) as listed, \
             lateral (select pg_catalog.lo_lseek64(\
             pg_catalog.lo_open(listed.oid, 262144), 0, 2) as bytes) as sized \
             order by listed.oid"
        ))
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<LargeObject, Failure> {
    let unreadable = || Failure::permanent("the source lists a large object that makes no sense");
    let number = |column| row.get(column).and_then(|text| text.parse::<u64>().ok());
    let grants = row.get(3).map(serde_json::from_str).transpose().map_err(|_| unreadable())?;
    Ok(LargeObject {
        oid: number(0).and_then(|oid| u32::try_from(oid).ok()).ok_or_else(unreadable)?,
        bytes: number(1).ok_or_else(unreadable)?,
        owner: row.get(2).and_then(|name| Ident::new(name).ok()).ok_or_else(unreadable)?,
        grants,
        comment: row.get(4).map(str::to_owned),
    })
}

/// Puts neighbours into batches. No batch reaches over a range that is done.
pub(crate) fn batches(listed: Vec<LargeObject>, done: &[OidRange]) -> Vec<Vec<LargeObject>> {
    let mut batches: Vec<Vec<LargeObject>> = Vec::new();
    let mut is_closed = true;
    let mut bytes = 0;
    for object in listed {
        if done.iter().any(|range| range.contains(object.oid)) {
            is_closed = true;
            continue;
        }
        match batches.last_mut() {
            Some(batch) if !is_closed && reaches(batch, object.oid, done) => {
                bytes += object.bytes;
                batch.push(object);
            }
            _ => {
                bytes = object.bytes;
                batches.push(vec![object]);
            }
        }
        is_closed = bytes >= ENOUGH_BYTES
            || batches.last().is_some_and(|batch| batch.len() >= MOST_OBJECTS);
    }
    batches
}

/// Whether a batch can take an object without a range that is done in between.
fn reaches(batch: &[LargeObject], oid: u32, done: &[OidRange]) -> bool {
    let Some(last) = batch.last() else { return false };
    !done.iter().any(|range| range.first > last.oid && range.last < oid)
}

/// The OIDs of a batch.
pub(crate) fn range(batch: &[LargeObject]) -> Option<OidRange> {
    let (first, last) = (batch.first()?.oid, batch.last()?.oid);
    Some(OidRange { first, last })
}

/// Statements for owner, privileges and comment of one object that this session has created.
pub(crate) fn describe(object: &LargeObject) -> Vec<String> {
    let LargeObject { oid, owner, grants, comment, .. } = object;
    let mut statements = vec![format!("alter large object {oid} owner to {owner}")];
    if let Some(grants) = grants {
        statements.push(format!("revoke all on large object {oid} from {owner}"));
        statements.extend(grants.iter().filter_map(|grant| granted(*oid, grant)));
    }
    if let Some(comment) = comment {
        let comment = quote_literal(comment);
        statements.push(format!("comment on large object {oid} is {comment}"));
    }
    statements
}

fn granted(oid: u32, grant: &LargeObjectGrant) -> Option<String> {
    let privilege = match grant.privilege.as_str() {
        "SELECT" => "select",
        "UPDATE" => "update",
        _ => return None,
    };
    let grantee = grant.grantee.as_ref().map_or_else(|| "public".to_owned(), ToString::to_string);
    let option = if grant.grantable { " with grant option" } else { "" };
    Some(format!("grant {privilege} on large object {oid} to {grantee}{option}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(oid: u32, bytes: u64) -> LargeObject {
        let owner = Ident::new("shop").unwrap();
        LargeObject { oid, bytes, owner, grants: None, comment: None }
    }

    fn oids(batches: &[Vec<LargeObject>]) -> Vec<Vec<u32>> {
        batches.iter().map(|batch| batch.iter().map(|object| object.oid).collect()).collect()
    }

    #[test]
    fn a_batch_is_closed_by_size() {
        let listed = vec![object(1, 10), object(2, ENOUGH_BYTES), object(3, 1)];
        assert_eq!(oids(&batches(listed, &[])), [vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_batch_is_closed_by_number() {
        let listed = (1..=1001).map(|oid| object(oid, 1)).collect();
        let sizes: Vec<usize> = batches(listed, &[]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [500, 500, 1]);
    }

    #[test]
    fn a_batch_takes_nothing_that_is_done_and_does_not_reach_over_it() {
        let listed = [1, 2, 5, 9].map(|oid| object(oid, 1)).to_vec();
        let done = [OidRange { first: 2, last: 3 }, OidRange { first: 6, last: 8 }];
        assert_eq!(oids(&batches(listed, &done)), [vec![1], vec![5], vec![9]]);
    }

    #[test]
    fn a_range_reads_back_from_its_member() {
        let range = OidRange { first: 16_384, last: 4_294_967_295 };
        assert_eq!(OidRange::parse(&range.member()), Some(range));
        assert_eq!(OidRange::parse("large_objects"), None);
    }

    #[test]
    fn owner_privileges_and_comment_are_told_in_order() {
        let grant = |grantee: Option<&str>, privilege: &str, grantable| LargeObjectGrant {
            grantee: grantee.map(|name| Ident::new(name).unwrap()),
            privilege: privilege.to_owned(),
            grantable,
        };
        let mut object = object(7, 1);
        object.grants =
            Some(vec![grant(None, "SELECT", false), grant(Some("Clerk"), "UPDATE", true)]);
        object.comment = Some("it's".to_owned());
        assert_eq!(
            describe(&object),
            [
                "alter large object 7 owner to shop",
                "revoke all on large object 7 from shop",
                "grant select on large object 7 to public",
                "grant update on large object 7 to \"Clerk\" with grant option",
                "comment on large object 7 is 'it''s'",
            ]
        );
    }
}
