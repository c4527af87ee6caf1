//! Compares everything but the rows of tables: definitions, roles, properties, values of sequences,
//! large objects and materialized views. Only reads.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Item, Leaves, QualifiedName, Script, Server,
    Table, TableKind,
};
use pgkedge_postgres::introspect;
use pgkedge_verify::{
    Comparison, Scope, compare_catalogs, compare_large_objects, compare_materialized_views,
    compare_sequences,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::comparing::{Readers, outcome};
use crate::context::{StepContext, application};
use crate::step::{NoParams, Step};

pub(crate) struct CompareCatalogs;

/// The only member of the step.
#[derive(Serialize, Deserialize)]
struct CompareMember {
    /// Tables that the plan leaves out.
    excluded: Vec<QualifiedName>,
}

impl Step for CompareCatalogs {
    const KIND: &'static str = "compare_catalogs";
    const ABOUT: &'static str = "Compares definitions, roles, properties, sequences, large objects \
                                 and materialized views of both databases.";
    const LEAVES: Leaves = Leaves::Nothing;
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        Ok(vec![Draft {
            key: String::new(),
            params: json!({ "excluded": expansion.selection.excluded }),
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
            let CompareMember { excluded } = context.member(&call.node, member)?;
            found.absorb(Box::pin(compare(context, &excluded)).await?);
        }
        outcome("catalogs", &found)
    }
}

async fn compare(context: &StepContext, excluded: &[QualifiedName]) -> Result<Comparison, Failure> {
    let name = application(&context.header().run_id, context.epoch(), "read");
    let (source, target) = tokio::try_join!(
        introspect(context.endpoint(Server::Source)?, &name),
        introspect(context.endpoint(Server::Target)?, &name),
    )?;
    let scope = Scope { excluded, before: context.facts().target.as_ref() };
    let mut found = compare_catalogs(&source, &target, scope);

    let readers = Readers::open(context).await?;
    let sides = readers.sides();
    let is_kept = |table: &QualifiedName| !excluded.contains(table);
    let sequences = source.sequences.iter().filter(|sequence| {
        sequence.readable && sequence.owned_by.as_ref().is_none_or(|(table, _)| is_kept(table))
    });
    let sequences: Vec<&QualifiedName> = sequences.map(|sequence| &sequence.name).collect();
    found.absorb(compare_sequences(sides, &sequences).await?);

    let is_view =
        |table: &&Table| table.kind == TableKind::MaterializedView && is_kept(&table.name);
    let views: Vec<&Table> = source.tables.iter().filter(is_view).collect();
    let plan = readers.plan(context, &views, context.settings().verify.method).await?;
    found.absorb(compare_materialized_views(sides, &views, &source.types, &plan).await?);
    found.absorb(compare_large_objects(sides, &plan).await?);
    Ok(found)
}
