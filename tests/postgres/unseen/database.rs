//! A random database, as a script for psql.
//!
//! Statements may fail: they are tried in any combination, and those that PostgreSQL refuses are
//! passed over when the script is run.

use super::names::{ident, literal, name, text};
use super::random::Random;
use super::types::{Kind, array, built_in};

/// What was made so far, for what comes next to use.
pub(super) struct Database {
    pub(super) random: Random,
    pub(super) script: String,
    pub(super) roles: Vec<String>,
    pub(super) schemas: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    pub(super) tables: Vec<Table>,
    pub(super) views: Vec<String>,
    pub(super) functions: Vec<String>,
    number: usize,
}

/// A table, all names as SQL.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
    /// The column of a primary key that holds 1 to [`Table::ROWS`].
    pub(super) key: Option<String>,
    pub(super) partitioned: bool,
}

impl Table {
    pub(super) const ROWS: usize = 12;
}

impl Database {
    /// The script that makes the database of a seed.
    pub(super) fn script(seed: u64) -> String {
        let mut database = Self {
            random: Random::new(seed),
            script: String::new(),
            roles: Vec::new(),
            schemas: Vec::new(),
            kinds: built_in(),
            tables: Vec::new(),
            views: Vec::new(),
            functions: Vec::new(),
            number: 0,
        };
        database.run("set client_min_messages = warning");
        database.add_roles_and_schemas();
        database.add_extensions();
        for _ in 0..25 {
            database.add_type();
        }
        let tables = 150 + database.random.below(100);
        for _ in 0..tables {
            database.add_table();
        }
        database.add_objects();
        database.add_settings();
        database.script
    }

    pub(super) fn run(&mut self, sql: impl AsRef<str>) {
        self.script.push_str(sql.as_ref());
        self.script.push_str(";\n");
    }

    /// A new name, as SQL.
    pub(super) fn new_name(&mut self) -> String {
        self.number += 1;
        ident(&name(&mut self.random, self.number))
    }

    /// A new name in one of the schemas, as SQL.
    pub(super) fn new_place(&mut self) -> String {
        let name = self.new_name();
        format!("{}.{name}", self.schema())
    }

    pub(super) fn schema(&mut self) -> String {
        let at = self.random.below(self.schemas.len());
        self.schemas[at].clone()
    }

    pub(super) fn role(&mut self) -> String {
        let at = self.random.below(self.roles.len());
        self.roles[at].clone()
    }

    pub(super) fn kind(&mut self) -> Kind {
        let at = self.random.below(self.kinds.len());
        self.kinds[at].clone()
    }

    pub(super) fn value(&mut self, kind: &Kind) -> String {
        let at = self.random.below(kind.values.len());
        kind.values[at].clone()
    }

    /// A literal of a text that breaks whoever pastes it.
    pub(super) fn text(&mut self) -> String {
        literal(text(&mut self.random))
    }

    pub(super) fn comment(&mut self, object: &str) {
        if self.random.percent(20) {
            let text = self.text();
            self.run(format!("comment on {object} is {text}"));
        }
    }

    fn add_roles_and_schemas(&mut self) {
        for _ in 0..6 {
            let role = self.new_name();
            let options = self.random.maybe(
                50,
                &["login", "createdb", "noinherit", "connection limit 3", "valid until 'infinity'"],
            );
            self.run(format!("create role {role} {options}"));
            self.comment(&format!("role {role}"));
            if let Some(other) = self.roles.first().cloned() {
                let option = self.random.maybe(30, &["with admin option"]);
                self.run(format!("grant {other} to {role} {option}"));
            }
            self.roles.push(role);
        }
        self.schemas.push("public".to_owned());
        for _ in 0..5 {
            let (schema, owner) = (self.new_name(), self.role());
            self.run(format!("create schema {schema} authorization {owner}"));
            self.comment(&format!("schema {schema}"));
            let (to, option) = (self.role(), self.random.maybe(40, &["with grant option"]));
            self.run(format!("grant all on schema {schema} to {to} {option}"));
            self.schemas.push(schema);
        }
    }

    fn add_extensions(&mut self) {
        const EXTENSIONS: &[(&str, &str, &[&str])] = &[
            ("hstore", "hstore", &["a=>1, b=>NULL", ""]),
            ("citext", "citext", &["Aa", ""]),
            ("ltree", "ltree", &["a.b", ""]),
            ("cube", "cube", &["(1,2),(3,4)"]),
            ("isn", "isbn", &["978-0-393-04002-9"]),
            ("seg", "seg", &["1.50 .. 2"]),
        ];
        for (extension, name, values) in EXTENSIONS {
            if self.random.percent(50) {
                let schema = self.schema();
                self.run(format!("create extension {extension} schema {schema}"));
                let sql = format!("{schema}.{name}");
                let values = values.iter().map(|value| format!("'{value}'::{sql}")).collect();
                self.kinds.push(Kind { sql, values, index: "btree" });
            }
        }
        for extension in
            ["btree_gist", "pg_trgm", "intarray", "pgcrypto", "\"uuid-ossp\"", "btree_gin"]
        {
            let schema = self.schema();
            self.run(format!("create extension {extension} schema {schema}"));
        }
    }

    fn add_type(&mut self) {
        let (sql, of) = (self.new_place(), self.kind());
        let value = self.value(&of);
        let values: Vec<String> = of.values.iter().map(|value| format!("{value}::{sql}")).collect();
        let bare = of.sql.split(" collate ").next().unwrap_or_default().to_owned();
        match self.random.below(5) {
            0 | 1 => {
                let labels: Vec<String> = (0..3)
                    .map(|at| format!("{at}{}", text(&mut self.random)))
                    .map(|label| literal(&label))
                    .collect();
                self.run(format!("create type {sql} as enum ({})", labels.join(", ")));
                self.run(format!("alter type {sql} add value 'late' before {}", labels[1]));
                let values: Vec<String> =
                    labels.iter().map(|label| format!("{label}::{sql}")).collect();
                self.kinds.push(array(&sql, &values));
                self.kinds.push(Kind { sql: sql.clone(), values, index: "btree" });
            }
            2 => {
                let has_default = self.random.percent(50);
                let default = if has_default { format!("default {value}") } else { String::new() };
                let check = self.random.maybe(50, &["check (value is not null or value is null)"]);
                self.run(format!("create domain {sql} as {} {default} {check}", of.sql));
                self.kinds.push(Kind { sql: sql.clone(), values, index: "" });
            }
            3 => {
                let (first, second) = (self.new_name(), self.new_name());
                self.run(format!("create type {sql} as ({first} {}, {second} text)", of.sql));
                let text = self.text();
                let values =
                    vec![format!("row({value}, {text})::{sql}"), format!("row(null, null)::{sql}")];
                self.kinds.push(array(&sql, &values));
                self.kinds.push(Kind { sql: sql.clone(), values, index: "" });
            }
            _ => {
                self.run(format!("create type {sql} as range (subtype = {bare})"));
                let values = vec![
                    format!("'empty'::{sql}"),
                    format!("'(,)'::{sql}"),
                    format!("{sql}({value}, null)"),
                ];
                if of.index == "btree" {
                    self.kinds.push(Kind { sql: sql.clone(), values, index: "" });
                }
            }
        }
        self.comment(&format!("type {sql}"));
        let (owner, to) = (self.role(), self.role());
        self.run(format!("alter type {sql} owner to {owner}"));
        self.run(format!("grant usage on type {sql} to {to}"));
    }

    fn add_settings(&mut self) {
        const SETTINGS: &[&str] = &[
            "datestyle = 'SQL, DMY'",
            "timezone = 'Asia/Tehran'",
            "intervalstyle = 'sql_standard'",
            "extra_float_digits = -15",
            "bytea_output = 'escape'",
            "search_path = nowhere, \"$user\"",
            "standard_conforming_strings = off",
            "default_transaction_isolation = serializable",
            "row_security = on",
            "statement_timeout = '1h'",
            "quote_all_identifiers = on",
            "xmloption = document",
            "array_nulls = off",
            "default_transaction_read_only = on",
            "client_encoding = 'LATIN1'",
            "lock_timeout = '1h'",
            "enable_seqscan = off",
            "my.own = 'a, \"b\"'",
        ];
        for _ in 0..6 {
            let (setting, role) = (self.random.pick(SETTINGS), self.role());
            let of = if self.random.percent(60) {
                "database dvd_rental".to_owned()
            } else {
                format!("role {role} in database dvd_rental")
            };
            self.run(format!("alter {of} set {setting}"));
        }
        let (text, role) = (self.text(), self.role());
        self.run(format!("comment on database dvd_rental is {text}"));
        self.run(format!(
            "grant connect, temporary on database dvd_rental to {role} with grant option"
        ));
        self.run("alter database dvd_rental connection limit 77");
    }
}
