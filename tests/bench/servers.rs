//! A durable source and target, the rows in the source, and a new database for each move.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgkedge_sandbox::{Cluster, Durability, Options, Sandbox, Temporary};

use crate::process::measured;

/// Tables with a key, a sequence and an index each, committed often enough for the lock table.
const MANY: &str = "create procedure pg_temp.make_tables(amount integer) language plpgsql as $$ begin
  for n in 1..amount loop
    execute format('create table t%s (id serial primary key, a int, b text, c timestamptz default now())', n);
    execute format('insert into t%s (a, b) select g, md5(g::text) from generate_series(1, 100) g', n);
    execute format('create index on t%s (a)', n);
    if n % 100 = 0 then commit; end if;
  end loop;
end $$;";

pub(crate) struct Servers {
    sandbox: Temporary,
    databases: Cell<usize>,
}

impl Servers {
    pub(crate) fn up() -> Self {
        let options = Options {
            database: "small".to_owned(),
            durability: Durability::MachineCrash,
            ..Options::default()
        };
        let sandbox = Sandbox::up(&options).expect("a sandbox starts").temporary();
        Self { sandbox, databases: Cell::new(0) }
    }

    /// Fills the source.
    pub(crate) fn fill(&self, set: &str, tables: usize) {
        let mut psql = self.source_program("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        match set {
            "many" => {
                let make = format!("call pg_temp.make_tables({tables})");
                psql.args(["-c", MANY, "-c", &make]);
            }
            "related" => {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                psql.arg("-v").arg(format!("tables={tables}"));
                psql.arg("-f").arg(root.join("tests/postgres/databases/many.sql"));
            }
            other => panic!("SET is `many` or `related`, not `{other}`"),
        }
        measured(psql.args(["-c", "vacuum (freeze, analyze)"]));
    }

    /// Writes to disk what would be written in the midst of a move.
    pub(crate) fn settle(&self) {
        for cluster in [&self.sandbox.source, &self.sandbox.target] {
            let mut psql = self.program("psql", cluster, &cluster.database);
            measured(psql.args(["-X", "-q", "-c", "checkpoint"]));
        }
    }

    /// A new, empty database on the target.
    pub(crate) fn fresh_database(&self) -> String {
        self.databases.set(self.databases.get() + 1);
        let name = format!("target{}", self.databases.get());
        let mut psql = self.target_program("psql", &self.sandbox.target.database);
        measured(psql.args([
            "-X",
            "-q",
            "-c",
            &format!("create database {name} template template0"),
        ]));
        name
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.sandbox.folder.join(name);
        fs::create_dir(&folder).expect("a folder is made");
        folder
    }

    /// A plan, in the folder, for a move into a new database.
    pub(crate) fn plan(&self, folder: &Path) -> PathBuf {
        let url = fs::read_to_string(&self.sandbox.target.url).expect("the sandbox wrote it");
        let (server, _) = url.trim().rsplit_once('/').expect("it ends with the database");
        let target = folder.join("target.url");
        fs::write(&target, format!("{server}/{}\n", self.fresh_database())).expect("it is written");
        // It holds the password.
        fs::set_permissions(&target, Permissions::from_mode(0o600)).expect("the file is ours");
        let plan = fs::read_to_string(self.sandbox.plan()).expect("the sandbox wrote a plan");
        let before = self.sandbox.target.url.to_str().expect("UTF-8");
        let plan = plan.replace(before, target.to_str().expect("UTF-8"));
        let path = folder.join("plan.yaml");
        fs::write(&path, plan).expect("the plan is written");
        path
    }

    pub(crate) fn source_program(&self, name: &str) -> Command {
        self.program(name, &self.sandbox.source, &self.sandbox.source.database)
    }

    pub(crate) fn target_program(&self, name: &str, database: &str) -> Command {
        self.program(name, &self.sandbox.target, database)
    }

    /// A client program of PostgreSQL, as the superuser of a cluster.
    fn program(&self, name: &str, cluster: &Cluster, database: &str) -> Command {
        let mut command = Command::new(cluster.installation.bin().join(name));
        command.args(["-h", "127.0.0.1", "-U", &cluster.user, "-d", database, "-p"]);
        command.arg(cluster.port.to_string()).env("PGPASSFILE", self.sandbox.pgpass());
        command
    }
}
