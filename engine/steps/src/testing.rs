//! A small source and target in memory, for the tests of `expand`.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{
    Capture, Catalog, CatalogIndex, Column, Constraint, ConstraintKind, DatabaseFacts,
    DeclaredStep, Draft, Each, Entry, Expansion, Facts, Finding, Ident, Index, Item,
    LargeObjectFacts, Operation, Part, PhaseName, QualifiedName, ReplicaIdentity, ReplicationSet,
    Section, Selection, Sequence, ServerFacts, ServerVersion, SessionRole, Settings, Slot,
    Statement, Table, TableGroup, TableKind, TypeFacts, TypeKind,
};
use serde_json::Value;

use crate::step::{Step, kind};

pub(crate) fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

pub(crate) fn name(schema: &str, name: &str) -> QualifiedName {
    QualifiedName::new(ident(schema), ident(name))
}

pub(crate) fn entry(number: u32, kind: &str, name: &str, statements: &[&str]) -> Entry {
    Entry {
        number,
        class: 0,
        oid: 0,
        depends: Vec::new(),
        kind: kind.to_owned(),
        schema: Some("public".to_owned()),
        name: name.to_owned(),
        owner: Some("shop".to_owned()),
        section: Section::PostData,
        settings: Vec::new(),
        statements: statements.iter().map(|sql| (*sql).to_owned()).collect(),
        object: None,
    }
}

pub(crate) fn column(name: &str, type_oid: u32) -> Column {
    Column {
        name: ident(name),
        type_oid,
        type_name: format!("type {type_oid}"),
        not_null: false,
        generated: false,
        nondeterministic: false,
    }
}

/// A replication set of all operations of a slot that `Sample::slot` adds.
pub(crate) fn set(set: &str, tables: &[&str]) -> ReplicationSet {
    let table = |table: &&str| {
        let (schema, table) = table.split_once('.').unwrap();
        name(schema, table)
    };
    ReplicationSet {
        name: ident(set),
        slot: ident("slot"),
        publication: None,
        operations: Operation::ALL.into(),
        tables: tables.iter().map(table).collect(),
        through_root: false,
    }
}

pub(crate) fn shown(statements: &[Statement]) -> Vec<String> {
    statements.iter().map(Statement::shown).collect()
}

/// Facts of an empty database `name` of version 15.
pub(crate) fn catalog(name: &str) -> Catalog {
    Catalog {
        format: Catalog::FORMAT,
        server: ServerFacts {
            version: ServerVersion(150_018),
            version_text: "PostgreSQL 15.18".to_owned(),
            system_identifier: name.to_owned(),
            in_recovery: false,
            settings: BTreeMap::from([
                ("max_connections".to_owned(), "100".to_owned()),
                ("max_locks_per_transaction".to_owned(), "64".to_owned()),
            ]),
            session_role: SessionRole {
                name: ident("mover"),
                superuser: false,
                bypasses_row_security: false,
                replication: false,
                creates_roles: false,
                member_of: vec![ident("mover")],
            },
            pg_dump: "18.1".to_owned(),
        },
        database: DatabaseFacts {
            name: ident(name),
            oid: 5,
            owner: ident("mover"),
            encoding: "UTF8".to_owned(),
            collate: "C".to_owned(),
            ctype: "C".to_owned(),
            locale_provider: "c".to_owned(),
            icu_locale: None,
            tablespace: ident("pg_default"),
            connection_limit: -1,
            comment: None,
            grants: None,
            settings: Vec::new(),
            bytes: 0,
            subscriptions: Vec::new(),
            event_triggers: Vec::new(),
        },
        roles: Vec::new(),
        memberships: Vec::new(),
        tablespaces: Vec::new(),
        schemas: vec![ident("public")],
        extensions: Vec::new(),
        available_extensions: BTreeMap::new(),
        types: BTreeMap::new(),
        tables: Vec::new(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        sequences: Vec::new(),
        large_objects: LargeObjectFacts::default(),
        entries: Vec::new(),
    }
}

/// What a plan is compiled against.
pub(crate) struct Sample {
    pub(crate) facts: Facts,
    pub(crate) settings: Settings,
    pub(crate) selection: Selection,
    pub(crate) capture: Capture,
    pub(crate) excluded_entries: BTreeSet<u32>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            facts: Facts {
                source: catalog("shop"),
                target: Some(catalog("new \"shop")),
                replica: None,
            },
            settings: Settings::default(),
            selection: Selection::default(),
            capture: Capture::default(),
            excluded_entries: BTreeSet::new(),
        }
    }
}

impl Sample {
    pub(crate) fn target(&mut self) -> &mut Catalog {
        self.facts.target.as_mut().unwrap()
    }

    pub(crate) fn table(&mut self, oid: u32, schema: &str, table: &str) -> &mut Table {
        self.facts.source.tables.push(Table {
            oid,
            name: name(schema, table),
            kind: TableKind::Ordinary,
            owner: ident("shop"),
            unlogged: false,
            columns: Vec::new(),
            partition: None,
            pages: 1,
            bytes: 8_192,
            estimated_rows: None,
            filenode: oid,
            row_security: false,
            force_row_security: false,
            identity: ReplicaIdentity::default(),
            reaches_foreign: false,
            populated: true,
            extension_rows: None,
            readable: true,
        });
        self.facts.source.tables.last_mut().unwrap()
    }

    pub(crate) fn index(&mut self, oid: u32, schema: &str, index: &str, table_oid: u32) {
        let table = self.facts.source.table(table_oid).unwrap().name.clone();
        self.facts.source.indexes.push(Index {
            oid,
            name: name(schema, index),
            table_oid,
            table,
            unique: false,
            primary: false,
            valid: true,
            constraint_oid: None,
            bytes: 0,
            definition: String::new(),
        });
    }

    pub(crate) fn constraint(&mut self, oid: u32, name: &str, of: u32, kind: ConstraintKind) {
        let table = self.facts.source.table(of).unwrap().name.clone();
        self.facts.source.constraints.push(Constraint {
            oid,
            name: ident(name),
            table_oid: of,
            table,
            kind,
            validated: true,
            references: None,
            definition: String::new(),
        });
    }

    /// A slot that carries the group of the same name.
    pub(crate) fn slot(&mut self, slot: &str, sets: Vec<ReplicationSet>) {
        let (name, groups) = (ident(slot), vec![ident(slot)]);
        self.capture.slots.push(Slot { name, existing: false, groups, sets });
    }

    pub(crate) fn sequence(&mut self, oid: u32, sequence: &str) {
        self.facts.source.sequences.push(Sequence {
            oid,
            name: name("public", sequence),
            type_name: "bigint".to_owned(),
            owned_by: None,
            readable: true,
        });
    }

    /// `int4`, `numeric` and `regclass`.
    pub(crate) fn with_builtin_types(&mut self) {
        for (oid, type_name) in [(23, "int4"), (142, "xml"), (1700, "numeric"), (2205, "regclass")]
        {
            let facts = TypeFacts {
                oid,
                name: name("pg_catalog", type_name),
                kind: TypeKind::Base,
                builtin: true,
                hashes: true,
            };
            self.facts.source.types.insert(oid, facts);
        }
    }

    /// `child.p` references `parent.id`, in archive entry 11.
    pub(crate) fn with_foreign_key() -> Self {
        let mut sample = Self::default();
        sample.table(10, "public", "child");
        sample.table(12, "public", "parent");
        sample.constraint(31, "f k", 10, ConstraintKind::ForeignKey);
        sample.facts.source.constraints[0].references = Some(name("public", "parent"));
        let sql = "ALTER TABLE ONLY public.child ADD CONSTRAINT \"f k\" FOREIGN KEY (p) \
                   REFERENCES public.parent(id) DEFERRABLE";
        let mut key = entry(11, "FK CONSTRAINT", "child f k", &[sql]);
        (key.class, key.oid) = (2606, 31);
        sample.facts.source.entries.push(key);
        sample
    }

    /// Puts tables of the schema `public` on slots, a group for each.
    pub(crate) fn on_slots(&mut self, slots: &[(&str, &[&str])]) {
        let tables = |tables: &[&str]| tables.iter().map(|table| name("public", table)).collect();
        let group = |(slot, of): &(&str, &[&str])| {
            let mut group = TableGroup { name: ident(slot), tables: tables(of) };
            group.tables.sort();
            group
        };
        self.selection.groups = slots.iter().map(group).collect();
        let slot = |(slot, of): &(&str, &[&str])| Slot {
            name: ident(slot),
            existing: false,
            groups: vec![ident(slot)],
            sets: vec![ReplicationSet {
                name: ident(slot),
                slot: ident(slot),
                publication: None,
                operations: BTreeSet::from(Operation::ALL),
                tables: tables(of),
                through_root: false,
            }],
        };
        self.capture.slots = slots.iter().map(slot).collect();
    }

    /// Expands a step without `each`.
    pub(crate) fn expand<S: Step>(&self, params: Value) -> Result<Vec<Draft>, Vec<Finding>> {
        self.expand_item::<S>(Item::Once, params)
    }

    /// Expands a step for one entry of the archive.
    pub(crate) fn expand_entry<S: Step>(
        &self,
        number: u32,
        params: Value,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        let is_it = |entry: &&Entry| entry.number == number;
        let entry = self.facts.source.entries.iter().find(is_it).unwrap();
        self.expand_item::<S>(Item::Entry(entry), params)
    }

    /// Expands a step for one part of a table.
    pub(crate) fn expand_part<S: Step>(
        &self,
        table: u32,
        part: &Part,
        params: Value,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        self.expand_item::<S>(Item::Part(self.facts.source.table(table).unwrap(), part), params)
    }

    pub(crate) fn expand_item<S: Step>(
        &self,
        item: Item<'_>,
        params: Value,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        self.expand_declared::<S>(None, item, params)
    }

    /// Expands a step that says what it is repeated for.
    pub(crate) fn expand_each<S: Step>(
        &self,
        each: Each,
        item: Item<'_>,
        params: Value,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        self.expand_declared::<S>(Some(each), item, params)
    }

    fn expand_declared<S: Step>(
        &self,
        each: Option<Each>,
        item: Item<'_>,
        params: Value,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        let declared = DeclaredStep {
            phase: PhaseName("phase".to_owned()),
            name: "step".to_owned(),
            kind: S::KIND.to_owned(),
            each,
            params,
            pointer: None,
        };
        let expansion = Expansion {
            declared: &declared,
            item,
            settings: &self.settings,
            selection: &self.selection,
            capture: &self.capture,
            excluded_entries: &self.excluded_entries,
            facts: &self.facts,
            source: &CatalogIndex::new(&self.facts.source),
        };
        (kind::<S>().spec.expand)(&expansion)
    }
}
