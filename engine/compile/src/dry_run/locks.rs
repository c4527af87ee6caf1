//! Which table lock a statement takes, by its first words: an aid for people, not a proof.

use serde::Serialize;

/// A lock as PostgreSQL's manual names it, and what it keeps others from doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Lock {
    pub(super) statement: &'static str,
    pub(super) mode: &'static str,
    pub(super) blocks: &'static str,
}

const READS_AND_WRITES: &str = "reads and writes";
const WRITES: &str = "writes";
const DDL: &str = "DDL";
const MAINTENANCE: &str = "DDL, VACUUM and ANALYZE";

/// First words, a part that must follow (or nothing), and the lock. The first that fits.
const LOCKS: &[(&str, &str, Lock)] = &[
    ("create index", "", of("CREATE INDEX", "SHARE", WRITES)),
    ("create unique index", "", of("CREATE INDEX", "SHARE", WRITES)),
    ("alter index", "", of("ALTER INDEX", "ACCESS EXCLUSIVE", READS_AND_WRITES)),
    (
        "alter table",
        " validate constraint ",
        of("VALIDATE CONSTRAINT", "SHARE UPDATE EXCLUSIVE", MAINTENANCE),
    ),
    (
        "alter table",
        " foreign key ",
        of("ADD FOREIGN KEY", "SHARE ROW EXCLUSIVE on both tables", WRITES),
    ),
    ("alter table", "", of("ALTER TABLE", "ACCESS EXCLUSIVE", READS_AND_WRITES)),
    (
        "create publication",
        " for table ",
        of("CREATE PUBLICATION", "SHARE UPDATE EXCLUSIVE on its tables", MAINTENANCE),
    ),
    ("create trigger", "", of("CREATE TRIGGER", "SHARE ROW EXCLUSIVE", WRITES)),
    ("create constraint trigger", "", of("CREATE TRIGGER", "SHARE ROW EXCLUSIVE", WRITES)),
    ("refresh materialized view concurrently", "", of("REFRESH CONCURRENTLY", "EXCLUSIVE", WRITES)),
    (
        "refresh materialized view",
        "",
        of("REFRESH MATERIALIZED VIEW", "ACCESS EXCLUSIVE", READS_AND_WRITES),
    ),
    ("truncate", "", of("TRUNCATE", "ACCESS EXCLUSIVE", READS_AND_WRITES)),
    ("drop table", "", of("DROP TABLE", "ACCESS EXCLUSIVE", READS_AND_WRITES)),
    ("analyze", "", of("ANALYZE", "SHARE UPDATE EXCLUSIVE", MAINTENANCE)),
    ("copy", " from stdin", of("COPY FROM", "ROW EXCLUSIVE", DDL)),
    ("copy", " to stdout", of("COPY TO", "ACCESS SHARE", DDL)),
    ("lock table", " access share ", of("LOCK TABLE", "ACCESS SHARE", DDL)),
    ("lock table", " share ", of("LOCK TABLE", "SHARE", WRITES)),
    ("lock table", "", of("LOCK TABLE", "as it says", "what it says")),
];

const fn of(statement: &'static str, mode: &'static str, blocks: &'static str) -> Lock {
    Lock { statement, mode, blocks }
}

pub(super) fn lock(sql: &str) -> Option<Lock> {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    let fits = |(first, later, _): &&(&str, &str, Lock)| {
        let rest = text.strip_prefix(first).filter(|rest| rest.starts_with(' '));
        rest.is_some_and(|rest| format!("{rest} ").contains(later))
    };
    LOCKS.iter().find(fits).map(|(_, _, lock)| *lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_follows_from_the_first_words() {
        for (sql, mode) in [
            ("CREATE UNIQUE INDEX a ON public.b USING btree (c)", "SHARE"),
            ("ALTER TABLE ONLY a\n    ADD CONSTRAINT b PRIMARY KEY (c)", "ACCESS EXCLUSIVE"),
            (
                "alter table a add constraint b foreign key (c) references d not valid",
                "SHARE ROW EXCLUSIVE on both tables",
            ),
            ("alter table a validate constraint b", "SHARE UPDATE EXCLUSIVE"),
            ("copy a (b) from stdin with (format binary)", "ROW EXCLUSIVE"),
            ("copy (select 1) to stdout", "ACCESS SHARE"),
            (
                "create publication p for table only a with (publish = 'insert')",
                "SHARE UPDATE EXCLUSIVE on its tables",
            ),
            ("lock table a in access share mode", "ACCESS SHARE"),
        ] {
            assert_eq!(lock(sql).map(|lock| lock.mode), Some(mode), "{sql}");
        }
        assert_eq!(lock("create indexes"), None);
        assert_eq!(lock("select 1"), None);
    }
}
