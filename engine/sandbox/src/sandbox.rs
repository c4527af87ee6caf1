//! A source, a target and a replica of the source in one folder, with a plan that moves it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::thread;

use pgkedge_model::Server;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::cluster::{Blueprint, Cluster, StopMode};
use crate::error::{SandboxError, io_error};
use crate::folder;
use crate::installation::Installation;
use crate::replica::Pair;
use crate::statement_log;

/// Running clusters and what belongs to them. They outlive the value; see [`Temporary`] for tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    #[serde(skip)]
    pub folder: PathBuf,
    pub source: Cluster,
    pub replica: Option<Cluster>,
    pub target: Cluster,
}

/// Whether the source has a physical replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Replica {
    #[default]
    Absent,
    /// It streams from the source, through a slot of its own.
    Streaming,
}

/// Whether commits survive a crash of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is flushed to disk: fast, and enough where only processes are killed.
    #[default]
    ProcessCrash,
    /// As in production.
    MachineCrash,
}

/// Whether the servers log what clients send; [`Cluster::logged_statements`] reads it back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatementLog {
    #[default]
    Off,
    All,
}

/// What the clusters are like. The default is what `pgkedge sandbox up` makes.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder that is empty or does not exist; else a new one for temporary files.
    pub folder: Option<PathBuf>,
    /// Folder with the programs of the PostgreSQL to take; else the installed one.
    pub bin: Option<PathBuf>,
    /// The same for the target alone.
    pub target_bin: Option<PathBuf>,
    pub replica: Replica,
    /// The database that each cluster has: small letters, digits and underscores.
    pub database: String,
    pub durability: Durability,
    pub statement_log: StatementLog,
    /// Further settings of both servers, which win over the sandbox's own.
    pub settings: BTreeMap<String, String>,
    /// Further arguments of `initdb`, which win over the sandbox's own.
    pub initdb: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: None,
            bin: None,
            target_bin: None,
            replica: Replica::default(),
            database: "dvd_rental".to_owned(),
            durability: Durability::default(),
            statement_log: StatementLog::default(),
            settings: BTreeMap::new(),
            initdb: Vec::new(),
        }
    }
}

impl Sandbox {
    /// Makes and starts the clusters, side by side. Nothing is left when that fails.
    pub fn up(options: &Options) -> Result<Self, SandboxError> {
        plain_name(&options.database)?;
        let account = Account::unprivileged()?;
        let source = installation(options.bin.as_deref())?;
        let target = installation(options.target_bin.as_deref().or(options.bin.as_deref()))?;
        let folder = folder::create(options.folder.as_deref(), &account)?;
        Self::fill(&folder, options, &account, [source, target]).inspect_err(|_| {
            if let Err(error) = Self::down(&folder) {
                tracing::warn!(%error, "the half-made sandbox is left");
            }
        })
    }

    fn fill(
        folder: &Path,
        options: &Options,
        account: &Account,
        [source, target]: [Installation; 2],
    ) -> Result<Self, SandboxError> {
        let password = folder::password()?;
        let blueprint = |server, installation| Blueprint {
            server,
            folder,
            account,
            installation,
            database: &options.database,
            password: &password,
            initdb: &options.initdb,
            settings: settings(options),
        };
        let replica = (options.replica == Replica::Streaming)
            .then(|| blueprint(Server::Replica, source.clone()));
        let source = blueprint(Server::Source, source);
        let target = blueprint(Server::Target, target);
        let planned = Self {
            folder: folder.to_owned(),
            source: Cluster::planned(&source),
            replica: replica.as_ref().map(Cluster::planned),
            target: Cluster::planned(&target),
        };
        // Known to `down` from here on, whatever ends this process.
        planned.describe()?;
        let sandbox = planned.create(&source, replica, &target)?;
        sandbox.write_files(&password)?;
        sandbox.describe()?;
        Ok(sandbox)
    }

    fn create(
        self,
        source: &Blueprint<'_>,
        replica: Option<Blueprint<'_>>,
        target: &Blueprint<'_>,
    ) -> Result<Self, SandboxError> {
        let planned = self.target;
        let (sources, target) = thread::scope(|scope| {
            let target = scope.spawn(|| planned.create(target));
            let sources = match (self.replica, replica) {
                (Some(planned), Some(replica)) => Pair { source, replica }
                    .create(self.source, planned)
                    .map(|(source, replica)| (source, Some(replica))),
                _ => self.source.create(source).map(|source| (source, None)),
            };
            (sources, target.join().expect("making a cluster does not panic"))
        });
        let (source, replica) = sources?;
        Ok(Self { folder: self.folder, source, replica, target: target? })
    }

    /// All servers, in an order in which they can stop.
    fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        [Some(&self.target), self.replica.as_ref(), Some(&self.source)].into_iter().flatten()
    }

    /// Reads the sandbox of a folder. Its servers need not run.
    pub fn open(folder: &Path) -> Result<Self, SandboxError> {
        let (folder, description) = folder::description(folder)?;
        let read = description.and_then(|text| serde_json::from_str::<Self>(&text).ok());
        match read {
            Some(sandbox) => Ok(Self { folder, ..sandbox }),
            None => Err(SandboxError::NotASandbox { folder }),
        }
    }

    /// Stops the servers and removes the folder, which must carry the sandbox's mark.
    pub fn down(folder: &Path) -> Result<(), SandboxError> {
        let (folder, description) = folder::description(folder)?;
        // Without a description nothing was started yet.
        if description.is_some() {
            let sandbox = Self::open(&folder)?;
            for cluster in sandbox.clusters() {
                cluster.stop(StopMode::Immediate)?;
            }
        }
        folder::remove(&folder)
    }

    /// The plan that moves the source to the target.
    pub fn plan(&self) -> PathBuf {
        self.folder.join("plan.yaml")
    }

    /// A password file of libpq for all servers, for `psql` and its like.
    pub fn pgpass(&self) -> PathBuf {
        self.folder.join("pgpass")
    }

    /// Hands the sandbox to a value that takes it down when it is dropped.
    pub fn temporary(self) -> Temporary {
        Temporary(self)
    }

    fn write_files(&self, password: &str) -> Result<(), SandboxError> {
        let mut pgpass = String::new();
        for Cluster { port, user, .. } in self.clusters() {
            writeln!(pgpass, "127.0.0.1:{port}:*:{user}:{password}")
                .expect("a String takes every text");
        }
        folder::write(&self.pgpass(), &pgpass)?;
        folder::write(&self.plan(), &self.plan_text())
    }

    fn describe(&self) -> Result<(), SandboxError> {
        let description = serde_json::to_string_pretty(self)
            .map_err(|error| io_error("describe", &self.folder)(error.into()))?;
        folder::describe(&self.folder, &description)
    }

    fn plan_text(&self) -> String {
        // A path in double quotes, escaped like a JSON string, is YAML.
        let path = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
        let (pipeline, replica) = match &self.replica {
            None => ("full-load", String::new()),
            Some(replica) => (
                "paused-replica",
                format!("  replica: {{ url: {{ file: {} }} }}\n", path(&replica.url)),
            ),
        };
        format!(
            "# Moves the sandbox's source to its target: pgkedge run {plan}\n\
             version: 1\n\
             name: sandbox\n\
             pipeline: {pipeline}\n\
             databases:\n  \
               source: {{ url: {{ file: {source} }} }}\n\
             {replica}  \
               target: {{ url: {{ file: {target} }} }}\n",
            plan = self.plan().display(),
            source = path(&self.source.url),
            target = path(&self.target.url),
        )
    }
}

/// A sandbox that goes when the value goes.
#[derive(Debug)]
pub struct Temporary(Sandbox);

impl Deref for Temporary {
    type Target = Sandbox;
    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = Sandbox::down(&self.0.folder) {
            tracing::warn!(%error, "the temporary sandbox is left");
        }
    }
}

fn installation(bin: Option<&Path>) -> Result<Installation, SandboxError> {
    bin.map_or_else(Installation::find, Installation::at)
}

/// The name goes into a statement of single-user mode and into a connection string, bare.
fn plain_name(name: &str) -> Result<(), SandboxError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && name.len() <= 63 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(SandboxError::DatabaseName { name: name.to_owned() })
}

/// Small, but with room for many connections, for change capture and for prepared transactions.
fn settings(options: &Options) -> Vec<(String, String)> {
    let mut settings = vec![
        ("shared_buffers", "128MB"),
        ("max_connections", "100"),
        ("max_wal_size", "1GB"),
        ("wal_level", "logical"),
        ("max_wal_senders", "20"),
        ("max_replication_slots", "20"),
        ("max_worker_processes", "30"),
        ("max_logical_replication_workers", "20"),
        ("max_prepared_transactions", "20"),
        // A worker that was ended comes back soon, as a test wants it.
        ("wal_retrieve_retry_interval", "500ms"),
        ("password_encryption", "scram-sha-256"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("log_line_prefix", statement_log::LINE_PREFIX),
    ];
    if options.durability == Durability::ProcessCrash {
        settings.extend([
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
        ]);
    }
    if options.statement_log == StatementLog::All {
        settings.push(("log_statement", "all"));
    }
    let own = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.chain(options.settings.clone()).collect()
}
