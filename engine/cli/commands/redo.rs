use std::path::Path;

use pgkedge_model::{Capture, Ident, Slot};
use pgkedge_runtime::{Journal, StopSignal};
use pgkedge_steps::Claim;
use serde_json::json;

use crate::args::{Global, StateArgs};
use crate::exit::{Exit, Stop, failed};
use crate::output::{self, Format};
use crate::signals::Signals;
use crate::{engine, numbers, runs, sinks};

/// Undo what a run did for a table group's slot, so that `resume` loads it again
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The group, as the plan names it; all groups of its slot go with it.
    #[arg(long, value_name = "NAME")]
    group: String,
    #[command(flatten)]
    state: StateArgs,
    /// Start without asking.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let folder = runs::find(args.state.state.as_deref())?;
    let journal = engine::open_journal(&folder, Claim::IfFree)?;
    let slot = slot_of(&journal.header().capture, &args.group)?.clone();
    if !args.yes && output::is_interactive() {
        if global.no_input {
            return Err(Stop::usage("--no-input, and nobody said yes").help("add --yes"));
        }
        let groups = listed(&slot.groups);
        if !output::ask(&format!("Drop what was loaded of {groups}, to load it again?")) {
            return Err(Stop::usage("not redone; nothing was changed"));
        }
    }
    redo(journal, &folder, &slot, global).await
}

/// The slot that carries a group: its load starts over as a whole.
fn slot_of<'a>(capture: &'a Capture, group: &str) -> Result<&'a Slot, Stop> {
    let slots = &capture.slots;
    if let Some(slot) = slots.iter().find(|slot| slot.groups.iter().any(|g| g.as_str() == group)) {
        return Ok(slot);
    }
    if capture.is_empty() {
        return Err(Stop::usage(
            "this run captures no changes, so no group of it starts over alone",
        )
        .help("take the whole run back: pgkedge abort"));
    }
    let groups: Vec<&str> = slots.iter().flat_map(|slot| &slot.groups).map(Ident::as_str).collect();
    let known = format!("groups of this run: {}", groups.join(", "));
    let help = match pgkedge_plan::nearest(group, groups.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?\n{known}"),
        None => known,
    };
    Err(Stop::usage(format!("there is no group `{group}`")).help(help))
}

async fn redo(journal: Journal, folder: &Path, slot: &Slot, global: &Global) -> Result<Exit, Stop> {
    let header = journal.shared_header();
    let (performer, fence) = engine::performer(&header, Claim::IfFree);
    let stop = StopSignal::default();
    let signals =
        Signals::listen(&stop).map_err(|error| failed("cannot listen for signals", &error))?;
    let sinks = sinks::for_run(&header, global);
    let scope = slot.name.clone();
    let report = pgkedge_runtime::redo(journal, performer, fence, sinks, scope, stop).await;
    if let Some(exit) = signals.exit() {
        return Ok(exit);
    }
    match &report.cause {
        Some(cause) => return Err(engine::broken(cause, folder)),
        None if report.left.is_empty() => {}
        None => return Err(engine::leftovers(&report.left).exit(Exit::Failed)),
    }
    if global.output == Format::Json {
        output::print_json(&json!({ "groups": slot.groups, "undone": report.undone }));
    } else if !global.quiet {
        let undone = numbers::counted(report.undone.len() as u64, "step");
        let (groups, folder) = (listed(&slot.groups), folder.display());
        output::say(&format!("{undone} undone: {groups} will be loaded again"));
        output::say(&format!("go on: pgkedge resume --state {folder}"));
    }
    Ok(Exit::Done)
}

fn listed(groups: &[Ident]) -> String {
    groups.iter().map(Ident::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::exit::Message;

    use super::*;

    fn capture() -> Capture {
        let ident = |name: &str| Ident::new(name).unwrap();
        let slot = |name: &str, groups: &[&str]| Slot {
            name: ident(name),
            existing: false,
            groups: groups.iter().map(|group| ident(group)).collect(),
            sets: Vec::new(),
        };
        Capture { slots: vec![slot("one", &["orders"]), slot("two", &["uniques", "rest"])] }
    }

    fn refused(capture: &Capture, group: &str) -> String {
        let stop = slot_of(capture, group).unwrap_err();
        let Message::Plain(failure) = stop.message else { panic!("a plain message") };
        format!("{}\n{}", failure.message, failure.help.unwrap_or_default())
    }

    #[test]
    fn a_group_starts_over_with_its_slot() {
        assert_eq!(slot_of(&capture(), "rest").unwrap().name.as_str(), "two");
        assert_eq!(listed(&slot_of(&capture(), "rest").unwrap().groups), "uniques, rest");
    }

    #[test]
    fn an_unknown_group_is_named_with_the_nearest_one() {
        let said = refused(&capture(), "order");
        assert!(said.contains("there is no group `order`\ndid you mean `orders`?"), "{said}");
        assert!(said.contains("orders, uniques, rest"), "{said}");
    }

    #[test]
    fn without_change_capture_no_group_starts_over_alone() {
        assert!(refused(&Capture::default(), "all").contains("pgkedge abort"));
    }
}
