//! A throw-away server in a folder of its own, reached over a socket, with the rich database on it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

/// Stops when it is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
}

impl Cluster {
    /// Also the number in the name of the socket; there is one server per folder.
    pub(crate) const PORT: u16 = 5432;

    /// The server of all tests that run now. None where PostgreSQL's server is not installed.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        if let Some(cluster) = shared.upgrade() {
            return Some(cluster);
        }
        let cluster = Arc::new(Self::start(newest_programs()?));
        *shared = Arc::downgrade(&cluster);
        cluster.create_rich_database();
        Some(cluster)
    }

    fn start(programs: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("pgkedge-rich-").tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let cluster = Self { folder, programs };
        run(cluster
            .program("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"])
            .args(["--locale=C.UTF-8", "--pgdata"])
            .arg(cluster.data()));
        let options = format!(
            "-k {} -p {} -c listen_addresses='' -c fsync=off -c wal_level=logical",
            cluster.socket().display(),
            Self::PORT
        );
        run(cluster
            .control("start")
            .args(["-w", "-o", &options, "-l"])
            .arg(cluster.socket().join("log")));
        cluster
    }

    fn create_rich_database(&self) {
        let space = self.create_folder("space");
        self.sql("postgres", include_str!("roles.sql"));
        let space = pgkedge_model::quote_literal(space.to_str().unwrap());
        self.sql(
            "postgres",
            &format!("create tablespace \"rich; \"\"space\"\"\" location {space}"),
        );
        self.sql("postgres", "create database rich template template0");
        self.sql("rich", include_str!("objects.sql"));
    }

    fn sql(&self, database: &str, script: &str) {
        let mut psql = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-d", database, "-h"])
            .arg(self.socket())
            .env("PGOPTIONS", "-c client_min_messages=error")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success());
    }

    /// The folder of the socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// A folder that the server may write to.
    fn create_folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        folder
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn control(&self, action: &str) -> Command {
        let mut command = self.program("pg_ctl");
        command.arg(action).arg("-D").arg(self.data()).arg("--silent");
        command
    }

    /// Servers refuse to run as root.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        if !is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path).current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        run(self.control("stop").args(["-m", "immediate"]));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0\n")
}

fn newest_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let version = version.ok()?;
            let programs = version.path().join("bin");
            let number = version.file_name().to_str()?.parse().ok()?;
            programs.join("initdb").is_file().then_some((number, programs))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, programs)| programs)
}
