//! Connection parameters with all their defaults settled.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgkedge_model::{Secrets, TlsMode, TlsSettings};
use secrecy::SecretString;

use super::passfile::{self, Entrance};
use super::{LibpqError, Parameters};

const PORT: u16 = 5432;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Debian's folder of Unix sockets, then PostgreSQL's own default.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Where a database is and how to get in: hosts to try in their order, and what holds for all.
pub(crate) struct Route {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) session_kind: SessionKind,
    pub(crate) channel_binding: ChannelBinding,
    /// Further options for the startup packet; ours come after them and win.
    pub(crate) options: Option<String>,
}

/// One server that may be the one.
pub(crate) struct Host {
    /// As the user wrote it: what a certificate must name.
    pub(crate) name: String,
    pub(crate) address: Address,
    pub(crate) password: Option<SecretString>,
    pub(crate) tls: TlsWish,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Socket { folder: PathBuf, port: u16 },
    Tcp { host: String, port: u16 },
}

/// What `target_session_attrs` asks for. Sessions are pinned to read-write by default, so that
/// read-only is the same as standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionKind {
    Any,
    Primary,
    Standby,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

/// How a connection is to be protected, and with which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsWish {
    pub(crate) mode: WishedMode,
    /// PEM file; none means the certificates that the system trusts.
    pub(crate) root: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// From the laxest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WishedMode {
    Disable,
    /// Encrypted where the server offers it. Only a connection string can ask for this.
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Address {
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Socket { port, .. } | Self::Tcp { port, .. } => *port,
        }
    }

    /// Nobody can listen in on the way to this address.
    fn is_local(&self) -> bool {
        match self {
            Self::Socket { .. } => true,
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket { folder, port } => write!(f, "{}:{port}", folder.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl WishedMode {
    /// As libpq's `sslmode` spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl From<TlsMode> for WishedMode {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Disable => Self::Disable,
            TlsMode::Require => Self::Require,
            TlsMode::VerifyCa => Self::VerifyCa,
            TlsMode::VerifyFull => Self::VerifyFull,
        }
    }
}

impl Route {
    pub(super) fn new(
        parameters: &Parameters,
        tls: Option<&TlsSettings>,
        secrets: &dyn Secrets,
    ) -> Result<Self, LibpqError> {
        if parameters.get("gssencmode") == Some("require") {
            return Err(LibpqError::Unfit {
                parameter: "gssencmode",
                expected: "`disable` or `prefer`: pgkedge does not speak GSSAPI",
            });
        }
        let user = parameters
            .get("user")
            .map(str::to_owned)
            .or_else(|| secrets.variable("USER"))
            .or_else(|| secrets.variable("LOGNAME"))
            .ok_or(LibpqError::NoUser)?;
        let database = parameters.get("dbname").unwrap_or(&user).to_owned();
        let wish = asked_tls(parameters, tls)?;
        let mut hosts = Vec::new();
        for (name, address) in addresses(parameters)? {
            let entrance = entrance(&name, &address, &database, &user);
            let password = password(parameters, &entrance, secrets);
            let tls = tls_for(&address, wish, parameters, tls, secrets);
            hosts.push(Host { name, address, password, tls });
        }
        Ok(Self {
            hosts,
            connect_timeout: connect_timeout(parameters)?,
            session_kind: session_kind(parameters)?,
            channel_binding: channel_binding(parameters)?,
            options: parameters.get("options").map(str::to_owned),
            user,
            database,
        })
    }
}

/// Hosts in the order in which they are tried, with the names that certificates must carry.
fn addresses(parameters: &Parameters) -> Result<Vec<(String, Address)>, LibpqError> {
    let names = parameters.list("host");
    let numbers = parameters.list("hostaddr");
    if !names.is_empty() && !numbers.is_empty() && names.len() != numbers.len() {
        let (names, others) = (names.len(), numbers.len());
        return Err(LibpqError::HostCount { parameter: "hostaddr", names, others });
    }
    let count = names.len().max(numbers.len());
    let ports = ports(parameters, count)?;
    if count == 0 {
        let port = ports[0];
        let socket =
            |folder: &str| (folder.to_owned(), Address::Socket { folder: folder.into(), port });
        return Ok(SOCKET_FOLDERS.map(socket).into());
    }
    let address = |index: usize| {
        let port = ports[index];
        let number = numbers.get(index).copied().filter(|number| !number.is_empty());
        let name = names.get(index).copied().filter(|name| !name.is_empty());
        match (name, number) {
            (name, Some(number)) => (name.unwrap_or(number), tcp(number, port)),
            (Some(name), None) if name.starts_with('/') => {
                (name, Address::Socket { folder: name.into(), port })
            }
            (Some(name), None) => (name, tcp(name, port)),
            (None, None) => {
                let folder = SOCKET_FOLDERS[0];
                (folder, Address::Socket { folder: folder.into(), port })
            }
        }
    };
    Ok((0..count).map(address).map(|(name, address)| (name.to_owned(), address)).collect())
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

/// A port for each host: one for all, or as many as there are hosts.
fn ports(parameters: &Parameters, hosts: usize) -> Result<Vec<u16>, LibpqError> {
    let unfit = LibpqError::Unfit { parameter: "port", expected: "a number from 1 to 65535" };
    let ports: Option<Vec<u16>> = parameters
        .list("port")
        .into_iter()
        .map(|port| if port.is_empty() { Some(PORT) } else { port.parse().ok() })
        .collect();
    let ports = ports.filter(|ports| !ports.contains(&0)).ok_or(unfit)?;
    match (ports.as_slice(), hosts.max(1)) {
        ([], hosts) => Ok(vec![PORT; hosts]),
        ([port], hosts) => Ok(vec![*port; hosts]),
        (ports, hosts) if ports.len() == hosts => Ok(ports.to_vec()),
        (ports, names) => {
            Err(LibpqError::HostCount { parameter: "port", names, others: ports.len() })
        }
    }
}

fn entrance<'a>(
    name: &'a str,
    address: &Address,
    database: &'a str,
    user: &'a str,
) -> Entrance<'a> {
    Entrance { host: passfile_name(name), port: address.port(), database, user }
}

/// A host as password files name it: sockets in a default folder go by `localhost`.
pub(crate) fn passfile_name(host: &str) -> &str {
    if SOCKET_FOLDERS.contains(&host) { "localhost" } else { host }
}

fn password(
    parameters: &Parameters,
    entrance: &Entrance<'_>,
    secrets: &dyn Secrets,
) -> Option<SecretString> {
    if let Some(password) = parameters.get("password") {
        return Some(password.into());
    }
    let path = parameters.get("passfile").map(PathBuf::from);
    passfile::find(&path.or_else(|| in_home(secrets, ".pgpass"))?, entrance)
}

fn in_home(secrets: &dyn Secrets, path: &str) -> Option<PathBuf> {
    secrets.variable("HOME").map(|home| Path::new(&home).join(path))
}

/// The mode that the plan or the connection string asks for; the plan's wins.
fn asked_tls(
    parameters: &Parameters,
    tls: Option<&TlsSettings>,
) -> Result<Option<WishedMode>, LibpqError> {
    if let Some(tls) = tls {
        return Ok(Some(tls.mode.into()));
    }
    let from_root = match parameters.get("sslrootcert") {
        Some("system") => Some(WishedMode::VerifyFull),
        _ => None,
    };
    let Some(mode) = parameters.get("sslmode") else { return Ok(from_root) };
    let mode = match mode {
        "disable" => WishedMode::Disable,
        // `allow` would try without encryption first; nothing is lost by asking for it.
        "allow" | "prefer" => WishedMode::Prefer,
        // As in libpq: who names a root certificate wants it to count.
        "require" if parameters.get("sslrootcert").is_some() => WishedMode::VerifyCa,
        "require" => WishedMode::Require,
        "verify-ca" => WishedMode::VerifyCa,
        "verify-full" => WishedMode::VerifyFull,
        _ => {
            return Err(LibpqError::Unfit {
                parameter: "sslmode",
                expected: "disable, allow, prefer, require, verify-ca or verify-full",
            });
        }
    };
    Ok(Some(from_root.unwrap_or(mode)))
}

fn tls_for(
    address: &Address,
    asked: Option<WishedMode>,
    parameters: &Parameters,
    tls: Option<&TlsSettings>,
    secrets: &dyn Secrets,
) -> TlsWish {
    let local = address.is_local();
    let default = if local { WishedMode::Disable } else { WishedMode::VerifyFull };
    // Servers never offer TLS on Unix sockets.
    let mode = match address {
        Address::Socket { .. } => WishedMode::Disable,
        Address::Tcp { .. } => asked.unwrap_or(default),
    };
    let existing = |path: &str| in_home(secrets, path).filter(|path| path.exists());
    let given = |name: &str| parameters.get(name).map(PathBuf::from);
    let root = match (tls.and_then(|tls| tls.root.clone()), parameters.get("sslrootcert")) {
        (Some(root), _) => Some(root),
        (None, Some("system")) => None,
        (None, Some(path)) => Some(path.into()),
        (None, None) => existing(".postgresql/root.crt"),
    };
    TlsWish {
        mode,
        root,
        certificate: given("sslcert").or_else(|| existing(".postgresql/postgresql.crt")),
        key: given("sslkey").or_else(|| existing(".postgresql/postgresql.key")),
    }
}

fn connect_timeout(parameters: &Parameters) -> Result<Duration, LibpqError> {
    let Some(text) = parameters.get("connect_timeout") else { return Ok(CONNECT_TIMEOUT) };
    let seconds: i64 = text.parse().map_err(|_| LibpqError::Unfit {
        parameter: "connect_timeout",
        expected: "a number of seconds",
    })?;
    // Waiting without end is no use to a run: zero and less mean the default here.
    Ok(u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map_or(CONNECT_TIMEOUT, |seconds| Duration::from_secs(seconds.max(2))))
}

fn session_kind(parameters: &Parameters) -> Result<SessionKind, LibpqError> {
    match parameters.get("target_session_attrs") {
        None | Some("any") => Ok(SessionKind::Any),
        Some("read-write" | "primary") => Ok(SessionKind::Primary),
        Some("read-only" | "standby") => Ok(SessionKind::Standby),
        Some(_) => Err(LibpqError::Unfit {
            parameter: "target_session_attrs",
            expected: "any, read-write, primary, read-only or standby",
        }),
    }
}

fn channel_binding(parameters: &Parameters) -> Result<ChannelBinding, LibpqError> {
    match parameters.get("channel_binding") {
        None | Some("prefer") => Ok(ChannelBinding::Prefer),
        Some("disable") => Ok(ChannelBinding::Disable),
        Some("require") => Ok(ChannelBinding::Require),
        Some(_) => Err(LibpqError::Unfit {
            parameter: "channel_binding",
            expected: "disable, prefer or require",
        }),
    }
}
