//! A bench for the conformance sweep: one set of servers, the plans that run on it, and for each cell a
//! fresh target and a source that is open again. It knows no step kind.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pgkedge_model::{CloseStatus, RunHeader};
use pgkedge_runtime::JournalReader;
use pgkedge_sandbox::dvd_rental::{self, Size};
use pgkedge_sandbox::{Options, Replica};

use crate::harness::{Ended, Move, Side, text};
use crate::live::traces::{Traces, assert_replica_follows};

/// What a process is ended by at a failpoint.
const SIGABRT: i32 = 6;
/// How often a command is looked at before it is called hung.
const LOOKS: usize = 12_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What a run that went wrong may have left on the target, and would keep its database there.
const TARGET_PUT_BACK: &str = "
    do $$ declare one name; begin
      for one in select subname from pg_subscription loop
        execute format('alter subscription %I disable', one);
        execute format('alter subscription %I set (slot_name = none)', one);
        execute format('drop subscription %I', one);
      end loop;
    end $$";
/// The source as it was: whatever went wrong, and open after a cutover that went well.
const SOURCE_PUT_BACK: &str = "
    do $$ declare one name; begin
      execute format('alter database %I reset default_transaction_read_only', current_database());
      perform pg_terminate_backend(active_pid, 10000) from pg_replication_slots
        where slot_type = 'logical' and active_pid is not null;
      perform pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type = 'logical';
      for one in select pubname from pg_publication where pubname ~ '^pgkedge_' loop
        execute format('drop publication %I', one);
      end loop;
    end $$";

/// A place where the engine dies: `after_effect` of `create_index`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) point: &'static str,
    pub(crate) kind: String,
}

impl Cell {
    pub(crate) fn name(&self) -> String {
        format!("{}::{}", self.point, self.kind)
    }
}

/// How a command that may die at a failpoint came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Died,
    Hung,
    Ended(Option<i32>),
}

pub(crate) struct Bench {
    pub(crate) moved: Move,
    /// Copies of the examples that need nothing but the databases that the bench has.
    pub(crate) plans: Vec<PathBuf>,
    /// Roles of the target before anything was moved.
    roles: BTreeSet<String>,
    /// What is on the servers before anything was moved.
    before: Traces,
    /// Who may do what with the source's database, as an array of `aclitem`.
    access: String,
}

/// What a run could change.
pub(crate) struct State {
    traces: Traces,
    target: BTreeMap<&'static str, String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let moved = Move::with(&Options { replica: Replica::Streaming, ..Options::default() });
        let rows = moved.sandbox.folder.join("dvd_rental.sql");
        let statements = dvd_rental::statements(Size::new(0.01).expect("a size"));
        std::fs::write(&rows, statements.join("\n;\n") + "\n;\n").expect("written");
        moved.load(text(&rows));
        moved.load("sweep.sql");
        let plans = own_plans(&moved.sandbox.folder);
        let before = Traces::of(&moved);
        let access = "select coalesce(datacl, acldefault('d', datdba)) from pg_database \
                      where datname = current_database()";
        let access = moved.sql(Side::Source, access);
        let bench = Self { moved, plans, roles: BTreeSet::new(), before, access };
        Self { roles: bench.target_roles(), ..bench }
    }

    /// The copy of an example.
    pub(crate) fn plan(&self, name: &str) -> &Path {
        let plan = self.plans.iter().find(|plan| plan.ends_with(name));
        plan.expect("such an example")
    }

    fn target_roles(&self) -> BTreeSet<String> {
        let roles = "select rolname from pg_catalog.pg_roles";
        self.moved.sql(Side::Target, roles).lines().map(str::to_owned).collect()
    }

    /// All that a plan needs, and no state: the source as it was, and a target that is empty, or that
    /// has the rows already.
    pub(crate) fn fresh(&self, plan: &Path) {
        self.source_put_back();
        self.fresh_target();
        let text = std::fs::read_to_string(plan).expect("readable");
        if text.contains("pipeline: capture-only") {
            let came = self.run(self.plan("smallest.yaml"), &[], None);
            assert_eq!(came, Came::Ended(Some(0)), "{}", self.said());
            std::fs::remove_dir_all(&self.moved.state).expect("the state is removed");
        }
    }

    fn source_put_back(&self) {
        self.moved.sql(Side::Source, SOURCE_PUT_BACK);
        let access = "update pg_database set datacl = '{}' where datname = current_database()";
        self.moved.sql(Side::Source, &access.replace("{}", &self.access));
        self.moved.sql(Side::Replica, "select pg_wal_replay_resume()");
    }

    fn fresh_target(&self) {
        self.moved.sql(Side::Target, TARGET_PUT_BACK);
        let database = &self.moved.sandbox.target.database;
        let admin = |sql: &str| self.moved.sql_in(Side::Target, "postgres", sql);
        admin(&format!("drop database if exists {database} with (force)"));
        let roles = admin("select pg_catalog.quote_ident(rolname) from pg_catalog.pg_roles");
        let new = roles.lines().filter(|role| !self.roles.contains(role.trim_matches('"')));
        for role in new {
            admin(&format!("drop role {role}"));
        }
        admin(&format!("create database {database}"));
        drop(std::fs::remove_dir_all(&self.moved.state));
        drop(std::fs::remove_file(self.moved.sandbox.folder.join("smoke.log")));
    }

    /// Runs a command to its end, and approves what it asks for.
    pub(crate) fn perform(&self, arguments: &[&str], failpoint: Option<&Cell>) -> Came {
        let mut command = self.command(arguments);
        let log = std::fs::File::create(self.log()).expect("a log");
        command.stdout(Stdio::null()).stderr(log);
        if let Some(cell) = failpoint {
            command.env("PGKEDGE_FAILPOINT", cell.name());
        }
        let mut child = command.spawn().expect("pgkedge starts");
        let mut asked = None;
        for _ in 0..LOOKS {
            if let Some(status) = child.try_wait().expect("it was started") {
                return match status.signal() {
                    Some(SIGABRT) => Came::Died,
                    _ => Came::Ended(status.code()),
                };
            }
            asked = asked.or_else(|| self.approved());
            std::thread::sleep(BETWEEN_LOOKS);
        }
        drop(child.kill());
        drop(child.wait());
        Came::Hung
    }

    /// Approves every approval of the run as soon as it has a journal.
    fn approved(&self) -> Option<()> {
        let header = self.header()?;
        let approvals = header.graph.steps().filter(|node| node.kind == "approval");
        for node in approvals {
            let state = text(&self.moved.state);
            self.ended(&["approve", &node.id.0, "--by", "the sweep", "--state", state]).expect(0);
        }
        Some(())
    }

    /// What the last command printed.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.moved.sandbox.folder.join("stderr")
    }

    pub(crate) fn header(&self) -> Option<RunHeader> {
        JournalReader::open(&self.moved.state).ok()?.header().ok()
    }

    pub(crate) fn closed(&self) -> Option<CloseStatus> {
        let reader = JournalReader::open(&self.moved.state).expect("a journal");
        reader.checkpoint().expect("whole").closed
    }

    pub(crate) fn ended(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().expect("pgkedge starts").into()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let url = |path: &Path| std::fs::read_to_string(path).expect("the sandbox wrote it");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
        command
            .args(arguments)
            .current_dir(&self.moved.sandbox.folder)
            .stdin(Stdio::null())
            .env("SOURCE_URL", url(&self.moved.sandbox.source.url).trim())
            .env("REPLICA_URL", url(&self.moved.cluster(Side::Replica).url).trim())
            .env("TARGET_URL", url(&self.moved.sandbox.target.url).trim());
        command
    }

    pub(crate) fn run(&self, plan: &Path, more: &[&str], failpoint: Option<&Cell>) -> Came {
        let run = ["run", text(plan), "--yes", "--state", text(&self.moved.state)];
        self.perform(&[&run, more].concat(), failpoint)
    }

    pub(crate) fn of_run(&self, command: &[&str], failpoint: Option<&Cell>) -> Came {
        self.perform(&[command, &["--state", text(&self.moved.state)]].concat(), failpoint)
    }

    /// Fails unless the target holds what the source holds, and nothing else is anywhere. The source may
    /// be closed, and is opened.
    pub(crate) fn assert_moved(&self, plan: &Path, after: &str) {
        Traces::of(&self.moved).assert_moved(&self.before);
        assert_replica_follows(&self.moved);
        self.source_put_back();
        // The one row that an example's own step adds, exactly once.
        let added = self.moved.sql(Side::Target, "delete from public.moves returning 1");
        assert!(added.lines().count() <= 1, "{after}: a step that must not be repeated was");
        let ended = self.ended(&["verify", text(plan)]);
        let with_gap = self.leaves_a_gap(plan);
        let differs = |line: &&str| !with_gap || !stands_ahead(line);
        let differences: Vec<&str> = ended.stdout.lines().filter(differs).collect();
        assert!(differences.is_empty(), "{after}\n{differences:#?}\n{}", ended.stderr);
        assert!(matches!(ended.code, Some(0 | 5)), "{after}\n{}", ended.stderr);
        self.moved.assert_nothing_is_left();
    }

    /// Whether sequences of the target stand further on.
    fn leaves_a_gap(&self, plan: &Path) -> bool {
        let expanded = self.ended(&["validate", text(plan), "--expand"]).expect(0).stdout;
        expanded.contains("gap: true")
    }

    /// Fails unless the source is as it was, open, and nothing but rows is on the target.
    pub(crate) fn assert_cleaned(&self) {
        Traces::of(&self.moved).assert_cleaned(&self.before);
        assert_replica_follows(&self.moved);
        self.moved.assert_nothing_is_left();
    }

    /// Everything that a run could change, as it is now.
    pub(crate) fn state(&self) -> State {
        State { traces: Traces::of(&self.moved), target: self.target_as_text() }
    }

    /// Fails unless all servers are as they were.
    pub(crate) fn assert_untouched(&self, before: &State, plan: &Path) {
        Traces::of(&self.moved).assert_untouched(&before.traces);
        assert_replica_follows(&self.moved);
        self.moved.assert_nothing_is_left();
        for (what, text) in self.target_as_text() {
            let differs = different_lines(&before.target[what], &text);
            assert!(differs.is_empty(), "{}: {what} differs:\n{differs}", plan.display());
        }
    }

    /// Everything about the target that a run could change, as text.
    fn target_as_text(&self) -> BTreeMap<&'static str, String> {
        let settings = "select coalesce(d.datname, '*'), coalesce(r.rolname, '*'), s.setconfig \
            from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase \
            left join pg_roles r on r.oid = s.setrole order by 1, 2";
        let database = "select datname, pg_get_userbyid(datdba), \
            coalesce(datacl, acldefault('d', datdba)), datconnlimit, \
            shobj_description(oid, 'pg_database') from pg_database order by 1";
        let objects =
            "select oid, lomowner::regrole, lomacl from pg_largeobject_metadata order by 1";
        let sql = |text: &str| self.moved.sql(Side::Target, text);
        BTreeMap::from([
            ("schema", self.moved.dumped(Side::Target, "pg_dump", &["--schema-only", "--create"])),
            ("globals", self.moved.dumped(Side::Target, "pg_dumpall", &["--globals-only"])),
            ("settings", sql(settings)),
            ("database", sql(database)),
            ("large objects", sql(objects)),
        ])
    }
}

/// The lines that only one of two texts has.
fn different_lines(before: &str, after: &str) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), after.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}\n"));
    let come = new.difference(&old).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

/// Whether a difference is a sequence that has gone on, on the target.
fn stands_ahead(difference: &str) -> bool {
    let values = difference.split_once(": value differs: source ").map(|(_, values)| values);
    let values = values.and_then(|values| values.split_once(", target "));
    let number = |text: &str| text.parse::<i64>().ok();
    values.is_some_and(|(ours, theirs)| number(ours).is_some() && number(ours) < number(theirs))
}

/// Copies of the examples whose databases are those that the bench has.
fn own_plans(folder: &Path) -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/examples");
    let program = folder.join("smoke-test.sh");
    std::fs::write(&program, "#!/bin/sh\necho \"$@\" >> smoke.log\n").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let mut plans = Vec::new();
    for entry in std::fs::read_dir(examples).expect("the examples are there") {
        let path = entry.expect("readable").path();
        let mut plan = std::fs::read_to_string(&path).expect("readable");
        if !plan.contains("certs/") {
            if !plan.contains("\nload:") {
                plan.push_str("\nload: { part_size: 1MiB, workers: 2 }\n");
            }
            let copy = folder.join(path.file_name().expect("a file"));
            std::fs::write(&copy, plan).expect("written");
            plans.push(copy);
        }
    }
    plans.sort();
    plans
}
