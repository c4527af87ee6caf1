//! What a step kind is: its parameters, the statements it makes of them, and how it acts.
//!
//! Most kinds only say `expand`: the defaults send the script in one guarded transaction, ask the
//! ledger whether it was committed, and send the undo statements.

use pgkedge_model::{
    BoxFuture, Call, Draft, Each, Expansion, Failure, Finding, KindSpec, Leaves, Probe, Server,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::StepContext;
use crate::fill::Observed;
use crate::script;

/// One step kind. The type only names it: everything a step knows is in its call.
pub(crate) trait Step: Sized + Send + Sync + 'static {
    /// For example `copy_part`; the stem of the kind's template.
    const KIND: &'static str;
    /// One sentence, for the schema and the docs.
    const ABOUT: &'static str;
    /// Raised when the effect of the same parameters changes.
    const VERSION: u32 = 1;
    const LEAVES: Leaves;
    /// What it can be expanded over; empty: it takes no `each`.
    const EACH: &'static [Each] = &[];
    const SERVICE: bool = false;
    /// Counts against `load.workers` while it runs.
    const WORKER: bool = true;
    /// Servers that it talks to while it runs, beside those that its statements go to.
    const SERVERS: &'static [Server] = &[];
    /// What stands beside `name`, `kind` and `each` in the plan.
    type Params: DeserializeOwned + JsonSchema + Send;

    /// Turns a declared step and one item into drafts.
    fn expand(params: &Self::Params, expansion: &Expansion<'_>)
    -> Result<Vec<Draft>, Vec<Finding>>;

    /// Reads the values and secrets that the script leaves open, just before it is sent.
    fn observe(
        context: &StepContext,
        call: &Call,
    ) -> impl Future<Output = Result<Observed, Failure>> + Send {
        let _ = (context, call);
        async { Ok(Observed::default()) }
    }

    /// Makes the effect.
    fn run(
        context: &StepContext,
        call: &Call,
    ) -> impl Future<Output = Result<Value, Failure>> + Send {
        async move {
            let observed = Self::observe(context, call).await?;
            script::run(context, call, &observed).await
        }
    }

    /// Asks whether the effect holds.
    fn probe(
        context: &StepContext,
        call: &Call,
    ) -> impl Future<Output = Result<Probe, Failure>> + Send {
        script::probe(context, call)
    }

    /// Takes the effect back.
    fn undo(
        context: &StepContext,
        call: &Call,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        script::undo(context, call)
    }
}

/// A parameter object without fields.
#[derive(Debug, Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "reads an empty object, not null")]
pub(crate) struct NoParams {}

/// A kind as data: what `plan` and `compile` see, and what the performer calls.
pub(crate) struct Kind {
    pub(crate) spec: KindSpec,
    pub(crate) run: for<'a> fn(&'a StepContext, &'a Call) -> BoxFuture<'a, Result<Value, Failure>>,
    pub(crate) probe:
        for<'a> fn(&'a StepContext, &'a Call) -> BoxFuture<'a, Result<Probe, Failure>>,
    pub(crate) undo: for<'a> fn(&'a StepContext, &'a Call) -> BoxFuture<'a, Result<(), Failure>>,
}

/// Makes the data of a kind from its type.
pub(crate) const fn kind<S: Step>() -> Kind {
    Kind {
        spec: KindSpec {
            kind: S::KIND,
            about: S::ABOUT,
            params: params_schema::<S>,
            each: S::EACH,
            version: S::VERSION,
            leaves: S::LEAVES,
            service: S::SERVICE,
            worker: S::WORKER,
            servers: S::SERVERS,
            expand: expand::<S>,
        },
        run: |context, call| Box::pin(S::run(context, call)),
        probe: |context, call| Box::pin(S::probe(context, call)),
        undo: |context, call| Box::pin(S::undo(context, call)),
    }
}

fn params_schema<S: Step>() -> Value {
    schemars::schema_for!(S::Params).to_value()
}

fn expand<S: Step>(expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
    let declared = expansion.declared;
    let params = serde_json::from_value(declared.params.clone()).map_err(|error| {
        let message = format!("step `{}` of kind `{}`: {error}", declared.name, S::KIND);
        let finding = Finding::error("steps::unfit_parameters", message);
        vec![match &declared.pointer {
            Some(pointer) => finding.at_value(pointer, "declared here"),
            None => finding,
        }]
    })?;
    S::expand(&params, expansion)
}
