//! The application of a sandbox: a role of its own, without any privilege that it does not need, and the
//! tables in which its writers keep count.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use pgkedge_model::{
    DatabaseRef, Failure, FailureClass, SecretError, SecretRef, SecretString, Secrets,
};
use pgkedge_postgres::Endpoint;

use crate::cluster::Cluster;
use crate::folder;
use crate::sandbox::Sandbox;

/// The application's role. It can log in, and nothing else that is not granted.
pub const APPLICATION_ROLE: &str = "dvd_rental_app";
/// Its tables and grants; a line that holds only `;;` stands between two statements.
const TABLES: &str = include_str!("writers/tables.sql");

/// Fields of a plan that moves the application's database over three slots. No foreign key leads from one
/// group to another.
pub const THREE_SLOTS: &str = "
slots:
  counter: {}
  back_office: {}
  writers: {}
groups:
  - { name: writers, tables: [\"writers.*\"], slot: writers }
  - name: back_office
    tables:
      - back_office.rental_event
      - back_office.price_list
      - back_office.ledger_note
      - back_office.basket
    slot: back_office
  - { name: counter, tables: [\"*\"], slot: counter }
";

/// An application that knows two servers, as behind a pooler that changes over from one to the other.
#[derive(Clone)]
pub struct Application {
    pub(crate) source: Endpoint,
    pub(crate) target: Endpoint,
}

impl Application {
    /// Gives the application its role on both servers, with the same password: passwords are not moved, so an
    /// administrator prepares the logins. Its tables stand on the source, beside the DVD-rental database, and
    /// have to be there before a plan is compiled.
    pub async fn install(sandbox: &Sandbox) -> Result<Self, Failure> {
        let password = folder::password().map_err(|error| failure(&error))?;
        let role = format!("create role {APPLICATION_ROLE} login password '{password}'");
        for cluster in [&sandbox.source, &sandbox.target] {
            administrator(cluster).sql("sandbox").await?.execute(&role).await?;
        }
        let session = administrator(&sandbox.source).sql("sandbox").await?;
        let tables = TABLES.split("\n;;\n").map(str::trim);
        for statement in tables.filter(|statement| !statement.is_empty()) {
            session.execute(statement).await?;
        }
        let login = |cluster| login(sandbox, cluster, &password);
        Ok(Self { source: login(&sandbox.source)?, target: login(&sandbox.target)? })
    }
}

/// The endpoint of a cluster's superuser.
pub fn administrator(cluster: &Cluster) -> Endpoint {
    endpoint(cluster, cluster.url.clone())
}

fn login(sandbox: &Sandbox, cluster: &Cluster, password: &str) -> Result<Endpoint, Failure> {
    let Cluster { server, port, database, .. } = cluster;
    let url = sandbox.folder.join(format!("application-{server}.url"));
    let text = format!("postgresql://{APPLICATION_ROLE}:{password}@127.0.0.1:{port}/{database}\n");
    folder::write(&url, &text).map_err(|error| failure(&error))?;
    Ok(endpoint(cluster, url))
}

fn endpoint(cluster: &Cluster, url: PathBuf) -> Endpoint {
    let database = DatabaseRef::new(SecretRef::File(url));
    Endpoint::new(cluster.server, database, Arc::new(OwnFiles))
}

fn failure(error: &dyn std::error::Error) -> Failure {
    Failure::new(FailureClass::Operator, format!("sandbox: {error}"))
}

/// Reads the files that the sandbox wrote itself.
struct OwnFiles;

impl Secrets for OwnFiles {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let refused = |reason: String| SecretError { reference: reference.clone(), reason };
        let SecretRef::File(path) = reference else {
            return Err(refused("the sandbox keeps its secrets in files".to_owned()));
        };
        let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        Ok(SecretString::from(text.trim_end().to_owned()))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
