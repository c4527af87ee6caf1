//! Compares two servers by means of PostgreSQL alone, without a line of the program under test.

use super::fixture::Live;
use crate::harness::Side;

/// One statement for each table that holds rows, partitions as part of their root: its name, how many rows,
/// and the sum of their hashes, which does not depend on their order.
const TABLES: &str = "
    select string_agg(format(
             'select %L, count(*)::text,
              coalesce(sum((''x'' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0)::text from %s t',
             c.oid::regclass, c.oid::regclass), ' union all ' order by c.oid::regclass::text)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'm') and not c.relispartition
       and n.nspname !~ '^(pg_|information_schema)'";
/// Large objects, by their content and who may do what with them.
const LARGE_OBJECTS: &str = "
    select 'large object ' || m.oid, pg_get_userbyid(m.lomowner) || coalesce(m.lomacl::text, ''),
           md5(lo_get(m.oid)) from pg_largeobject_metadata m order by m.oid";
/// The target's materialized views are fresh.
const FRESH: &str = "
    select coalesce(string_agg(format('refresh materialized view %s;', oid::regclass), ' ' order by oid), '')
      from pg_class where relkind = 'm'";
/// Where sequences stand.
const SEQUENCES: &str = "
    select string_agg(format('select %L || '' '' || last_value from %s', c.oid::regclass, c.oid::regclass),
                      ' union all ' order by c.oid::regclass::text)
      from pg_class c where c.relkind = 'S'";

/// Fails unless both servers hold the same rows and large objects, and the target's sequences stand ahead.
pub(crate) fn assert_equal(live: &Live) {
    let moved = &live.moved;
    let logged = if live.pipeline.moves_unlogged() { "" } else { "and c.relpersistence = 'p'" };
    let tables = format!("{TABLES} {logged}");
    moved.sql(Side::Source, &moved.sql(Side::Source, FRESH));
    for (what, tables) in [("rows", tables.as_str()), ("large objects", "")] {
        let told = |side| match tables {
            "" => moved.sql(side, LARGE_OBJECTS),
            tables => moved.sql(side, &format!("{} order by 1", moved.sql(side, tables))),
        };
        let (source, target) = (told(Side::Source), told(Side::Target));
        let differ: Vec<(&str, &str)> =
            source.lines().zip(target.lines()).filter(|(ours, theirs)| ours != theirs).collect();
        assert!(source == target, "{what}: {differ:#?}");
        assert!(!source.is_empty(), "no {what} at all");
    }
    let stand = |side| -> Vec<(String, i64)> {
        let told = moved.sql(side, &format!("{} order by 1", moved.sql(side, SEQUENCES)));
        let one = |line: &str| {
            let (name, value) = line.split_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        told.lines().map(one).collect()
    };
    for ((name, ours), (same, theirs)) in stand(Side::Source).iter().zip(stand(Side::Target)) {
        assert!(*name == same && *ours < theirs, "{name}: {ours}, {same}: {theirs}");
    }
}
