//! Ways into the databases of the tests.

use std::sync::Arc;

use pgkedge_model::{DatabaseRef, SecretError, SecretRef, SecretString, Secrets, Server};
use pgkedge_postgres::Endpoint;
use tokio_postgres::{Client, NoTls};

use crate::cluster::Cluster;

pub(crate) fn endpoint(cluster: &Cluster, database: &str) -> Endpoint {
    endpoint_as(cluster, database, "postgres")
}

pub(crate) fn endpoint_as(cluster: &Cluster, database: &str, user: &str) -> Endpoint {
    let (host, port) = (cluster.socket().display(), Cluster::PORT);
    let url = format!("host='{host}' port={port} user='{user}' dbname='{database}'");
    let database = DatabaseRef::new(SecretRef::Env(url));
    Endpoint::new(Server::Source, database, Arc::new(Plain))
}

/// Takes a reference for the secret itself.
struct Plain;

impl Secrets for Plain {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef::Env(url) = reference else { panic!("no other is made here") };
        Ok(url.clone().into())
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

pub(crate) async fn connect(cluster: &Cluster, database: &str, options: &str) -> Client {
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(cluster.socket())
        .port(Cluster::PORT)
        .user("postgres")
        .dbname(database)
        .options(options)
        .connect(NoTls)
        .await
        .unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the client of its test")]
    drop(tokio::spawn(connection));
    client
}

pub(crate) async fn run(client: &Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql).await {
        panic!("{:?}\n{sql}", error.as_db_error());
    }
}

pub(crate) async fn create_database(cluster: &Cluster, name: &str, options: &str) {
    let client = connect(cluster, "postgres", "").await;
    run(&client, &format!("create database {name} template template0 {options}")).await;
}
