use std::time::Duration;

use pgkedge_model::{Event, StampedRecord};
use pgkedge_runtime::JournalReader;

use crate::args::{Global, StateArgs};
use crate::engine::journal_stop;
use crate::exit::{Exit, Stop};
use crate::output::{self, Format};
use crate::runs;
use crate::sinks::Lines;

/// Print the journal of a run: what it did, and when
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Go on printing while the run goes on.
    #[arg(long, short)]
    follow: bool,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let folder = runs::find(args.state.state.as_deref())?;
    let stop = |error| journal_stop(&folder, &error);
    let reader = JournalReader::open(&folder).map_err(stop)?;
    let lines = Lines::new(&reader.header().map_err(stop)?);
    let mut seen = 0;
    loop {
        let held = reader.is_held().map_err(stop)?;
        for record in reader.records(seen).map_err(stop)? {
            seen = record.seq;
            print(record, &lines, global.output);
        }
        if !args.follow || !held {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn print(record: StampedRecord, lines: &Lines, format: Format) {
    match format {
        Format::Json => output::print_json(&record),
        Format::Text => {
            let at = record.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
            if let Some(line) = lines.line(&Event::Lifecycle(record)) {
                output::print(&format!("{at}  {line}"));
            }
        }
    }
}
