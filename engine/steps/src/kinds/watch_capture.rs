//! Watches the streams of changes while the run goes on: how far behind they are, what the source
//! keeps for them, and whether they still move.

mod watch;

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, FailureClass, Finding, Leaves, Progress, Server,
};
use serde_json::Value;
use tokio::time::Instant;

use self::watch::{Watch, refused};
use crate::context::StepContext;
use crate::step::{NoParams, Step};
use crate::streams::{StreamSeen, look, of_all, over_all};

/// How often both servers are looked at.
const PULSE: Duration = Duration::from_secs(2);
/// The same until all streams have begun.
const QUICK_PULSE: Duration = Duration::from_millis(250);
/// How often the lag is noted.
const NOTED: Duration = Duration::from_secs(30);
/// How long a stream may take to begin, and how long the servers may be out of reach.
const LIMIT: Duration = Duration::from_mins(1);
/// The note that `pgkedge status` reads.
const NOTE: &str = "capture";

pub(crate) struct WatchCapture;

impl Step for WatchCapture {
    const KIND: &'static str = "watch_capture";
    const ABOUT: &'static str =
        "Watches lag, errors and retained log of every slot, until another step stops it.";
    const LEAVES: Leaves = Leaves::Nothing;
    const SERVICE: bool = true;
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        Ok(over_all(expansion).into_iter().collect())
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let streams = of_all(context, call)?;
        let mut watch = Watch::new(streams, context.settings().limits.retained_wal.clone());
        begun(context, call, &mut watch).await?;
        let output = watch.figures();
        call.reporter.note(NOTE, output.clone()).await?;
        call.reporter.ready(output.clone()).await?;
        hold(context, call, &mut watch).await?;
        Ok(output)
    }
}

/// Returns once every subscription has received something.
async fn begun(context: &StepContext, call: &Call, watch: &mut Watch) -> Result<(), Failure> {
    let since = Instant::now();
    let streams = |seen: &StreamSeen| {
        seen.stopped || (seen.subscription.pid.is_some() && seen.subscription.received.is_some())
    };
    loop {
        let last = match look(context, watch.streams()).await {
            Ok((flushed, seen)) => {
                let begun = seen.iter().all(streams);
                watch.take(flushed, seen, Instant::now());
                watch.judged(context.tag())?;
                if begun {
                    return Ok(());
                }
                None
            }
            Err(failure) if failure.class == FailureClass::Transient => Some(failure),
            Err(failure) => return Err(failure),
        };
        if since.elapsed() > LIMIT {
            return Err(last.unwrap_or_else(|| refused(watch.idle(context.tag()))));
        }
        call.reporter.waiting("the subscriptions of the target to begin");
        tokio::select! {
            () = tokio::time::sleep(QUICK_PULSE) => {}
            failure = context.cancelled() => return Err(failure),
        }
    }
}

/// Returns when the service is stopped.
async fn hold(context: &StepContext, call: &Call, watch: &mut Watch) -> Result<(), Failure> {
    let mut pulse = tokio::time::interval(PULSE);
    let mut stopped = call.reporter.stopped();
    let (mut noted, mut out_of_reach) = (Instant::now(), None);
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            failure = context.cancelled() => return Err(failure),
            _ = pulse.tick() => {}
        }
        match look(context, watch.streams()).await {
            Ok((flushed, seen)) => {
                out_of_reach = None;
                watch.take(flushed, seen, Instant::now());
            }
            Err(failure) if failure.class == FailureClass::Transient => {
                let since: Instant = *out_of_reach.get_or_insert_with(Instant::now);
                if since.elapsed() > LIMIT {
                    return Err(failure);
                }
                continue;
            }
            Err(failure) => return Err(failure),
        }
        watch.judged(context.tag())?;
        if let Some(breach) = watch.breach(context.tag())? {
            call.reporter.waiting(&breach);
        }
        let bytes = watch.carried();
        call.reporter.progress(Progress { step: None, bytes, rows: 0 });
        if noted.elapsed() >= NOTED {
            call.reporter.note(NOTE, watch.figures()).await?;
            noted = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{Object, Touch};

    use serde_json::json;

    use super::*;
    use crate::kinds::start_apply::tests::slot;
    use crate::testing::Sample;

    #[test]
    fn every_slot_is_watched_and_without_one_there_is_no_watch() {
        let mut sample = Sample::default();
        assert!(sample.expand::<WatchCapture>(json!({})).unwrap().is_empty());
        sample.capture.slots.extend([slot("shop", &["a"]), slot("logs", &["b"])]);
        let draft = sample.expand::<WatchCapture>(json!({})).unwrap().remove(0);
        let read = |slot| Touch::read(Object::new("stream", slot));
        assert_eq!(draft.touches, [read("shop"), read("logs")]);
        assert_eq!(draft.params[1], json!({ "slot": "logs", "existing": false }));
    }
}
