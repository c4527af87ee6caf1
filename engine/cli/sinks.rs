//! Displays of a run: each a function of its events.

mod bars;
mod jsonl;
mod lines;

pub(crate) use lines::Lines;

use std::io::IsTerminal as _;
use std::sync::Arc;

use pgkedge_model::{EventSink, RunHeader};

use crate::args::Global;
use crate::output::Format;

/// The display that fits where the output goes: bars on a terminal, lines elsewhere.
pub(crate) fn for_run(header: &RunHeader, global: &Global) -> Vec<Arc<dyn EventSink>> {
    match global.output {
        Format::Json => vec![Arc::new(jsonl::JsonLines)],
        Format::Text if global.quiet => vec![Arc::new(lines::Lines::failures_only(header))],
        Format::Text if std::io::stderr().is_terminal() => {
            vec![Arc::new(bars::Bars::new(header))]
        }
        Format::Text => vec![Arc::new(lines::Lines::new(header))],
    }
}
