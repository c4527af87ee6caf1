//! The ledger: pgkedge's schema on the target, which says what was committed by which step.
//!
//! All its texts are here, so that the dry-run shows exactly what a run sends.

use std::collections::BTreeMap;

use pgkedge_model::{Epoch, Failure, FailureClass, Ident, RunId, quote_literal};

use crate::Sql;

/// The ledger of one run, as one runner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// As SQL.
    schema: String,
    /// As a SQL literal.
    run_id: String,
    /// As a SQL number.
    epoch: String,
}

/// An effect of a member: its key, and how many rows it moved.
pub type Effect<'a> = (&'a str, Option<u64>);

impl Ledger {
    pub fn new(run: &RunId, epoch: Epoch) -> Self {
        Self { schema: schema_name(run), run_id: quote_literal(&run.0), epoch: epoch.to_string() }
    }

    /// The ledger as the dry-run shows it: of a run that does not exist yet.
    pub fn placeholder() -> Self {
        Self {
            schema: "pgkedge_‹run›".to_owned(),
            run_id: "'‹run id›'".to_owned(),
            epoch: "‹epoch›".to_owned(),
        }
    }

    /// The schema's name, as SQL.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Statements that make the ledger; to be sent as one transaction.
    pub fn create_sql(&self) -> Vec<String> {
        let Self { schema, run_id, epoch } = self;
        vec![
            format!("create schema {schema}"),
            format!("revoke all on schema {schema} from public"),
            format!("create table {schema}.run (run_id text primary key, epoch bigint not null)"),
            format!(
                "create table {schema}.effect (step text, member text, generation integer, \
                 attempt integer not null, epoch bigint not null, rows bigint, \
                 at timestamptz not null default pg_catalog.clock_timestamp(), \
                 primary key (step, member, generation))"
            ),
            format!("insert into {schema}.run (run_id, epoch) values ({run_id}, {epoch})"),
        ]
    }

    /// Opens a guarded transaction, after its `begin`: no row means that another runner has taken
    /// over, and nobody can while the transaction is open.
    pub fn open_sql(&self) -> String {
        let Self { schema, run_id, epoch } = self;
        format!("select 1 from {schema}.run where run_id = {run_id} and epoch = {epoch} for share")
    }

    /// Closes a guarded transaction, before its `commit`: a row for each member.
    pub fn effect_sql(
        &self,
        step: &str,
        generation: u32,
        attempt: u32,
        members: &[Effect<'_>],
    ) -> String {
        let Self { schema, epoch, .. } = self;
        let step = quote_literal(step);
        let values: Vec<String> = members
            .iter()
            .map(|(member, rows)| {
                let member = quote_literal(member);
                let rows = rows.map_or_else(|| "null".to_owned(), |rows| rows.to_string());
                format!("({step}, {member}, {generation}, {attempt}, {epoch}, {rows})")
            })
            .collect();
        format!(
            "insert into {schema}.effect (step, member, generation, attempt, epoch, rows) values {}",
            values.join(", ")
        )
    }

    /// Takes a step's rows back, in the transaction that undoes its effect.
    pub fn forget_sql(&self, step: &str) -> String {
        format!("delete from {}.effect where step = {}", self.schema, quote_literal(step))
    }

    /// Reads what a step has committed. Columns: member, rows.
    pub fn effects_sql(&self, step: &str, generation: u32) -> String {
        let step = quote_literal(step);
        format!(
            "select member, rows from {}.effect where step = {step} and generation = {generation} \
             order by member",
            self.schema
        )
    }

    pub fn drop_sql(&self) -> String {
        format!("drop schema if exists {} cascade", self.schema)
    }

    /// Whether the ledger is there.
    pub async fn exists(&self, sql: &Sql) -> Result<bool, Failure> {
        let name = quote_literal(&format!("{}.effect", self.schema));
        let rows = sql.rows(&format!("select pg_catalog.to_regclass({name}) is not null")).await?;
        Ok(rows.first().and_then(|row| row.get(0)) == Some("t"))
    }

    /// Takes the run on the target, where the ledger is there: waits for guarded transactions of
    /// earlier runners, and keeps them from opening another one. Says whether it is there.
    pub async fn bump_epoch(&self, sql: &Sql) -> Result<bool, Failure> {
        if !self.exists(sql).await? {
            return Ok(false);
        }
        let Self { schema, run_id, epoch } = self;
        let rows = sql
            .rows(&format!(
                "update {schema}.run set epoch = {epoch} \
                 where run_id = {run_id} and epoch <= {epoch} returning epoch"
            ))
            .await?;
        if rows.is_empty() { Err(self.fenced(sql)) } else { Ok(true) }
    }

    /// Reads the guard of a transaction that was just begun.
    pub async fn guard(&self, sql: &Sql) -> Result<(), Failure> {
        let rows = sql.rows(&self.open_sql()).await?;
        if rows.is_empty() { Err(self.fenced(sql)) } else { Ok(()) }
    }

    /// The members of a step that have committed, with the rows that they moved.
    pub async fn effects(
        &self,
        sql: &Sql,
        step: &str,
        generation: u32,
    ) -> Result<BTreeMap<String, Option<u64>>, Failure> {
        let rows = sql.rows(&self.effects_sql(step, generation)).await?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                Some((row.get(0)?.to_owned(), row.get(1).and_then(|rows| rows.parse().ok())))
            })
            .collect())
    }

    /// Whether a member of a step has committed, in whatever generation.
    pub async fn holds(&self, sql: &Sql, step: &str, member: &str) -> Result<bool, Failure> {
        let (schema, step, member) = (&self.schema, quote_literal(step), quote_literal(member));
        let rows = sql
            .rows(&format!(
                "select 1 from {schema}.effect where step = {step} and member = {member} limit 1"
            ))
            .await?;
        Ok(!rows.is_empty())
    }

    /// What to report when the guard gave no row.
    pub fn fenced(&self, sql: &Sql) -> Failure {
        let message =
            format!("{}: a newer runner has taken over, or the ledger is gone", sql.server());
        Failure::new(FailureClass::Fenced, message)
    }
}

/// The name of a run's ledger, as SQL.
pub fn schema_name(run: &RunId) -> String {
    let name = format!("pgkedge_{}", run.tag());
    Ident::new(name.clone()).map_or(name, |ident| ident.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(&RunId("01932c07-0000-7000-8000-0000deadbeef".into()), Epoch(3))
    }

    #[test]
    fn texts_name_run_and_epoch() {
        insta::assert_snapshot!(ledger().create_sql().join(";\n"), @r"
        create schema pgkedge_deadbeef;
        revoke all on schema pgkedge_deadbeef from public;
        create table pgkedge_deadbeef.run (run_id text primary key, epoch bigint not null);
        create table pgkedge_deadbeef.effect (step text, member text, generation integer, attempt integer not null, epoch bigint not null, rows bigint, at timestamptz not null default pg_catalog.clock_timestamp(), primary key (step, member, generation));
        insert into pgkedge_deadbeef.run (run_id, epoch) values ('01932c07-0000-7000-8000-0000deadbeef', 3)
        ");
        insta::assert_snapshot!(ledger().open_sql(), @"select 1 from pgkedge_deadbeef.run where run_id = '01932c07-0000-7000-8000-0000deadbeef' and epoch = 3 for share");
        insta::assert_snapshot!(
            ledger().effect_sql("load/copy", 0, 1, &[("public.it's", Some(7)), ("b", None)]),
            @"insert into pgkedge_deadbeef.effect (step, member, generation, attempt, epoch, rows) values ('load/copy', 'public.it''s', 0, 1, 3, 7), ('load/copy', 'b', 0, 1, 3, null)"
        );
    }

    #[test]
    fn the_dry_run_shows_placeholders() {
        insta::assert_snapshot!(Ledger::placeholder().open_sql(), @"select 1 from pgkedge_‹run›.run where run_id = '‹run id›' and epoch = ‹epoch› for share");
    }
}
