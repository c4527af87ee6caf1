//! What to say of a step of the user's own when nobody knows whether it was carried out.

use pgkedge_model::{Probe, StepNode};

/// The last attempt may have made its effect or not, and there is no way to ask.
pub(crate) fn uncertain(node: &StepNode) -> Probe {
    Probe::Foreign(format!(
        "`{}` may have been carried out by an earlier attempt, and the plan says neither \
         `idempotent: true` nor a `probe:` for it; add one of them to step `{}` and \
         `pgkedge resume PLAN`",
        node.id, node.step
    ))
}
