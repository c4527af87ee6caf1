//! Joins neighbours that must keep their order anyway.

use std::collections::BTreeMap;

use pgkedge_model::{DeclaredStep, Draft, Fold, Ident, KindSpec, Object, PhaseName, TouchMode};

use super::expand::{Expanded, Scoped};

/// Members of one node, at most: what one transaction should hold in locks. A server of default size
/// has room for 6,400, and a table with its key, its sequence and what is toasted takes six.
pub(super) const MOST_MEMBERS: usize = 100;

/// Drafts that will be in one node for certain.
pub(crate) struct Unit<'a> {
    pub(crate) declared: &'a DeclaredStep,
    pub(crate) spec: &'a KindSpec,
    /// Place of the declared step in the plan.
    pub(crate) step: usize,
    /// At least one.
    pub(crate) drafts: Vec<Draft>,
    /// Of all its drafts; a node that adds to what it reads is like a writer.
    pub(crate) touches: BTreeMap<Object, TouchMode>,
    pub(crate) fold: Fold,
    /// The slot whose load it belongs to.
    pub(crate) scope: Option<Ident>,
}

/// Units in program order: runs of `Chain` drafts joined, any other draft by itself.
pub(crate) fn chain(expanded: Vec<Expanded<'_>>) -> Vec<Unit<'_>> {
    let mut units: Vec<Unit<'_>> = Vec::new();
    for (step, Expanded { declared, spec, drafts }) in expanded.into_iter().enumerate() {
        for Scoped { draft, scope } in drafts {
            let takes = |last: &&mut Unit<'_>| last.takes(step, &draft, scope.as_ref());
            if let Some(last) = units.last_mut().filter(takes) {
                last.add(draft);
                continue;
            }
            let (fold, touches) = (draft.fold, BTreeMap::new());
            let mut unit = Unit { declared, spec, step, drafts: Vec::new(), touches, fold, scope };
            unit.add(draft);
            units.push(unit);
        }
    }
    units
}

impl Unit<'_> {
    pub(crate) fn phase(&self) -> &PhaseName {
        &self.declared.phase
    }

    fn takes(&self, step: usize, draft: &Draft, scope: Option<&Ident>) -> bool {
        let first = &self.drafts[0];
        self.step == step
            && self.scope.as_ref() == scope
            && (self.fold, draft.fold) == (Fold::Chain, Fold::Chain)
            && self.drafts.len() < MOST_MEMBERS
            && first.script.before == draft.script.before
            && first.script.after == draft.script.after
            && first.stops == draft.stops
    }

    fn add(&mut self, mut draft: Draft) {
        for touch in std::mem::take(&mut draft.touches) {
            let mode = self.touches.entry(touch.object).or_insert(touch.mode);
            *mode = both(*mode, touch.mode);
        }
        self.drafts.push(draft);
    }
}

/// What two touches of one object by one node amount to.
pub(super) fn both(one: TouchMode, other: TouchMode) -> TouchMode {
    if one == other { one } else { TouchMode::Write }
}
