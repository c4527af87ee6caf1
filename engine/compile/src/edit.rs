//! Whether a run can go on with an edited plan: what is done, and what runs, must stay as it was.

use std::collections::BTreeMap;

use pgkedge_model::{
    Checkpoint, Finding, OnFailure, PhaseName, RunHeader, Statement, StepGraph, StepId, StepNode,
    StepState,
};
use serde::Serialize;
use serde_json::Value;

/// Differences of one kind that are reported; a plan with more is another plan.
const MOST_FINDINGS: usize = 20;

/// What a run is to do from here on, compared with what it set out to do. The changes are for people.
///
/// Settings and ways to the servers may change at any time: what they mean for steps is settled in
/// the graph. That the servers are still the same ones is for the caller to ask.
pub fn edit(
    old: &RunHeader,
    checkpoint: &Checkpoint,
    new: &RunHeader,
) -> Result<Vec<String>, Vec<Finding>> {
    let edit = Edit { old: &old.graph, checkpoint, new: &new.graph };
    let mut findings = edit.changed_frozen_steps();
    findings.extend(edit.steps_before_frozen_ones());
    findings.extend(edit.rules_of_begun_phases());
    if !findings.is_empty() {
        return Err(findings);
    }
    let mut changes = Vec::new();
    add_options(&mut changes, "databases", &old.databases, &new.databases);
    add_options(&mut changes, "", &old.settings, &new.settings);
    changes.extend(edit.changes());
    Ok(changes)
}

/// Fields of the plan that differ, by their place in it.
fn add_options(changes: &mut Vec<String>, place: &str, old: &impl Serialize, new: &impl Serialize) {
    let value = |options: Result<Value, _>| options.unwrap_or(Value::Null);
    add_fields(
        changes,
        place,
        &value(serde_json::to_value(old)),
        &value(serde_json::to_value(new)),
    );
}

fn add_fields(changes: &mut Vec<String>, place: &str, old: &Value, new: &Value) {
    if old == new {
        return;
    }
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        changes.push(format!("changes {place}: {old} → {new}"));
        return;
    };
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        let field = |fields: &serde_json::Map<String, Value>| {
            fields.get(name).cloned().unwrap_or(Value::Null)
        };
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        add_fields(changes, &place, &field(before), &field(after));
    }
}

struct Edit<'a> {
    old: &'a StepGraph,
    checkpoint: &'a Checkpoint,
    new: &'a StepGraph,
}

impl Edit<'_> {
    /// Why a step may not change; none where it may. A failed step left nothing that holds.
    fn frozen(&self, id: &StepId) -> Option<&'static str> {
        match self.checkpoint.state(id) {
            StepState::Succeeded { .. } => Some("done"),
            StepState::Running { .. } => Some("started, and may have had its effect"),
            StepState::Ready { .. } => Some("a service that holds"),
            StepState::Pending | StepState::Failed { .. } | StepState::Undone => None,
        }
    }

    fn changed_frozen_steps(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for old in self.old.steps() {
            let Some(why) = self.frozen(&old.id) else { continue };
            let finding = match self.new.step(&old.id) {
                None => removed(old, why),
                Some(new) if new.digest != old.digest => changed(old, new, why),
                Some(_) => continue,
            };
            findings.push(finding.help(
                "put it back as it was, or start another run after `pgkedge cleanup` or `abort`",
            ));
            if findings.len() == MOST_FINDINGS {
                break;
            }
        }
        findings
    }

    /// Steps that would have had to run before one that is done.
    fn steps_before_frozen_ones(&self) -> Vec<Finding> {
        let mut precedes: BTreeMap<&StepId, &StepId> = BTreeMap::new();
        let mut findings = Vec::new();
        for (id, _) in self.new.nodes().rev() {
            let frozen = self.new.step(id).is_some() && self.frozen(id).is_some();
            let Some(done) = (if frozen { Some(id) } else { precedes.get(id).copied() }) else {
                continue;
            };
            for need in self.new.needs(id) {
                precedes.insert(need, done);
            }
            // What was taken back to be done again had its turn at this place before.
            let again = *self.checkpoint.state(id) == StepState::Undone;
            let is_late = self.new.step(id).is_some() && !frozen && !again;
            if is_late && findings.len() < MOST_FINDINGS {
                findings.push(self.comes_too_late(id, done));
            }
        }
        findings.reverse();
        findings
    }

    /// Phases that have begun, and were to be taken back on a failure, or not, in another way.
    fn rules_of_begun_phases(&self) -> Vec<Finding> {
        let begun = |phase: &PhaseName| {
            let mut steps = self.old.steps().filter(|step| step.phase == *phase);
            steps.any(|step| self.frozen(&step.id).is_some())
        };
        let changed = self.changed_rules().filter(|phase| begun(phase));
        let finding = |phase: &PhaseName| {
            let message = format!(
                "phase `{phase}` has begun, and the edited plan changes whether it is taken back on a failure"
            );
            Finding::error("edit::begun_phase_changed", message)
                .help(format!("put `on_failure` of phase `{phase}` back as it was"))
        };
        changed.map(finding).collect()
    }

    fn changed_rules(&self) -> impl Iterator<Item = &PhaseName> {
        let both = self.new.phases().iter().filter(|phase| self.old.phases().contains(phase));
        both.filter(|phase| self.old.rule(phase).on_failure != self.new.rule(phase).on_failure)
    }

    fn comes_too_late(&self, id: &StepId, done: &StepId) -> Finding {
        let what = if self.old.step(id).is_some() { "is not done" } else { "is new" };
        let why = self.frozen(done).unwrap_or("done");
        let message = format!("step `{id}` {what}, but `{done}` must wait for it and is {why}");
        Finding::error("edit::step_comes_too_late", message)
            .help("put the step into a phase that has not begun, or start another run")
    }

    fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        for old in self.old.steps() {
            match self.new.step(&old.id) {
                None => changes.push(format!("removes {}", old.id)),
                Some(new) if new.digest != old.digest => {
                    changes.push(format!("changes {}: {}", old.id, difference(old, new)));
                }
                Some(_) => {}
            }
        }
        let rules = self.changed_rules();
        changes.extend(rules.map(|phase| match self.new.rule(phase).on_failure {
            OnFailure::Undo => format!("takes {phase} back on a failure"),
            OnFailure::Stop => format!("keeps {phase} on a failure"),
        }));
        let added = self.new.steps().filter(|step| self.old.step(&step.id).is_none());
        changes.extend(added.map(|step| format!("adds {} ({})", step.id, step.kind)));
        changes
    }
}

fn removed(old: &StepNode, why: &str) -> Finding {
    let message = format!("step `{}` is {why}, and the edited plan no longer has it", old.id);
    Finding::error("edit::frozen_step_removed", message)
}

fn changed(old: &StepNode, new: &StepNode, why: &str) -> Finding {
    let difference = difference(old, new);
    let message =
        format!("step `{}` is {why}, and the edited plan changes it: {difference}", old.id);
    Finding::error("edit::frozen_step_changed", message)
}

/// The first thing in which two versions of a step differ, old → new.
fn difference(old: &StepNode, new: &StepNode) -> String {
    if old.kind != new.kind {
        return format!("its kind, {} → {}", old.kind, new.kind);
    }
    if old.scope != new.scope {
        let slot =
            |node: &StepNode| node.scope.as_ref().map_or("none", |slot| slot.as_str()).to_owned();
        return format!("its slot, {} → {}", slot(old), slot(new));
    }
    if old.params != new.params {
        return format!("its parameters, {} → {}", old.params, new.params);
    }
    let keys = |node: &StepNode| -> Vec<String> {
        node.members.iter().map(|member| member.key.clone()).collect()
    };
    let (old_keys, new_keys) = (keys(old), keys(new));
    if old_keys != new_keys {
        let gone =
            old_keys.iter().filter(|key| !new_keys.contains(key)).map(|key| format!("-{key}"));
        let come =
            new_keys.iter().filter(|key| !old_keys.contains(key)).map(|key| format!("+{key}"));
        let all: Vec<String> = gone.chain(come).collect();
        let order = || "in another order".to_owned();
        return format!("its members, {}", if all.is_empty() { order() } else { all.join(" ") });
    }
    let (old_sent, new_sent): (Vec<&Statement>, Vec<&Statement>) =
        (old.statements().collect(), new.statements().collect());
    let first = old_sent.iter().zip(&new_sent).find(|(old, new)| old != new);
    match first {
        Some((old, new)) if old.text == new.text => {
            format!("where or how it sends `{}`", old.shown())
        }
        Some((old, new)) => format!("`{}` → `{}`", old.shown(), new.shown()),
        None if old_sent.len() != new_sent.len() => {
            format!("it sends {} statements → {}", old_sent.len(), new_sent.len())
        }
        None => members_apart(old, new),
    }
}

fn members_apart(old: &StepNode, new: &StepNode) -> String {
    let pairs = old.members.iter().zip(&new.members);
    match pairs.into_iter().find(|(old, new)| old.params != new.params) {
        Some((old, new)) => format!("what `{}` is given, {} → {}", old.key, old.params, new.params),
        None => "what its kind does, in another version of pgkedge".to_owned(),
    }
}

#[cfg(test)]
mod tests;
