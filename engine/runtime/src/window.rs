//! Windows: consecutive phases that are taken back together when one of them fails.

use std::sync::Arc;

use pgkedge_model::{
    Checkpoint, OnFailure, PhaseName, StepGraph, StepId, StepNode, StepState, TimeSpan, Undo,
};

/// Consecutive phases that say `on_failure: undo`.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// Never empty.
    pub(crate) phases: Vec<PhaseName>,
    /// In the order in which they could run one by one.
    pub(crate) steps: Vec<Arc<StepNode>>,
    /// Counted from its first step.
    pub(crate) deadline: Option<TimeSpan>,
}

/// How far a window has come, as far as the journal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Nothing of it may be there.
    Untouched,
    /// Begun, and not finished.
    Open,
    /// Every step of it is done, and each could be taken back.
    Done,
    /// A step that cannot be taken back is done: from here on there is only forward.
    Beyond,
}

/// The windows of a graph, in the order of its phases.
pub(crate) fn windows(graph: &StepGraph) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut continues = false;
    for phase in graph.phases() {
        let rule = graph.rule(phase);
        if rule.on_failure != OnFailure::Undo {
            continues = false;
            continue;
        }
        if !continues {
            windows.push(Window { phases: Vec::new(), steps: Vec::new(), deadline: None });
        }
        continues = true;
        let Some(window) = windows.last_mut() else { continue };
        window.phases.push(phase.clone());
        window.deadline = window.deadline.or(rule.deadline);
    }
    for window in &mut windows {
        let within = graph.steps().filter(|node| window.phases.contains(&node.phase));
        window.steps = within.cloned().collect();
    }
    windows
}

impl Window {
    pub(crate) fn stand(&self, checkpoint: &Checkpoint) -> Stand {
        let states = || self.steps.iter().map(|node| (node, checkpoint.state(&node.id)));
        if states().any(|(node, state)| is_irreversible(node) && state.is_succeeded()) {
            return Stand::Beyond;
        }
        if !states().any(|(_, state)| state.may_hold()) {
            return Stand::Untouched;
        }
        // A service that holds is as far as it gets.
        if states().all(|(_, state)| state.output().is_some()) { Stand::Done } else { Stand::Open }
    }

    /// Steps that cannot be taken back, and of which the journal does not know how they ended.
    pub(crate) fn doubtful(&self, checkpoint: &Checkpoint) -> Vec<Arc<StepNode>> {
        let in_doubt = |node: &&Arc<StepNode>| {
            let state = checkpoint.state(&node.id);
            is_irreversible(node)
                && matches!(state, StepState::Running { .. } | StepState::Failed { .. })
        };
        self.steps.iter().filter(in_doubt).cloned().collect()
    }

    /// The step that there is no way back from, once it is done.
    pub(crate) fn point_of_no_return(&self, checkpoint: &Checkpoint) -> Option<&StepId> {
        let done = |node: &&Arc<StepNode>| {
            is_irreversible(node) && checkpoint.state(&node.id).is_succeeded()
        };
        self.steps.iter().find(done).map(|node| &node.id)
    }

    /// What to name when its time is over: the first step that runs, or else that is not done.
    pub(crate) fn first_at_work(&self, checkpoint: &Checkpoint) -> Option<&Arc<StepNode>> {
        let runs = |node: &&Arc<StepNode>| {
            !node.service && matches!(checkpoint.state(&node.id), StepState::Running { .. })
        };
        let undone = |node: &&Arc<StepNode>| checkpoint.state(&node.id).output().is_none();
        self.steps.iter().find(runs).or_else(|| self.steps.iter().find(undone))
    }

    /// The window that a run which ends after this phase would leave half done.
    pub(crate) fn is_cut_by(&self, phase: &PhaseName) -> bool {
        let place = self.phases.iter().position(|known| known == phase);
        place.is_some_and(|place| place + 1 < self.phases.len())
    }
}

/// Whether a part of the step says that it cannot be taken back.
pub(crate) fn is_irreversible(node: &StepNode) -> bool {
    node.members.iter().any(|member| matches!(member.undo, Undo::Irreversible(_)))
}
