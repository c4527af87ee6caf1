//! Moves batches of large objects from one side to the other.

use std::collections::BTreeSet;

use pgkedge_model::{Call, Failure, Progress, Server, VerifyMethod};
use pgkedge_postgres::{Pooled, Sql, Wire, relay};
use pgkedge_verify::differing_large_objects;
use serde_json::{Value, json};

use super::ALL;
use crate::comparing::Readers;
use crate::context::StepContext;
use crate::fill::{Fill, Observed};
use crate::guarded::Guarded;
use crate::large_objects::{
    LargeObject, OidRange, PAGE, batches, describe, list, list_these, oid_array, range,
};
use crate::reading;
use crate::script;

/// Statements of the script up to this one are sent as they stand; those behind are sent per object.
const LAST_OF_BATCH: &str = "alter large object";

/// What one transaction moves.
struct Batch {
    objects: Vec<LargeObject>,
    /// What it replaces; with those that are gone.
    oids: Vec<u32>,
    /// Its rows in the ledger.
    members: Vec<(OidRange, u64)>,
}

impl Batch {
    /// Neighbours, of which the target has none yet.
    fn of_neighbours(objects: Vec<LargeObject>) -> Option<Self> {
        let number = u64::try_from(objects.len()).unwrap_or(u64::MAX);
        let members = vec![(range(&objects)?, number)];
        Some(Self { objects, oids: Vec::new(), members })
    }

    /// Any objects, with a row for each: an undo takes back these alone.
    fn of_any(objects: Vec<LargeObject>, gone: &[u32]) -> Self {
        let row = |oid: u32, number| (OidRange { first: oid, last: oid }, number);
        let mut members: Vec<_> = objects.iter().map(|object| row(object.oid, 1)).collect();
        members.extend(gone.iter().map(|oid| row(*oid, 0)));
        let oids = members.iter().map(|(range, _)| range.first).collect();
        Self { objects, oids, members }
    }
}

/// The sessions of one attempt.
pub(super) struct Copier<'a> {
    context: &'a StepContext,
    call: &'a Call,
    /// Lists the objects, in the same snapshot as `source`.
    lister: Pooled<Sql>,
    source: Pooled<Wire>,
    target: Pooled<Wire>,
    objects: u64,
    bytes: u64,
}

impl<'a> Copier<'a> {
    /// Copies every object that no earlier attempt has copied.
    pub(super) async fn copy_all(
        context: &'a StepContext,
        call: &'a Call,
    ) -> Result<Value, Failure> {
        let effects = script::effects(context, call).await?;
        let done: Vec<OidRange> = effects.keys().filter_map(|key| OidRange::parse(key)).collect();
        let mut copier = Self::open(context, call).await?;
        copier.objects = effects.values().flatten().sum();
        let mut after = 0;
        loop {
            let listed = list(&copier.lister, after).await?;
            let is_last = listed.len() < PAGE;
            after = listed.last().map_or(after, |object| object.oid);
            for batch in batches(listed, &done).into_iter().filter_map(Batch::of_neighbours) {
                for (range, _) in &batch.members {
                    copier.refuse_foreign(*range).await?;
                }
                copier.copy_batch(&batch).await?;
            }
            if is_last {
                return copier.finish().await;
            }
        }
    }

    /// Copies what differs in place of what is there, and drops what is gone.
    pub(super) async fn copy_differing(
        context: &'a StepContext,
        call: &'a Call,
    ) -> Result<Value, Failure> {
        let readers = Readers::open(context).await?;
        let plan = readers.plan(context, &[], VerifyMethod::Digest).await?;
        let differing = differing_large_objects(readers.sides(), &plan).await?;
        drop(readers);
        let mut copier = Self::open(context, call).await?;
        for oids in differing.chunks(PAGE) {
            let listed = list_these(&copier.lister, oids).await?;
            let there: BTreeSet<u32> = listed.iter().map(|object| object.oid).collect();
            let gone: Vec<u32> = oids.iter().copied().filter(|oid| !there.contains(oid)).collect();
            if !gone.is_empty() {
                copier.copy_batch(&Batch::of_any(Vec::new(), &gone)).await?;
            }
            for objects in batches(listed, &[]) {
                copier.copy_batch(&Batch::of_any(objects, &[])).await?;
            }
        }
        copier.finish().await
    }

    /// Both sessions that read see the same.
    async fn open(context: &'a StepContext, call: &'a Call) -> Result<Self, Failure> {
        let server = call.node.before.first().map_or(Server::Source, |begin| begin.on);
        let mut copier = Self {
            context,
            call,
            lister: context.read(server).await?,
            source: context.wire(server, None).await?,
            target: context.wire(Server::Target, None).await?,
            objects: 0,
            bytes: 0,
        };
        let before = &call.node.before;
        reading::send(context, call, &mut *copier.lister, before).await?;
        reading::send(context, call, &mut *copier.source, before).await?;
        Ok(copier)
    }

    async fn copy_batch(&mut self, batch: &Batch) -> Result<(), Failure> {
        let texts = self.texts(batch)?;
        let [out, prepare @ .., into, first_pieces, other_pieces] = texts.as_slice() else {
            return Err(Failure::permanent(format!("{} lacks statements", self.call.node.id)));
        };
        let described: Vec<String> = batch.objects.iter().flat_map(describe).collect();
        let (context, call, bytes) = (self.context, self.call, self.bytes);
        let progress = move |relayed, rows| {
            let step = Some(call.node.id.clone());
            call.reporter.progress(Progress { step, bytes: bytes + relayed, rows });
        };
        let mut transaction = Guarded::begin(&mut *self.target, context.ledger()).await?;
        let sent = async {
            for statement in prepare {
                transaction.execute(statement).await?;
            }
            let (out, into) = (std::slice::from_ref(out), std::slice::from_ref(into));
            relay(&mut self.source, out, transaction.carrier(), into, &progress).await?;
            transaction.execute(first_pieces).await?;
            transaction.execute(other_pieces).await?;
            transaction.execute(&described.join(";\n")).await?;
            reading::prove(context, call, &mut *self.source).await
        };
        if let Err(failure) = Box::pin(sent).await {
            transaction.rollback().await;
            return Err(failure.detail(while_at(batch)));
        }
        let members: Vec<(String, u64)> =
            batch.members.iter().map(|(range, number)| (range.member(), *number)).collect();
        let members: Vec<(&str, Option<u64>)> =
            members.iter().map(|(member, number)| (member.as_str(), Some(*number))).collect();
        transaction.commit(call, &members).await?;
        self.objects += members.iter().filter_map(|(_, number)| *number).sum::<u64>();
        self.bytes += batch.objects.iter().map(|object| object.bytes).sum::<u64>();
        Ok(())
    }

    /// The statements of one batch.
    fn texts(&self, batch: &Batch) -> Result<Vec<String>, Failure> {
        let mut observed = Observed::default();
        if let [(range, _)] = batch.members.as_slice() {
            observed.set(ALL, "first", range.first);
            observed.set(ALL, "last", range.last);
        }
        observed.set(ALL, "oids", oid_array(&batch.oids));
        let fill = Fill { call: self.call, tag: self.context.tag(), observed: &observed };
        let statements = self.call.node.members.iter().flat_map(|member| &member.run);
        statements
            .take_while(|statement| !statement.shown().starts_with(LAST_OF_BATCH))
            .map(|statement| fill.text(ALL, statement))
            .collect()
    }

    /// What undo takes back is everything in the batch's range: nothing else may be there.
    async fn refuse_foreign(&self, range: OidRange) -> Result<(), Failure> {
        let OidRange { first, last } = range;
        let rows = self
            .context
            .read(Server::Target)
            .await?
            .rows(&format!(
                "select oid from pg_catalog.pg_largeobject_metadata \
                 where oid between {first} and {last} order by oid limit 1"
            ))
            .await?;
        let Some(oid) = rows.first().and_then(|row| row.get(0)) else { return Ok(()) };
        Err(Failure::permanent(format!("large object {oid} is on the target already"))
            .help(format!("drop it there with `select lo_unlink({oid})`, then `pgkedge resume`")))
    }

    async fn finish(mut self) -> Result<Value, Failure> {
        reading::prove(self.context, self.call, &mut *self.source).await?;
        let transaction = Guarded::begin(&mut *self.target, self.context.ledger()).await?;
        transaction.commit(self.call, &[(ALL, Some(self.objects))]).await?;
        if let Some(commit) = self.call.node.after.last() {
            // They only read: nothing is lost if the server is gone by now.
            let text = commit.shown();
            for result in [self.source.execute(&text).await, self.lister.execute(&text).await] {
                if let Err(failure) = result {
                    tracing::debug!(%failure, "the source went away after its objects were in");
                }
            }
        }
        Ok(json!({ "objects": self.objects, "bytes": self.bytes }))
    }
}

fn while_at(batch: &Batch) -> String {
    let oids = batch.members.iter().map(|(range, _)| range);
    let first = oids.clone().map(|range| range.first).min().unwrap_or_default();
    let last = oids.map(|range| range.last).max().unwrap_or_default();
    format!("while at: large objects {first} to {last}")
}
