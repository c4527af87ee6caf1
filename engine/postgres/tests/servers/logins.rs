//! Ways to log in, and what refuses one.

use std::process::Command;

use pgkedge_model::{Failure, FailureClass, Server, TlsMode};
use pgkedge_postgres::Endpoint;

use crate::cluster::{Cluster, cluster, endpoint, endpoint_with, tool};

type Tls = Option<(TlsMode, Option<String>)>;

async fn user_of(endpoint: &Endpoint) -> Result<String, Failure> {
    let query = "select current_user";
    let sql = endpoint.sql("pgkedge:read").await?.rows(query).await?;
    let wire = endpoint.wire("pgkedge:read", None).await?.rows(query).await?;
    assert_eq!(sql, wire);
    Ok(sql[0].get(0).unwrap().to_owned())
}

async fn accepted(url: &str, tls: Tls, user: &str) {
    let endpoint = endpoint_with(Server::Source, url, tls, &[]);
    assert_eq!(user_of(&endpoint).await.unwrap_or_else(|failure| panic!("{failure:?}")), user);
}

/// Both kinds of connections must be refused in the same way.
async fn refused(url: &str, tls: Tls) -> Failure {
    let endpoint = endpoint_with(Server::Source, url, tls, &[]);
    let sql = endpoint.sql("pgkedge:read").await.err().expect("sql must be refused");
    let wire = endpoint.wire("pgkedge:read", None).await.err().expect("wire must be refused");
    assert_eq!(sql.class, wire.class, "{sql:?} {wire:?}");
    assert!(!format!("{sql:?} {wire:?}").contains("hunter2"), "{sql:?} {wire:?}");
    wire
}

fn verified(cluster: &Cluster, mode: TlsMode) -> Tls {
    Some((mode, Some(cluster.path("ca.crt"))))
}

#[tokio::test]
async fn every_kind_of_password_is_accepted() {
    let cluster = cluster();
    accepted(&cluster.tcp("user=scrammer password='pass word'"), None, "scrammer").await;
    accepted(&cluster.tcp("user=md5er password='md5 secret'"), None, "md5er").await;
    accepted(&cluster.tcp("user=clear password='clear secret'"), None, "clear").await;
    accepted(&cluster.tcp("user=trusted"), None, "trusted").await;
    let uri = format!("postgresql://scrammer:pass%20word@localhost:{}/postgres", cluster.port);
    accepted(&uri, None, "scrammer").await;
}

#[tokio::test]
async fn a_wrong_or_missing_password_needs_an_operator() {
    let cluster = cluster();
    for user in ["scrammer", "md5er", "clear"] {
        let failure = refused(&cluster.tcp(&format!("user={user} password='hunter2'")), None).await;
        assert_eq!(failure.class, FailureClass::Operator);
        assert_eq!(failure.sqlstate.as_deref(), Some("28P01"));
        assert!(failure.help.is_some());
        let failure = refused(&cluster.tcp(&format!("user={user}")), None).await;
        assert_eq!(failure.class, FailureClass::Operator, "{failure:?}");
    }
}

#[tokio::test]
async fn a_verified_server_must_have_a_trusted_certificate_that_names_it() {
    let cluster = cluster();
    let rest = "user=scrammer password='pass word' channel_binding=require";
    let url = cluster.tcp(rest);
    accepted(&url, verified(&cluster, TlsMode::VerifyFull), "scrammer").await;
    let named = url.replace("host=127.0.0.1", "host=db.test hostaddr=127.0.0.1");
    accepted(&named, verified(&cluster, TlsMode::VerifyFull), "scrammer").await;
    let other = url.replace("host=127.0.0.1", "host=other.test hostaddr=127.0.0.1");
    let failure = refused(&other, verified(&cluster, TlsMode::VerifyFull)).await;
    assert_eq!(failure.class, FailureClass::Operator);
    assert!(failure.message.contains("not valid for"), "{failure:?}");
    accepted(&other, verified(&cluster, TlsMode::VerifyCa), "scrammer").await;
    let root = cluster.path("other.crt");
    for mode in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
        let failure = refused(&url, Some((mode, Some(root.clone())))).await;
        assert_eq!(failure.class, FailureClass::Operator, "{failure:?}");
        let failure = refused(&url, Some((mode, None))).await;
        assert_eq!(failure.class, FailureClass::Operator, "{failure:?}");
    }
    accepted(&other, Some((TlsMode::Require, None)), "scrammer").await;
}

#[tokio::test]
async fn the_connection_string_may_say_how_to_verify() {
    let cluster = cluster();
    let root = cluster.path("ca.crt");
    let with = |rest: &str| cluster.tcp(&format!("user=scrammer password='pass word' {rest}"));
    accepted(&with(&format!("sslmode=verify-full sslrootcert={root}")), None, "scrammer").await;
    accepted(&with("sslmode=require channel_binding=require"), None, "scrammer").await;
    accepted(&with("sslmode=prefer"), None, "scrammer").await;
    refused(&with("sslmode=disable channel_binding=require"), None).await;
    let failure = refused(&with("sslmode=verify-full sslrootcert=/nowhere.pem"), None).await;
    assert!(failure.message.contains("/nowhere.pem"), "{failure:?}");
    // The plan's word counts more than the string's.
    let weak = with("sslmode=disable channel_binding=require");
    accepted(&weak, verified(&cluster, TlsMode::VerifyFull), "scrammer").await;
}

#[tokio::test]
async fn a_client_certificate_opens_the_door() {
    let cluster = cluster();
    let (certificate, key) = (cluster.path("client.crt"), cluster.path("client.key"));
    let url = cluster.tcp(&format!("user=certified sslcert={certificate} sslkey={key}"));
    accepted(&url, verified(&cluster, TlsMode::VerifyFull), "certified").await;
    let failure =
        refused(&cluster.tcp("user=certified"), verified(&cluster, TlsMode::VerifyFull)).await;
    assert_eq!(failure.class, FailureClass::Operator, "{failure:?}");
}

#[tokio::test]
async fn the_first_of_several_hosts_that_works_is_taken() {
    let cluster = cluster();
    let folder = cluster.path("");
    let url = format!("host=/nowhere,{folder} port={} user=postgres", cluster.port);
    accepted(&url, None, "postgres").await;
    let dead = format!("host=/nowhere,/neither port={} user=postgres", cluster.port);
    let failure = refused(&dead, None).await;
    assert_eq!(failure.class, FailureClass::Transient);
    assert!(failure.message.contains("/neither") && failure.details[0].contains("/nowhere"));
}

#[tokio::test]
async fn a_server_of_the_wrong_kind_is_refused() {
    let cluster = cluster();
    let url = cluster.url("postgres");
    accepted(&format!("{url} target_session_attrs=read-write"), None, "postgres").await;
    let failure = refused(&format!("{url} target_session_attrs=standby"), None).await;
    assert!(failure.message.contains("no standby"), "{failure:?}");
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let cluster = cluster();
    let failure = refused(&cluster.url("nowhere"), None).await;
    assert_eq!(failure.sqlstate.as_deref(), Some("3D000"));
    assert!(failure.message.contains("\"nowhere\""), "{failure:?}");
}

#[tokio::test]
async fn variables_service_and_password_file_fill_what_is_open() {
    let cluster = cluster();
    let port = cluster.port.to_string();
    let folder = tempfile::tempdir().unwrap();
    let (service, passfile) = (folder.path().join("services"), folder.path().join("pass"));
    std::fs::write(&service, "[shop]\nhost=127.0.0.1\nuser=scrammer\n").unwrap();
    std::fs::write(&passfile, format!("127.0.0.1:{port}:*:scrammer:pass word\n")).unwrap();
    std::os::unix::fs::chown(&passfile, None, None).unwrap();
    let status = Command::new("chmod").arg("0600").arg(&passfile).status().unwrap();
    assert!(status.success());
    let variables = [
        ("PGSERVICEFILE", service.to_str().unwrap()),
        ("PGPASSFILE", passfile.to_str().unwrap()),
        ("PGPORT", &port),
        ("PGDATABASE", "postgres"),
        ("PGHOST", "/hidden-by-the-service"),
    ];
    let endpoint = endpoint_with(Server::Source, "service=shop", None, &variables);
    assert_eq!(user_of(&endpoint).await.unwrap(), "scrammer");
    let described = endpoint.described().await.unwrap();
    assert_eq!(described, format!("127.0.0.1:{port}/postgres as scrammer"));
}

#[tokio::test]
async fn an_unknown_parameter_is_named() {
    let failure = endpoint(Server::Target, "host=h bogus=hunter2").sql("x").await.err().unwrap();
    assert_eq!(failure.message, "target: the connection string has the unknown parameter `bogus`");
    assert_eq!(failure.class, FailureClass::Operator);
}

#[tokio::test]
async fn a_child_process_logs_in_with_the_same_settings() {
    let cluster = cluster();
    let url = cluster.tcp("user=scrammer password='pass word'");
    let tls = verified(&cluster, TlsMode::VerifyFull);
    let environment =
        endpoint_with(Server::Source, &url, tls, &[]).dump_environment().await.unwrap();
    let mut command = Command::new(tool("psql"));
    command.args(["-XAtc", "select user, ssl from pg_stat_ssl where pid = pg_backend_pid()"]);
    command.env("PGHOST", "/nowhere").env("PGPASSWORD", "wrong");
    environment.apply(&mut command);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "scrammer|t\n", "{output:?}");
    assert!(environment.variables().all(|(_, value)| value != "pass word"));
}
