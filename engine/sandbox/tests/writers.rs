//! Writers on a server of their own: what they count is what is there.

use std::time::Duration;

use pgkedge_model::Server;
use pgkedge_sandbox::dvd_rental::{self, Size};
use pgkedge_sandbox::{
    Application, Gate, Options, Proof, Sandbox, Temporary, Workload, Writers, administrator,
};

async fn filled() -> (Temporary, Application) {
    let sandbox = Sandbox::up(&Options::default()).expect("a sandbox starts").temporary();
    let session = administrator(&sandbox.source).sql("sandbox").await.expect("it lets us in");
    for statement in dvd_rental::statements(Size::new(0.05).expect("a size")) {
        session.execute(&statement).await.expect(&statement);
    }
    let application = Application::install(&sandbox).await.expect("the application's tables");
    (sandbox, application)
}

/// Waits until a server has acknowledged so many commits, for two minutes at most.
async fn come_to(writers: &Writers, server: Server, amount: u64) {
    for _ in 0..2_400 {
        if writers.committed_on(server) >= amount {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(writers.committed_on(server) >= amount, "{}", writers.committed_on(server));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_whatever_happens_to_the_sessions() {
    let (sandbox, application) = filled().await;
    let administrator = administrator(&sandbox.source);
    let workload = Workload { seed: 7, ..Workload::default() };
    let writers = Writers::start(&application, workload).await.unwrap();
    let session = administrator.sql("sandbox").await.unwrap();
    for round in 1..=5 {
        come_to(&writers, Server::Source, round * 300).await;
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity \
                     where usename = 'dvd_rental_app'";
        session.execute(ended).await.unwrap();
    }
    come_to(&writers, Server::Source, 2_000).await;
    let report = writers.stopped().await;
    let mut proof = Proof::of(&report, &session).await.unwrap();
    assert!(proof.is_right(), "{proof:?}");
    assert!(report.longest_pause > Duration::ZERO);
    assert!(!report.refused.is_empty(), "none was taken back");
    // Nothing but what comes from a lock that was not to be had at once.
    let unexpected = report.refusals.keys().filter(|code| *code != "55P03" && *code != "40001");
    assert_eq!(unexpected.count(), 0, "{:?}", report.refusals);

    let planted = "insert into writers.trace select * from writers.trace limit 1; \
                   delete from writers.log where (writer, number) in \
                   (select writer, number from writers.log order by 1, 2 limit 1)";
    session.execute(planted).await.unwrap();
    proof = Proof::of(&report, &session).await.unwrap();
    assert_eq!((proof.doubled.len(), proof.torn.len(), proof.miscounted.len()), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_the_source_refuses_write_nowhere_and_come_back() {
    let (sandbox, application) = filled().await;
    let source = administrator(&sandbox.source);
    let workload = Workload { target: Gate::Held, ..Workload::default() };
    let writers = Writers::start(&application, workload).await.unwrap();
    come_to(&writers, Server::Source, 100).await;
    let source = source.sql("sandbox").await.unwrap();
    source.execute("revoke connect on database dvd_rental from public").await.unwrap();
    let ended = "select pg_terminate_backend(pid) from pg_stat_activity \
                 where usename = 'dvd_rental_app'";
    source.execute(ended).await.unwrap();
    // An empty target is none that an application could use.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = writers.committed_on(Server::Source);
    writers.admit();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(writers.committed_on(Server::Target), 0);
    source.execute("grant connect on database dvd_rental to public").await.unwrap();
    come_to(&writers, Server::Source, before + 100).await;
    let report = writers.stopped().await;
    assert!(Proof::of(&report, &source).await.unwrap().is_right());
}

#[tokio::test]
async fn writers_end_by_themselves_when_their_time_is_over() {
    let (_sandbox, application) = filled().await;
    let limit = Duration::from_millis(500);
    let writers = Writers::start(&application, Workload { limit, ..Workload::default() });
    let writers = writers.await.unwrap();
    tokio::time::sleep(limit * 2).await;
    let ended = writers.committed_on(Server::Source);
    tokio::time::sleep(limit).await;
    assert_eq!(writers.committed_on(Server::Source), ended);
}
