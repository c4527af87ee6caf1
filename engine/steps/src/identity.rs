//! Whether a connection leads to the database that a run was started with.

use pgkedge_model::{Catalog, Failure, FailureClass};
use pgkedge_postgres::{Endpoint, Sql};

/// The failure names both databases if an endpoint leads elsewhere than to the one of the catalog.
pub async fn same_database(endpoint: &Endpoint, catalog: &Catalog) -> Result<(), Failure> {
    compare(&endpoint.sql("pgkedge:read").await?, catalog).await
}

/// As `same_database`, over an open session.
pub(crate) async fn compare(session: &Sql, catalog: &Catalog) -> Result<(), Failure> {
    let rows = session
        .rows(
            "select pg_catalog.current_database(), \
             (select s.system_identifier from pg_catalog.pg_control_system() as s)",
        )
        .await?;
    let found = |at| rows.first().and_then(|row| row.get(at)).unwrap_or_default();
    let (name, cluster) = (found(0), found(1));
    let was = (catalog.database.name.as_str(), catalog.server.system_identifier.as_str());
    if (name, cluster) == was {
        return Ok(());
    }
    let server = session.server();
    let message = format!("the {server} is another database than the one this run began with");
    Err(Failure::new(FailureClass::Operator, message)
        .detail(format!("then: database {} of cluster {}", was.0, was.1))
        .detail(format!("now:  database {name} of cluster {cluster}"))
        .help(format!(
            "let the url of the {server} lead to the first one again, or start another run"
        )))
}
