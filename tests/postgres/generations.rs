//! Loads that start over while others stay: of one slot at a user's word, and of the unfinished ones when
//! the snapshot that they stand on is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use pgkedge_model::{Checkpoint, Ident, Record, RunHeader, StepId, StepNode};
use pgkedge_runtime::JournalReader;
use pgkedge_sandbox::{Options, THREE_SLOTS};
use serde_json::Value;

use crate::harness::{Ended, pgkedge, text};
use crate::live::equality::assert_equal;
use crate::live::fixture::{Live, Pipeline};
use crate::live::traces::{Traces, assert_replica_follows};

/// The slot that starts over, and its only group.
const AGAIN: &str = "back_office";

#[test]
fn a_group_is_loaded_again_from_the_replica_and_the_others_stay() {
    is_loaded_again(Pipeline::PausedReplica);
}

#[test]
fn a_group_is_loaded_again_from_a_new_snapshot_and_the_others_stay() {
    is_loaded_again(Pipeline::FullLoadAndCapture);
}

fn is_loaded_again(pipeline: Pipeline) {
    let live = Live::new(pipeline, &Options::default());
    let before = Traces::of(&live.moved);
    let writers = live.write(21);
    let plan = live.plan();
    run(&live, &[text(&plan), "--yes", "--until", "verify"], None).expect(0);
    let first = Run::of(&live);

    live.moved.of_run(&["redo", "--group", AGAIN, "--yes"]).expect(0);
    live.moved.of_run(&["resume"]).expect(0);
    let then = Run::of(&live);
    assert_eq!(then.voided(), [(AGAIN.to_owned(), 1)]);
    let repeated = then.repeated(&first);
    let scopes: BTreeSet<&str> = repeated.iter().filter_map(|node| scope(node)).collect();
    assert_eq!(scopes, BTreeSet::from([AGAIN]));
    let is_load = |node: &&StepNode| node.kind == "copy_part" && scope(node) == Some(AGAIN);
    let loads = then.header.graph.steps().map(AsRef::as_ref).filter(is_load);
    let loaded = |node: &&StepNode| first.checkpoint.state(&node.id).is_succeeded();
    let parts: Vec<&StepId> = loads.filter(loaded).map(|node| &node.id).collect();
    assert!(!parts.is_empty());
    let missing = |id: &&&StepId| !repeated.iter().any(|node| node.id == ***id);
    assert_eq!(parts.iter().find(missing), None);
    then.assert_later(&first, &BTreeSet::from([AGAIN]));

    assert_equal(&live);
    let report = live.end_on_target(writers);
    let proof = live.proof(&report, crate::harness::Side::Target);
    assert!(proof.is_right(), "{proof:?}");
    Traces::of(&live.moved).assert_moved(&before);
    assert_replica_follows(&live.moved);
    live.moved.assert_nothing_is_left();
}

#[test]
fn a_kill_starts_over_what_was_not_finished_on_the_snapshot_and_nothing_else() {
    let live = Live::new(Pipeline::FullLoadAndCapture, &Options::default());
    let before = Traces::of(&live.moved);
    let writers = live.write(22);
    let fields = format!(
        "{THREE_SLOTS}load: {{ part_size: 1MiB, workers: 1 }}\n\
         cutover: {{ prepared_transactions: rollback }}\n"
    );
    let plan = live.moved.plan_of("full-load-and-capture", &fields);
    run(&live, &[text(&plan), "--yes", "--until", "preflight"], None).expect(0);
    // It dies when all but one of the comparisons with the snapshot are done.
    let death = format!("after_done::verify:{}", Run::of(&live).checks().count() - 1);
    assert_eq!(run(&live, &[], Some(&death)).code, None, "{death} is never reached");
    let first = Run::of(&live);
    let unfinished = first.unfinished();
    let finished: BTreeSet<&str> =
        first.scopes().into_iter().filter(|scope| !unfinished.contains(scope)).collect();
    assert!(!finished.is_empty() && !unfinished.is_empty(), "{finished:?}, {unfinished:?}");

    live.moved.of_run(&["resume"]).expect(0);
    let then = Run::of(&live);
    let voided: Vec<(String, u32)> =
        unfinished.iter().map(|scope| ((*scope).to_owned(), 1)).collect();
    assert_eq!(then.voided(), voided);
    let repeated = then.repeated(&first);
    let scopes: BTreeSet<&str> = repeated.iter().filter_map(|node| scope(node)).collect();
    assert_eq!(scopes, unfinished);
    then.assert_later(&first, &unfinished);

    assert_equal(&live);
    let report = live.end_on_target(writers);
    let proof = live.proof(&report, crate::harness::Side::Target);
    assert!(proof.is_right(), "{proof:?}");
    Traces::of(&live.moved).assert_moved(&before);
    live.moved.assert_nothing_is_left();
}

/// `pgkedge run` with arguments, or `resume` without; it dies at a place if one is named.
fn run(live: &Live, arguments: &[&str], death: Option<&str>) -> Ended {
    let state = ["--state", text(&live.moved.state)];
    let Some(death) = death else {
        return pgkedge(&[&["run"], arguments, &state].concat());
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
    command.arg("resume").args(arguments).args(state);
    command.env("PGKEDGE_FAILPOINT", death).env("NO_COLOR", "1");
    command.output().expect("pgkedge starts").into()
}

/// What the journal says at a moment.
struct Run {
    header: RunHeader,
    checkpoint: Checkpoint,
    records: Vec<Record>,
    /// Where each slot takes over from the load.
    hand_offs: BTreeMap<String, String>,
}

impl Run {
    fn of(live: &Live) -> Self {
        let reader = JournalReader::open(&live.moved.state).expect("a journal");
        let header = reader.header().expect("a header");
        let records = reader.records(0).expect("whole");
        let records: Vec<Record> = records.into_iter().map(|stamped| stamped.record).collect();
        let proved = header.graph.steps().filter(|node| node.kind == "prove_hand_off");
        let lsn = |node: &StepNode| last_output(&records, &node.id)?["lsn"].as_str();
        let hand_offs =
            proved.filter_map(|node| Some((scope(node)?.to_owned(), lsn(node)?.to_owned())));
        Self {
            hand_offs: hand_offs.collect(),
            checkpoint: reader.checkpoint().expect("whole"),
            header,
            records,
        }
    }

    fn scopes(&self) -> BTreeSet<&str> {
        self.header.graph.steps().filter_map(|node| scope(node)).collect()
    }

    /// Slots that started over, and how often they have by now.
    fn voided(&self) -> Vec<(String, u32)> {
        let voided = self.records.iter().filter_map(|record| {
            let Record::GroupVoided { group, generation } = record else { return None };
            Some((group.as_str().to_owned(), *generation))
        });
        voided.collect()
    }

    /// Steps that were done at an earlier moment, and were started again since.
    fn repeated(&self, earlier: &Self) -> Vec<&StepNode> {
        let since = self.records.iter().skip(earlier.records.len());
        let started: BTreeSet<&StepId> = since
            .filter(|record| matches!(record, Record::StepStarted { .. }))
            .filter_map(Record::step)
            .collect();
        let again = |node: &&StepNode| {
            started.contains(&node.id) && earlier.checkpoint.state(&node.id).is_succeeded()
        };
        self.header.graph.steps().map(AsRef::as_ref).filter(again).collect()
    }

    /// Slots whose rows are not all compared.
    fn unfinished(&self) -> BTreeSet<&str> {
        let open = self.checks().filter(|node| !self.checkpoint.state(&node.id).is_succeeded());
        open.filter_map(scope).collect()
    }

    fn checks(&self) -> impl Iterator<Item = &StepNode> {
        let nodes = self.header.graph.steps().map(AsRef::as_ref);
        nodes.filter(|node: &&StepNode| node.kind == "verify" && node.phase.0 == "check_load")
    }

    /// These slots take over at a later position than before, the others where they did.
    fn assert_later(&self, earlier: &Self, later: &BTreeSet<&str>) {
        assert_eq!(self.hand_offs.len(), self.scopes().len());
        for (slot, lsn) in &self.hand_offs {
            let (then, before) = (position(lsn), position(&earlier.hand_offs[slot]));
            if later.contains(slot.as_str()) {
                assert!(then > before, "{slot}: {then:x}, before {before:x}");
            } else {
                assert_eq!(then, before, "{slot}");
            }
        }
    }
}

fn scope(node: &StepNode) -> Option<&str> {
    node.scope.as_ref().map(Ident::as_str)
}

fn last_output<'a>(records: &'a [Record], id: &StepId) -> Option<&'a Value> {
    records.iter().rev().find_map(|record| {
        let Record::StepSucceeded { step, output, .. } = record else { return None };
        (step == id).then_some(output)
    })
}

/// `16/B374D848` as a number.
fn position(lsn: &str) -> u64 {
    let (high, low) = lsn.split_once('/').expect("an LSN");
    let part = |text| u64::from_str_radix(text, 16).expect("hex digits");
    part(high) << 32 | part(low)
}
