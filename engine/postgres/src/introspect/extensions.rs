//! Extensions: those that are here, and those that could be.

use std::collections::BTreeMap;

use pgkedge_model::{Extension, Failure, FailureClass};
use serde::Deserialize;

use super::rows::Reader;

/// Installed extensions, with the tables whose rows belong to users.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Extension>, Failure> {
    let query = "select e.extname as name, e.extversion as version, n.nspname as schema,
           coalesce((select pg_catalog.json_agg(
               pg_catalog.json_build_array(
                 pg_catalog.json_build_object('schema', s.nspname, 'name', c.relname), g.condition)
               order by s.nspname, c.relname)
             from (select pg_catalog.unnest(e.extconfig) as oid,
                     pg_catalog.unnest(e.extcondition) as condition) g
               join pg_catalog.pg_class c on c.oid = g.oid and c.relkind in ('r', 'p')
               join pg_catalog.pg_namespace s on s.oid = c.relnamespace), '[]') as config_tables
         from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
         order by e.extname";
    reader.rows("the extensions", query).await
}

/// Versions of every extension that the server could install; none where it cannot tell, as one
/// broken control file spoils the whole list.
pub(crate) async fn available(
    reader: &Reader<'_>,
) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        versions: Vec<String>,
    }
    let query = "select v.name, pg_catalog.json_agg(v.version order by v.version) as versions
         from pg_catalog.pg_available_extension_versions v group by v.name";
    reader.sql.execute("savepoint extensions").await?;
    match reader.rows::<Row>("the available extensions", query).await {
        Ok(rows) => Ok(rows.into_iter().map(|row| (row.name, row.versions)).collect()),
        Err(failure) if failure.class == FailureClass::Permanent => {
            tracing::warn!("{failure}");
            reader.sql.execute("rollback to savepoint extensions").await?;
            Ok(BTreeMap::new())
        }
        Err(failure) => Err(failure),
    }
}
