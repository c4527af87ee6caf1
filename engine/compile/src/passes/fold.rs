//! Folds small units into bundles, so that thousands of small tables are a hundred steps.

use std::collections::BTreeMap;

use pgkedge_model::{Fold, Ident, Statement};

use super::chain::{MOST_MEMBERS, Unit};
use super::edges::Edges;

/// A bundle is closed when its cost passes this, so that no single one is the last to end.
const ENOUGH_COST: u64 = 64 << 20;
/// Fewer members are not worth a bundle of their own.
const FEWEST_MEMBERS: usize = 5;
/// Fewer bundles than this would leave workers without one. Not taken from the plan's workers:
/// whoever resumes a run with fewer of them must find the same bundles.
const MANY_BUNDLES: usize = 16;

/// Units that share nodes.
pub(crate) struct Folded<'a> {
    pub(crate) units: Vec<Unit<'a>>,
    /// Places of the units of each node, in program order of the first.
    pub(crate) nodes: Vec<Vec<usize>>,
}

/// Units share a node if their kind allows it, they belong to the load of one slot, and they are equally many units away from the start of
/// their phase. Edges lead from one such level to another, so nodes can wait for each other no more
/// than units can.
pub(crate) fn fold<'a>(units: Vec<Unit<'a>>, edges: &Edges) -> Folded<'a> {
    let levels = levels(&units, edges);
    let mut classes: BTreeMap<Class<'_>, Vec<usize>> = BTreeMap::new();
    let mut nodes: Vec<Vec<usize>> = Vec::new();
    for (at, unit) in units.iter().enumerate() {
        if unit.fold == Fold::Small {
            classes.entry(Class::of(unit, levels[at])).or_default().push(at);
        } else {
            nodes.push(vec![at]);
        }
    }
    for members in classes.into_values() {
        nodes.extend(bundles(&units, &members));
    }
    nodes.sort();
    Folded { units, nodes }
}

/// What units must have in common to share a node.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Class<'a> {
    step: usize,
    level: usize,
    scope: Option<&'a Ident>,
    stops: Option<&'a str>,
    /// Statements that the node sends once, as one text.
    envelope: String,
}

impl<'a> Class<'a> {
    fn of(unit: &'a Unit<'_>, level: usize) -> Self {
        let draft = &unit.drafts[0];
        let envelope = (&draft.script.before, &draft.script.after);
        Self {
            step: unit.step,
            level,
            scope: unit.scope.as_ref(),
            stops: draft.stops.as_deref(),
            envelope: shared(envelope.0) + &shared(envelope.1),
        }
    }
}

fn shared(statements: &[Statement]) -> String {
    if statements.is_empty() {
        return String::new();
    }
    serde_json::to_string(statements).expect("statements have only string keys")
}

/// How many units of its phase each has to wait for, one after the other. Units on a cycle, which
/// sealing reports, stay at the start.
fn levels(units: &[Unit<'_>], edges: &Edges) -> Vec<usize> {
    let mut levels = vec![0; units.len()];
    let mut open = vec![0; units.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); units.len()];
    for (at, needs) in edges.needs.iter().enumerate() {
        for need in needs.iter().filter(|need| units[**need].phase() == units[at].phase()) {
            followers[*need].push(at);
            open[at] += 1;
        }
    }
    let mut ready: Vec<usize> = (0..units.len()).filter(|at| open[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for &follower in &followers[at] {
            levels[follower] = levels[follower].max(levels[at] + 1);
            open[follower] -= 1;
            if open[follower] == 0 {
                ready.push(follower);
            }
        }
    }
    levels
}

fn bundles(units: &[Unit<'_>], members: &[usize]) -> Vec<Vec<usize>> {
    let most = members.len().div_ceil(MANY_BUNDLES).clamp(FEWEST_MEMBERS, MOST_MEMBERS);
    let mut bundles: Vec<Vec<usize>> = Vec::new();
    let mut cost = 0_u64;
    for &at in members {
        let own: u64 = units[at].drafts.iter().map(|draft| draft.cost).sum();
        match bundles.last_mut() {
            Some(last) if last.len() < most && cost.saturating_add(own) <= ENOUGH_COST => {
                last.push(at);
                cost += own;
            }
            _ => {
                bundles.push(vec![at]);
                cost = own;
            }
        }
    }
    bundles
}
