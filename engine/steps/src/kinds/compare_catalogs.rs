//! Compares everything but the rows of tables: definitions, roles, properties, values of sequences,
//! large objects and materialized views; or the source with what the plan was compiled against. Only
//! reads.

mod pending;

use pgkedge_model::{
    Call, Catalog, Draft, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves,
    QualifiedName, Script, Server, Table, TableKind, VerifyMethod,
};
use pgkedge_postgres::{introspect, introspect_facts};
use pgkedge_verify::{
    Comparison, DriftScope, Pending, Scope, Stand, compare_catalogs, compare_large_objects,
    compare_materialized_views, compare_sequences, drift, drift_of_facts,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::comparing::{Readers, outcome};
use crate::context::{StepContext, application};
use crate::step::Step;

/// Things that have moved and that a message names, at most.
const NAMED: usize = 3;
/// Things that have moved and that a failure tells, at most.
const TOLD: usize = 200;

pub(crate) struct CompareCatalogs;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareParams {
    /// What is compared: the target with the source, or the source with what the plan was compiled
    /// against.
    #[serde(default)]
    against: Against,
    /// What the target has not got yet. A captured move that lacks any object lacks the values of
    /// sequences, the large objects and the rows of materialized views as well.
    #[serde(default)]
    without: Vec<Without>,
    /// Leaves definitions to a step that has the time for `pg_dump`: with `against: source` only
    /// values are compared (sequences, large objects, materialized views), with `against: compiled`
    /// only tables, columns, types, indexes, constraints and sequences.
    #[serde(default)]
    quick: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Against {
    /// The source as it is.
    #[default]
    Source,
    /// What the source was when the plan was compiled: what has moved since stops the run.
    Compiled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Without {
    /// Triggers and rules that fire in apply (`ENABLE ALWAYS`, `ENABLE REPLICA`).
    HeldTriggers,
    EventTriggers,
    /// The user's own.
    Publications,
    /// Foreign keys between tables of two slots.
    CrossingForeignKeys,
    /// Connection limit, comment, privileges and settings of the database, which differ for as long
    /// as a fence stands. A captured move never compares them.
    DatabaseSettings,
    /// Of sequences, large objects and materialized views: the target is written to already.
    Values,
}

/// The only member of the step.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CompareMember {
    Sides(SidesMember),
    Compiled(CompiledMember),
}

/// The two databases are compared.
#[derive(Serialize, Deserialize)]
struct SidesMember {
    /// Tables that the plan leaves out.
    excluded: Vec<QualifiedName>,
    pending: Pending,
    values: Values,
    #[serde(default)]
    quick: bool,
}

/// What of the values beside the rows of tables is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Values {
    /// All of them are equal.
    All,
    /// Sequences have a gap; the rest is compared in this way, or not at all.
    Final(Option<VerifyMethod>),
    Nothing,
}

/// The source is compared with what it was.
#[derive(Serialize, Deserialize)]
struct CompiledMember {
    excluded: Vec<QualifiedName>,
    /// Tables whose replica identity the move itself changes.
    identities: Vec<QualifiedName>,
    /// Tables of several parts that are read from the source.
    split: Vec<QualifiedName>,
    #[serde(default)]
    quick: bool,
}

impl Step for CompareCatalogs {
    const KIND: &'static str = "compare_catalogs";
    const ABOUT: &'static str = "Compares definitions, roles, properties, sequences, large objects \
                                 and materialized views of both databases.";
    const LEAVES: Leaves = Leaves::Nothing;
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = CompareParams;

    fn expand(
        params: &CompareParams,
        expansion: &Expansion<'_>,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let excluded = expansion.selection.excluded.clone();
        let member = match params.against {
            Against::Source => CompareMember::Sides(SidesMember {
                excluded,
                pending: pending::pending(&params.without, expansion),
                values: pending::values(&params.without, expansion),
                quick: params.quick,
            }),
            Against::Compiled => CompareMember::Compiled(CompiledMember {
                excluded,
                identities: pending::identities(expansion),
                // Nobody reads ranges of pages any more when there is no time.
                split: if params.quick { Vec::new() } else { pending::split(expansion) },
                quick: params.quick,
            }),
        };
        Ok(vec![Draft {
            key: String::new(),
            params: json!(member),
            touches: Vec::new(),
            script: Script::default(),
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let mut found = Comparison::default();
        for member in &call.node.members {
            match context.member(&call.node, member)? {
                CompareMember::Sides(member) => {
                    found.absorb(Box::pin(compare(context, &member)).await?);
                }
                CompareMember::Compiled(member) => {
                    return Box::pin(refuse_drift(context, &member)).await;
                }
            }
        }
        outcome("catalogs", &found)
    }
}

async fn compare(context: &StepContext, member: &SidesMember) -> Result<Comparison, Failure> {
    let name = application(&context.header().run_id, context.epoch(), "read");
    let mut found = Comparison::default();
    let source = if member.quick {
        context.facts().source.clone()
    } else {
        let (source, target) = tokio::try_join!(
            introspect(context.endpoint(Server::Source)?, &name),
            introspect(context.endpoint(Server::Target)?, &name),
        )?;
        let SidesMember { excluded, pending, .. } = member;
        let before = context.facts().target.as_ref();
        let scope = Scope { excluded, before, pending: Some(pending) };
        found = compare_catalogs(&source, &target, scope);
        source
    };
    found.absorb(Box::pin(compare_values(context, member, &source)).await?);
    Ok(found)
}

/// Compares what tables do not hold.
async fn compare_values(
    context: &StepContext,
    member: &SidesMember,
    source: &Catalog,
) -> Result<Comparison, Failure> {
    let SidesMember { excluded, values, .. } = member;
    let mut found = Comparison::default();
    let (stand, method) = match *values {
        Values::All => (Stand::Equal, Some(context.settings().verify.method)),
        Values::Final(method) => (Stand::Reached, method),
        Values::Nothing => return Ok(found),
    };
    let readers = Readers::open(context).await?;
    let sides = readers.sides();
    let is_kept = |table: &QualifiedName| !excluded.contains(table);
    let sequences = source.sequences.iter().filter(|sequence| {
        sequence.readable && sequence.owned_by.as_ref().is_none_or(|(table, _)| is_kept(table))
    });
    let sequences: Vec<&QualifiedName> = sequences.map(|sequence| &sequence.name).collect();
    found.absorb(compare_sequences(sides, &sequences, stand).await?);

    let Some(method) = method else { return Ok(found) };
    let is_view =
        |table: &&Table| table.kind == TableKind::MaterializedView && is_kept(&table.name);
    let views: Vec<&Table> = source.tables.iter().filter(is_view).collect();
    let plan = readers.plan(context, &views, method).await?;
    found.absorb(compare_materialized_views(sides, &views, &source.types, &plan).await?);
    found.absorb(compare_large_objects(sides, &plan).await?);
    Ok(found)
}

/// Stops the run where the source is not what the plan was compiled against.
async fn refuse_drift(context: &StepContext, member: &CompiledMember) -> Result<Value, Failure> {
    let name = application(&context.header().run_id, context.epoch(), "read");
    let endpoint = context.endpoint(Server::Source)?;
    let CompiledMember { excluded, identities, split, quick } = member;
    let (compiled, scope) = (&context.facts().source, DriftScope { excluded, identities, split });
    let moved = if *quick {
        drift_of_facts(compiled, &introspect_facts(endpoint, &name).await?, scope)
    } else {
        drift(compiled, &introspect(endpoint, &name).await?, scope)
    };
    let told: Vec<String> = moved.iter().map(ToString::to_string).collect();
    let Some(more) = told.len().checked_sub(1) else { return Ok(json!({ "moved": 0 })) };
    let named = told[..told.len().min(NAMED)].join("; ");
    let more = more.saturating_sub(NAMED - 1);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let message = format!("the source has moved since the plan was compiled: {named}{more}");
    let mut failure = Failure::new(FailureClass::Operator, message).help(
        "plan again: `pgkedge abort` takes this run back, then `pgkedge plan` shows the new one; \
         or put the source back as it was and `pgkedge resume`",
    );
    failure.details = told.into_iter().take(TOLD).collect();
    Err(failure)
}

#[cfg(test)]
#[path = "compare_catalogs/tests.rs"]
mod tests;
