//! The environment for programs that connect through libpq. Passwords go into a file that only its
//! owner may read, never into arguments or variables that others can see.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::Command;

use secrecy::ExposeSecret as _;
use tempfile::NamedTempFile;
use x509_cert::der::pem::{LineEnding, encode_string};

use crate::libpq::{Address, ChannelBinding, Route, SessionKind, WishedMode, line, passfile_name};
use crate::pins;
use crate::tls::system_certificates;

/// Variables of libpq that would change where or how a child connects.
const VARIABLES: &[&str] = &[
    "PGAPPNAME",
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGGSSENCMODE",
    "PGHOST",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLKEY",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
    "PGUSER",
];

/// Variables for a child process, and the files that they name. The files live as long as this.
pub struct DumpEnvironment {
    variables: Vec<(&'static str, OsString)>,
    _files: Vec<NamedTempFile>,
}

impl DumpEnvironment {
    /// Gives a command these variables, and takes all others of libpq away from it.
    pub fn apply(&self, command: &mut Command) {
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.variables());
    }

    /// Names and values; none is a secret, the password is in the file that `PGPASSFILE` names.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &OsString)> {
        self.variables.iter().map(|(name, value)| (*name, value))
    }

    pub(crate) fn new(route: &Route) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut variables = places(route);
        let mut set = |name, value: OsString| variables.push((name, value));
        set("PGUSER", route.user.clone().into());
        set("PGDATABASE", route.database.clone().into());
        set("PGAPPNAME", "pgkedge:read".into());
        set("PGCONNECT_TIMEOUT", route.connect_timeout.as_secs().to_string().into());
        set("PGCHANNELBINDING", binding(route.channel_binding).into());
        set("PGOPTIONS", pins::dump_options(route.options.as_deref()).into());
        match route.session_kind {
            SessionKind::Any => {}
            SessionKind::Primary => set("PGTARGETSESSIONATTRS", "read-write".into()),
            SessionKind::Standby => set("PGTARGETSESSIONATTRS", "read-only".into()),
        }
        // Hosts of one string share their TLS wish, but for local ones, which ask for less.
        let strictest = route.hosts.iter().max_by_key(|host| host.tls.mode as u8);
        if let Some(tls) = strictest.map(|host| &host.tls) {
            set("PGSSLMODE", tls.mode.as_str().into());
            match (&tls.root, tls.mode) {
                (Some(root), _) => set("PGSSLROOTCERT", root.into()),
                (None, WishedMode::VerifyCa | WishedMode::VerifyFull) => {
                    let file = system_roots()?;
                    set("PGSSLROOTCERT", file.path().into());
                    files.push(file);
                }
                (None, WishedMode::Disable | WishedMode::Prefer | WishedMode::Require) => {}
            }
            for (name, path) in [("PGSSLCERT", &tls.certificate), ("PGSSLKEY", &tls.key)] {
                if let Some(path) = path {
                    set(name, path.into());
                }
            }
        }
        let file = password_file(route)?;
        set("PGPASSFILE", file.path().into());
        files.push(file);
        Ok(Self { variables, _files: files })
    }
}

fn binding(binding: ChannelBinding) -> &'static str {
    match binding {
        ChannelBinding::Disable => "disable",
        ChannelBinding::Prefer => "prefer",
        ChannelBinding::Require => "require",
    }
}

/// `PGHOST`, `PGHOSTADDR` and `PGPORT`: lists of the same length.
fn places(route: &Route) -> Vec<(&'static str, OsString)> {
    let (mut names, mut numbers, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for host in &route.hosts {
        let number = match &host.address {
            Address::Tcp { host: number, .. } if *number != host.name => number.clone(),
            Address::Tcp { .. } | Address::Socket { .. } => String::new(),
        };
        names.push(host.name.clone());
        numbers.push(number);
        ports.push(host.address.port().to_string());
    }
    let mut variables =
        vec![("PGHOST", names.join(",").into()), ("PGPORT", ports.join(",").into())];
    if numbers.iter().any(|number| !number.is_empty()) {
        variables.push(("PGHOSTADDR", numbers.join(",").into()));
    }
    variables
}

/// A file of mode 0600 (as all temporary files are), empty where there is no password: libpq must
/// not look for one elsewhere.
fn password_file(route: &Route) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    for host in &route.hosts {
        if let Some(password) = &host.password {
            // Which folder of sockets is its default one depends on how a libpq was built.
            for name in [passfile_name(&host.name), &host.name] {
                let line = line(name, host.address.port(), password.expose_secret());
                file.write_all(line.as_bytes())?;
            }
        }
    }
    file.flush()?;
    Ok(file)
}

/// What this system trusts, as a file: libpq knows `system` from 16 on only.
fn system_roots() -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    for certificate in system_certificates() {
        let pem = encode_string("CERTIFICATE", LineEnding::LF, &certificate)
            .map_err(|error| io::Error::other(error.to_string()))?;
        file.write_all(pem.as_bytes())?;
    }
    file.flush()?;
    Ok(file)
}
