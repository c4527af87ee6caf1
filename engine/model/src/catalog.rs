//! What introspection found in a database. Written by `postgres`, read by everyone.
//!
//! Everything is sorted, so that the same database gives the same document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Ident, QualifiedName, ServerVersion};

/// One database, with the facts of its server that a move depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Catalog {
    /// Raised when a reader of an older document could misread a newer one.
    pub format: u32,
    pub server: ServerFacts,
    pub database: DatabaseFacts,
    pub roles: Vec<Role>,
    pub memberships: Vec<Membership>,
    pub tablespaces: Vec<Ident>,
    pub schemas: Vec<Ident>,
    pub extensions: Vec<Extension>,
    /// Extensions that could be installed: name to versions.
    pub available_extensions: BTreeMap<String, Vec<String>>,
    /// Types that columns use, and those they are made of, by OID.
    pub types: BTreeMap<u32, TypeFacts>,
    pub tables: Vec<Table>,
    pub indexes: Vec<Index>,
    pub constraints: Vec<Constraint>,
    pub sequences: Vec<Sequence>,
    pub large_objects: LargeObjectFacts,
    /// The archive of `pg_dump`, in its order: the only source of DDL.
    pub entries: Vec<Entry>,
}

impl Catalog {
    pub const FORMAT: u32 = 1;

    /// The JSON Schema of a catalog as `inspect` prints it.
    pub fn schema() -> serde_json::Value {
        schemars::generate::SchemaSettings::draft2020_12()
            .into_generator()
            .into_root_schema_for::<Self>()
            .to_value()
    }

    pub fn table(&self, oid: u32) -> Option<&Table> {
        self.tables.iter().find(|table| table.oid == oid)
    }

    pub fn table_named(&self, name: &QualifiedName) -> Option<&Table> {
        self.tables.iter().find(|table| &table.name == name)
    }
}

/// Facts of the server, and of the role that asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFacts {
    pub version: ServerVersion,
    /// `version()`.
    pub version_text: String,
    /// From `pg_control_system()`: the same for a primary and its replicas, different for any other.
    pub system_identifier: String,
    pub in_recovery: bool,
    /// Settings that checks look at, by name, as `current_setting` prints them.
    pub settings: BTreeMap<String, String>,
    pub session_role: SessionRole,
    /// Version of the `pg_dump` that read the archive, for example `15.18`.
    pub pg_dump: String,
}

/// The role that a session runs as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRole {
    pub name: Ident,
    pub superuser: bool,
    pub bypasses_row_security: bool,
    pub replication: bool,
    pub creates_roles: bool,
    /// Roles that it may act as, itself among them (`pg_has_role(…, 'member')`).
    pub member_of: Vec<Ident>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseFacts {
    pub name: Ident,
    pub oid: u32,
    pub owner: Ident,
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
    /// `c`, `i` or `b`; `c` before 15.
    pub locale_provider: String,
    pub icu_locale: Option<String>,
    pub tablespace: Ident,
    /// -1 means no limit.
    pub connection_limit: i32,
    pub comment: Option<String>,
    /// Privileges; none means that they are the default ones.
    pub grants: Option<Vec<Grant>>,
    /// `ALTER DATABASE … SET`, and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<DatabaseSetting>,
    pub bytes: u64,
    /// Names of subscriptions in this database, which a move does not copy.
    pub subscriptions: Vec<Ident>,
    /// Names of event triggers, which would fire on the DDL of a move.
    pub event_triggers: Vec<Ident>,
}

/// One setting of a database, for all roles or for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseSetting {
    pub role: Option<Ident>,
    pub name: String,
    /// As `pg_db_role_setting` holds it, after the first `=`.
    pub value: String,
}

/// Privileges of one grantee, granted by one grantor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// None is `PUBLIC`.
    pub grantee: Option<Ident>,
    pub grantor: Ident,
    /// For example `CONNECT`, sorted.
    pub privileges: Vec<String>,
    pub grantable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Role {
    pub name: Ident,
    pub superuser: bool,
    pub inherits: bool,
    pub creates_roles: bool,
    pub creates_databases: bool,
    pub login: bool,
    pub replication: bool,
    pub bypasses_row_security: bool,
    /// -1 means no limit.
    pub connection_limit: i32,
    /// As `timestamptz` prints under UTC and ISO.
    pub valid_until: Option<String>,
    pub comment: Option<String>,
    /// `ALTER ROLE … SET`, for all databases.
    pub settings: Vec<DatabaseSetting>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    pub role: Ident,
    pub member: Ident,
    pub admin: bool,
    pub grantor: Option<Ident>,
    /// 16 and later; none before.
    pub inherit: Option<bool>,
    pub set: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Extension {
    pub name: String,
    pub version: String,
    pub schema: Ident,
    /// Tables whose rows a dump would carry, each with its condition (empty, or `WHERE …`).
    pub config_tables: Vec<(QualifiedName, String)>,
}

/// A type, as far as copying and comparing depend on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TypeFacts {
    pub oid: u32,
    pub name: QualifiedName,
    pub kind: TypeKind,
    /// The OID is below 16384 and it belongs to no extension: the same on every server.
    pub builtin: bool,
    /// It has a hash function of 64 bits in its default operator class (arrays: if the element has).
    pub hashes: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeKind {
    Base,
    Array { element: u32 },
    Domain { base: u32 },
    Composite { fields: Vec<u32> },
    Enum,
    Range { subtype: u32 },
    Multirange { range: u32 },
    Pseudo,
}

/// A relation that holds or shows rows and belongs to no extension (configuration tables excepted).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    pub oid: u32,
    pub name: QualifiedName,
    pub kind: TableKind,
    pub owner: Ident,
    pub unlogged: bool,
    pub columns: Vec<Column>,
    pub partition: Option<PartitionFacts>,
    /// Pages of the main fork, from `pg_relation_size`.
    pub pages: u32,
    /// Heap and TOAST, without indexes.
    pub bytes: u64,
    /// `reltuples`; none where it was never analyzed.
    pub estimated_rows: Option<u64>,
    /// `pg_relation_filenode`: changes when the table is rewritten. 0 where there is no storage.
    pub filenode: u32,
    pub row_security: bool,
    pub force_row_security: bool,
    /// A materialized view that was never refreshed holds no rows and cannot be read.
    pub populated: bool,
    /// The extension that it belongs to, for configuration tables, with the rows that move.
    pub extension_rows: Option<String>,
    /// The session's role may read every column.
    pub readable: bool,
    #[serde(default)]
    pub identity: ReplicaIdentity,
    /// A foreign table inherits from it or is one of its partitions, at any depth: whoever reads or
    /// analyzes it asks another server.
    #[serde(default)]
    pub reaches_foreign: bool,
}

/// By what a captured update or delete finds its row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaIdentity {
    pub kind: IdentityKind,
    /// The index of `REPLICA IDENTITY USING INDEX`.
    pub index: Option<Ident>,
    /// Updates and deletes can be published: there is a valid index that is not deferrable (a
    /// deferrable primary key is none), or the identity is the whole row.
    pub usable: bool,
}

/// `relreplident`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// The primary key.
    #[default]
    Default,
    Nothing,
    Full,
    Index,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    Ordinary,
    Partitioned,
    MaterializedView,
    Foreign,
}

/// Where a partition hangs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionFacts {
    pub parent: QualifiedName,
    pub root: QualifiedName,
    /// The rows of an ancestor are spread by a hash that depends on OIDs (enums), so that a row may
    /// belong to another partition on the target: load, and compare, through the root.
    pub through_root: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    pub name: Ident,
    pub type_oid: u32,
    /// `format_type`, for people.
    pub type_name: String,
    pub not_null: bool,
    /// Computed by the server: never copied, always compared.
    pub generated: bool,
    /// Its collation takes different bytes as equal.
    pub nondeterministic: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Index {
    pub oid: u32,
    pub name: QualifiedName,
    pub table_oid: u32,
    pub table: QualifiedName,
    pub unique: bool,
    pub primary: bool,
    pub valid: bool,
    /// The constraint that it backs.
    pub constraint_oid: Option<u32>,
    pub bytes: u64,
    /// `pg_get_indexdef`.
    pub definition: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Constraint {
    pub oid: u32,
    pub name: Ident,
    pub table_oid: u32,
    pub table: QualifiedName,
    pub kind: ConstraintKind,
    pub validated: bool,
    /// The referenced table of a foreign key.
    pub references: Option<QualifiedName>,
    /// `pg_get_constraintdef`.
    pub definition: String,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintKind {
    PrimaryKey,
    Unique,
    Exclusion,
    Check,
    ForeignKey,
    NotNull,
    Trigger,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sequence {
    pub oid: u32,
    pub name: QualifiedName,
    pub type_name: String,
    /// The table and column that own it, identity columns among them.
    pub owned_by: Option<(QualifiedName, Ident)>,
    pub readable: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LargeObjectFacts {
    pub count: u64,
    /// Pages of `pg_largeobject` times the block size: an estimate.
    pub bytes: u64,
}

/// The part of a dump that an entry belongs to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    PreData,
    PostData,
}

/// One entry of `pg_dump`'s archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// `TOC entry 872`: unique in one archive.
    pub number: u32,
    /// OIDs of the catalog and of the row in it; 0 and 0 where there is none (ACL, COMMENT …).
    pub class: u32,
    pub oid: u32,
    /// Numbers of the entries that this one needs.
    pub depends: Vec<u32>,
    /// As the archive says, for example `TABLE`, `FK CONSTRAINT`, `SEQUENCE OWNED BY`.
    pub kind: String,
    pub schema: Option<String>,
    /// Line breaks are flattened here, exact in the statements.
    pub name: String,
    pub owner: Option<String>,
    pub section: Section,
    /// Settings in force for this entry that differ from the archive's first ones
    /// (`default_tablespace`, `default_table_access_method`), as plain text. On a `USER MAPPING`,
    /// `user_mapping_options` says how many options were withheld, as they may be secret.
    pub settings: Vec<(String, String)>,
    /// Each without its closing semicolon; none where the archive only comments.
    pub statements: Vec<String>,
    /// `pg_identify_object`: the type and the identity, which together name the object in SQL.
    pub object: Option<(String, String)>,
}

impl Entry {
    /// `TABLE public.orders`: what an entry is called. Operators and the like may share a label.
    pub fn label(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{} {schema}.{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}
