//! A pair of throw-away servers, and the program run against them as a user would.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pgkedge_sandbox::{Cluster, Options, Sandbox, Temporary};
use serde_json::Value;

use crate::background::Background;

/// A source, its replica where it has one, and a target, a plan between them, and a folder for the run's state.
pub(crate) struct Move {
    pub(crate) sandbox: Temporary,
    pub(crate) state: PathBuf,
}

/// Which of the servers.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Source,
    Replica,
    Target,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Move {
    pub(crate) fn new() -> Self {
        Self::with(&Options::default())
    }

    pub(crate) fn with(options: &Options) -> Self {
        let sandbox = Sandbox::up(options).expect("a sandbox starts").temporary();
        let state = sandbox.folder.join("run");
        Self { sandbox, state }
    }

    /// A pair whose source holds a database of `tests/postgres/databases`.
    pub(crate) fn of(database: &str) -> Self {
        let this = Self::new();
        this.load(database);
        this
    }

    /// Loads a file of `tests/postgres/databases` into the source.
    pub(crate) fn load(&self, database: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/databases");
        let file = folder.join(database);
        let output = self
            .psql_command(Side::Source)
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(&file)
            .output()
            .expect("psql starts");
        assert!(output.status.success(), "{database}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs SQL on a server, and returns what it prints, unaligned and without headers.
    pub(crate) fn sql(&self, side: Side, sql: &str) -> String {
        self.sql_in(side, &self.cluster(side).database, sql)
    }

    /// The same in another database of that server.
    pub(crate) fn sql_in(&self, side: Side, database: &str, sql: &str) -> String {
        let output = self
            .client(side, "psql")
            .args(["-X", "-d", database])
            .args(["-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .expect("psql starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {error}");
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// Runs a script of many statements in one session.
    pub(crate) fn sql_script(&self, side: Side, script: &str) {
        let path = self.sandbox.folder.join("script.sql");
        std::fs::write(&path, script).expect("the script is written");
        let output = self
            .psql_command(side)
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(&path)
            .output()
            .expect("psql starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a script on a server to its end, and returns what went wrong on the way.
    pub(crate) fn run_script(&self, side: Side, script: &str) -> String {
        let file = self.sandbox.folder.join("script.sql");
        std::fs::write(&file, script).expect("the script is written");
        let output =
            self.psql_command(side).args(["-q", "-f"]).arg(&file).output().expect("psql starts");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What `pg_dump` or `pg_dumpall` prints.
    pub(crate) fn dumped(&self, side: Side, program: &str, arguments: &[&str]) -> String {
        let database = &self.cluster(side).database;
        let mut command = self.client(side, program);
        command.args(arguments).args(["-d", &format!("dbname={database}")]);
        let output = command.output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {error}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        // Another key each time.
        let lines = text.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn psql_command(&self, side: Side) -> Command {
        let mut command = self.client(side, "psql");
        command.args(["-X", "-d", &self.cluster(side).database]);
        command
    }

    pub(crate) fn cluster(&self, side: Side) -> &Cluster {
        match side {
            Side::Source => &self.sandbox.source,
            Side::Replica => self.sandbox.replica.as_ref().expect("a sandbox with a replica"),
            Side::Target => &self.sandbox.target,
        }
    }

    /// A client program of PostgreSQL, told where the server is.
    fn client(&self, side: Side, program: &str) -> Command {
        let cluster = self.cluster(side);
        let mut command = Command::new(program);
        command
            .args(["-h", "127.0.0.1", "-U", &cluster.user, "-p"])
            .arg(cluster.port.to_string())
            .env("PGPASSFILE", self.sandbox.pgpass())
            .env("PGOPTIONS", "-c default_transaction_read_only=off -c statement_timeout=0");
        command
    }

    /// The plan that the sandbox wrote.
    pub(crate) fn plan(&self) -> PathBuf {
        self.sandbox.plan()
    }

    /// Writes a plan that has further fields after the databases.
    pub(crate) fn plan_with(&self, fields: &str) -> PathBuf {
        self.plan_named("edited", fields)
    }

    /// The sandbox's plan with another pipeline, and with further fields.
    pub(crate) fn plan_of(&self, pipeline: &str, fields: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.plan()).expect("the sandbox wrote a plan");
        let new = format!("pipeline: {pipeline}");
        let lines = text.lines().map(|line| {
            let line = if line.starts_with("pipeline: ") { &new } else { line };
            format!("{line}\n")
        });
        let path = self.sandbox.folder.join(format!("{pipeline}.yaml"));
        let text = format!("{}{fields}", lines.collect::<String>());
        std::fs::write(&path, text).expect("the plan is written");
        path
    }

    /// The same, to a file of this name.
    pub(crate) fn plan_named(&self, name: &str, fields: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.plan()).expect("the sandbox wrote a plan");
        let path = self.sandbox.folder.join(format!("{name}.yaml"));
        std::fs::write(&path, format!("{text}{fields}")).expect("the plan is written");
        path
    }

    /// `pgkedge run` of the sandbox's plan.
    pub(crate) fn run(&self) -> Ended {
        self.run_plan(&self.plan())
    }

    pub(crate) fn run_plan(&self, plan: &Path) -> Ended {
        pgkedge(&["run", text(plan), "--yes", "--state", text(&self.state)])
    }

    /// `pgkedge <command> --state <the run's>`.
    pub(crate) fn of_run(&self, command: &[&str]) -> Ended {
        pgkedge(&[command, &["--state", text(&self.state)]].concat())
    }

    /// The JSON that `status` prints.
    pub(crate) fn status(&self) -> Value {
        let ended = self.of_run(&["status", "--output", "json"]);
        serde_json::from_str(&ended.stdout).expect("status prints JSON")
    }

    /// Starts `pgkedge` and returns while it works; what it prints is kept.
    pub(crate) fn background(&self, arguments: &[&str]) -> Background {
        Background::start(command(arguments), &self.sandbox.folder)
    }

    /// `pgkedge <command> --state <the run's>`, without waiting for its end.
    pub(crate) fn background_of_run(&self, command: &[&str]) -> Background {
        self.background(&[command, &["--state", text(&self.state)]].concat())
    }

    /// Makes the target's database anew and forgets the run, so that the source can move again.
    pub(crate) fn again(&self) {
        let database = &self.sandbox.target.database;
        self.sql_in(Side::Target, "postgres", &format!("drop database {database} with (force)"));
        self.sql_in(Side::Target, "postgres", &format!("create database {database}"));
        if self.state.exists() {
            std::fs::remove_dir_all(&self.state).expect("the state is removed");
        }
    }

    /// Fails unless nothing of pgkedge's own is on any server.
    pub(crate) fn assert_nothing_is_left(&self) {
        let schemas = "select pg_catalog.count(*) from pg_catalog.pg_namespace \
                       where pg_catalog.textregexeq(nspname::pg_catalog.text, '^pgkedge_[0-9a-f]{8}$')";
        let sessions = "select pg_catalog.count(*) from pg_catalog.pg_stat_activity \
                        where application_name like 'pgkedge:%:%'";
        let replica = self.sandbox.replica.as_ref().map(|_| Side::Replica);
        for side in [Side::Source, Side::Target].into_iter().chain(replica) {
            assert_eq!(self.sql(side, schemas), "0", "schemas");
            assert_eq!(self.sql(side, sessions), "0", "sessions");
        }
    }
}

/// Starts the program and returns while it works.
pub(crate) fn started(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

/// Waits until something holds, for a minute at most.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let held = (0..600).any(|_| {
        let held = holds();
        if !held {
            std::thread::sleep(Duration::from_millis(100));
        }
        held
    });
    assert!(held, "waited a minute for {what}");
}

/// Runs the program to its end.
pub(crate) fn pgkedge(arguments: &[&str]) -> Ended {
    command(arguments).output().expect("pgkedge starts").into()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
    command.args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// Writes a file that its owner alone may read.
pub(crate) fn write_private(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, content).expect("the file is written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// Prints what someone needs who wants to see a failure again.
#[expect(clippy::print_stdout, reason = "the test runner shows it for a test that failed")]
pub(crate) fn tell(text: &str) {
    println!("{text}");
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

impl Ended {
    /// Fails with everything that was printed unless the exit code is this one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
