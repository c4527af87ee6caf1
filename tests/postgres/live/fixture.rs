//! A database that an application writes to, from before a run until after it.

use std::path::PathBuf;
use std::time::Duration;

use pgkedge_model::Server;
use pgkedge_runtime::JournalReader;
use pgkedge_sandbox::dvd_rental::{self, Size};
use pgkedge_sandbox::{
    Application, Gate, Options, Proof, Random, Replica, Report, THREE_SLOTS, Workload, Writers,
    administrator,
};
use tokio::runtime::Runtime;

use crate::background::Background;
use crate::harness::{Move, Side, tell, text, wait_for};

/// How a live database moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pipeline {
    FullLoadAndCapture,
    PausedReplica,
    CaptureOnly,
}

impl Pipeline {
    pub(crate) const ALL: [Self; 3] =
        [Self::FullLoadAndCapture, Self::PausedReplica, Self::CaptureOnly];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FullLoadAndCapture => "full-load-and-capture",
            Self::PausedReplica => "paused-replica",
            Self::CaptureOnly => "capture-only",
        }
    }

    fn replica(self) -> Replica {
        match self {
            Self::PausedReplica => Replica::Streaming,
            Self::FullLoadAndCapture | Self::CaptureOnly => Replica::Absent,
        }
    }

    /// Whether rows of unlogged tables move too.
    pub(crate) fn moves_unlogged(self) -> bool {
        self != Self::CaptureOnly
    }

    /// What its plan says beside the groups.
    fn fields(self) -> &'static str {
        match self {
            // Nothing captures what is written to unlogged tables.
            Self::CaptureOnly => "change_capture: { from: now }\nunlogged: schema_only\n",
            Self::FullLoadAndCapture | Self::PausedReplica => "load: { part_size: 1MiB }\n",
        }
    }
}

/// Servers with an application's database on the source.
pub(crate) struct Live {
    pub(crate) moved: Move,
    pub(crate) pipeline: Pipeline,
    application: Application,
    runtime: Runtime,
}

impl Live {
    pub(crate) fn new(pipeline: Pipeline, options: &Options) -> Self {
        let moved = Move::with(&Options { replica: pipeline.replica(), ..options.clone() });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let application = runtime.block_on(async {
            let source = administrator(&moved.sandbox.source).sql("sandbox").await;
            let source = source.expect("the source lets us in");
            for statement in dvd_rental::statements(Size::new(0.1).expect("a size")) {
                source.execute(&statement).await.expect("the database is built");
            }
            Application::install(&moved.sandbox).await.expect("the application is installed")
        });
        let live = Self { moved, pipeline, application, runtime };
        if pipeline == Pipeline::CaptureOnly {
            live.load_beforehand();
        }
        live
    }

    /// Brings what is there to the target, as some other tool would have done.
    fn load_beforehand(&self) {
        self.moved.run_plan(&self.moved.plan_of("full-load", "")).expect(0);
        std::fs::remove_dir_all(&self.moved.state).expect("the state is removed");
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.plan_with("prepared_transactions: rollback")
    }

    /// The plan with another cutover.
    pub(crate) fn plan_with(&self, cutover: &str) -> PathBuf {
        let fields = self.pipeline.fields();
        let fields = format!("{THREE_SLOTS}{fields}cutover: {{ {cutover} }}\n");
        self.moved.plan_of(self.pipeline.name(), &fields)
    }

    /// Starts the writers. At the target they wait.
    pub(crate) fn write(&self, seed: u64) -> Writers {
        let workload = Workload {
            seed,
            rate: 650,
            target: Gate::Held,
            limit: Duration::from_mins(15),
            ..Workload::default()
        };
        self.runtime.block_on(Writers::start(&self.application, workload)).expect("they start")
    }

    /// Starts a run. The writers work from before it; where the target has the rows already, from the moment
    /// on at which that was proved.
    pub(crate) fn begin(&self, seed: u64) -> (Background, Writers) {
        let run = || {
            let plan = self.plan();
            self.moved.background(&[
                "run",
                text(&plan),
                "--yes",
                "--state",
                text(&self.moved.state),
            ])
        };
        if self.pipeline != Pipeline::CaptureOnly {
            let writers = self.write(seed);
            return (run(), writers);
        }
        let mut running = run();
        wait_for("the hand-off", || self.is_past("hand_off") || !running.is_running());
        (running, self.write(seed))
    }

    /// Whether a phase is over.
    fn is_past(&self, phase: &str) -> bool {
        let Ok(reader) = JournalReader::open(&self.moved.state) else { return false };
        let (Ok(header), Ok(checkpoint)) = (reader.header(), reader.checkpoint()) else {
            return false;
        };
        let prefix = format!("{phase}/");
        let mut steps = header.graph.steps().filter(|node| node.id.0.starts_with(&prefix));
        steps.all(|node| {
            checkpoint.steps.get(&node.id).is_some_and(pgkedge_model::StepState::is_succeeded)
        })
    }

    /// Kills the run at a moment that is none of its choice, and sometimes pauses it before. It may have come to its end before.
    pub(crate) fn kill(&self, mut running: Background, random: &mut Random) {
        let moment = random.below(1_000);
        wait_for("its moment", || self.has_come_to(moment) || !running.is_running());
        let mut wait = |most| std::thread::sleep(Duration::from_millis(random.below(most)));
        wait(300);
        if moment.is_multiple_of(2) && running.is_running() {
            // Its sessions stay open meanwhile, and nobody serves them.
            running.signal("STOP");
            wait(3_000);
            running.signal("CONT");
            wait(1_000);
        }
        tell(&format!("killed when {moment} of 1,000 steps were done, or a little later"));
        running.killed();
    }

    /// Whether so many thousandths of the steps are done.
    fn has_come_to(&self, thousandths: u64) -> bool {
        let Ok(reader) = JournalReader::open(&self.moved.state) else { return false };
        let (Ok(header), Ok(checkpoint)) = (reader.header(), reader.checkpoint()) else {
            return false;
        };
        let steps = header.graph.steps().count() as u64;
        let done = checkpoint.steps.values().filter(|state| state.is_succeeded()).count() as u64;
        checkpoint.epoch.is_some() && done * 1_000 >= steps * thousandths
    }

    /// Lets the writers go on at the target, and ends them there.
    pub(crate) fn end_on_target(&self, writers: Writers) -> Report {
        writers.admit();
        wait_for("writes on the target", || writers.committed_on(Server::Target) >= 300);
        self.stop(writers)
    }

    pub(crate) fn stop(&self, writers: Writers) -> Report {
        self.runtime.block_on(writers.stopped())
    }

    /// What a server holds of the writers' transactions.
    pub(crate) fn proof(&self, report: &Report, side: Side) -> Proof {
        let cluster = self.moved.cluster(side);
        self.runtime.block_on(async {
            let session = administrator(cluster).sql("sandbox").await.expect("it lets us in");
            Proof::of(report, &session).await.expect("the writers' tables are there")
        })
    }
}
