//! What waits for what, derived from the objects that steps touch.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{
    Draft, Finding, Object, OutputOf, PhaseName, Piece, Statement, TouchMode, Undo,
};

use super::Unit;
use crate::rules;

/// What an object is called that comes into being when it is first written.
const CREATED: &str = "entry:";

/// Edges between units, by their places in program order. They lead back, but for those to the
/// creator of an object.
#[derive(Default)]
pub(crate) struct Edges {
    /// What each unit waits for. Only within its phase, outputs and services excepted: phases wait
    /// for each other as a whole.
    pub(crate) needs: Vec<BTreeSet<usize>>,
    /// Whose outputs each unit's statements use.
    pub(crate) writers: Vec<BTreeMap<Object, usize>>,
    /// The service that a unit stops.
    pub(crate) stops: BTreeMap<usize, usize>,
}

/// Follows the units in program order.
/// `idle` are services that have nothing to hold up.
pub(crate) fn derive_edges(
    units: &[Unit<'_>],
    idle: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> Edges {
    let mut edges = Edges::default();
    let mut objects: BTreeMap<&Object, History<'_>> = BTreeMap::new();
    let creators = creators(units);
    let mut reported = BTreeSet::new();
    for (at, unit) in units.iter().enumerate() {
        let mut needs = BTreeSet::new();
        let mut writers = BTreeMap::new();
        for object in unit.drafts.iter().flat_map(outputs) {
            match objects.get(object).and_then(|history| history.writer) {
                Some(writer) => {
                    needs.insert(writer);
                    writers.insert(object.clone(), writer);
                }
                None if reported.insert((unit.step, object)) => {
                    findings.push(rules::no_writer(unit, object, &units[at + 1..]));
                }
                None => {}
            }
        }
        for (object, mode) in &unit.touches {
            if let Some(creator) = creators.get(object).copied().filter(|creator| *creator > at) {
                // A phase that comes later cannot be waited for; what is missing then shows itself.
                if units[creator].phase() == unit.phase() {
                    needs.insert(creator);
                }
                continue;
            }
            let history = objects.entry(object).or_default();
            needs.extend(history.touch(at, *mode, unit.phase()));
        }
        needs.extend(chained(units, at));
        if let Some(service) = stopped_service(units, at, idle, findings) {
            needs.insert(service);
            edges.stops.insert(at, service);
        }
        edges.needs.push(needs);
        edges.writers.push(writers);
    }
    rules::services_that_nothing_stops(units, &edges.stops, findings);
    edges
}

/// Who creates each object that is created: what uses it waits, even if it is declared before. The
/// archive knows the order of such objects better than a list of declared steps can.
fn creators<'a>(units: &'a [Unit<'_>]) -> BTreeMap<&'a Object, usize> {
    let mut creators = BTreeMap::new();
    for (at, unit) in units.iter().enumerate() {
        let writes = unit.touches.iter().filter(|(_, mode)| **mode == TouchMode::Write);
        for (object, _) in writes.filter(|(object, _)| object.0.starts_with(CREATED)) {
            creators.entry(object).or_insert(at);
        }
    }
    creators
}

/// Who touched one object, as far as it still matters.
#[derive(Default)]
struct History<'a> {
    phase: Option<&'a PhaseName>,
    /// Those that touch it side by side now, and those before them.
    current: Vec<usize>,
    before: Vec<usize>,
    mode: Option<TouchMode>,
    /// The last one that wrote it or added to it, in any phase.
    writer: Option<usize>,
}

impl<'a> History<'a> {
    /// Readers stand side by side, and so do adders; a writer stands alone. Each waits for all of
    /// the group before its own, which has waited for those before it.
    fn touch(&mut self, at: usize, mode: TouchMode, phase: &'a PhaseName) -> &[usize] {
        if self.phase != Some(phase) {
            self.current.clear();
            self.before.clear();
            (self.phase, self.mode) = (Some(phase), None);
        }
        if self.mode != Some(mode) || mode == TouchMode::Write {
            self.before = std::mem::take(&mut self.current);
            self.mode = Some(mode);
        }
        self.current.push(at);
        if mode != TouchMode::Read {
            self.writer = Some(at);
        }
        &self.before
    }
}

/// The link before this one, if both are of a chain.
fn chained(units: &[Unit<'_>], at: usize) -> Option<usize> {
    let unit = &units[at];
    let chains = |other: &Unit<'_>| other.fold == pgkedge_model::Fold::Chain;
    if !chains(unit) {
        return None;
    }
    let same_step = (0..at).rev().take_while(|other| units[*other].step == unit.step);
    same_step.into_iter().find(|other| chains(&units[*other]))
}

/// The service that a unit stops: declared before it, by name, and for the same key if it has several.
fn stopped_service(
    units: &[Unit<'_>],
    at: usize,
    idle: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> Option<usize> {
    let unit = &units[at];
    let draft = &unit.drafts[0];
    let name = draft.stops.as_deref()?;
    let services: Vec<usize> = (0..at)
        .rev()
        .filter(|other| units[*other].spec.service && units[*other].declared.name == name)
        .collect();
    let same_key = services.iter().find(|other| units[**other].drafts[0].key == draft.key);
    let found = same_key.or(services.first()).copied();
    if found.is_none() && !idle.contains(name) {
        findings.push(rules::no_service(unit, name, &units[..at]));
    }
    found
}

/// The objects whose writers' outputs a draft's statements use.
fn outputs(draft: &Draft) -> impl Iterator<Item = &Object> {
    let script = &draft.script;
    let undo: &[Statement] = match &script.undo {
        Undo::Statements(statements) => statements,
        Undo::Nothing | Undo::Irreversible(_) => &[],
    };
    let statements = script.before.iter().chain(&script.run).chain(&script.after).chain(undo);
    statements.flat_map(|statement| &statement.text).filter_map(|piece| match piece {
        Piece::Output { of: OutputOf::Writer(object), .. } => Some(object),
        Piece::Output { of: OutputOf::Itself | OutputOf::Step(_), .. }
        | Piece::Sql(_)
        | Piece::Secret { .. }
        | Piece::RunName { .. } => None,
    })
}
