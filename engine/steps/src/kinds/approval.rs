//! Waits until a person says that the run may go on.

use pgkedge_model::{Call, Draft, Expansion, Failure, FailureClass, Finding, Fold, Leaves, Script};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::step::Step;

pub(crate) struct Approval;

/// What is asked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The question, for example `Cut over storefront?`.
    message: String,
}

impl Step for Approval {
    const KIND: &'static str = "approval";
    const ABOUT: &'static str = "Waits for `pgkedge approve`.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    type Params = Params;

    fn expand(_: &Params, _: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: Vec::new(),
            script: Script::default(),
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let params: Params = context.params(&call.node)?;
        let step = &call.node.id;
        call.reporter.waiting(&format!("{} (`pgkedge approve {step}`)", params.message));
        tokio::select! {
            by = call.reporter.approved() => match by {
                Some(by) => Ok(json!({ "by": by })),
                None => Err(Failure::new(FailureClass::Cancelled, "nobody has approved yet")),
            },
            failure = context.cancelled() => Err(failure),
        }
    }
}
