//! Ends the watch that `watch_capture` keeps.

use pgkedge_model::{Draft, Expansion, Finding, Leaves};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::step::Step;
use crate::streams::over_all;

pub(crate) struct StopWatch;

/// Which service is stopped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopParams {
    /// The name of the `watch_capture` step.
    service: String,
}

impl Step for StopWatch {
    const KIND: &'static str = "stop_watch";
    const ABOUT: &'static str = "Ends the watch over the streams of changes.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    type Params = StopParams;

    fn expand(params: &StopParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        // Whatever takes a stream down afterwards waits for this.
        let stops = Some(params.service.clone());
        Ok(over_all(expansion).map(|draft| Draft { stops, ..draft }).into_iter().collect())
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
    fn it_stops_the_service_before_a_stream_is_taken_down() {
        let mut sample = Sample::default();
        let params = json!({ "service": "watch" });
        assert!(sample.expand::<StopWatch>(params.clone()).unwrap().is_empty());
        sample.capture.slots.push(slot("shop", &["changes"]));
        let draft = sample.expand::<StopWatch>(params).unwrap().remove(0);
        assert_eq!(draft.stops.as_deref(), Some("watch"));
        assert_eq!(draft.touches, [Touch::read(Object::new("stream", "shop"))]);
    }
}
