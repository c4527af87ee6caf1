//! A cluster that is started by the first test that needs it, and stopped by the last that leaves.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pgkedge_model::{
    DatabaseRef, SecretError, SecretRef, SecretString, Secrets, Server, TlsMode, TlsSettings,
};
use pgkedge_postgres::{Endpoint, Sql};

pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

const HBA: &str = "\
local   all all                    trust
hostssl all certified 127.0.0.1/32 cert
host    all md5er     127.0.0.1/32 md5
host    all clear     127.0.0.1/32 password
host    all trusted   127.0.0.1/32 trust
host    all all       127.0.0.1/32 scram-sha-256
";

const ROLES: &str = "
    create role scrammer superuser login password 'pass word';
    create role certified login;
    create role trusted login;
    create role clear login password 'clear secret';
    set password_encryption = md5;
    create role md5er login password 'md5 secret';
";

/// The cluster that all running tests share.
pub(crate) fn cluster() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start());
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { folder: path, port, _folder: folder };
        cluster.make_certificates();
        cluster.give_away();
        let data = cluster.path("data");
        run(&mut server_tool("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "-N"]));
        std::fs::write(cluster.path("data/pg_hba.conf"), HBA).unwrap();
        cluster.configure();
        let log = cluster.path("log");
        run(&mut server_tool("pg_ctl", &["-D", &data, "-w", "-l", &log, "start"]));
        cluster.psql("postgres", ROLES);
        cluster
    }

    fn configure(&self) {
        use std::io::Write as _;
        let (folder, port) = (self.path(""), self.port);
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(self.path("data/postgresql.conf"))
            .unwrap();
        write!(
            file,
            "port = {port}\nunix_socket_directories = '{folder}'\n\
             listen_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 32MB\n\
             wal_level = logical\n\
             ssl = on\nssl_cert_file = '{folder}server.crt'\nssl_key_file = '{folder}server.key'\n\
             ssl_ca_file = '{folder}ca.crt'\n\
             log_statement = all\nlog_line_prefix = '%a|'\n"
        )
        .unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Runs SQL as superuser, from outside of the code under test.
    pub(crate) fn psql(&self, database: &str, sql: &str) {
        let (folder, port) = (self.path(""), self.port.to_string());
        let place = ["-h", &folder, "-p", &port, "-U", "postgres", "-d", database];
        let mut command = Command::new(tool("psql"));
        command.env("PGCLIENTENCODING", "UTF8");
        run(command.args(place).args(["-qXv", "ON_ERROR_STOP=1", "-c", sql]));
    }

    /// Makes a database of its own for a test.
    pub(crate) fn database(&self, name: &str, options: &str) -> String {
        self.psql("postgres", &format!("create database {name} {options}"));
        name.to_owned()
    }

    /// A connection string over the Unix socket, as superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("host={} port={} user=postgres dbname={database}", self.path(""), self.port)
    }

    /// A connection string over TCP.
    pub(crate) fn tcp(&self, rest: &str) -> String {
        format!("host=127.0.0.1 port={} dbname=postgres {rest}", self.port)
    }

    pub(crate) fn source(&self, database: &str) -> Endpoint {
        endpoint(Server::Source, &self.url(database))
    }

    pub(crate) fn target(&self, database: &str) -> Endpoint {
        endpoint(Server::Target, &self.url(database))
    }

    fn make_certificates(&self) {
        let key = ["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out"];
        for name in ["ca", "server", "client", "other"] {
            run(Command::new("openssl").args(key).arg(self.path(&format!("{name}.key"))));
        }
        for (name, subject) in [("ca", "/CN=pgkedge test authority"), ("other", "/CN=other")] {
            run(Command::new("openssl")
                .args(["req", "-x509", "-days", "2", "-subj", subject, "-key"])
                .arg(self.path(&format!("{name}.key")))
                .arg("-out")
                .arg(self.path(&format!("{name}.crt"))));
        }
        self.sign("server", "/CN=db.test", "subjectAltName=DNS:db.test,IP:127.0.0.1");
        self.sign("client", "/CN=certified", "keyUsage=digitalSignature");
    }

    fn sign(&self, name: &str, subject: &str, extension: &str) {
        let path = |suffix: &str| self.path(&format!("{name}.{suffix}"));
        std::fs::write(path("ext"), extension).unwrap();
        run(Command::new("openssl").args([
            "req",
            "-new",
            "-subj",
            subject,
            "-key",
            &path("key"),
            "-out",
            &path("csr"),
        ]));
        run(Command::new("openssl")
            .args(["x509", "-req", "-days", "2", "-in", &path("csr")])
            .args([
                "-CA",
                &self.path("ca.crt"),
                "-CAkey",
                &self.path("ca.key"),
                "-CAcreateserial",
                "-extfile",
                &path("ext"),
                "-out",
                &path("crt"),
            ]));
    }

    /// Servers refuse to run as root: as root, the folder goes to `postgres`.
    fn give_away(&self) {
        run(Command::new("chmod").args(["0600", &self.path("server.key")]));
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres", &self.path("")]));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.path("data");
        run(&mut server_tool("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]));
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A tool of the newest server that is installed.
pub(crate) fn tool(name: &str) -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    versions.sort();
    if let Some((_, path)) = versions.pop() {
        return path;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists()).expect(
        "these tests need a PostgreSQL server: install one, or put its bin folder into PATH",
    )
}

fn server_tool(name: &str, arguments: &[&str]) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(tool(name));
        command
    } else {
        Command::new(tool(name))
    };
    command.args(arguments);
    command
}

fn run(command: &mut Command) {
    // Servers keep their output open: it must not be a pipe that we read to the end.
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = command
        .stdin(std::process::Stdio::null())
        .stdout(log.reopen().unwrap())
        .stderr(log.reopen().unwrap())
        .current_dir("/")
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {}", std::fs::read_to_string(log.path()).unwrap());
}

/// Secrets of a test: one connection string, and variables.
struct Fixed {
    url: String,
    variables: BTreeMap<String, String>,
}

impl Secrets for Fixed {
    fn resolve(&self, _: &SecretRef) -> Result<SecretString, SecretError> {
        Ok(self.url.clone().into())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

pub(crate) fn endpoint(server: Server, url: &str) -> Endpoint {
    endpoint_with(server, url, None, &[])
}

pub(crate) fn endpoint_with(
    server: Server,
    url: &str,
    tls: Option<(TlsMode, Option<String>)>,
    variables: &[(&str, &str)],
) -> Endpoint {
    let tls = tls.map(|(mode, root)| TlsSettings { mode, root: root.map(PathBuf::from) });
    let database = DatabaseRef { tls, ..DatabaseRef::new(SecretRef::Env("URL".into())) };
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let secrets = Fixed { url: url.into(), variables: variables.collect() };
    Endpoint::new(server, database, Arc::new(secrets))
}

/// The only value that a query returns.
pub(crate) async fn value(sql: &Sql, query: &str) -> String {
    let rows = sql.rows(query).await.unwrap();
    rows[0].get(0).unwrap().to_owned()
}

pub(crate) fn readable(path: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(Path::new(path)).unwrap()).into_owned()
}
