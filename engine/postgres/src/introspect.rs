//! Reads what a database holds: facts by set-based queries of the catalogs, DDL by `pg_dump`, both
//! under one snapshot. Only reads.

mod constraints;
mod database;
mod extensions;
mod indexes;
mod objects;
mod partitions;
mod roles;
mod rows;
mod sequences;
mod server;
mod tables;
mod types;
mod unreadable;

use pgkedge_model::{Catalog, Failure, FailureClass, QualifiedName, ServerFacts, ServerVersion};
use serde::Deserialize;

use self::rows::{Reader, USER_SCHEMA};
use crate::archive::{self, Archive, KnownNames};
use crate::{DumpEnvironment, Endpoint};

/// The oldest version whose catalogs are known.
const OLDEST: u32 = 10;

/// Reads the catalog and the archive of a database.
pub async fn introspect(endpoint: &Endpoint, application: &str) -> Result<Catalog, Failure> {
    let sql = endpoint.sql(application).await?;
    let environment = endpoint.dump_environment().await?;
    let reader = Reader { sql: &sql, version: sql.server_version() };
    if reader.version.major() < OLDEST {
        return Err(too_old(reader.version));
    }
    // A table that is locked exclusively holds up the sizes of all others.
    sql.execute("begin isolation level repeatable read read only; set local lock_timeout = '60s'")
        .await?;
    refuse_unmovable(&reader).await?;
    let snapshot = exported_snapshot(&reader).await?;
    let known =
        KnownNames::new(database::schema_names(&reader).await?, roles::names(&reader).await?);
    // Far less than the archive takes, so the catalog is read meanwhile.
    let read = tokio::try_join!(
        Box::pin(read_archive(&environment, &reader, &snapshot, &known)),
        Box::pin(read_catalog(&reader))
    );
    let (archive, catalog) = match read {
        Ok(read) => read,
        Err(failure) => return Err(unreadable::explained(&reader, failure).await),
    };
    let catalog = joined(catalog, archive, &reader).await?;
    sql.execute("commit").await?;
    Ok(catalog)
}

/// Reads the catalog of a database without its archive, which takes far longer than all the rest.
pub async fn introspect_facts(endpoint: &Endpoint, application: &str) -> Result<Catalog, Failure> {
    let sql = endpoint.sql(application).await?;
    let reader = Reader { sql: &sql, version: sql.server_version() };
    sql.execute("begin isolation level repeatable read read only; set local lock_timeout = '60s'")
        .await?;
    let catalog = read_catalog(&reader).await?;
    sql.execute("commit").await?;
    Ok(catalog)
}

/// Reads the facts of a server alone, for one whose databases are known: a replica's are those of
/// its primary.
pub async fn introspect_server(
    endpoint: &Endpoint,
    application: &str,
) -> Result<ServerFacts, Failure> {
    let sql = endpoint.sql(application).await?;
    let reader = Reader { sql: &sql, version: sql.server_version() };
    if reader.version.major() < OLDEST {
        return Err(too_old(reader.version));
    }
    server::read(&reader).await
}

async fn read_archive(
    environment: &DumpEnvironment,
    reader: &Reader<'_>,
    snapshot: &str,
    known: &KnownNames,
) -> Result<Archive, Failure> {
    let (server, version) = (reader.sql.server(), reader.version);
    archive::read(&archive::Request { environment, server, version, snapshot, known }).await
}

async fn joined(
    mut catalog: Catalog,
    archive: Archive,
    reader: &Reader<'_>,
) -> Result<Catalog, Failure> {
    catalog.server.pg_dump = archive.pg_dump;
    catalog.entries = archive.entries;
    objects::identify(reader, &mut catalog.entries).await?;
    Ok(catalog)
}

/// Everything but the archive.
async fn read_catalog(reader: &Reader<'_>) -> Result<Catalog, Failure> {
    let mut tables = tables::read(reader).await?;
    let types = types::read(reader).await?;
    partitions::hang(&mut tables, partitions::read(reader).await?, &types);
    Ok(Catalog {
        format: Catalog::FORMAT,
        server: server::read(reader).await?,
        database: database::read(reader).await?,
        roles: roles::read(reader).await?,
        memberships: roles::memberships(reader).await?,
        tablespaces: database::tablespaces(reader).await?,
        schemas: database::schemas(reader).await?,
        extensions: extensions::read(reader).await?,
        available_extensions: extensions::available(reader).await?,
        types,
        tables,
        indexes: indexes::read(reader).await?,
        constraints: constraints::read(reader).await?,
        sequences: sequences::read(reader).await?,
        large_objects: database::large_objects(reader).await?,
        entries: Vec::new(),
    })
}

/// The snapshot that the open transaction sees, for `pg_dump` to see the same.
async fn exported_snapshot(reader: &Reader<'_>) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Row {
        snapshot: String,
    }
    let query = "select pg_catalog.pg_export_snapshot() as snapshot";
    Ok(reader.row::<Row>("the snapshot", query).await?.snapshot)
}

fn too_old(version: ServerVersion) -> Failure {
    Failure::new(FailureClass::Blocked, format!("the server is PostgreSQL {version}"))
        .help(format!("pgkedge reads PostgreSQL {OLDEST} and later"))
}

/// Refuses what `pg_dump` writes in a way that an exact copy cannot be made from.
async fn refuse_unmovable(reader: &Reader<'_>) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Row {
        table: QualifiedName,
    }
    let with_oids = format!(
        "select pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname) as table
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relhasoids and c.relkind = 'r' and {USER_SCHEMA}
         order by n.nspname, c.relname"
    );
    if reader.version.major() >= 12 {
        return Ok(());
    }
    let tables: Vec<Row> = reader.rows("the tables with OIDs", &with_oids).await?;
    let Some(first) = tables.first() else { return Ok(()) };
    let table = &first.table;
    let others = tables.len() - 1;
    let message = format!("table {table} has the hidden column `oid`, and so have {others} others");
    let mut failure = Failure::new(FailureClass::Blocked, message)
        .detail("12 and later have no such column, and its values would be lost")
        .help(format!("alter table {table} set without oids"));
    failure.details.extend(tables.iter().map(|row| row.table.to_string()));
    Err(failure)
}
