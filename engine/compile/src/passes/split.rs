//! Into how many parts the rows of a table are copied.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Facts, Part, Settings, Table, TableKind};

/// From 14 on a range of ctids is read without reading the pages before it.
const RANGES_SINCE: u32 = 14;
const USUAL_BLOCK: u64 = 8192;
/// More parts than this cost more than they bring.
const MOST_PARTS: u64 = 10_000;

/// The parts of every selected table with rows of its own, by the table's OID.
pub(crate) type Parts = BTreeMap<u32, Vec<Part>>;

pub(crate) fn split(settings: &Settings, facts: &Facts, selected: &BTreeSet<u32>) -> Parts {
    facts
        .source
        .tables
        .iter()
        .filter(|table| selected.contains(&table.oid) && holds_rows(table))
        .map(|table| (table.oid, parts(settings, facts, table)))
        .collect()
}

/// Ordinary tables and leaf partitions: all that COPY can read and write by itself.
pub(crate) fn holds_rows(table: &Table) -> bool {
    match table.kind {
        TableKind::Ordinary => true,
        TableKind::Partitioned | TableKind::MaterializedView | TableKind::Foreign => false,
    }
}

/// Whether the source reads a range of a table without reading the rest.
pub(crate) fn reads_ranges(facts: &Facts) -> bool {
    facts.source.server.version.major() >= RANGES_SINCE
}

fn parts(settings: &Settings, facts: &Facts, table: &Table) -> Vec<Part> {
    // Rows of an extension's table are chosen by a condition, and are few.
    if !reads_ranges(facts) || table.extension_rows.is_some() {
        return vec![Part::WHOLE];
    }
    let block = facts.source.server.settings.get("block_size");
    let block = block.and_then(|size| size.parse().ok()).unwrap_or(USUAL_BLOCK);
    // Rows that are stored out of line weigh as much, but take no pages of the table itself.
    let bytes = (u64::from(table.pages) * block).max(table.bytes);
    let wanted = bytes.div_ceil(settings.load.part_size.0.max(1));
    let most = u64::from(table.pages).clamp(1, MOST_PARTS);
    let of = u32::try_from(wanted.min(most)).expect("bounded by the most parts");
    Part::of_pages(table.pages, of)
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{ByteSize, ServerVersion};

    use super::*;
    use crate::testing;

    fn numbers(pages: u32, bytes: u64, version: u32) -> usize {
        let mut facts = testing::facts();
        facts.source.server.version = ServerVersion(version);
        let mut table = testing::table(1, "public.a");
        (table.pages, table.bytes) = (pages, bytes);
        let mut settings = Settings::default();
        settings.load.part_size = ByteSize(1 << 20);
        parts(&settings, &facts, &table).len()
    }

    #[test]
    fn a_table_is_split_into_parts_of_about_the_wanted_size() {
        assert_eq!(numbers(0, 0, 150_000), 1);
        assert_eq!(numbers(128, 1 << 20, 150_000), 1);
        assert_eq!(numbers(129, 1 << 20, 150_000), 2);
        assert_eq!(numbers(1280, 0, 150_000), 10);
    }

    #[test]
    fn out_of_line_rows_count_but_no_part_is_smaller_than_a_page() {
        assert_eq!(numbers(128, 10 << 20, 150_000), 10);
        assert_eq!(numbers(2, 10 << 20, 150_000), 2);
    }

    #[test]
    fn before_14_a_table_is_one_part() {
        assert_eq!(numbers(1280, 0, 130_000), 1);
    }
}
