//! Ends the watch that `watch_capture` keeps.

use pgkedge_model::{Draft, Expansion, Finding, Fold, Item, Leaves, Script};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::step::Step;
use crate::streams::{Stream, read_all};

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
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let streams = Stream::all(expansion);
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            // Whatever takes a stream down afterwards waits for this.
            touches: read_all(&streams),
            script: Script::default(),
            cost: 0,
            fold: Fold::Alone,
            stops: Some(params.service.clone()),
        }])
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
