//! Bounded writers: an application that goes on writing while its database moves, and keeps count.
//!
//! Each transaction leaves its number behind, in a table with a key and in one without. The writers know
//! what the servers acknowledged, so that a lost, doubled or risen transaction is found afterwards. They end
//! by themselves when their time is over, and when the value is dropped.

mod operations;
mod proof;
mod tally;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pgkedge_model::{Failure, Server};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::application::Application;
use crate::random::Random;
use operations::{Bounds, Maker};
pub use proof::Proof;
pub use tally::Number;
use tally::Tally;
use writer::Writer;

/// How much is written, and for how long.
#[derive(Debug, Clone)]
pub struct Workload {
    pub writers: u32,
    /// Transactions a second, of all writers together, as far as the servers can do it. Each writes four rows
    /// and more.
    pub rate: u32,
    pub seed: u64,
    /// They stop by themselves after that time.
    pub limit: Duration,
    pub target: Gate,
}

impl Default for Workload {
    fn default() -> Self {
        Self { writers: 6, rate: 600, seed: 1, limit: Duration::from_mins(5), target: Gate::Open }
    }
}

/// Whether writers that get into the target write there at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// They wait until [`Writers::admit`].
    Held,
}

/// Writers at work.
#[derive(Debug)]
pub struct Writers {
    tasks: JoinSet<()>,
    shared: Arc<Shared>,
    seed: u64,
    first: u64,
}

/// What the writers know, all of them together.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub seed: u64,
    /// Number of the first transaction of each writer.
    pub first: u64,
    pub committed: BTreeSet<Number>,
    pub in_doubt: BTreeSet<Number>,
    pub refused: BTreeSet<Number>,
    /// Acknowledged commits by server.
    pub on: BTreeMap<Server, u64>,
    /// By SQLSTATE, what servers refused of transactions that should have gone through.
    pub refusals: BTreeMap<String, u64>,
    /// Commits that the source acknowledged after the target had let a writer in: both were open.
    pub late: u64,
    /// The longest time without an acknowledged commit, less what the writers were held at the target.
    pub longest_pause: Duration,
    /// For how long the source took writes: pauses of a second and more are left out.
    pub at_work: Duration,
}

#[derive(Debug)]
pub(crate) struct Shared {
    tally: Mutex<Tally>,
    gate: watch::Sender<Gate>,
    stopped: watch::Sender<bool>,
    deadline: Instant,
}

impl Shared {
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.stopped.borrow() || Instant::now() >= self.deadline
    }

    /// Waits until the target is open to writers, or until they have to stop.
    pub(crate) async fn admitted(&self) {
        let (mut gate, mut stopped) = (self.gate.subscribe(), self.stopped.subscribe());
        tokio::select! {
            _ = gate.wait_for(|gate| *gate == Gate::Open) => self.tally().admit(),
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = tokio::time::sleep_until(self.deadline) => {}
        }
    }
}

impl Writers {
    /// Starts them on the source.
    pub async fn start(application: &Application, workload: Workload) -> Result<Self, Failure> {
        let session = application.source.sql("dvd-rental writers").await?;
        let asked = "select (select max(rental_id) from public.rental), \
             (select max(payment_id) from public.payment), \
             (select max(member_id) from public.member), (select max(disc_id) from public.disc), \
             (select count(*) from back_office.title_document), \
             (select coalesce(max(number), 0) from writers.log)";
        let rows = session.rows(asked).await?;
        let told = |at| rows.first().and_then(|row| row.get(at)).and_then(|text| text.parse().ok());
        let told = |at| told(at).unwrap_or(0);
        let bounds = Bounds {
            rentals: told(0),
            payments: told(1),
            members: told(2),
            discs: told(3),
            documents: told(4),
        };
        Ok(Self::spawn(application, &workload, bounds, told(5) + 1))
    }

    fn spawn(application: &Application, workload: &Workload, bounds: Bounds, first: u64) -> Self {
        let shared = Arc::new(Shared {
            tally: Mutex::default(),
            gate: watch::Sender::new(workload.target),
            stopped: watch::Sender::new(false),
            deadline: Instant::now() + workload.limit,
        });
        let mut tasks = JoinSet::new();
        for writer in 0..workload.writers {
            let random = Random::new(workload.seed.wrapping_add(u64::from(writer) << 32));
            let writers = workload.writers;
            let writer = Writer {
                maker: Maker { random, bounds, writer, writers, number: first },
                rate: workload.rate,
                application: application.clone(),
                shared: Arc::clone(&shared),
                session: None,
            };
            tasks.spawn(writer.run());
        }
        Self { tasks, shared, seed: workload.seed, first }
    }

    /// Lets those that wait at the target write there.
    pub fn admit(&self) {
        self.shared.gate.send_replace(Gate::Open);
    }

    /// How many commits a server has acknowledged so far.
    pub fn committed_on(&self, server: Server) -> u64 {
        self.shared.tally().on.get(&server).copied().unwrap_or(0)
    }

    /// Lets each finish its transaction, and tells what became of all of them.
    pub async fn stopped(mut self) -> Report {
        self.shared.stopped.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let tally = std::mem::take(&mut *self.shared.tally());
        Report {
            seed: self.seed,
            first: self.first,
            longest_pause: tally.longest_pause(),
            committed: tally.committed,
            in_doubt: tally.in_doubt,
            refused: tally.refused,
            on: tally.on,
            refusals: tally.refusals,
            late: tally.late,
            at_work: tally.at_work,
        }
    }
}
