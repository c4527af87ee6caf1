//! Each operation of a group is carried once: what no set carries is lost.

use std::collections::BTreeSet;

use pgkedge_model::{Finding, Operation};

use super::Text;
use crate::capture_view::{CaptureView, GroupView, SetView};
use crate::nearest::listed;
use crate::{codes, pointer};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let view = CaptureView::of(text.json);
    let named = view.groups.iter().filter(|group| !group.sets.is_empty());
    named.flat_map(|group| findings(group, &view)).collect()
}

fn findings(group: &GroupView<'_>, view: &CaptureView<'_>) -> Vec<Finding> {
    let sets: Option<Vec<&SetView<'_>>> =
        group.sets.iter().map(|name| view.set(name.text)).collect();
    // A set that there is not has a finding.
    let Some(sets) = sets else { return Vec::new() };
    let carried: BTreeSet<Operation> =
        sets.iter().flat_map(|set| set.operations.iter().copied()).collect();
    let lost: Vec<Operation> =
        Operation::ALL.into_iter().filter(|operation| !carried.contains(operation)).collect();
    let lost = (!lost.is_empty()).then(|| lost_operations(group, &lost));
    lost.into_iter().chain(repeated(group, &sets)).collect()
}

fn lost_operations(group: &GroupView<'_>, lost: &[Operation]) -> Finding {
    let names: Vec<String> = lost.iter().map(|operation| name(*operation)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (names, many) = (listed(&names), names.len() > 1);
    let message = format!(
        "no replication set of group `{}` carries {names}: such changes would be lost",
        group.name
    );
    let what = if many { "these operations" } else { "this operation" };
    Finding::error(codes::LOST_OPERATION, message)
        .at_value(pointer::child(&group.pointer, "replication_sets"), format!("lacks {names}"))
        .help(format!("add a set of the same slot with {what}: `operations: [{names}]`"))
}

fn repeated(group: &GroupView<'_>, sets: &[&SetView<'_>]) -> Option<Finding> {
    for (n, set) in sets.iter().enumerate() {
        for earlier in &sets[..n] {
            let Some(operation) = set.operations.intersection(&earlier.operations).next() else {
                continue;
            };
            let operation = name(*operation);
            let message = format!(
                "two replication sets of group `{}` carry {operation}: `{}` and `{}`",
                group.name, earlier.name, set.name
            );
            let finding = Finding::error(codes::REPEATED_OPERATION, message)
                .at_value(group.sets[n].pointer.clone(), format!("carries {operation}"))
                .help(format!("take {operation} out of one of them: `operations: […]`"));
            return Some(finding.at_key(earlier.pointer.clone(), "and so does this"));
        }
    }
    None
}

fn name(operation: Operation) -> String {
    let written = serde_json::to_value(operation).ok();
    written.and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
}
