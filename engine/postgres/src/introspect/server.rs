//! The server, and the role that asks.

use std::collections::BTreeMap;

use pgkedge_model::{Failure, Ident, ServerFacts, SessionRole};
use serde::Deserialize;

use super::rows::Reader;

/// Settings that checks look at. Those that our sessions pin are not among them: they would say
/// what pgkedge wants, not what the server does.
const SETTINGS: &[&str] = &[
    "allow_system_table_mods",
    "archive_mode",
    "autovacuum",
    "block_size",
    "data_checksums",
    "event_triggers",
    "fsync",
    "full_page_writes",
    "hot_standby",
    "hot_standby_feedback",
    "ignore_checksum_failure",
    "integer_datetimes",
    "lc_collate",
    "lc_ctype",
    "local_preload_libraries",
    "maintenance_work_mem",
    "max_connections",
    "max_function_args",
    "max_identifier_length",
    "max_index_keys",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_parallel_maintenance_workers",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_standby_streaming_delay",
    "max_sync_workers_per_subscription",
    "max_wal_senders",
    "max_wal_size",
    "max_worker_processes",
    "output_plugin_libraries",
    "password_encryption",
    "rds.logical_replication",
    "reserved_connections",
    "segment_size",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_preload_libraries",
    "session_replication_role",
    "shared_buffers",
    "shared_preload_libraries",
    "ssl",
    "superuser_reserved_connections",
    "synchronous_standby_names",
    "track_commit_timestamp",
    "wal_keep_size",
    "wal_level",
    "wal_segment_size",
    "zero_damaged_pages",
];

#[derive(Deserialize)]
struct ServerRow {
    version_text: String,
    system_identifier: String,
    in_recovery: bool,
    settings: BTreeMap<String, String>,
    role: Ident,
    superuser: bool,
    bypasses_row_security: bool,
    replication: bool,
    creates_roles: bool,
    member_of: Vec<Ident>,
}

/// All facts but the version of `pg_dump`, which the archive tells.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<ServerFacts, Failure> {
    let row: ServerRow = reader.row("the server", &query()).await?;
    Ok(ServerFacts {
        version: reader.version,
        version_text: row.version_text,
        system_identifier: row.system_identifier,
        in_recovery: row.in_recovery,
        settings: row.settings,
        session_role: SessionRole {
            name: row.role,
            superuser: row.superuser,
            bypasses_row_security: row.bypasses_row_security,
            replication: row.replication,
            creates_roles: row.creates_roles,
            member_of: row.member_of,
        },
        pg_dump: String::new(),
    })
}

fn query() -> String {
    let settings: Vec<String> = SETTINGS.iter().map(|name| format!("'{name}'")).collect();
    let settings = settings.join(", ");
    format!(
        "select pg_catalog.version() as version_text,
           (select s.system_identifier::text from pg_catalog.pg_control_system() s) as system_identifier,
           pg_catalog.pg_is_in_recovery() as in_recovery,
           (select pg_catalog.json_object_agg(s.name, coalesce(pg_catalog.current_setting(s.name, true), '') order by s.name)
              from pg_catalog.pg_settings s where s.name in ({settings})) as settings,
           r.rolname as role, r.rolsuper as superuser, r.rolbypassrls as bypasses_row_security,
           r.rolreplication as replication, r.rolcreaterole as creates_roles,
           (select pg_catalog.json_agg(m.rolname order by m.rolname) from pg_catalog.pg_roles m
             where pg_catalog.pg_has_role(r.oid, m.oid, 'member')) as member_of
         from pg_catalog.pg_roles r where r.rolname = current_user"
    )
}
