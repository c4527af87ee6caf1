//! Makes the whole row the identity of published tables that have no usable one.

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Member, Object, Probe,
    Script, Server, Statement, Table, Touch, Undo,
};
use pgkedge_render::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Fill;
use crate::identities::{Changed, alter_each, is_full, needs_full};
use crate::script;
use crate::step::{NoParams, Step};

pub(crate) struct SetReplicaIdentity;

/// Tables that change together: a partition, and for one of each root the root as well.
#[derive(Serialize, Deserialize)]
struct IdentityMember {
    tables: Vec<Changed>,
}

impl Step for SetReplicaIdentity {
    const KIND: &'static str = "set_replica_identity";
    const ABOUT: &'static str = "Makes the whole row the identity of published tables without a \
                                 usable one, where the plan says `tables_without_identity: full`.";
    const LEAVES: Leaves = Leaves::Scaffold;
    const EACH: &'static [Each] = &[Each::Table];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Table(table) = expansion.item else { return Ok(Vec::new()) };
        let tables = changed(expansion, table);
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let member = IdentityMember { tables: tables.iter().copied().map(Changed::from).collect() };
        let write = |table: &&Table| Touch::write(Object::new("identity", &table.name));
        let statements = |block| script::alone(Server::Source, Self::KIND, block, &json!(member));
        Ok(vec![Draft {
            key: table.name.to_string(),
            touches: tables.iter().map(write).collect(),
            script: Script {
                run: statements(Block::Run)?,
                undo: Undo::Statements(statements(Block::Undo)?),
                ..Script::default()
            },
            params: json!(member),
            cost: 0,
            fold: Fold::Small,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        for member in &call.node.members {
            apply(context, call, member, &member.run, false).await?;
        }
        Ok(Value::Null)
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let session = context.read(Server::Source).await?;
        let (mut all, mut any) = (true, false);
        for member in &call.node.members {
            for changed in context.member::<IdentityMember>(&call.node, member)?.tables {
                let full = is_full(&session, &changed.table).await? == Some(true);
                (all, any) = (all && full, any || full);
            }
        }
        Ok(match (all, any) {
            (true, _) => Probe::Applied(Value::Null),
            (false, true) => Probe::Partial,
            (false, false) => Probe::Absent,
        })
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        for member in call.node.members.iter().rev() {
            if let Undo::Statements(statements) = &member.undo {
                apply(context, call, member, statements, true).await?;
            }
        }
        Ok(())
    }
}

/// Sends the transactions of a member's tables whose identity is the whole row now, or is not.
async fn apply(
    context: &StepContext,
    call: &Call,
    member: &Member,
    statements: &[Statement],
    if_full: bool,
) -> Result<(), Failure> {
    let tables = context.member::<IdentityMember>(&call.node, member)?.tables;
    let texts = Fill::plain(call, context.tag()).texts(&member.key, statements)?;
    alter_each(context, call, &tables, &texts, if_full).await
}

/// The table, and its root once, as far as rows of them could not be found.
fn changed<'a>(expansion: &Expansion<'a>, table: &'a Table) -> Vec<&'a Table> {
    let unfit = |table: &&Table| needs_full(table, expansion.capture.sets(), expansion.settings);
    let root = table.partition.as_ref().filter(|partition| {
        let of_root = |other: &&Table| {
            other.partition.as_ref().is_some_and(|other| other.root == partition.root)
                && expansion.selection.group_of(&other.name).is_some()
        };
        let first = expansion.facts.source.tables.iter().filter(of_root).map(|one| &one.name).min();
        first == Some(&table.name)
    });
    let root = root.and_then(|partition| expansion.source.tables_by_name.get(&partition.root));
    root.copied().into_iter().chain([table]).filter(unfit).collect()
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{
        IdentityKind, Operation, PartitionFacts, ReplicaIdentity, TableGroup, WithoutIdentity,
    };

    use super::*;
    use crate::identities::STATEMENTS;
    use crate::testing::{Sample, ident, name, set, shown};

    fn sample() -> Sample {
        let mut sample = Sample::default();
        sample.settings.tables_without_identity = WithoutIdentity::Full;
        sample.slot("all", vec![set("all", &["public.bare", "public.root"])]);
        sample.capture.slots[0].sets[0].through_root = true;
        sample.table(1, "public", "bare");
        sample.table(2, "public", "root");
        for (oid, leaf) in [(3, "root_1"), (4, "root_2")] {
            let root = name("public", "root");
            sample.table(oid, "public", leaf).partition =
                Some(PartitionFacts { parent: root.clone(), root, through_root: false });
        }
        let tables = ["bare", "root_1", "root_2"].map(|table| name("public", table)).to_vec();
        sample.selection.groups.push(TableGroup { name: ident("all"), tables });
        sample
    }

    fn drafts(sample: &Sample, table: u32) -> Vec<Draft> {
        let item = Item::Table(sample.facts.source.table(table).unwrap());
        sample.expand_item::<SetReplicaIdentity>(item, json!({})).unwrap()
    }

    #[test]
    fn a_published_table_without_identity_gets_one_and_its_own_back() {
        let mut sample = sample();
        sample.facts.source.tables[0].identity = ReplicaIdentity {
            kind: IdentityKind::Index,
            index: Some(ident("Odd one")),
            usable: false,
        };
        let draft = drafts(&sample, 1).remove(0);
        assert_eq!(
            shown(&draft.script.run),
            [
                "begin",
                "set local lock_timeout = '2s'",
                "alter table only public.bare replica identity full",
                "commit",
            ]
        );
        let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
        let back = "alter table only public.bare replica identity using index \"Odd one\"";
        assert_eq!(shown(undo)[2], back);
        assert_eq!(draft.touches, [Touch::write(Object::new("identity", "public.bare"))]);
        assert!(draft.script.run.iter().all(|statement| statement.on == Server::Source));
    }

    #[test]
    fn the_root_of_partitions_changes_with_the_first_of_them() {
        let sample = sample();
        let altered = |table| {
            let run = shown(&drafts(&sample, table)[0].script.run);
            assert_eq!(run.len() % STATEMENTS, 0);
            run.into_iter().filter(|sql| sql.starts_with("alter")).count()
        };
        assert_eq!((altered(3), altered(4)), (2, 1));
    }

    #[test]
    fn other_tables_stay_as_they_are() {
        let mut refusing = sample();
        refusing.settings.tables_without_identity = WithoutIdentity::InsertOnly;
        assert!(drafts(&refusing, 1).is_empty());
        let mut fit = sample();
        fit.facts.source.tables[0].identity.usable = true;
        assert!(drafts(&fit, 1).is_empty());
        let mut inserted = sample();
        inserted.capture.slots[0].sets[0].operations = [Operation::Insert].into();
        assert!(drafts(&inserted, 1).is_empty());
    }
}
