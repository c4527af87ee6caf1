//! Publishes the tables of one replication set on the source, before the slot that carries them, or
//! proves that a publication which the plan names publishes them.

pub(crate) mod existing;

use std::collections::BTreeSet;

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, FailureClass, Finding, Fold, Ident, Item, Leaves,
    Object, Operation, Probe, QualifiedName, ReplicationSet, Script, Server, Touch, Undo,
    WithoutIdentity, quote_literal,
};
use pgkedge_postgres::{Row, Sql};
use pgkedge_render::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::{Fill, Observed};
use crate::identities::is_published;
use crate::script;
use crate::slots::server_name;
use crate::step::{NoParams, Step};

pub(crate) struct CreatePublication;

/// What the publication is to be like.
#[derive(Serialize, Deserialize)]
struct PublicationMember {
    set: String,
    /// The publication that was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publication: Option<Ident>,
    tables: BTreeSet<QualifiedName>,
    operations: BTreeSet<Operation>,
    through_root: bool,
}

impl Step for CreatePublication {
    const KIND: &'static str = "create_publication";
    const ABOUT: &'static str = "Publishes the tables of a replication set on the source, or \
                                 proves that an existing publication does.";
    const LEAVES: Leaves = Leaves::Scaffold;
    const EACH: &'static [Each] = &[Each::ReplicationSet];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::ReplicationSet(set) = expansion.item else { return Ok(Vec::new()) };
        let major = expansion.facts.source.server.version.major();
        let member = member(set, major);
        Ok(vec![Draft {
            key: set.name.as_str().to_owned(),
            params: json!(member),
            touches: touches(set, expansion),
            script: script(set, &member, major)?,
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        for member in &call.node.members {
            let wanted: PublicationMember = context.member(&call.node, member)?;
            let Some(publication) = &wanted.publication else {
                return script::run(context, call, &Observed::default()).await;
            };
            let texts = Fill::plain(call, context.tag()).texts(&member.key, &member.run)?;
            let rows = context.read(Server::Source).await?.rows(&texts.concat()).await?;
            if let Some(unfit) = existing::unfit(&wanted, &rows) {
                let fact = unfit.fact;
                let message =
                    format!("publication {publication} of the source cannot serve: {fact}");
                return Err(Failure::new(FailureClass::Operator, message).help(unfit.help));
            }
        }
        Ok(Value::Null)
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let session = context.read(Server::Source).await?;
        for member in &call.node.members {
            let wanted: PublicationMember = context.member(&call.node, member)?;
            if wanted.publication.is_some() {
                return Ok(Probe::Absent);
            }
            let name = server_name(&wanted.set, context.tag());
            let Some(found) = read(&session, &name).await? else { return Ok(Probe::Absent) };
            if let Some(difference) = difference(&wanted, &found) {
                return Ok(Probe::Foreign(format!(
                    "publication {name} of the source is not as this run made it: {difference}; \
                     `drop publication {name}` on the source, then `pgkedge resume`"
                )));
            }
        }
        Ok(Probe::Applied(Value::Null))
    }
}

fn script(
    set: &ReplicationSet,
    member: &PublicationMember,
    major: u32,
) -> Result<Script, Vec<Finding>> {
    if let Some(publication) = &set.publication {
        return Ok(Script {
            run: existing::statements(publication, major)?,
            undo: Undo::Nothing,
            ..Script::default()
        });
    }
    let options = options(member, major);
    let context =
        json!({ "existing": null, "set": set.name, "tables": set.tables, "options": options });
    let statements =
        |block| script::alone(Server::Source, CreatePublication::KIND, block, &context);
    Ok(Script {
        run: statements(Block::Run)?,
        undo: Undo::Statements(statements(Block::Undo)?),
        ..Script::default()
    })
}

/// 10 publishes no truncate, and 12 no partitioned table.
fn member(set: &ReplicationSet, major: u32) -> PublicationMember {
    let can = |operation: &&Operation| major >= 11 || **operation != Operation::Truncate;
    PublicationMember {
        set: set.name.as_str().to_owned(),
        publication: set.publication.clone(),
        tables: set.tables.iter().cloned().collect(),
        operations: set.operations.iter().filter(can).copied().collect(),
        through_root: set.through_root && major >= 13,
    }
}

fn options(member: &PublicationMember, major: u32) -> Vec<(&'static str, String)> {
    let words: Vec<&str> = member.operations.iter().map(|operation| word(*operation)).collect();
    let mut options = vec![("publish", words.join(", "))];
    if major >= 13 {
        options.push(("publish_via_partition_root", member.through_root.to_string()));
    }
    options
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Truncate => "truncate",
    }
}

/// The identities of its tables and their partitions are settled before: from then on an update of
/// a table without one fails.
fn touches(set: &ReplicationSet, expansion: &Expansion<'_>) -> Vec<Touch> {
    let mut touches = vec![Touch::write(Object::new("publication", set.name.as_str()))];
    if expansion.settings.tables_without_identity == WithoutIdentity::Full {
        let tables = expansion.facts.source.tables.iter();
        let published = tables.filter(|table| is_published(table, set));
        touches.extend(published.map(|table| Touch::read(Object::new("identity", &table.name))));
    }
    touches
}

/// A publication as the source has it.
struct Found {
    tables: BTreeSet<QualifiedName>,
    all_tables: bool,
    operations: BTreeSet<Operation>,
    through_root: bool,
}

async fn read(session: &Sql, name: &str) -> Result<Option<Found>, Failure> {
    let major = session.server_version().major();
    let truncates = if major >= 11 { "p.pubtruncate" } else { "false" };
    let through_root = if major >= 13 { "p.pubviaroot" } else { "false" };
    let publication = format!(
        "select p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, {truncates}, {through_root} \
         from pg_catalog.pg_publication p where p.pubname = {}",
        quote_literal(name)
    );
    let tables = format!(
        "select n.nspname, c.relname \
         from pg_catalog.pg_publication p \
         join pg_catalog.pg_publication_rel r on r.prpubid = p.oid \
         join pg_catalog.pg_class c on c.oid = r.prrelid \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace where p.pubname = {}",
        quote_literal(name)
    );
    let found = session.rows(&publication).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let is = |at: usize| row.get(at) == Some("t");
    let each = Operation::ALL.into_iter().enumerate();
    let operations = each.filter(|(at, _)| is(at + 1)).map(|(_, operation)| operation).collect();
    let tables = session.rows(&tables).await?.iter().filter_map(named).collect();
    Ok(Some(Found { tables, all_tables: is(0), operations, through_root: is(5) }))
}

fn named(row: &Row) -> Option<QualifiedName> {
    let ident = |at: usize| Ident::new(row.get(at)?).ok();
    Some(QualifiedName::new(ident(0)?, ident(1)?))
}

/// What is not as it was made, for people.
fn difference(wanted: &PublicationMember, found: &Found) -> Option<String> {
    if let Some(difference) = existing::difference(&wanted.tables, &found.tables) {
        return Some(difference);
    }
    if found.all_tables || wanted.through_root != found.through_root {
        return Some("it publishes partitions or tables in another way".to_owned());
    }
    (wanted.operations != found.operations).then(|| "it publishes other operations".to_owned())
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{PartitionFacts, ServerVersion};

    use super::*;
    use crate::testing::{Sample, ident, name, set, shown};

    fn expanded(sample: &Sample) -> Draft {
        let set = &sample.capture.slots[0].sets[0];
        sample
            .expand_item::<CreatePublication>(Item::ReplicationSet(set), json!({}))
            .unwrap()
            .remove(0)
    }

    fn sample() -> Sample {
        let mut sample = Sample::default();
        sample.slot("orders", vec![set("paid", &["public.It's", "public.orders"])]);
        sample
    }

    #[test]
    fn a_set_is_published_with_its_operations_and_dropped_by_name() {
        let mut sample = sample();
        sample.capture.slots[0].sets[0].operations = [Operation::Delete, Operation::Insert].into();
        let draft = expanded(&sample);
        assert_eq!(
            shown(&draft.script.run),
            ["create publication pgkedge_paid_‹run› for table only public.\"It's\", only \
              public.orders with (publish = 'insert, delete', publish_via_partition_root = 'false')"]
        );
        let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
        assert_eq!(shown(undo), ["drop publication if exists pgkedge_paid_‹run›"]);
        assert_eq!(draft.touches, [Touch::write(Object::new("publication", "paid"))]);
    }

    #[test]
    fn a_publication_that_is_there_is_looked_at_and_stays() {
        let mut sample = sample();
        sample.capture.slots[0].sets[0].publication = Some(ident("It's \"mine\""));
        let draft = expanded(&sample);
        let sql = shown(&draft.script.run).concat();
        assert!(sql.starts_with("select p.pubinsert, "), "{sql}");
        assert!(sql.ends_with("where p.pubname = 'It''s \"mine\"'"), "{sql}");
        assert_eq!(draft.script.undo, Undo::Nothing);
        assert_eq!(draft.touches, [Touch::write(Object::new("publication", "paid"))]);
    }

    #[test]
    fn what_a_server_does_not_know_yet_is_left_out() {
        let mut sample = sample();
        sample.facts.source.server.version = ServerVersion(100_023);
        let sql = shown(&expanded(&sample).script.run).remove(0);
        assert!(sql.ends_with("with (publish = 'insert, update, delete')"), "{sql}");
        sample.facts.source.server.version = ServerVersion(120_022);
        let sql = shown(&expanded(&sample).script.run).remove(0);
        assert!(sql.ends_with("with (publish = 'insert, update, delete, truncate')"), "{sql}");
    }

    #[test]
    fn it_waits_for_the_identities_of_its_tables_and_of_partitions_behind_a_root() {
        let mut sample = sample();
        sample.settings.tables_without_identity = WithoutIdentity::Full;
        sample.capture.slots[0].sets[0].through_root = true;
        sample.table(1, "public", "orders");
        sample.table(2, "public", "orders_1").partition = Some(PartitionFacts {
            parent: name("public", "orders"),
            root: name("public", "orders"),
            through_root: false,
        });
        sample.table(3, "public", "other");
        let read = |table: &str| Touch::read(Object::new("identity", table));
        let touches = expanded(&sample).touches;
        assert_eq!(touches[1..], [read("public.orders"), read("public.orders_1")]);
    }

    #[test]
    fn a_publication_that_somebody_changed_is_not_taken_for_ours() {
        let wanted = member(&sample().capture.slots[0].sets[0], 15);
        let found = |tables: &[&str], truncate: bool| Found {
            tables: tables.iter().map(|table| name("public", table)).collect(),
            all_tables: false,
            operations: Operation::ALL
                .into_iter()
                .filter(|one| truncate || *one != Operation::Truncate)
                .collect(),
            through_root: false,
        };
        let both = ["It's", "orders"];
        assert_eq!(difference(&wanted, &found(&both, true)), None);
        let less = difference(&wanted, &found(&both[1..], true)).unwrap();
        assert_eq!(less, "it lacks public.\"It's\"");
        let more = difference(&wanted, &found(&["It's", "orders", "x"], true)).unwrap();
        assert_eq!(more, "it has public.x too");
        let other = difference(&wanted, &found(&both, false)).unwrap();
        assert_eq!(other, "it publishes other operations");
    }
}
