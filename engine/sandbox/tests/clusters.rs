//! Sandboxes made from the PostgreSQL that is installed.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use pgkedge_sandbox::{Cluster, Options, Replica, Sandbox, SandboxError, StopMode};
use tokio_postgres::NoTls;

fn options(parent: &tempfile::TempDir) -> Options {
    // The servers' account has to pass through the parent.
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(parent.path(), open).expect("the parent is ours");
    Options { folder: Some(parent.path().join("sandbox")), ..Options::default() }
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn a_sandbox_is_made_found_again_and_removed_with_its_servers() {
    let parent = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(&options(&parent)).unwrap();
    assert!(answers(sandbox.source.port) && answers(sandbox.target.port));
    assert_ne!(sandbox.source.port, sandbox.target.port);
    assert_eq!(Sandbox::open(&sandbox.folder).unwrap(), sandbox);

    let url = std::fs::read_to_string(&sandbox.source.url).unwrap();
    assert!(url.ends_with(&format!("@127.0.0.1:{}/dvd_rental\n", sandbox.source.port)), "{url}");
    let plan = std::fs::read_to_string(sandbox.plan()).unwrap();
    assert!(plan.contains(&format!("{:?}", sandbox.target.url.to_str().unwrap())), "{plan}");
    for secret in [&sandbox.source.url, &sandbox.target.url, &sandbox.pgpass()] {
        assert_eq!(std::fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
    }

    Sandbox::down(&sandbox.folder).unwrap();
    assert!(!sandbox.folder.exists());
    assert!(!answers(sandbox.source.port) && !answers(sandbox.target.port));
}

#[test]
fn a_server_that_crashed_starts_again_on_its_port() {
    let parent = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(&options(&parent)).unwrap().temporary();
    sandbox.target.stop(StopMode::Immediate).unwrap();
    assert!(!sandbox.target.is_running().unwrap());
    sandbox.target.start().unwrap();
    assert!(sandbox.target.is_running().unwrap() && answers(sandbox.target.port));
}

/// The first column of the only row that a statement returns, over a connection of its own.
async fn told(cluster: &Cluster, sql: &str) -> String {
    let url = std::fs::read_to_string(&cluster.url).expect("the sandbox wrote it");
    let (client, connection) =
        tokio_postgres::connect(url.trim(), NoTls).await.expect("it lets us in");
    let (answer, driven) = tokio::join!(
        async move {
            let rows = client.query(sql, &[]).await.expect(sql);
            rows[0].get::<_, String>(0)
        },
        connection
    );
    driven.expect("it ends well");
    answer
}

/// Waits until a server tells this, for half a minute at most.
async fn wait_until(cluster: &Cluster, sql: &str, expected: &str) {
    let mut answer = String::new();
    for _ in 0..300 {
        answer = told(cluster, sql).await;
        if answer == expected {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(answer, expected, "{sql}");
}

const RECOVERY: &str = "select pg_is_in_recovery()::text";

#[tokio::test]
async fn a_replica_streams_through_its_slot_and_goes_with_the_sandbox() {
    let parent = tempfile::tempdir().unwrap();
    let wanted = Options { replica: Replica::Streaming, ..options(&parent) };
    let sandbox = Sandbox::up(&wanted).unwrap();
    let replica = sandbox.replica.clone().unwrap();
    assert_eq!(told(&replica, RECOVERY).await, "true");
    let made = "with made as (select pg_logical_emit_message(false, 'a', 'b')) \
                select 'x' from made";
    told(&sandbox.source, made).await;
    let slot = "select coalesce(string_agg(slot_name || ' ' || active::text, ','), '') \
                from pg_replication_slots";
    wait_until(&sandbox.source, slot, "sandbox_replica true").await;
    assert_eq!(told(&replica, slot).await, "");
    let identifier = "select system_identifier::text from pg_control_system()";
    assert_eq!(told(&replica, identifier).await, told(&sandbox.source, identifier).await);
    let plan = std::fs::read_to_string(sandbox.plan()).unwrap();
    assert!(plan.contains(&format!("{:?}", replica.url.to_str().unwrap())), "{plan}");
    assert_eq!(Sandbox::open(&sandbox.folder).unwrap(), sandbox);

    replica.restart().unwrap();
    wait_until(&sandbox.source, slot, "sandbox_replica true").await;
    let at = told(&sandbox.source, "select pg_current_wal_flush_lsn()::text").await;
    let replayed = format!("select (pg_last_wal_replay_lsn() >= '{at}')::text");
    wait_until(&replica, &replayed, "true").await;
    replica.promote().unwrap();
    assert_eq!(told(&replica, RECOVERY).await, "false");

    Sandbox::down(&sandbox.folder).unwrap();
    assert!(!sandbox.folder.exists() && !answers(replica.port));
}

#[tokio::test]
async fn a_frozen_server_answers_nobody_until_it_is_thawed() {
    let parent = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(&options(&parent)).unwrap().temporary();
    sandbox.source.freeze().unwrap();
    let second = std::time::Duration::from_secs(1);
    let answer = tokio::time::timeout(second, told(&sandbox.source, RECOVERY)).await;
    assert!(answer.is_err(), "{answer:?}");
    sandbox.source.thaw().unwrap();
    assert_eq!(told(&sandbox.source, RECOVERY).await, "false");
    sandbox.source.freeze().unwrap();
}

#[test]
fn nothing_is_left_of_a_sandbox_that_could_not_be_made() {
    let parent = tempfile::tempdir().unwrap();
    let settings = [("no_such_setting".to_owned(), "1".to_owned())].into();
    let error = Sandbox::up(&Options { settings, ..options(&parent) }).unwrap_err();
    let SandboxError::Program { output, .. } = &error else { panic!("{error}") };
    assert!(output.contains("no_such_setting"), "{output}");
    assert!(!parent.path().join("sandbox").exists());
}

#[test]
fn a_database_name_that_would_need_quotes_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["", "Shop", "a b", "1a", "a;drop"] {
        let error = Sandbox::up(&Options { database: name.to_owned(), ..options(&parent) });
        assert!(matches!(error, Err(SandboxError::DatabaseName { .. })), "{name}");
    }
}
