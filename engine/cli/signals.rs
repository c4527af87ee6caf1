//! Ctrl-C in three stages: finish what runs, cancel it, leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use pgkedge_runtime::StopSignal;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;

/// Which signal came first, so that the exit code can say so.
#[derive(Clone, Default)]
pub(crate) struct Signals {
    first: Arc<AtomicU8>,
}

impl Signals {
    /// Turns SIGINT and SIGTERM into the stages of `stop` for as long as the process lives.
    pub(crate) fn listen(stop: &StopSignal) -> std::io::Result<Self> {
        let signals = Self::default();
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let (heard, stop) = (signals.clone(), stop.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "listens until the process ends, on purpose"
        )]
        tokio::spawn(async move {
            loop {
                let exit = tokio::select! {
                    Some(()) = interrupts.recv() => Exit::Interrupted,
                    Some(()) = terminations.recv() => Exit::Terminated,
                    else => return,
                };
                heard.hear(exit);
                stop.escalate();
                announce(stop.stage());
            }
        });
        Ok(signals)
    }

    /// The exit code of the first signal, if one came.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match self.first.load(Ordering::Relaxed) {
            0 => None,
            code if code == Exit::Terminated as u8 => Some(Exit::Terminated),
            _ => Some(Exit::Interrupted),
        }
    }

    fn hear(&self, exit: Exit) {
        let first = &self.first;
        if first.load(Ordering::Relaxed) == 0 {
            first.store(exit as u8, Ordering::Relaxed);
        }
    }
}

fn announce(stage: pgkedge_runtime::StopStage) {
    use pgkedge_runtime::StopStage;
    crate::output::say(match stage {
        StopStage::Go => return,
        StopStage::Finish => {
            "stopping: nothing new starts, running steps finish (again: cancel them)"
        }
        StopStage::Cancel => "cancelling what runs (again: leave at once; resume is safe)",
        StopStage::Leave => "leaving",
    });
}
