//! What change capture may leave in the catalogs of a server.

use crate::harness::{Move, Side, wait_for};

/// Each line begins with what sort of thing it is.
const TRACES: &str = "
    select format('slot %s', slot_name) from pg_replication_slots
    union all select format('publication %s %s %s %s', pubname, pubinsert, pubupdate, pubdelete)
      from pg_publication
    union all select format('published %s %s.%s', pubname, schemaname, tablename)
      from pg_publication_tables
    union all select format('subscription %s', subname) from pg_subscription
    union all select format('origin %s', roname) from pg_replication_origin
    union all select format('role %s %s %s %s %s', rolname, rolsuper, rolreplication, rolcanlogin, rolconnlimit)
      from pg_roles
    union all select format('identity %s %s', c.oid::regclass, relreplident)
      from pg_class c join pg_namespace n on n.oid = relnamespace
     where relkind in ('r', 'p') and nspname !~ '^(pg_|information_schema)'
    union all select format('access %s %s %s', coalesce(datacl, acldefault('d', datdba)), datallowconn, datconnlimit)
      from pg_database where datname = current_database()
    union all select format('settings %s %s', setrole, setconfig) from pg_db_role_setting
    order by 1";

/// What is on the servers of a move, by line.
pub(crate) struct Traces {
    source: Vec<String>,
    target: Vec<String>,
}

impl Traces {
    pub(crate) fn of(moved: &Move) -> Self {
        let of = |side| moved.sql(side, TRACES).lines().map(str::to_owned).collect();
        Self { source: of(Side::Source), target: of(Side::Target) }
    }

    /// After a move: nothing of the capture is left, and the source is as it was, but closed.
    pub(crate) fn assert_moved(&self, before: &Self) {
        let closed =
            |line: &&String| !line.starts_with("access ") && !line.starts_with("settings ");
        let but = |lines: &[String]| lines.iter().filter(closed).cloned().collect::<Vec<_>>();
        assert_same("source", &but(&before.source), &but(&self.source));
        let sorts = ["slot ", "subscription ", "origin ", "publication pgkedge"];
        let left = |line: &&String| sorts.iter().any(|sort| line.starts_with(sort));
        assert_eq!(self.target.iter().find(left), None, "target");
    }

    /// After a cleanup before the cutover: nothing of the capture is left, and the source is as it was.
    pub(crate) fn assert_cleaned(&self, before: &Self) {
        self.assert_moved(before);
        assert_same("source", &before.source, &self.source);
    }

    /// After an abort: both are as they were.
    pub(crate) fn assert_untouched(&self, before: &Self) {
        assert_same("source", &before.source, &self.source);
        assert_same("target", &before.target, &self.target);
    }
}

#[track_caller]
fn assert_same(server: &str, before: &[String], after: &[String]) {
    let missing = |from: &[String], of: &[String]| -> Vec<String> {
        from.iter().filter(|line| !of.contains(line)).cloned().collect()
    };
    let (gone, new) = (missing(before, after), missing(after, before));
    assert!(gone.is_empty() && new.is_empty(), "{server}: gone {gone:#?}, new {new:#?}");
}

/// Fails if a replica stands still, or does not follow its source.
pub(crate) fn assert_replica_follows(moved: &Move) {
    if moved.sandbox.replica.is_none() {
        return;
    }
    assert_eq!(moved.sql(Side::Replica, "select pg_is_wal_replay_paused()"), "f");
    let at = moved.sql(Side::Source, "select pg_current_wal_flush_lsn()");
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{at}'");
    wait_for("the replica", || moved.sql(Side::Replica, &replayed) == "t");
}
