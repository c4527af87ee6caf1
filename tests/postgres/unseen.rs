//! Databases that nobody has seen before: random ones, moved and compared by means of our own.
//!
//! `PGKEDGE_UNSEEN_SEEDS=7,8,9` moves those of other seeds.

mod database;
mod names;
mod objects;
mod random;
mod tables;
mod types;

use self::database::Database;
use crate::harness::{Move, Side, pgkedge, text};

#[test]
fn databases_never_seen_before_move_exactly() {
    let seeds = std::env::var("PGKEDGE_UNSEEN_SEEDS").unwrap_or_else(|_| "1".to_owned());
    for seed in seeds.split(',') {
        println!("seed {seed}");
        moves_exactly(seed.parse().expect("seeds are numbers"));
    }
}

fn moves_exactly(seed: u64) {
    let moved = Move::new();
    let script = Database::script(seed);
    let refused = moved.run_script(Side::Source, &script);
    if let Ok(folder) = std::env::var("PGKEDGE_UNSEEN_FOLDER") {
        let write = |name: &str, text: &str| {
            std::fs::write(format!("{folder}/{seed}.{name}"), text).expect("the folder is there");
        };
        write("sql", &script);
        write("refused", &refused);
    }
    let tables =
        "select count(*) from pg_class where relkind in ('r', 'p') and relnamespace >= 2200";
    let made: usize = moved.sql(Side::Source, tables).parse().expect("a count is a number");
    assert!(made >= 150, "seed {seed} makes {made} tables:\n{refused}");
    let ended = moved.run();
    assert_eq!(ended.code, Some(0), "seed {seed}: {}", ended.stderr);
    moved.assert_nothing_is_left();
    pgkedge(&["verify", text(&moved.plan())]).expect(0);
    let tables = moved.sql(Side::Source, READABLE);
    for tables in tables.lines().collect::<Vec<_>>().chunks(200) {
        let digests: Vec<String> = tables.iter().enumerate().map(digest).collect();
        let digests = format!("{PINS} {} order by 1", digests.join(" union all "));
        let [source, target] = [Side::Source, Side::Target].map(|side| moved.sql(side, &digests));
        assert_eq!(target, source, "seed {seed}: rows of {tables:?}");
    }
    let [source, target] = [Side::Source, Side::Target]
        .map(|side| lines(&moved.dumped(side, "pg_dump", &["--schema-only"])));
    let only_in = |ours: &[String], theirs: &[String]| -> Vec<String> {
        ours.iter().filter(|line| theirs.binary_search(line).is_err()).cloned().collect()
    };
    let differ = [only_in(&source, &target), only_in(&target, &source)];
    assert!(source == target, "seed {seed}: dumps differ: {differ:#?}");
}

fn digest((at, table): (usize, &&str)) -> String {
    format!(
        "select {at}, count(*), md5(string_agg(md5(x::text), '' order by md5(x::text))) \
         from only {table} x"
    )
}

/// What every session of these databases has to set, whatever they set themselves.
const PINS: &str = "set client_encoding = 'UTF8'; set search_path = ''; set extra_float_digits = 3; \
                    set bytea_output = hex; set row_security = off;";

const READABLE: &str = "set client_encoding = 'UTF8'; set search_path = ''; \
    set standard_conforming_strings = on; set quote_all_identifiers = off; \
    select oid::regclass::text from pg_class where relkind in ('r', 'm') and relispopulated \
    and relnamespace >= 2200 and relname !~ '[\\n\\r]' \
    and relnamespace not in (select oid from pg_namespace where nspname ~ '[\\n\\r]' \
    or nspname = 'information_schema') order by 1";

/// The lines of a dump in any order, and the roles of a policy as well.
fn lines(dump: &str) -> Vec<String> {
    let in_any_order = |line: &str| {
        let mut characters: Vec<char> = line.chars().collect();
        characters.sort_unstable();
        characters.into_iter().collect()
    };
    let mut lines: Vec<String> = dump
        .lines()
        .filter(|line| !line.starts_with("--") && !line.starts_with('\\'))
        .map(|line| if line.contains(" USING (") { in_any_order(line) } else { line.to_owned() })
        .collect();
    lines.sort_unstable();
    lines
}
