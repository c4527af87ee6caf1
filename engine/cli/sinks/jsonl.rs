//! One JSON document a line, on stdout: every record, and progress in between.

use pgkedge_model::{Event, EventSink};

pub(crate) struct JsonLines;

impl EventSink for JsonLines {
    fn publish(&self, event: &Event) {
        crate::output::print_json(event);
    }
}
