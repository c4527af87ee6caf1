//! The thread that writes: it commits what has queued up in one transaction, and only then folds,
//! publishes and tells the callers.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use pgkedge_model::{Checkpoint, Clock, Event, EventSink, Record, StampedRecord};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::store::{self, Line, Tail};
use super::{JournalError, PendingRequest};

/// Keeps a transaction, and the wait of the first caller in it, short.
const LARGEST_BATCH: usize = 256;

/// Appends to a journal from anywhere.
#[derive(Clone)]
pub(crate) struct Appender {
    queue: Sender<Command>,
    shared: Arc<Shared>,
}

/// What the thread and the appenders both see.
struct Shared {
    /// The fold of everything durable.
    checkpoint: Mutex<Checkpoint>,
    sinks: Mutex<Vec<Arc<dyn EventSink>>>,
}

/// Owns the thread.
pub(super) struct Writer {
    appender: Appender,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Append(Append),
    Requests(oneshot::Sender<Result<Vec<PendingRequest>, JournalError>>),
    Dismiss(i64),
    #[cfg(test)]
    LimitPages(u32),
    Close,
}

/// A record on its way.
struct Append {
    record: Record,
    /// The plan that a `PlanEdited` brings along.
    plan: Option<String>,
    /// The request that it answers.
    answers: Option<i64>,
    reply: Reply,
}

enum Reply {
    Task(oneshot::Sender<Result<StampedRecord, JournalError>>),
    Thread(SyncSender<Result<StampedRecord, JournalError>>),
}

impl Appender {
    /// Returns when the record is durable, folded and published.
    pub(crate) async fn append(&self, record: Record) -> Result<StampedRecord, JournalError> {
        self.answer(record, None).await
    }

    /// Appends the record that answers a request, and marks the request as taken with it.
    pub(crate) async fn answer(
        &self,
        record: Record,
        answers: Option<i64>,
    ) -> Result<StampedRecord, JournalError> {
        let (reply, answer) = oneshot::channel();
        let reply = Reply::Task(reply);
        self.send(Command::Append(Append { record, plan: None, answers, reply }))?;
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Requests that no record has answered yet, oldest first.
    pub(crate) async fn requests(&self) -> Result<Vec<PendingRequest>, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Requests(reply))?;
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Marks a request as taken that needs no record.
    pub(crate) fn dismiss(&self, request: i64) -> Result<(), JournalError> {
        self.send(Command::Dismiss(request))
    }

    /// The fold of everything durable, for a moment.
    pub(crate) fn checkpoint(&self) -> MutexGuard<'_, Checkpoint> {
        locked(&self.shared.checkpoint)
    }

    pub(crate) fn publish(&self, event: &Event) {
        for sink in locked(&self.shared.sinks).iter() {
            sink.publish(event);
        }
    }

    pub(crate) fn publish_to(&self, sinks: Vec<Arc<dyn EventSink>>) {
        *locked(&self.shared.sinks) = sinks;
    }

    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        self.send(Command::LimitPages(pages)).unwrap();
    }

    fn send(&self, command: Command) -> Result<(), JournalError> {
        self.queue.send(command).map_err(|_| JournalError::Closed)
    }
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        tail: Tail,
        checkpoint: Checkpoint,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (queue, commands) = channel();
        let shared =
            Arc::new(Shared { checkpoint: Mutex::new(checkpoint), sinks: Mutex::new(Vec::new()) });
        let appender = Appender { queue, shared: Arc::clone(&shared) };
        let mut worker = Worker { connection, tail, shared, clock, broken: None };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || worker.work(&commands))?;
        Ok(Self { appender, thread: Some(thread) })
    }

    pub(super) fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Appends while no runner is at work; blocks.
    pub(super) fn edit(&self, record: Record, plan: String) -> Result<(), JournalError> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.appender.send(Command::Append(Append {
            record,
            plan: Some(plan),
            answers: None,
            reply: Reply::Thread(reply),
        }))?;
        answer.recv().unwrap_or(Err(JournalError::Closed)).map(|_| ())
    }
}

impl Drop for Writer {
    /// Waits for what is queued, so that nothing is written once the folder is let go.
    fn drop(&mut self) {
        let closing = self.appender.send(Command::Close);
        if let (Ok(()), Some(thread)) = (closing, self.thread.take()) {
            drop(thread.join());
        }
    }
}

/// The thread's own state.
struct Worker {
    connection: Connection,
    tail: Tail,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    /// After an error nothing is written any more: what reached the disk is unknown.
    broken: Option<JournalError>,
}

impl Worker {
    fn work(&mut self, commands: &Receiver<Command>) {
        let mut batch = Vec::new();
        while let Ok(command) = commands.recv() {
            let mut next = Some(command);
            while let Some(command) = next {
                match command {
                    Command::Append(append) => batch.push(append),
                    Command::Requests(reply) => {
                        self.write(&mut batch);
                        // A caller that went away needs no answer.
                        drop(reply.send(self.requests()));
                    }
                    Command::Dismiss(request) => self.dismiss(request),
                    #[cfg(test)]
                    Command::LimitPages(pages) => {
                        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
                    }
                    Command::Close => {
                        self.write(&mut batch);
                        return;
                    }
                }
                next = if batch.len() < LARGEST_BATCH { commands.try_recv().ok() } else { None };
            }
            self.write(&mut batch);
        }
    }

    fn requests(&self) -> Result<Vec<PendingRequest>, JournalError> {
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => store::requests(&self.connection),
        }
    }

    fn dismiss(&mut self, request: i64) {
        if let Err(error) = store::dismiss_request(&self.connection, request) {
            self.broken.get_or_insert(error);
        }
    }

    /// Writes a batch. Records that cannot follow are refused alone; any other error is everyone's.
    fn write(&mut self, batch: &mut Vec<Append>) {
        if batch.is_empty() {
            return;
        }
        let mut accepted = Vec::with_capacity(batch.len());
        let mut fold = locked(&self.shared.checkpoint).clone_for(batch);
        for append in batch.drain(..) {
            match fold.apply(&append.record) {
                Ok(()) => accepted.push(append),
                Err(illegal) => append.reply.send(Err(illegal.into())),
            }
        }
        match self.commit(&accepted) {
            Ok(stamped) => self.tell(accepted, stamped),
            Err(error) => {
                tracing::error!(%error, "the journal cannot be written");
                self.broken = Some(error.clone());
                for append in accepted {
                    append.reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn commit(&mut self, batch: &[Append]) -> Result<Vec<StampedRecord>, JournalError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if store::last(&transaction)? != self.tail.seq {
            return Err(JournalError::TakenOver);
        }
        let mut tail = self.tail;
        let mut stamped = Vec::with_capacity(batch.len());
        for append in batch {
            let at = self.clock.now();
            let line = Line::new(at, &append.record)?;
            tail = store::insert(&transaction, tail, &line, append.plan.as_deref())?;
            if let Some(request) = append.answers {
                store::take_request(&transaction, request, tail.seq)?;
            }
            stamped.push(StampedRecord { seq: tail.seq, at, record: append.record.clone() });
        }
        transaction.commit()?;
        self.tail = tail;
        Ok(stamped)
    }

    /// Folds, publishes and answers, in the order of the journal.
    fn tell(&self, batch: Vec<Append>, stamped: Vec<StampedRecord>) {
        for (append, stamped) in batch.into_iter().zip(stamped) {
            let folded = locked(&self.shared.checkpoint).apply(&stamped.record);
            let event = Event::Lifecycle(stamped.clone());
            for sink in locked(&self.shared.sinks).iter() {
                sink.publish(&event);
            }
            append.reply.send(folded.map(|()| stamped).map_err(JournalError::from));
        }
    }
}

impl Reply {
    /// A caller that went away needs no answer.
    fn send(self, result: Result<StampedRecord, JournalError>) {
        match self {
            Self::Task(reply) => drop(reply.send(result)),
            Self::Thread(reply) => drop(reply.send(result)),
        }
    }
}

/// The part of a checkpoint that a batch can change.
trait CloneFor {
    fn clone_for(&self, batch: &[Append]) -> Checkpoint;
}

impl CloneFor for Checkpoint {
    fn clone_for(&self, batch: &[Append]) -> Checkpoint {
        let steps = batch
            .iter()
            .filter_map(|append| append.record.step())
            .filter_map(|step| Some((step.clone(), self.steps.get(step)?.clone())))
            .collect();
        Self { steps, ..Self::default() }
    }
}

/// A panic elsewhere leaves these values whole: each change of them is one assignment.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
