//! How a user stops a run: first gently, then firmly, then at once.

use std::sync::Arc;

use tokio::sync::watch;

/// How urgently the run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StopStage {
    /// Not at all.
    #[default]
    Go,
    /// Start nothing new, let running steps finish.
    Finish,
    /// Cancel what runs.
    Cancel,
    /// Return now; the journal says what is uncertain.
    Leave,
}

/// Set by the signal handler, watched by the run. Clones share one state.
#[derive(Debug, Clone)]
pub struct StopSignal(Arc<watch::Sender<StopStage>>);

impl StopSignal {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(StopStage::Go)))
    }

    /// One stage further, as each Ctrl-C does.
    pub fn escalate(&self) {
        self.0.send_modify(|stage| {
            *stage = match stage {
                StopStage::Go => StopStage::Finish,
                StopStage::Finish => StopStage::Cancel,
                StopStage::Cancel | StopStage::Leave => StopStage::Leave,
            };
        });
    }

    /// At least this far; never back.
    pub fn raise(&self, stage: StopStage) {
        self.0.send_if_modified(|now| {
            let further = *now < stage;
            *now = stage.max(*now);
            further
        });
    }

    pub fn stage(&self) -> StopStage {
        *self.0.borrow()
    }

    /// Returns once the run is to stop at least this urgently.
    pub async fn reached(&self, stage: StopStage) {
        let mut watch = self.0.subscribe();
        // It cannot fail: this value keeps the sender alive.
        drop(watch.wait_for(|now| *now >= stage).await);
    }
}

impl Default for StopSignal {
    fn default() -> Self {
        Self::new()
    }
}
