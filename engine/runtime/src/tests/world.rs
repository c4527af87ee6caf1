//! A world that remembers what was done to it, and complains.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgkedge_model::{
    BoxFuture, Call, Epoch, Event, EventSink, Failure, FailureClass, Fence, FenceError, FenceGuard,
    Leaves, Performer, Probe, Record, RunHeader, StampedRecord, StepGraph, StepId, StepNode,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::graph::{clock, private_folder};
use crate::{Journal, RetryPolicy, RunOptions, RunReport, StopSignal, UndoReport, UndoScope};

/// How one attempt at a step goes; `Work` when nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Work,
    Fail(FailureClass),
    /// The effect is made, and then the answer is lost.
    LoseReply,
    Panic,
    /// Until it is cancelled.
    Hang,
    /// Until it is cancelled, and then on.
    Ignore,
    WaitForApproval,
    /// It takes a while, whatever the user wants.
    Linger,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) held: BTreeSet<StepId>,
    pub(crate) made: BTreeMap<StepId, u32>,
    pub(crate) started: Vec<StepId>,
    pub(crate) undone: Vec<StepId>,
    pub(crate) running: Vec<StepId>,
    pub(crate) services: BTreeSet<StepId>,
    /// Services that were lost once: nobody can say then what started before it was known.
    lost: BTreeSet<StepId>,
    pub(crate) busiest: usize,
    pub(crate) script: BTreeMap<StepId, VecDeque<Turn>>,
    pub(crate) probes: BTreeMap<StepId, VecDeque<Probe>>,
    /// Services that are lost when these steps have begun; then when the next ones have.
    pub(crate) doomed: BTreeMap<StepId, VecDeque<Vec<StepId>>>,
    /// What each step that holds was made of: its generation and the outputs that it read.
    pub(crate) made_of: BTreeMap<StepId, (u32, BTreeMap<StepId, Value>)>,
    pub(crate) approved: Vec<String>,
    pub(crate) inputs: BTreeMap<StepId, BTreeMap<StepId, Value>>,
    pub(crate) events: Vec<Event>,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) wrong: Vec<String>,
}

pub(crate) struct World {
    pub(crate) header: RunHeader,
    behind: BTreeMap<StepId, BTreeSet<StepId>>,
    pub(crate) state: Mutex<State>,
    pub(crate) moved: Notify,
    cancelled: watch::Sender<bool>,
    pub(crate) fence_lost: Notify,
    /// The run is killed when this gets to zero.
    pub(crate) until_crash: AtomicI64,
    pub(crate) crash: Notify,
}

impl World {
    pub(crate) fn new(header: RunHeader) -> Arc<Self> {
        Arc::new(Self {
            behind: needed_steps(&header.graph),
            header,
            state: Mutex::default(),
            moved: Notify::new(),
            cancelled: watch::Sender::new(false),
            fence_lost: Notify::new(),
            until_crash: AtomicI64::new(i64::MAX),
            crash: Notify::new(),
        })
    }

    pub(crate) fn script(self: &Arc<Self>, step: &str, turns: &[Turn]) -> Arc<Self> {
        self.state().script.insert(step.into(), turns.iter().copied().collect());
        Arc::clone(self)
    }

    pub(crate) fn doom(self: &Arc<Self>, service: &str, begun: &[&str]) -> Arc<Self> {
        let begun = begun.iter().map(|step| StepId::from(*step)).collect();
        self.state().doomed.entry(service.into()).or_default().push_back(begun);
        Arc::clone(self)
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A place where the run may be killed.
    async fn point(&self) {
        if self.counts_down() {
            self.crash.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    fn counts_down(&self) -> bool {
        self.until_crash.fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// Returns once the world is as it is asked to be.
    pub(crate) async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let moved = self.moved.notified();
            if holds(&self.state()) {
                return;
            }
            tokio::time::timeout(Duration::from_millis(5), moved).await.ok();
        }
    }

    fn enter(&self, node: &StepNode) {
        let settings = &self.header.settings;
        let mut state = self.state();
        for need in &self.behind[&node.id] {
            let stopped = node.stops.as_ref() == Some(need);
            if stopped && state.services.contains(need) {
                state.wrong.push(format!("{} started before {need} ended", node.id));
            }
            let there = [&state.held, &state.services, &state.lost];
            if !stopped && !there.iter().any(|there| there.contains(need)) {
                let wrong = format!("{} started before {need} was there", node.id);
                state.wrong.push(wrong);
            }
        }
        state.started.push(node.id.clone());
        state.running.push(node.id.clone());
        let running: Vec<_> =
            state.running.iter().filter_map(|id| self.header.graph.step(id)).collect();
        let workers = running.iter().filter(|node| node.resources.worker).count();
        let ordinary = running.iter().filter(|node| !node.service).count();
        let connections: u16 =
            running.iter().flat_map(|node| &node.resources.connections).map(|taken| taken.1).sum();
        state.busiest = state.busiest.max(workers);
        if workers > usize::from(settings.load.workers) {
            state.wrong.push(format!("{workers} workers"));
        }
        if connections > settings.limits.source_connections && ordinary > 1 {
            state.wrong.push(format!("{connections} connections for {ordinary} steps"));
        }
        self.moved.notify_waiters();
    }

    fn make(&self, call: &Call) {
        let step = &call.node.id;
        let mut state = self.state();
        state.made_of.insert(step.clone(), (call.generation, call.inputs.clone()));
        *state.made.entry(step.clone()).or_default() += 1;
        if !state.held.insert(step.clone()) {
            state.wrong.push(format!("{step} was made twice"));
        }
    }

    async fn serve(&self, call: &Call) -> Result<Value, Failure> {
        let step = &call.node.id;
        self.point().await;
        call.reporter.ready(json!(call.attempt)).await?;
        self.state().services.insert(step.clone());
        self.moved.notify_waiters();
        let _seat = Leave(self, step.clone());
        let turn = self.turn(step);
        if turn == Turn::Fail(FailureClass::Transient) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.state().lost.insert(step.clone());
            return Err(Failure::transient("the session was lost"));
        }
        tokio::select! {
            () = call.reporter.stopped() => Ok(Value::Null),
            () = self.until_doomed(step) => {
                self.state().lost.insert(step.clone());
                Err(Failure::transient("the session was lost"))
            }
        }
    }

    /// Returns when it is time for a service to be lost.
    async fn until_doomed(&self, service: &StepId) {
        let steps = self.state().doomed.get(service).and_then(|times| times.front().cloned());
        let Some(steps) = steps else { return std::future::pending().await };
        let begun = |state: &State| {
            steps.iter().all(|step| state.running.contains(step) || state.held.contains(step))
        };
        self.until(begun).await;
        self.state().doomed.entry(service.clone()).or_default().pop_front();
    }

    fn turn(&self, step: &StepId) -> Turn {
        let turn = self.state().script.get_mut(step).and_then(VecDeque::pop_front);
        turn.unwrap_or(Turn::Work)
    }

    async fn work(&self, call: &Call) -> Result<Value, Failure> {
        let step = &call.node.id;
        self.point().await;
        match self.turn(step) {
            Turn::Work => self.make(call),
            Turn::Fail(class) => return Err(Failure::new(class, "as the script says")),
            Turn::LoseReply => {
                self.make(call);
                return Err(Failure::transient("the answer was lost"));
            }
            Turn::Panic => panic!("as the script says"),
            Turn::Hang => {
                self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await.unwrap();
                return Err(Failure::new(FailureClass::Cancelled, "cancelled"));
            }
            Turn::Ignore => std::future::pending().await,
            Turn::Linger => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.make(call);
            }
            Turn::WaitForApproval => {
                let nobody = || Failure::new(FailureClass::Cancelled, "nobody");
                let by = call.reporter.approved().await.ok_or_else(nobody)?;
                self.state().approved.push(by);
                self.make(call);
            }
        }
        self.point().await;
        Ok(json!({ "made_by": call.attempt }))
    }
}

/// Takes a step off the running ones, also when its future is dropped.
struct Leave<'a>(&'a World, StepId);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running.retain(|step| *step != self.1);
        state.services.remove(&self.1);
        drop(state);
        self.0.moved.notify_waiters();
    }
}

impl Performer for World {
    fn perform(&self, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            self.enter(&call.node);
            self.state().inputs.insert(call.node.id.clone(), call.inputs.clone());
            let _running = Leave(self, call.node.id.clone());
            if call.node.service { self.serve(&call).await } else { self.work(&call).await }
        })
    }

    fn probe(&self, call: Call) -> BoxFuture<'_, Result<Probe, Failure>> {
        Box::pin(async move {
            self.point().await;
            let mut state = self.state();
            if call.attempt == 1 {
                state.wrong.push(format!("{} was probed at first", call.node.id));
            }
            let scripted = state.probes.get_mut(&call.node.id).and_then(VecDeque::pop_front);
            let held = state.held.contains(&call.node.id);
            Ok(scripted.unwrap_or(if held {
                Probe::Applied(json!("found"))
            } else {
                Probe::Absent
            }))
        })
    }

    fn undo(&self, call: Call) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            self.point().await;
            match self.turn(&call.node.id) {
                Turn::Fail(class) => return Err(Failure::new(class, "as the script says")),
                Turn::Panic => panic!("as the script says"),
                Turn::Work
                | Turn::LoseReply
                | Turn::Hang
                | Turn::Ignore
                | Turn::Linger
                | Turn::WaitForApproval => {}
            }
            let mut state = self.state();
            state.held.remove(&call.node.id);
            state.undone.push(call.node.id.clone());
            Ok(())
        })
    }

    fn cancel(&self) {
        self.cancelled.send_replace(true);
    }
}

impl EventSink for World {
    fn publish(&self, event: &Event) {
        let mut state = self.state();
        state.events.push(event.clone());
        if let Event::Lifecycle(StampedRecord { record: Record::StepUndone { step }, .. }) = event
            && self.header.graph.step(step).is_some_and(|node| node.leaves == Leaves::Nothing)
        {
            state.held.remove(step);
        }
        drop(state);
        self.moved.notify_waiters();
        if let Event::Lifecycle(_) = event
            && self.counts_down()
        {
            self.crash.notify_one();
        }
    }
}

pub(crate) struct FakeFence(pub(crate) Arc<World>);

impl Fence for FakeFence {
    fn acquire<'a>(
        &'a self,
        _run: &'a RunHeader,
        epoch: Epoch,
    ) -> BoxFuture<'a, Result<Box<dyn FenceGuard>, FenceError>> {
        self.0.state().epochs.push(epoch);
        let guard: Box<dyn FenceGuard> = Box::new(Self(Arc::clone(&self.0)));
        Box::pin(std::future::ready(Ok(guard)))
    }
}

impl FenceGuard for FakeFence {
    fn lost(&self) -> BoxFuture<'_, FenceError> {
        Box::pin(async {
            self.0.fence_lost.notified().await;
            FenceError::Stale
        })
    }
}

/// A world, and the folder of the run in it.
pub(crate) struct Trial {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) world: Arc<World>,
}

impl Trial {
    pub(crate) fn new(header: RunHeader) -> Self {
        Self { folder: private_folder(), world: World::new(header) }
    }

    pub(crate) fn journal(&self) -> Journal {
        let folder = self.folder.path();
        if folder.join("journal.sqlite").exists() {
            return Journal::open(folder, clock()).unwrap();
        }
        Journal::create(folder, self.world.header.clone(), clock()).unwrap()
    }

    pub(crate) async fn run(&self) -> RunReport {
        self.run_until(&StopSignal::new()).await
    }

    pub(crate) async fn run_until(&self, stop: &StopSignal) -> RunReport {
        self.run_with(stop, options()).await
    }

    pub(crate) async fn run_with(&self, stop: &StopSignal, options: RunOptions) -> RunReport {
        self.world.cancelled.send_replace(false);
        let world = &self.world;
        let fence = Arc::new(FakeFence(Arc::clone(world)));
        let sinks: Vec<Arc<dyn EventSink>> = vec![Arc::clone(world) as Arc<dyn EventSink>];
        let performer = Arc::clone(world) as Arc<dyn Performer>;
        crate::run(self.journal(), performer, fence, sinks, options, stop.clone()).await
    }

    /// Runs, and kills the run after so many events. Returns whether it came to its end before.
    pub(crate) async fn crash_after(&self, events: i64) -> bool {
        self.world.until_crash.store(events, Ordering::SeqCst);
        let ended = tokio::select! {
            report = self.run() => { drop(report); true }
            () = self.world.crash.notified() => false,
        };
        self.world.until_crash.store(i64::MAX, Ordering::SeqCst);
        // The killed steps are dropped when the executor comes to them.
        self.world.until(|state| state.running.is_empty()).await;
        ended
    }

    pub(crate) async fn redo(&self, scope: &str) -> UndoReport {
        let world = &self.world;
        let fence = Arc::new(FakeFence(Arc::clone(world)));
        let performer = Arc::clone(world) as Arc<dyn Performer>;
        let scope = pgkedge_model::Ident::new(scope).unwrap();
        let sinks: Vec<Arc<dyn EventSink>> = vec![Arc::clone(world) as Arc<dyn EventSink>];
        crate::redo(self.journal(), performer, fence, sinks, scope, StopSignal::new()).await
    }

    pub(crate) async fn undo(&self, scope: UndoScope) -> UndoReport {
        let world = &self.world;
        let fence = Arc::new(FakeFence(Arc::clone(world)));
        let performer = Arc::clone(world) as Arc<dyn Performer>;
        let sinks: Vec<Arc<dyn EventSink>> = vec![Arc::clone(world) as Arc<dyn EventSink>];
        crate::undo(self.journal(), performer, fence, sinks, scope, StopSignal::new()).await
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let reader = crate::JournalReader::open(self.folder.path()).unwrap();
        reader.records(0).unwrap().into_iter().map(|stamped| stamped.record).collect()
    }

    /// Every step was made once, and nothing went wrong on the way.
    pub(crate) fn check_complete(&self) {
        let state = self.world.state();
        assert_eq!(state.wrong, Vec::<String>::new());
        for node in self.world.header.graph.steps().filter(|node| !node.service) {
            assert_eq!(state.made.get(&node.id), Some(&1), "{}", node.id);
        }
    }
}

pub(crate) fn options() -> RunOptions {
    RunOptions {
        retry: RetryPolicy {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(3),
            ..RetryPolicy::default()
        },
        cancel_grace: Duration::from_millis(200),
        ..RunOptions::default()
    }
}

/// What each step waits for, directly or through barriers.
fn needed_steps(graph: &StepGraph) -> BTreeMap<StepId, BTreeSet<StepId>> {
    let mut all: BTreeMap<StepId, BTreeSet<StepId>> = BTreeMap::new();
    for (id, _) in graph.nodes() {
        let mut needed = BTreeSet::new();
        for need in graph.needs(id) {
            match graph.step(need) {
                // A service may have ended when a later phase begins.
                Some(node) if node.service && graph.step(id).is_none() => {}
                Some(_) => drop(needed.insert(need.clone())),
                None => needed.extend(all[need].iter().cloned()),
            }
        }
        all.insert(id.clone(), needed);
    }
    all
}
