//! Slots, replication sets and the groups that they carry: as they are written, and what is implied.

use std::collections::BTreeSet;

use pgkedge_model::{DeclaredStep, Each, Ident, Operation};

use crate::crossing::CrossingKey;
use crate::plan::PhasePlan;
use crate::written::PlanDocument;

/// The slot and the set of a plan that names none.
const IMPLIED: &str = "changes";

/// A slot of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPlan {
    pub name: Ident,
    /// It was there before the run.
    pub existing: bool,
    /// Where it stands in the plan; none for the one that is implied.
    pub pointer: Option<String>,
}

/// A replication set of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetPlan {
    pub name: Ident,
    pub slot: Ident,
    /// The publication that was there before the run; none where the run creates one.
    pub publication: Option<Ident>,
    /// Never empty.
    pub operations: BTreeSet<Operation>,
    /// Where it stands in the plan; none for one that is implied.
    pub pointer: Option<String>,
}

/// What a plan captures. Without slots nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturePlan {
    /// In the order of the text.
    pub slots: Vec<SlotPlan>,
    /// In the order of the text, implied ones last.
    pub sets: Vec<SetPlan>,
    /// Foreign keys that may lead from one slot to another.
    pub crossing_foreign_keys: Vec<CrossingKey>,
}

/// What a plan captures, with the names of the sets of each of its groups, in their order.
pub(crate) struct Settled {
    pub(crate) capture: CapturePlan,
    /// At least one: a plan without groups has one that is implied.
    pub(crate) groups: Vec<Vec<Ident>>,
}

/// Whether a step is repeated over slots.
pub(crate) fn captures(phases: &[PhasePlan]) -> bool {
    let over_slots = |step: &DeclaredStep| step.each == Some(Each::Slot);
    phases.iter().flat_map(|phase| &phase.steps).any(over_slots)
}

/// Of a document that passed all rules.
pub(crate) fn settle(document: &PlanDocument, phases: &[PhasePlan]) -> Settled {
    let count = document.groups.len().max(1);
    if !captures(phases) {
        return Settled { capture: CapturePlan::default(), groups: vec![Vec::new(); count] };
    }
    let mut capture = CapturePlan {
        slots: slots(document),
        sets: sets(document),
        crossing_foreign_keys: crossing_foreign_keys(document),
    };
    let only = capture.slots[0].name.clone();
    let groups = (0..count).map(|n| match document.groups.get(n) {
        Some(group) if !group.replication_sets.is_empty() => {
            group.replication_sets.iter().map(|name| ident(name)).collect()
        }
        Some(group) => {
            let slot = group.slot.as_deref().map_or_else(|| only.clone(), ident);
            vec![capture.set_of_all(slot)]
        }
        None => vec![capture.set_of_all(only.clone())],
    });
    let groups = groups.collect();
    Settled { capture, groups }
}

impl CapturePlan {
    /// The implied set of a slot: named after it, or alike where a set of the plan has that name.
    fn set_of_all(&mut self, slot: Ident) -> Ident {
        let implied = |set: &&SetPlan| set.pointer.is_none() && set.slot == slot;
        if let Some(set) = self.sets.iter().find(implied) {
            return set.name.clone();
        }
        let taken = |name: &str| self.sets.iter().any(|set| set.name.as_str() == name);
        let name = free_name(slot.as_str(), "all", taken);
        self.sets.push(SetPlan {
            name: name.clone(),
            slot,
            publication: None,
            operations: Operation::ALL.into(),
            pointer: None,
        });
        name
    }
}

/// A name of at most as many bytes as a slot's, which is not taken: `name` itself, or `name_<suffix>`
/// and so on.
pub fn free_name(name: &str, suffix: &str, taken: impl Fn(&str) -> bool) -> Ident {
    let numbered = (2..).map(|n| format!("{suffix}{n}"));
    let endings = std::iter::once(suffix.to_owned()).chain(numbered);
    let longer = endings.map(|ending| {
        let room = MOST_BYTES - ending.len() - 1;
        format!("{}_{ending}", &name[..name.len().min(room)])
    });
    let free = std::iter::once(name.to_owned()).chain(longer).find(|name| !taken(name));
    ident(&free.expect("there are more names than sets"))
}

/// Bytes of the name of a slot or set: `pgkedge_…_<tag>` is then a name of 63.
pub(crate) const MOST_BYTES: usize = 46;

fn slots(document: &PlanDocument) -> Vec<SlotPlan> {
    if document.slots.is_empty() {
        return vec![SlotPlan { name: ident(IMPLIED), existing: false, pointer: None }];
    }
    let slots = document.slots.iter().map(|(name, slot)| SlotPlan {
        name: ident(name),
        existing: slot.existing,
        pointer: Some(format!("/slots/{name}")),
    });
    slots.collect()
}

fn sets(document: &PlanDocument) -> Vec<SetPlan> {
    let sets = document.replication_sets.iter().map(|(name, set)| SetPlan {
        name: ident(name),
        slot: ident(&set.slot),
        publication: set.publication.as_deref().map(ident),
        operations: set.operations.clone(),
        pointer: Some(format!("/replication_sets/{name}")),
    });
    sets.collect()
}

fn crossing_foreign_keys(document: &PlanDocument) -> Vec<CrossingKey> {
    let keys = document.crossing_foreign_keys.iter().enumerate();
    let parsed = keys.map(|(n, text)| {
        let key = CrossingKey::parse(text).expect("the rule about foreign keys parsed it");
        key.at(format!("/crossing_foreign_keys/{n}"))
    });
    parsed.collect()
}

fn ident(name: &str) -> Ident {
    Ident::new(name).expect("a rule about names checked it")
}
