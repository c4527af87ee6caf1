//! Runs a query of the catalog and reads its rows into types.
//!
//! Rows come as JSON, so that a query's columns are fields by name, and arrays and nulls arrive
//! as what they are.

use pgkedge_model::{Failure, ServerVersion};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::Sql;

/// Runs set-based queries in one session, and says what they were after when they fail.
pub(crate) struct Reader<'a> {
    pub(crate) sql: &'a Sql,
    pub(crate) version: ServerVersion,
}

impl Reader<'_> {
    /// All rows of a query. `what` completes "cannot read …".
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        what: &str,
        query: &str,
    ) -> Result<Vec<T>, Failure> {
        let wrapped = format!("select pg_catalog.row_to_json(found)::text from ({query}) found");
        let start = Instant::now();
        let rows = self.sql.rows(&wrapped).await.map_err(|failure| explained(failure, what))?;
        tracing::debug!(rows = rows.len(), elapsed = ?start.elapsed(), "read {what}");
        rows.iter()
            .map(|row| {
                let json = row.get(0).unwrap_or("null");
                serde_json::from_str(json).map_err(|error| {
                    Failure::permanent(format!("cannot read {what}: {error}"))
                        .detail(json)
                        .help("try again if someone changes the schema right now")
                })
            })
            .collect()
    }

    /// The only row of a query.
    pub(crate) async fn row<T: DeserializeOwned>(
        &self,
        what: &str,
        query: &str,
    ) -> Result<T, Failure> {
        let mut rows = self.rows(what, query).await?;
        rows.pop().ok_or_else(|| Failure::permanent(format!("cannot read {what}: no row")))
    }

    /// The first text from a major version on, the second before it.
    pub(crate) fn since<'a>(&self, major: u32, text: &'a str, before: &'a str) -> &'a str {
        if self.version.major() >= major { text } else { before }
    }
}

fn explained(mut failure: Failure, what: &str) -> Failure {
    failure.message = format!("cannot read {what}: {}", failure.message);
    // Only a database in SQL_ASCII can hold what is no UTF-8.
    if failure.sqlstate.as_deref() == Some("22021") && failure.help.is_none() {
        failure.help = Some(
            "a name or definition in this database is no UTF-8: find it, and rename or recreate it"
                .to_owned(),
        );
    }
    failure
}

/// Schemas of users, for a namespace `n`: not the system's, and not pgkedge's own.
pub(crate) const USER_SCHEMA: &str = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
     and n.nspname !~ '^pgkedge_[0-9a-f]{8}$'";

/// OIDs of the relations that extensions own.
pub(crate) const EXTENSION_RELATIONS: &str = "select d.objid from pg_catalog.pg_depend d \
     where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objsubid = 0 and d.deptype = 'e'";

/// Relations of extensions whose rows belong to users, with the condition of those that move.
pub(crate) const CONFIGURATION: &str = "select pg_catalog.unnest(e.extconfig) as oid, \
     pg_catalog.unnest(e.extcondition) as condition from pg_catalog.pg_extension e";

/// OIDs of the relations that a catalog lists, of the kinds given: `'r', 'p'`.
pub(crate) fn relations(kinds: &str) -> String {
    format!(
        "select c.oid from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ({kinds}) and c.relpersistence <> 't' and {USER_SCHEMA}
           and (c.oid not in ({EXTENSION_RELATIONS}) or c.oid in (select oid from ({CONFIGURATION}) g))"
    )
}
