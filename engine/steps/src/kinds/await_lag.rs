//! Waits until the target has nearly caught up with the source.

use std::time::Duration;

use pgkedge_model::{
    ByteSize, Call, Draft, Expansion, Failure, FailureClass, Finding, Leaves, Server, TimeSpan,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::context::StepContext;
use crate::step::Step;
use crate::streams::{Errors, Stream, StreamSeen, look, of_all, over_all};

const PAUSE: Duration = Duration::from_secs(1);
/// Errors of a worker without a step forward.
const ERRORS: u64 = 3;

pub(crate) struct AwaitLag;

/// When the target has caught up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LagParams {
    /// Bytes of the source's log that the target may be behind, for each slot.
    below: ByteSize,
    /// How long that may take.
    within: TimeSpan,
}

impl Default for LagParams {
    fn default() -> Self {
        Self { below: ByteSize(1 << 20), within: TimeSpan(24 * 60 * 60 * 1_000) }
    }
}

impl Step for AwaitLag {
    const KIND: &'static str = "await_lag";
    const ABOUT: &'static str = "Waits until the target has nearly caught up with every slot.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = LagParams;

    fn expand(_: &LagParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        Ok(over_all(expansion).into_iter().collect())
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let LagParams { below, within } = context.params(&call.node)?;
        let streams = of_all(context, call)?;
        let (since, mut errors) = (Instant::now(), Errors::default());
        loop {
            let (_, seen) = look(context, &streams).await?;
            errors.check(context.tag(), &streams, &seen, ERRORS)?;
            let behind = behind(&streams, &seen, below);
            if behind.is_empty() {
                return Ok(json!({ "lag_bytes": seen.iter().map(|seen| seen.lag).max() }));
            }
            if since.elapsed() > within.duration() {
                let message = format!("the target has not caught up within {within}");
                return Err(Failure::new(FailureClass::Operator, message)
                    .detail(behind.join(", "))
                    .help("wait on with `pgkedge resume`, or raise `within` or `below`"));
            }
            call.reporter
                .waiting(&format!("the target to catch up to {below}: {}", behind.join(", ")));
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                failure = context.cancelled() => return Err(failure),
            }
        }
    }
}

/// The slots that are too far behind, for people.
fn behind(streams: &[Stream], seen: &[StreamSeen], below: ByteSize) -> Vec<String> {
    let late = streams.iter().zip(seen).filter(|(_, seen)| seen.lag >= below.0.max(1));
    late.map(|(stream, seen)| format!("{} is {} bytes behind", stream.slot, seen.lag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::start_apply::tests::slot;
    use crate::testing::Sample;

    #[test]
    fn it_waits_for_all_slots_by_the_plans_limits() {
        let mut sample = Sample::default();
        assert!(sample.expand::<AwaitLag>(json!({})).unwrap().is_empty());
        sample.capture.slots.push(slot("shop", &["a"]));
        let draft =
            sample.expand::<AwaitLag>(json!({ "below": "2MiB", "within": "5min" })).unwrap();
        assert_eq!(draft[0].params, json!([{ "slot": "shop", "existing": false }]));
        assert!(sample.expand::<AwaitLag>(json!({ "within": "soon" })).is_err());
        let params: LagParams = serde_json::from_value(json!({})).unwrap();
        assert_eq!(
            (params.below.to_string(), params.within.to_string()),
            ("1MiB".into(), "24h".into())
        );
    }
}
