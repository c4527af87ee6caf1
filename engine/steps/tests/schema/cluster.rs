//! A throw-away server in a folder of its own, reached over a socket.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Stops when it is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
}

impl Cluster {
    /// Also the number in the name of the socket; there is one server per folder.
    pub(crate) const PORT: u16 = 5432;

    /// None where PostgreSQL's server is not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = newest_programs()?;
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
        Some(cluster)
    }

    /// The folder of the socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// A folder that the server may write to.
    pub(crate) fn create_folder(&self, name: &str) -> PathBuf {
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
