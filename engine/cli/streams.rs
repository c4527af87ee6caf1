//! How the streams of changes stand, from what the run has noted of them.

use std::time::Duration;

use pgkedge_model::{Record, StampedRecord, StepGraph, StepId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::numbers;

/// One slot at the last note.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct StreamReport {
    pub(crate) slot: String,
    /// Bytes of the source's log that the target has not confirmed.
    pub(crate) lag_bytes: u64,
    pub(crate) lag_seconds: u64,
    /// Bytes of log that the source keeps for the slot.
    pub(crate) retained_bytes: u64,
    pub(crate) noted: Timestamp,
}

impl StreamReport {
    /// Of every slot that the run watches, or has watched; none once the capture is gone.
    pub(crate) fn all(graph: &StepGraph, records: &[StampedRecord]) -> Vec<Self> {
        let is_of =
            |step: &StepId, kind: &str| graph.step(step).is_some_and(|node| node.kind == kind);
        let mut last = Vec::new();
        for StampedRecord { at, record, .. } in records {
            if let Record::Noted { step, key, value } = record
                && key == "capture"
                && is_of(step, "watch_capture")
            {
                last = Self::noted(value, *at);
            }
            if let Record::StepSucceeded { step, .. } = record
                && is_of(step, "drop_capture")
            {
                last.clear();
            }
        }
        last
    }

    fn noted(value: &Value, noted: Timestamp) -> Vec<Self> {
        let slots = value.get("slots").and_then(Value::as_object);
        let figure = |slot: &Value, name: &str| slot.get(name).and_then(Value::as_u64).unwrap_or(0);
        let report = |(name, slot): (&String, &Value)| Self {
            slot: name.clone(),
            lag_bytes: figure(slot, "lag_bytes"),
            lag_seconds: figure(slot, "lag_seconds"),
            retained_bytes: figure(slot, "retained_bytes"),
            noted,
        };
        slots.into_iter().flatten().map(report).collect()
    }

    /// A line for people.
    pub(crate) fn line(&self, now: Timestamp) -> String {
        let behind = match self.lag_bytes {
            0 => "caught up".to_owned(),
            bytes => {
                let time = numbers::duration(Duration::from_secs(self.lag_seconds));
                format!("{} behind ({time})", numbers::bytes(bytes))
            }
        };
        let since = now.duration_since(self.noted).unsigned_abs();
        format!(
            "slot {}: {behind}, the source keeps {} of log; seen {} ago",
            self.slot,
            numbers::bytes(self.retained_bytes),
            numbers::duration(since)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use pgkedge_model::{GraphNode, Leaves, PhaseName, Resources, StepDigest, StepNode};
    use serde_json::json;

    use super::*;

    fn graph() -> StepGraph {
        let node = |kind: &str| {
            GraphNode::Step(Arc::new(StepNode {
                id: kind.into(),
                phase: PhaseName("replicate".to_owned()),
                step: kind.to_owned(),
                kind: kind.to_owned(),
                params: Value::Null,
                before: Vec::new(),
                members: Vec::new(),
                after: Vec::new(),
                touches: Vec::new(),
                resources: Resources::default(),
                leaves: Leaves::Nothing,
                scope: None,
                service: false,
                stops: None,
                digest: StepDigest::default(),
            }))
        };
        let nodes = ["watch_capture", "sql", "drop_capture"].map(node).into();
        StepGraph::seal(Vec::new(), nodes, BTreeMap::new()).expect("three steps without needs")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a moment")
    }

    fn noted(seq: u64, step: &str, lag: u64) -> StampedRecord {
        let value = json!({ "slots": {
            "logs": { "lag_bytes": 0, "lag_seconds": 0, "retained_bytes": 65_536 },
            "shop": { "lag_bytes": lag, "lag_seconds": 83, "retained_bytes": 268_435_456_u64 },
        } });
        let record = Record::Noted { step: step.into(), key: "capture".to_owned(), value };
        StampedRecord { seq, at: at(i64::try_from(seq).expect("small")), record }
    }

    #[test]
    fn the_last_note_of_the_watch_gives_a_line_for_each_slot() {
        let records = [
            noted(1, "watch_capture", 9),
            noted(2, "watch_capture", 12_582_912),
            noted(3, "sql", 1),
        ];
        let streams = StreamReport::all(&graph(), &records);
        let lines: Vec<_> = streams.iter().map(|stream| stream.line(at(14))).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        slot logs: caught up, the source keeps 64.00 KiB of log; seen 12.0 s ago
        slot shop: 12.00 MiB behind (1 min 23 s), the source keeps 256.00 MiB of log; seen 12.0 s ago
        ");
    }

    #[test]
    fn a_capture_that_is_gone_has_no_lines() {
        let gone = Record::StepSucceeded {
            step: "drop_capture".into(),
            attempt: 1,
            output: Value::Null,
            adopted: false,
        };
        let records =
            [noted(1, "watch_capture", 9), StampedRecord { seq: 2, at: at(2), record: gone }];
        assert_eq!(StreamReport::all(&graph(), &records), []);
    }
}
