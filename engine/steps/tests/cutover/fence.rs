use std::sync::Arc;
use std::time::Duration;

use pgkedge_model::{
    CutoverSettings, Failure, FailureClass, PreparedTransactions, Probe, Server, Settings,
};
use pgkedge_postgres::Sql;
use serde_json::json;

use crate::world::{Notes, Run, Servers, access, create_role, servers, value};
use crate::writers::Writers;

/// A source with its owner and roles, all named after the test.
struct Source {
    servers: Arc<Servers>,
    admin: Sql,
    name: &'static str,
}

impl Source {
    /// Roles `<name>_owner`, `<name>_app`, and `<name>_member` of a group that was granted CONNECT.
    async fn create(name: &'static str) -> Self {
        let servers = servers();
        let admin = servers.admin(Server::Source).await;
        servers
            .admin(Server::Target)
            .await
            .execute(&format!("create database {name}"))
            .await
            .unwrap();
        for role in ["owner", "app", "member"] {
            create_role(&admin, &format!("{name}_{role}"), "").await;
        }
        admin
            .execute(&format!("create role {name}_group; grant {name}_group to {name}_member"))
            .await
            .unwrap();
        admin.execute(&format!("create database {name} owner {name}_owner")).await.unwrap();
        let inside = servers.endpoint(Server::Source, name, "postgres").sql("admin").await.unwrap();
        inside
            .execute(
                "create table public.written (at timestamptz default clock_timestamp()); \
                 grant select, insert on public.written to public",
            )
            .await
            .unwrap();
        Self { servers, admin, name }
    }

    /// Grants with privileges of every sort, and settings that are nobody's business.
    async fn grant_all_sorts(&self) {
        let name = self.name;
        let sql = format!(
            "revoke all on database {name} from public; grant temporary on database {name} to public; \
             grant connect, create on database {name} to {name}_app with grant option; \
             grant connect on database {name} to {name}_group; \
             set role {name}_app; grant connect on database {name} to {name}_member; reset role; \
             alter database {name} set work_mem = '5MB'; \
             alter role {name}_app in database {name} set default_transaction_read_only = off"
        );
        for statement in sql.split("; ") {
            self.admin.execute(statement).await.unwrap();
        }
    }

    async fn run_as(&self, role: &str, prepared: PreparedTransactions) -> Run {
        let source = self.servers.endpoint(Server::Source, self.name, role);
        let target = self.servers.endpoint(Server::Target, self.name, "postgres");
        let cutover = CutoverSettings { prepared_transactions: prepared, ..Default::default() };
        Run::new(source, target, Settings { cutover, ..Settings::default() }).await
    }

    async fn run(&self) -> Run {
        self.run_as("postgres", PreparedTransactions::Refuse).await
    }

    /// A writer of every sort of role.
    fn writers(&self) -> Writers {
        let mut writers = Writers::default();
        for role in ["owner", "app", "member"] {
            let role = format!("{}_{role}", self.name);
            writers.start(self.servers.endpoint(Server::Source, self.name, &role), &role);
        }
        writers
    }

    async fn access(&self) -> (String, String) {
        access(&self.admin, self.name).await
    }

    async fn session(&self, role: &str) -> Sql {
        let role =
            if role == "postgres" { role.to_owned() } else { format!("{}_{role}", self.name) };
        self.servers.endpoint(Server::Source, self.name, &role).sql("app").await.unwrap()
    }
}

fn details(failure: &Failure) -> String {
    let help = failure.help.clone().unwrap_or_default();
    format!("{}\n{}\n{help}", failure.message, failure.details.join("\n"))
}

#[tokio::test]
async fn nobody_writes_while_the_source_is_fenced_and_everybody_afterwards() {
    let source = Source::create("fenced").await;
    source.grant_all_sorts().await;
    let before = source.access().await;
    assert!(before.0.contains("fenced_member=c/fenced_app"), "{before:?}");
    let run = source.run().await;
    let writers = source.writers();
    writers.all_write().await;

    let output = run.perform("fence_source").await.unwrap();
    writers.none_writes().await;
    let clock = "select (extract(epoch from clock_timestamp()) * 1000)::int8";
    let age = value(&source.admin, clock).await.parse::<i64>().unwrap()
        - output["fenced_at"].as_i64().unwrap();
    assert!((0..60_000).contains(&age), "{age}");
    run.perform("prove_quiet").await.unwrap();
    assert_eq!(run.probe("fence_source").await, Probe::Applied(output));

    run.undo_and_forget("fence_source").await;
    writers.all_write().await;
    assert_eq!(source.access().await, before);
}

#[tokio::test]
async fn grants_that_were_never_made_are_written_out_when_they_are_put_back() {
    let source = Source::create("bare").await;
    assert_eq!(source.access().await, ("null".to_owned(), "null".to_owned()));
    let run = source.run().await;
    let writers = source.writers();
    run.perform("fence_source").await.unwrap();
    writers.none_writes().await;
    run.undo("fence_source").await.unwrap();
    run.undo("fence_source").await.unwrap();
    writers.all_write().await;
    let same = "select datacl is not distinct from acldefault('d', datdba) from pg_database \
                where datname = 'bare'";
    assert_eq!(value(&source.admin, same).await, "t");
    assert_eq!(source.access().await.1, "null");
}

#[tokio::test]
async fn a_fence_that_died_halfway_is_taken_back_from_its_notes() {
    let source = Source::create("halfway").await;
    source.grant_all_sorts().await;
    source
        .admin
        .execute("alter database halfway set default_transaction_read_only = off")
        .await
        .unwrap();
    let before = source.access().await;

    // Before the first change.
    let run = source.run().await;
    let notes = Notes::until("access");
    run.perform_with("fence_source", json!({}), notes).await.unwrap_err();
    assert_eq!(source.access().await, before);
    let run = run.restarted();
    assert_eq!(run.probe("fence_source").await, Probe::Partial);
    run.undo_and_forget("fence_source").await;
    assert_eq!(source.access().await, before);

    // Closed, with a transaction that keeps it from being done.
    let blocker = source.session("app").await;
    blocker.execute("begin; insert into public.written default values").await.unwrap();
    blocker.execute("prepare transaction 'halfway'").await.unwrap();
    run.perform("fence_source").await.unwrap_err();
    assert_ne!(source.access().await, before);
    let run = run.restarted();
    assert_eq!(run.probe("fence_source").await, Probe::Partial);
    run.undo("fence_source").await.unwrap();
    assert_eq!(source.access().await, before);
    source.session("app").await.execute("rollback prepared 'halfway'").await.unwrap();
}

#[tokio::test]
async fn a_fence_that_died_halfway_goes_on_from_its_notes() {
    let source = Source::create("goes_on").await;
    source.grant_all_sorts().await;
    let before = source.access().await;
    let run = source.run().await;
    let notes = Notes::until("access");
    run.perform_with("fence_source", json!({}), notes).await.unwrap_err();
    // As if the transaction had come through.
    source
        .admin
        .execute("revoke connect on database goes_on from goes_on_app cascade")
        .await
        .unwrap();
    let run = run.restarted();
    run.perform("fence_source").await.unwrap();
    run.perform("prove_quiet").await.unwrap();
    run.undo("fence_source").await.unwrap();
    assert_eq!(source.access().await.0.split(',').count(), before.0.split(',').count());
    assert!(source.access().await.0.contains("goes_on_member=c/goes_on_app"));
}

#[tokio::test]
async fn prepared_transactions_are_refused_by_name_or_rolled_back() {
    let source = Source::create("prepared").await;
    let app = source.session("app").await;
    app.execute("begin; insert into public.written default values").await.unwrap();
    app.execute("prepare transaction 'it''s open'").await.unwrap();

    let run = source.run().await;
    let failure = run.perform("fence_source").await.unwrap_err();
    let said = details(&failure);
    assert_eq!(failure.class, FailureClass::Operator);
    for part in ["`it's open` of role prepared_app, since 2", "rollback prepared 'it''s open'"] {
        assert!(said.contains(part), "{said}");
    }
    run.undo_and_forget("fence_source").await;

    let run = source.run_as("postgres", PreparedTransactions::Rollback).await;
    run.perform("fence_source").await.unwrap();
    let left = "select count(*) from pg_prepared_xacts where database = 'prepared'";
    assert_eq!(value(&source.admin, left).await, "0");
    run.undo("fence_source").await.unwrap();
    let inside = source.session("postgres").await;
    assert_eq!(value(&inside, "select count(*) from public.written").await, "0");
}

#[tokio::test]
async fn a_plain_owner_fences_whom_it_may_and_names_the_others() {
    let source = Source::create("plain").await;
    let before = source.access().await;
    let run = source.run_as("plain_owner", PreparedTransactions::Refuse).await;

    let app = source.session("app").await;
    let failure = run.perform("fence_source").await.unwrap_err();
    let said = details(&failure);
    assert_eq!(failure.class, FailureClass::Blocked, "{said}");
    assert!(said.contains("of role plain_app (`app`"), "{said}");
    assert!(said.contains("grant pg_signal_backend to plain_owner"), "{said}");
    assert_eq!(source.access().await, before, "nothing was changed");

    source.admin.execute("grant pg_signal_backend to plain_owner").await.unwrap();
    let superuser = source.session("postgres").await;
    let said = details(&run.perform("fence_source").await.unwrap_err());
    assert!(said.contains("of superuser postgres"), "{said}");
    assert!(said.contains("select pg_terminate_backend("), "{said}");
    drop(superuser);
    gone(&source).await;

    let output = run.perform("fence_source").await.unwrap();
    assert_eq!(output["superusers"], json!(["postgres"]));
    assert_eq!(output["kept"], json!("{plain_owner}"));
    assert!(app.execute("select 1").await.is_err());
    run.perform("prove_quiet").await.unwrap();
    found_again(&source, &run).await;

    run.undo("fence_source").await.unwrap();
    source.session("app").await;
    assert_eq!(source.access().await.0, "{=Tc/plain_owner,plain_owner=CTc/plain_owner}");
}

/// A superuser that comes back is found, and so is a grant.
async fn found_again(source: &Source, run: &Run) {
    let superuser = source.session("postgres").await;
    let said = details(&run.perform("prove_quiet").await.unwrap_err());
    assert!(said.contains("of superuser postgres"), "{said}");
    drop(superuser);
    gone(source).await;
    source.admin.execute("grant connect on database plain to plain_app").await.unwrap();
    let said = details(&run.perform("prove_quiet").await.unwrap_err());
    assert!(said.contains("plain_app may connect to it"), "{said}");
    source.admin.execute("revoke connect on database plain from plain_app").await.unwrap();
}

/// Waits until no superuser is connected.
async fn gone(source: &Source) {
    let count = format!(
        "select count(*) from pg_stat_activity where datname = '{}' and usename = 'postgres'",
        source.name
    );
    while value(&source.admin, &count).await != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn members_of_our_own_role_could_not_be_kept_out() {
    let source = Source::create("shared").await;
    source.admin.execute("grant shared_owner to shared_app").await.unwrap();
    let before = source.access().await;
    let run = source.run_as("shared_owner", PreparedTransactions::Refuse).await;
    let failure = run.perform("fence_source").await.unwrap_err();
    let said = details(&failure);
    assert_eq!(failure.class, FailureClass::Blocked);
    assert!(said.contains("revoke shared_owner from shared_app"), "{said}");
    assert_eq!(source.access().await, before);
}

#[tokio::test]
async fn a_grant_that_only_its_grantor_could_put_back_is_refused() {
    let source = Source::create("grantors").await;
    source.grant_all_sorts().await;
    source.admin.execute("grant pg_signal_backend to grantors_owner").await.unwrap();
    let connect = "grant connect on database grantors to grantors_owner";
    source.admin.execute(connect).await.unwrap();
    let run = source.run_as("grantors_owner", PreparedTransactions::Refuse).await;
    let said = details(&run.perform("fence_source").await.unwrap_err());
    assert!(said.contains("grant grantors_app to grantors_owner"), "{said}");

    source.admin.execute("grant grantors_app to grantors_owner").await.unwrap();
    let before = source.access().await;
    run.perform("fence_source").await.unwrap();
    run.undo("fence_source").await.unwrap();
    assert_eq!(source.access().await, before);
}

#[tokio::test]
async fn a_subscription_of_the_source_is_a_writer() {
    let source = Source::create("subscriber").await;
    let inside = source.session("postgres").await;
    let run = source.run().await;
    inside
        .execute(
            "create subscription feeds connection 'host=127.0.0.1 port=1' publication p \
             with (connect = false)",
        )
        .await
        .unwrap();
    run.perform("fence_source").await.unwrap();
    run.perform("prove_quiet").await.unwrap();
    run.undo("fence_source").await.unwrap();
    let inside = source.session("postgres").await;
    inside.execute("alter subscription feeds enable").await.unwrap();
    drop(inside);
    run.perform("fence_source").await.unwrap();
    let said = details(&run.perform("prove_quiet").await.unwrap_err());
    assert!(said.contains("alter subscription feeds disable"), "{said}");
    run.undo("fence_source").await.unwrap();
    let inside = source.session("postgres").await;
    inside.execute("alter subscription feeds disable").await.unwrap();
    inside.execute("alter subscription feeds set (slot_name = none)").await.unwrap();
    inside.execute("drop subscription feeds").await.unwrap();
}

#[tokio::test]
async fn a_closed_database_lets_our_own_sessions_write_and_be_dumped() {
    let source = Source::create("pinned").await;
    let run = source.run_as("pinned_owner", PreparedTransactions::Refuse).await;
    run.perform("fence_source").await.unwrap();
    let ours = source.servers.endpoint(Server::Source, "pinned", "pinned_owner");
    let session = ours.sql("pgkedge:read").await.unwrap();
    session.execute("create table public.ours ()").await.unwrap();
    session.execute("drop table public.ours").await.unwrap();
    pgkedge_postgres::introspect(&ours, "pgkedge:read").await.unwrap();
    drop(session);
    run.undo("fence_source").await.unwrap();
}
