//! Connection parameters by name, as libpq names them.

use std::collections::BTreeMap;

use pgkedge_model::Secrets;

use super::{LibpqError, service};

/// Parameters that mean something here.
const KNOWN: &[&str] = &[
    "channel_binding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// Parameters of libpq that are taken and left out: sessions of a move are named, kept alive and
/// encoded by pgkedge itself, and these change nothing else.
const IGNORED: &[&str] = &[
    "application_name",
    "client_encoding",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "ssl_min_protocol_version",
    "sslcompression",
    "sslnegotiation",
    "sslsni",
    "tcp_user_timeout",
];

/// Where libpq looks for what the connection string leaves open.
const VARIABLES: &[(&str, &str)] = &[
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// Values by parameter. Has no `Debug`: one of them is the password.
#[derive(Default)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn of_service(name: &str) -> Self {
        Self(BTreeMap::from([("service".to_owned(), name.to_owned())]))
    }

    /// Takes a parameter; a later one of the same name wins, as in libpq.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), LibpqError> {
        if KNOWN.contains(&name) {
            self.0.insert(name.to_owned(), value);
        } else if !IGNORED.contains(&name) {
            return Err(LibpqError::UnknownParameter(name.to_owned()));
        }
        Ok(())
    }

    /// Takes a parameter unless a more important place has set it.
    pub(super) fn set_default(&mut self, name: &str, value: String) -> Result<(), LibpqError> {
        if self.0.contains_key(name) { Ok(()) } else { self.set(name, value) }
    }

    /// A value; an empty one counts as left out.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A value that may be a list.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).map_or_else(Vec::new, |value| value.split(',').map(str::trim).collect())
    }

    /// Fills what is open, from the service file first, then from the variables.
    pub(super) fn complete(&mut self, secrets: &dyn Secrets) -> Result<(), LibpqError> {
        let service = self.get("service").map(str::to_owned);
        if let Some(name) = service.or_else(|| secrets.variable("PGSERVICE")) {
            for (parameter, value) in service::read(&name, secrets)? {
                self.set_default(&parameter, value)?;
            }
        }
        // An address and a host belong together: one that is set hides the other's variable.
        let has_host = self.get("host").is_some() || self.get("hostaddr").is_some();
        for (parameter, variable) in VARIABLES {
            let hidden = has_host && matches!(*parameter, "host" | "hostaddr");
            if let Some(value) = secrets.variable(variable).filter(|_| !hidden) {
                self.set_default(parameter, value)?;
            }
        }
        Ok(())
    }
}
