use std::sync::Arc;

use pgkedge_model::{FailureClass, Probe, Server, Settings};
use pgkedge_postgres::Sql;
use serde_json::json;

use crate::world::{Notes, Run, Servers, access, create_role, servers, value};
use crate::writers::{BothSides, can_write};

/// The same database on both sides, with the role `<name>_app` that may write to it.
struct Both {
    servers: Arc<Servers>,
    target: Sql,
    name: &'static str,
}

impl Both {
    async fn create(name: &'static str) -> Self {
        let servers = servers();
        for server in [Server::Source, Server::Target] {
            let admin = servers.admin(server).await;
            create_role(&admin, &format!("{name}_app"), "").await;
            admin.execute(&format!("create database {name}")).await.unwrap();
            let inside = servers.endpoint(server, name, "postgres").sql("admin").await.unwrap();
            inside
                .execute(
                    "create table public.written (at timestamptz default clock_timestamp()); \
                     grant insert on public.written to public",
                )
                .await
                .unwrap();
        }
        let target = servers.admin(Server::Target).await;
        Self { servers, target, name }
    }

    async fn run(&self) -> Run {
        let side = |server| self.servers.endpoint(server, self.name, "postgres");
        Run::new(side(Server::Source), side(Server::Target), Settings::default()).await
    }

    fn app(&self, server: Server) -> pgkedge_postgres::Endpoint {
        self.servers.endpoint(server, self.name, &format!("{}_app", self.name))
    }

    async fn writable(&self) -> (bool, bool) {
        (can_write(&self.app(Server::Source)).await, can_write(&self.app(Server::Target)).await)
    }
}

#[tokio::test]
async fn the_writers_change_over_and_never_write_to_both_sides() {
    let both = Both::create("changed").await;
    let grant = "grant connect on database changed to changed_app";
    both.target.execute(grant).await.unwrap();
    let before = access(&both.target, "changed").await;
    let run = both.run().await;
    run.perform("create_ledger").await.unwrap();
    let left_open = both.app(Server::Target).sql("app").await.unwrap();
    run.perform("close_target").await.unwrap();
    assert!(left_open.execute("select 1").await.is_err(), "its sessions end");
    let watch = BothSides::watch(both.app(Server::Source), both.app(Server::Target));
    assert_eq!(both.writable().await, (true, false));

    run.perform("fence_source").await.unwrap();
    assert_eq!(both.writable().await, (false, false));
    run.undo_and_forget("fence_source").await;
    assert_eq!(both.writable().await, (true, false));

    run.perform("fence_source").await.unwrap();
    run.perform("prove_quiet").await.unwrap();
    let output = run.perform("open_target").await.unwrap();
    assert_eq!(both.writable().await, (false, true));
    watch.never_both().await;
    let pause = output["write_pause_ms"].as_i64().unwrap();
    assert!((0..60_000).contains(&pause), "{pause}");
    assert_eq!(access(&both.target, "changed").await, before);
}

#[tokio::test]
async fn what_opened_the_target_is_known_and_stays() {
    let both = Both::create("opened").await;
    let run = both.run().await;
    run.perform("create_ledger").await.unwrap();
    run.perform("close_target").await.unwrap();
    assert!(matches!(run.probe("close_target").await, Probe::Applied(_)));
    run.perform("fence_source").await.unwrap();
    let output = run.perform("open_target").await.unwrap();
    let Probe::Applied(probed) = run.probe("open_target").await else { panic!("not applied") };
    assert!(
        probed["write_pause_ms"].as_i64().unwrap() <= output["write_pause_ms"].as_i64().unwrap()
    );

    // What comes after it is not what the target was: undoing the closing takes nothing back.
    both.target
        .execute("alter database opened set default_transaction_read_only = on")
        .await
        .unwrap();
    both.target.execute("revoke connect on database opened from public").await.unwrap();
    let after = access(&both.target, "opened").await;
    run.undo("close_target").await.unwrap();
    assert_eq!(access(&both.target, "opened").await, after);
    let refused = run.undo("open_target").await.unwrap_err();
    assert_eq!(
        refused.message,
        "phase/open_target cannot be taken back: the target is open to writers"
    );
}

#[tokio::test]
async fn a_closed_target_is_put_back_by_its_notes() {
    let both = Both::create("put_back").await;
    both.target
        .execute("alter database put_back set default_transaction_read_only = off")
        .await
        .unwrap();
    both.target.execute("grant connect on database put_back to put_back_app").await.unwrap();
    let before = access(&both.target, "put_back").await;
    let run = both.run().await;
    run.perform("create_ledger").await.unwrap();

    let notes = Notes::until("access");
    run.perform_with("close_target", json!({}), notes).await.unwrap_err();
    let run = run.restarted();
    run.undo_and_forget("close_target").await;
    assert_eq!(access(&both.target, "put_back").await, before);

    run.perform("close_target").await.unwrap();
    // As if nobody had noted that it was done.
    run.perform("close_target").await.unwrap();
    assert_ne!(access(&both.target, "put_back").await, before);
    let run = run.restarted();
    run.undo("close_target").await.unwrap();
    run.undo("close_target").await.unwrap();
    assert_eq!(access(&both.target, "put_back").await, before);
    assert!(can_write(&both.app(Server::Target)).await);
}

#[tokio::test]
async fn a_target_whose_ledger_was_dropped_is_put_back_all_the_same() {
    let both = Both::create("no_ledger").await;
    let run = both.run().await;
    run.perform("create_ledger").await.unwrap();
    run.perform("close_target").await.unwrap();
    run.perform("drop_ledger").await.unwrap();
    run.undo("close_target").await.unwrap();
    assert!(can_write(&both.app(Server::Target)).await);
    assert_eq!(access(&both.target, "no_ledger").await.1, "null");
}

#[tokio::test]
async fn a_newer_runner_keeps_a_stale_one_from_opening_the_target() {
    let both = Both::create("stale").await;
    let run = both.run().await;
    run.perform("create_ledger").await.unwrap();
    run.perform("close_target").await.unwrap();
    run.perform("fence_source").await.unwrap();
    let inside =
        both.servers.endpoint(Server::Target, "stale", "postgres").sql("admin").await.unwrap();
    let schema = "select nspname from pg_namespace where nspname like 'pgkedge%'";
    let ledger = value(&inside, schema).await;
    inside.execute(&format!("update {ledger}.run set epoch = 2")).await.unwrap();
    let failure = run.perform("open_target").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Fenced);
    assert_eq!(both.writable().await, (false, false));
}
