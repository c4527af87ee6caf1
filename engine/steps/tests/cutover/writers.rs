//! Clients that write all the time, and come back when they are thrown out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pgkedge_postgres::{Endpoint, Sql};
use tokio::task::JoinSet;

/// How long a writer that is let in needs to show it, and how long one that is not is watched.
const WATCHED: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(20);

/// One writer.
pub(crate) struct Writer {
    pub(crate) name: String,
    written: Arc<AtomicU64>,
    opened: Arc<AtomicU64>,
}

/// Writers that stop when they are dropped.
#[derive(Default)]
pub(crate) struct Writers {
    pub(crate) all: Vec<Writer>,
    tasks: JoinSet<()>,
}

impl Writers {
    /// Starts one that inserts into `public.written`, and keeps its session as long as it can.
    pub(crate) fn start(&mut self, endpoint: Endpoint, name: &str) {
        let (written, opened) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        self.all.push(Writer {
            name: name.to_owned(),
            written: Arc::clone(&written),
            opened: Arc::clone(&opened),
        });
        self.tasks.spawn(async move {
            let mut session: Option<Sql> = None;
            loop {
                if let Some(open) = session.take() {
                    let sent = open.execute("insert into public.written default values").await;
                    if sent.is_ok() {
                        written.fetch_add(1, Ordering::SeqCst);
                        session = Some(open);
                    }
                } else {
                    session = endpoint.sql("app").await.ok();
                    opened.fetch_add(u64::from(session.is_some()), Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    fn counts(&self) -> Vec<(&str, u64, u64)> {
        let count = |writer: &Writer| {
            let counts = (&writer.written, &writer.opened);
            (counts.0.load(Ordering::SeqCst), counts.1.load(Ordering::SeqCst))
        };
        self.all
            .iter()
            .map(|writer| {
                let (written, opened) = count(writer);
                (writer.name.as_str(), written, opened)
            })
            .collect()
    }

    /// Every writer writes again.
    pub(crate) async fn all_write(&self) {
        let before = self.counts();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = self.counts();
            let silent: Vec<&str> = before
                .iter()
                .zip(&now)
                .filter(|(before, now)| now.1 <= before.1)
                .map(|(_, now)| now.0)
                .collect();
            if silent.is_empty() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{silent:?} cannot write");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// No writer writes, and none gets in.
    pub(crate) async fn none_writes(&self) {
        let before = self.counts();
        tokio::time::sleep(WATCHED).await;
        assert_eq!(self.counts(), before, "somebody got in, or wrote");
    }
}

/// Looks all the time whether somebody can write to both sides.
pub(crate) struct BothSides {
    both: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl BothSides {
    /// Asks each side with a new session: the target first, which is opened last, so that a
    /// change-over between the two questions is not taken for both.
    pub(crate) fn watch(source: Endpoint, target: Endpoint) -> Self {
        let (both, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (seen, count) = (Arc::clone(&both), Arc::clone(&rounds));
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                if can_write(&target).await && can_write(&source).await {
                    seen.store(true, Ordering::SeqCst);
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { both, rounds, _task: task }
    }

    /// After at least one more look: never both.
    pub(crate) async fn never_both(&self) {
        let start = self.rounds.load(Ordering::SeqCst);
        while self.rounds.load(Ordering::SeqCst) < start + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!self.both.load(Ordering::SeqCst), "both sides took writes");
    }
}

pub(crate) async fn can_write(endpoint: &Endpoint) -> bool {
    let Ok(session) = endpoint.sql("app").await else { return false };
    session.execute("insert into public.written default values").await.is_ok()
}
