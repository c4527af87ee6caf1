//! Takes a run: a new epoch in the journal, then the fence.

use std::sync::Arc;

use pgkedge_model::{Checkpoint, CloseStatus, Epoch, EventSink, Fence, FenceGuard, Record};

use crate::{Journal, RunError};

/// A run that this process holds.
pub(crate) struct Opened {
    pub(crate) guard: Arc<dyn FenceGuard>,
    pub(crate) checkpoint: Checkpoint,
}

/// The epoch is durable before any server hears of it, so that no two runners ever share one.
pub(crate) async fn open(
    journal: &Journal,
    fence: &dyn Fence,
    sinks: Vec<Arc<dyn EventSink>>,
) -> Result<Opened, RunError> {
    let appender = journal.appender();
    appender.publish_to(sinks);
    let header = journal.header();
    let before = appender.checkpoint().clone();
    let epoch = Epoch(before.epoch.map_or(1, |last| last.0 + 1));
    let (run_id, engine) = (header.run_id.clone(), env!("CARGO_PKG_VERSION").to_owned());
    let record = Record::RunOpened { run_id, epoch, engine };
    appender.append(record).await?;
    match fence.acquire(header, epoch).await {
        Ok(guard) => {
            let checkpoint = appender.checkpoint().clone();
            Ok(Opened { guard: Arc::from(guard), checkpoint })
        }
        Err(error) => {
            // Nothing was done: the run stands as its last runner left it.
            let status = before.closed.unwrap_or(CloseStatus::Failed);
            appender.append(Record::RunClosed { status }).await?;
            Err(error.into())
        }
    }
}
