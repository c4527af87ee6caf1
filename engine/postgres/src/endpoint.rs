//! Where a server is and how to get in. Asks for secrets anew at each connect.

use std::sync::Arc;

use pgkedge_model::{BoxFuture, DatabaseRef, Failure, FailureClass, Secrets, Server};

use crate::dump::DumpEnvironment;
use crate::libpq::{self, Conninfo, Host, LibpqError, Route, SessionKind};
use crate::pins;
use crate::session::Sql;
use crate::transport::Way;
use crate::wire::{Replication, Wire};

/// A database of a plan. Cheap to clone; holds no connection and no secret.
#[derive(Clone)]
pub struct Endpoint {
    server: Server,
    database: Arc<DatabaseRef>,
    secrets: Arc<dyn Secrets>,
}

/// What both kinds of connections need to log in.
pub(crate) struct Login<'a> {
    pub(crate) route: &'a Route,
    pub(crate) host: &'a Host,
    pub(crate) way: Way,
    pub(crate) application: &'a str,
    pub(crate) options: String,
}

impl Login<'_> {
    pub(crate) fn server(&self) -> Server {
        self.way.server
    }

    /// A phrase for messages.
    pub(crate) fn doing(&self) -> String {
        let Route { database, user, .. } = self.route;
        format!("log in to {}/{database} as {user}", self.way.place())
    }

    /// Refuses to log in, for a reason that someone has to mend.
    pub(crate) fn refused(&self, fact: impl std::fmt::Display) -> Failure {
        let message = format!("{}: cannot {}: {fact}", self.server(), self.doing());
        Failure::new(FailureClass::Operator, message)
    }

    pub(crate) fn no_password(&self) -> Failure {
        self.refused("the server asks for a password, and none is known")
            .help("put one into the url's secret, PGPASSWORD or the password file")
    }

    /// Refuses a server that is not of the kind that was asked for.
    pub(crate) fn check_kind(&self, in_recovery: bool) -> Result<(), Failure> {
        let (fits, kind) = match self.route.session_kind {
            SessionKind::Any => (true, ""),
            SessionKind::Primary => (!in_recovery, "primary"),
            SessionKind::Standby => (in_recovery, "standby"),
        };
        if fits {
            return Ok(());
        }
        let place = self.way.place();
        let message = format!("{}: {place} is no {kind}, which the url asks for", self.server());
        Err(Failure::new(FailureClass::Operator, message))
    }
}

impl Endpoint {
    pub fn new(server: Server, database: DatabaseRef, secrets: Arc<dyn Secrets>) -> Self {
        Self { server, database: Arc::new(database), secrets }
    }

    pub fn server(&self) -> Server {
        self.server
    }

    /// Opens a session for SQL, named as given, with every setting pinned.
    pub async fn sql(&self, application: &str) -> Result<Sql, Failure> {
        self.first_that_works(application, |login| Box::pin(Sql::open(login))).await
    }

    /// Opens a session that relays COPY. Data travels in `copy_encoding` (UTF-8 where none is
    /// given), statements and everything else always in UTF-8.
    pub async fn wire(
        &self,
        application: &str,
        copy_encoding: Option<&str>,
    ) -> Result<Wire, Failure> {
        let encoding = copy_encoding.map(str::to_owned);
        self.first_that_works(application, |login| Box::pin(Wire::open(login, encoding.clone())))
            .await
    }

    /// Opens a session that takes commands of the replication protocol. It needs a role with the
    /// attribute REPLICATION.
    pub async fn replication(&self, application: &str) -> Result<Replication, Failure> {
        self.first_that_works(application, |login| Box::pin(Replication::open(login))).await
    }

    /// The environment for a program that connects through libpq, such as `pg_dump`.
    pub async fn dump_environment(&self) -> Result<DumpEnvironment, Failure> {
        let route = self.route().await?;
        DumpEnvironment::new(&route).map_err(|error| {
            let message = format!("{}: cannot write files for pg_dump: {error}", self.server);
            Failure::new(FailureClass::Operator, message)
        })
    }

    /// `host:port/database as user`, without any secret.
    pub async fn described(&self) -> Result<String, Failure> {
        let Route { hosts, user, database, .. } = self.route().await?;
        let places: Vec<String> = hosts.iter().map(|host| host.address.to_string()).collect();
        Ok(format!("{}/{database} as {user}", places.join(",")))
    }

    /// The connection string by which the target server reaches this database.
    pub async fn conninfo(&self) -> Result<Conninfo, Failure> {
        self.looked_up(libpq::conninfo).await
    }

    async fn route(&self) -> Result<Route, Failure> {
        self.looked_up(libpq::route).await
    }

    /// Looks everything up, off the runtime's threads: a secret may come from a command.
    async fn looked_up<T: Send + 'static>(
        &self,
        look: fn(&DatabaseRef, &dyn Secrets) -> Result<T, LibpqError>,
    ) -> Result<T, Failure> {
        let (database, secrets) = (Arc::clone(&self.database), Arc::clone(&self.secrets));
        let found = tokio::task::spawn_blocking(move || look(&database, &*secrets)).await;
        let refused = |fact: String| {
            Failure::new(FailureClass::Operator, format!("{}: {fact}", self.server))
                .help(format!("see `databases.{}` of the plan", self.server))
        };
        match found {
            Ok(found) => found.map_err(|error| refused(error.to_string())),
            Err(_) => Err(refused("reading the secrets panicked".to_owned())),
        }
    }

    async fn first_that_works<T>(
        &self,
        application: &str,
        open: impl for<'a> Fn(Login<'a>) -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let route = self.route().await?;
        let mut failures: Vec<Failure> = Vec::new();
        for host in &route.hosts {
            let login = Login {
                route: &route,
                host,
                way: Way::new(self.server, host, route.connect_timeout),
                application,
                options: pins::startup_options(self.server, route.options.as_deref()),
            };
            match open(login).await {
                Ok(connection) => return Ok(connection),
                Err(failure) => {
                    // As in libpq: a server that knows us and refuses is the last to be asked.
                    let is_refusal = is_refusal(&failure);
                    failures.push(failure);
                    if is_refusal {
                        break;
                    }
                }
            }
        }
        Err(merged(failures, self.server))
    }
}

fn is_refusal(failure: &Failure) -> bool {
    failure.sqlstate.as_deref().is_some_and(|sqlstate| sqlstate.starts_with("28"))
}

/// The failure of the last host, with those of the hosts before it as details.
fn merged(mut failures: Vec<Failure>, server: Server) -> Failure {
    let Some(mut last) = failures.pop() else {
        return Failure::permanent(format!("{server}: the connection string names no host"));
    };
    let is_transient = failures.iter().any(|failure| failure.class == FailureClass::Transient);
    if is_transient && !is_refusal(&last) {
        last.class = FailureClass::Transient;
    }
    last.details.extend(failures.into_iter().map(|failure| failure.message));
    last
}
