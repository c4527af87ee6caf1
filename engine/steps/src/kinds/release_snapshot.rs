//! Lets go of the snapshot that `hold_snapshot` holds.

use pgkedge_model::{Draft, Expansion, Finding, Fold, Item, Leaves, Object, Script, Server, Touch};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::hold_snapshot::is_known;
use crate::step::Step;

pub(crate) struct ReleaseSnapshot;

/// Which service is stopped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseParams {
    /// The name of the `hold_snapshot` step.
    service: String,
}

impl Step for ReleaseSnapshot {
    const KIND: &'static str = "release_snapshot";
    const ABOUT: &'static str = "Lets go of the snapshot: the service that held it commits.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    type Params = ReleaseParams;

    fn expand(
        params: &ReleaseParams,
        expansion: &Expansion<'_>,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        if is_known(expansion) && !expansion.capture.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            // A write waits for every reader of the snapshot.
            touches: vec![Touch::write(Object::new("snapshot", Server::Source))],
            script: Script::default(),
            cost: 0,
            fold: Fold::Alone,
            stops: Some(params.service.clone()),
        }])
    }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{CaptureFrom, Lsn};
    use serde_json::json;

    use super::*;
    use crate::testing::Sample;

    #[test]
    fn it_stops_the_service_after_every_reader_and_sends_nothing() {
        let sample = Sample::default();
        let drafts = sample.expand::<ReleaseSnapshot>(json!({ "service": "snapshot" })).unwrap();
        assert_eq!(drafts[0].stops.as_deref(), Some("snapshot"));
        assert_eq!(drafts[0].script, Script::default());
        let snapshot = Object::new("snapshot", Server::Source);
        assert_eq!(drafts[0].touches, [Touch::write(snapshot)]);
    }

    #[test]
    fn where_the_plan_says_itself_where_capture_begins_there_is_nothing_to_let_go_of() {
        let mut sample = Sample::default();
        sample.settings.change_capture.from = CaptureFrom::Lsn(Lsn(1));
        sample.slot("orders", Vec::new());
        let drafts = sample.expand::<ReleaseSnapshot>(json!({ "service": "snapshot" })).unwrap();
        assert!(drafts.is_empty());
    }

    #[test]
    fn the_service_must_be_named() {
        assert!(Sample::default().expand::<ReleaseSnapshot>(json!({})).is_err());
    }
}
