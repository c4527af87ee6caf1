//! One throw-away cluster: made, started, stopped.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pgkedge_model::{Server, ServerVersion};
use serde::{Deserialize, Serialize};

use crate::account::{Account, finish};
use crate::error::{SandboxError, io_error};
use crate::folder;
use crate::installation::Installation;
use crate::signal;
use crate::statement_log::{self, LoggedStatement};

/// The cluster's superuser, and the only one who can log in.
const SUPERUSER: &str = "postgres";
/// Another program may take a free port before the server does.
const PORT_ATTEMPTS: usize = 5;
/// A socket's path has to fit into 107 bytes; its name takes up to 20.
const LONGEST_SOCKET_FOLDER: usize = 80;

/// A cluster of a sandbox, and how it is reached. Holds no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub server: Server,
    pub version: ServerVersion,
    pub port: u16,
    pub database: String,
    /// The superuser that the connection string names.
    pub user: String,
    pub data: PathBuf,
    /// What the server prints.
    pub log: PathBuf,
    /// Folder of the Unix socket, where its path is short enough for one.
    pub socket: Option<PathBuf>,
    /// File with the connection string and its password, for `url: { file: … }` of a plan.
    pub url: PathBuf,
    pub installation: Installation,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Sessions are ended, everything is written.
    Fast,
    /// As after a crash: the next start recovers.
    Immediate,
}

/// What a cluster is made from.
pub(crate) struct Blueprint<'a> {
    pub(crate) server: Server,
    pub(crate) folder: &'a Path,
    pub(crate) account: &'a Account,
    pub(crate) installation: Installation,
    pub(crate) database: &'a str,
    pub(crate) password: &'a str,
    pub(crate) initdb: &'a [String],
    /// Lines of `postgresql.conf`, the port excepted.
    pub(crate) settings: Vec<(String, String)>,
}

impl Cluster {
    /// What the cluster will be; its port and version are settled when it is made.
    pub(crate) fn planned(blueprint: &Blueprint<'_>) -> Self {
        let home = blueprint.folder.join(blueprint.server.to_string());
        Self {
            server: blueprint.server,
            version: ServerVersion(0),
            port: 0,
            database: blueprint.database.to_owned(),
            user: SUPERUSER.to_owned(),
            data: home.join("data"),
            log: home.join("server.log"),
            socket: (home.as_os_str().len() <= LONGEST_SOCKET_FOLDER).then(|| home.clone()),
            url: blueprint.folder.join(format!("{}.url", blueprint.server)),
            installation: blueprint.installation.clone(),
        }
    }

    /// Makes the cluster and starts it.
    pub(crate) fn create(self, blueprint: &Blueprint<'_>) -> Result<Self, SandboxError> {
        self.make(blueprint)?;
        self.launch(blueprint)
    }

    /// Makes the cluster's files, with one empty database.
    pub(crate) fn make(&self, blueprint: &Blueprint<'_>) -> Result<(), SandboxError> {
        folder::create_private(self.home(), blueprint.account)?;
        self.initialize(blueprint)?;
        let database = format!("create database {}", self.database);
        self.execute_alone(&database, blueprint.account)
    }

    /// Starts it for the first time, on a port of its own.
    pub(crate) fn launch(mut self, blueprint: &Blueprint<'_>) -> Result<Self, SandboxError> {
        self.start_on_a_free_port(blueprint)?;
        self.version = version(&self.data)?;
        folder::write(&self.url, &format!("{}\n", self.connection_string(blueprint.password)))?;
        Ok(self)
    }

    fn initialize(&self, blueprint: &Blueprint<'_>) -> Result<(), SandboxError> {
        let home = self.home();
        let password_file = home.join("password");
        folder::write(&password_file, blueprint.password)?;
        blueprint.account.give(&password_file)?;
        let mut initdb = blueprint.account.command(self.installation.program("initdb"), home);
        initdb.arg("-D").arg(&self.data).arg("--pwfile").arg(&password_file);
        initdb.args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8"]);
        initdb.args(["--locale", "C", "--no-sync"]).args(blueprint.initdb);
        let initialized = finish(initdb);
        fs::remove_file(&password_file).map_err(io_error("remove", &password_file))?;
        initialized
    }

    /// Executes a statement in single-user mode, because a server alone brings no client program.
    pub(crate) fn execute_alone(&self, sql: &str, account: &Account) -> Result<(), SandboxError> {
        let statement = self.home().join("statement.sql");
        folder::write(&statement, &format!("{sql}\n"))?;
        let input = fs::File::open(&statement).map_err(io_error("read", &statement))?;
        let mut single = account.command(self.installation.program("postgres"), self.home());
        single.args(["--single", "-j", "-c", "exit_on_error=true", "-c", "fsync=off"]);
        // What the cluster will run with: a copy of it has to start as a replica.
        single.args(["-c", "wal_level=logical", "-D"]);
        single.arg(&self.data).arg("postgres").stdin(Stdio::from(input));
        finish(single)?;
        fs::remove_file(&statement).map_err(io_error("remove", &statement))
    }

    fn start_on_a_free_port(&mut self, blueprint: &Blueprint<'_>) -> Result<(), SandboxError> {
        let path = self.data.join("postgresql.conf");
        let shipped = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        let mut attempt = 1;
        loop {
            self.port = free_port()?;
            let settings = self.settings(&blueprint.settings);
            fs::write(&path, format!("{shipped}\n{settings}")).map_err(io_error("write", &path))?;
            match self.start_as(blueprint.account) {
                Err(error) if attempt == PORT_ATTEMPTS => return Err(error),
                Err(error) => tracing::debug!(%error, attempt, "trying another port"),
                Ok(()) => return Ok(()),
            }
            attempt += 1;
        }
    }

    fn settings(&self, wanted: &[(String, String)]) -> String {
        let quoted = |(name, value): &(String, String)| {
            format!("{name} = '{}'\n", value.replace('\\', "\\\\").replace('\'', "''"))
        };
        let socket = self.socket.as_deref().map_or_else(String::new, |folder| {
            format!("\"{}\"", folder.display().to_string().replace('"', "\"\""))
        });
        let own = [
            ("listen_addresses".to_owned(), Ipv4Addr::LOCALHOST.to_string()),
            ("port".to_owned(), self.port.to_string()),
            ("unix_socket_directories".to_owned(), socket),
        ];
        own.iter().chain(wanted).map(quoted).collect()
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(&self) -> Result<(), SandboxError> {
        self.start_as(&Account::unprivileged()?)
    }

    fn start_as(&self, account: &Account) -> Result<(), SandboxError> {
        let mut start = account.command(self.installation.program("pg_ctl"), self.home());
        start.args(["start", "--wait", "--silent", "--timeout", "120", "--log"]).arg(&self.log);
        start.arg("--pgdata").arg(&self.data);
        finish(start).map_err(|error| self.with_log(error))
    }

    /// Stops the server, as an administrator does, and starts it again on its port.
    pub fn restart(&self) -> Result<(), SandboxError> {
        self.stop(StopMode::Fast)?;
        self.start()
    }

    /// Makes a replica a server of its own, and waits until it takes writes.
    pub fn promote(&self) -> Result<(), SandboxError> {
        let account = Account::unprivileged()?;
        let mut promote = account.command(self.installation.program("pg_ctl"), self.home());
        promote.args(["promote", "--wait", "--silent", "--timeout", "60"]);
        promote.arg("--pgdata").arg(&self.data);
        finish(promote).map_err(|error| self.with_log(error))
    }

    /// Stops the server and waits for its end. A stopped one stays stopped.
    pub fn stop(&self, mode: StopMode) -> Result<(), SandboxError> {
        if !self.is_running()? {
            return Ok(());
        }
        self.thaw()?;
        let mode = match mode {
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        let account = Account::unprivileged()?;
        let mut stop = account.command(self.installation.program("pg_ctl"), self.home());
        stop.args(["stop", "--wait", "--silent", "--timeout", "60", "--mode", mode]);
        stop.arg("--pgdata").arg(&self.data);
        finish(stop)
    }

    /// Stops the processes of the server in the midst of what they do: it answers nobody, and its
    /// connections stay open, as behind a network that swallows everything.
    pub fn freeze(&self) -> Result<(), SandboxError> {
        signal::send(&self.data, "STOP")
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) -> Result<(), SandboxError> {
        signal::send(&self.data, "CONT")
    }

    pub fn is_running(&self) -> Result<bool, SandboxError> {
        if !self.data.join("postmaster.pid").exists() {
            return Ok(false);
        }
        let account = Account::unprivileged()?;
        let mut status = account.command(self.installation.program("pg_ctl"), self.home());
        status.arg("status").arg("--pgdata").arg(&self.data);
        status.stdout(Stdio::null()).stderr(Stdio::null());
        let code = status.status().map_err(io_error("start", self.installation.bin()))?;
        Ok(code.success())
    }

    /// What clients sent so far, if the sandbox was made to log it.
    pub fn logged_statements(&self) -> Result<Vec<LoggedStatement>, SandboxError> {
        let log = fs::read(&self.log).map_err(io_error("read", &self.log))?;
        Ok(statement_log::read(&String::from_utf8_lossy(&log)))
    }

    fn connection_string(&self, password: &str) -> String {
        let Self { user, port, database, .. } = self;
        format!("postgresql://{user}:{password}@{}:{port}/{database}", Ipv4Addr::LOCALHOST)
    }

    pub(crate) fn home(&self) -> &Path {
        self.data.parent().unwrap_or(&self.data)
    }

    /// `pg_ctl` says "examine the log output": so the end of the log goes with it.
    fn with_log(&self, error: SandboxError) -> SandboxError {
        let SandboxError::Program { program, output } = error else { return error };
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(10)..].join("\n");
        SandboxError::Program { program, output: format!("{output}\n{end}") }
    }
}

fn free_port() -> Result<u16, SandboxError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(io_error("find a free port on", Path::new("127.0.0.1")))
}

/// The major version, from the cluster itself.
pub(crate) fn version(data: &Path) -> Result<ServerVersion, SandboxError> {
    let path = data.join("PG_VERSION");
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let major: u32 = text.trim().parse().unwrap_or(0);
    Ok(ServerVersion(major * 10_000))
}
