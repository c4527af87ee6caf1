//! Small catalogs, and kinds that do what their parameters say.

use std::collections::BTreeMap;

use pgkedge_model::{
    Catalog, Constraint, ConstraintKind, DatabaseFacts, DeclaredStep, Draft, Each, Entry,
    Expansion, Facts, Finding, Fold, Ident, Index, Item, KindSpec, LargeObjectFacts, Leaves,
    Object, OnFailure, PartitionFacts, PhaseName, Piece, QualifiedName, QuotedAs, ReplicaIdentity,
    Script, Section, Server, ServerFacts, ServerVersion, SessionRole, Settings, Statement, Table,
    TableKind, Touch, TouchMode, Undo,
};
use pgkedge_plan::{CapturePlan, GroupPlan, Pattern, PhasePlan, Selector, TablePatterns};
use serde_json::{Value, json};

mod capture;

use crate::Compiled;
use crate::compile::{Request, compile_request};

pub(crate) fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

pub(crate) fn name(text: &str) -> QualifiedName {
    let (schema, table) = text.split_once('.').unwrap();
    QualifiedName::new(ident(schema), ident(table))
}

pub(crate) fn facts() -> Facts {
    Facts { source: catalog(), target: None, replica: None }
}

fn catalog() -> Catalog {
    let version = ServerVersion(150_018);
    let server = ServerFacts {
        version,
        version_text: "PostgreSQL 15.18".into(),
        system_identifier: "1".into(),
        in_recovery: false,
        settings: BTreeMap::new(),
        session_role: SessionRole {
            name: ident("owner"),
            superuser: true,
            bypasses_row_security: true,
            replication: true,
            creates_roles: true,
            member_of: Vec::new(),
        },
        pg_dump: "15.18".into(),
    };
    let database = DatabaseFacts {
        name: ident("shop"),
        oid: 5,
        owner: ident("owner"),
        encoding: "UTF8".into(),
        collate: "C".into(),
        ctype: "C".into(),
        locale_provider: "c".into(),
        icu_locale: None,
        tablespace: ident("pg_default"),
        connection_limit: -1,
        comment: None,
        grants: None,
        settings: Vec::new(),
        bytes: 0,
        subscriptions: Vec::new(),
        event_triggers: Vec::new(),
    };
    Catalog {
        format: Catalog::FORMAT,
        server,
        database,
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

pub(crate) fn table(oid: u32, text: &str) -> Table {
    Table {
        oid,
        name: name(text),
        kind: TableKind::Ordinary,
        owner: ident("owner"),
        unlogged: false,
        columns: Vec::new(),
        partition: None,
        pages: 1,
        bytes: 8192,
        estimated_rows: Some(10),
        filenode: oid,
        row_security: false,
        force_row_security: false,
        identity: ReplicaIdentity { usable: true, ..ReplicaIdentity::default() },
        reaches_foreign: false,
        populated: true,
        extension_rows: None,
        readable: true,
    }
}

/// Builds facts. Entry numbers and OIDs are the same.
#[derive(Clone)]
pub(crate) struct World(pub(crate) Facts);

impl World {
    pub(crate) fn new() -> Self {
        Self(facts())
    }

    pub(crate) fn table(mut self, oid: u32, text: &str) -> Self {
        self.0.source.tables.push(table(oid, text));
        self.entry(oid, "TABLE", text, &[])
    }

    /// A table with as many bytes, in pages.
    pub(crate) fn sized(mut self, oid: u32, text: &str, bytes: u64) -> Self {
        self = self.table(oid, text);
        let table = self.0.source.tables.last_mut().unwrap();
        table.bytes = bytes;
        table.pages = u32::try_from(bytes.div_ceil(8192)).unwrap();
        self
    }

    pub(crate) fn partition(mut self, oid: u32, text: &str, parent: &str) -> Self {
        let parent = name(parent);
        self.0.source.tables.iter_mut().find(|t| t.name == parent).unwrap().kind =
            TableKind::Partitioned;
        self = self.table(oid, text);
        self.0.source.tables.last_mut().unwrap().partition =
            Some(PartitionFacts { root: parent.clone(), parent, through_root: false });
        self
    }

    pub(crate) fn index(mut self, oid: u32, text: &str, table: u32, unique: bool) -> Self {
        let of = self.0.source.table(table).unwrap().name.clone();
        self.0.source.indexes.push(Index {
            oid,
            name: name(text),
            table_oid: table,
            table: of,
            unique,
            primary: false,
            valid: true,
            constraint_oid: None,
            bytes: 8192,
            definition: String::new(),
        });
        self.entry(oid, "INDEX", text, &[table])
    }

    pub(crate) fn foreign_key(mut self, oid: u32, key: &str, table: u32, references: u32) -> Self {
        let of = self.0.source.table(table).unwrap().name.clone();
        self.0.source.constraints.push(Constraint {
            oid,
            name: ident(key),
            table_oid: table,
            table: of.clone(),
            kind: ConstraintKind::ForeignKey,
            validated: true,
            references: Some(self.0.source.table(references).unwrap().name.clone()),
            definition: String::new(),
        });
        let text = format!("{}.{key}", of.schema.as_str());
        self.entry(oid, "FK CONSTRAINT", &text, &[table, references])
    }

    pub(crate) fn entry(mut self, number: u32, kind: &str, text: &str, depends: &[u32]) -> Self {
        let (schema, name) = text.split_once('.').unwrap();
        let constraint = kind.ends_with("CONSTRAINT");
        let post = constraint || kind.starts_with("INDEX") || kind == "TRIGGER";
        self.0.source.entries.push(Entry {
            number,
            class: if constraint { 2606 } else { 1259 },
            oid: number,
            depends: depends.to_vec(),
            kind: kind.into(),
            schema: Some(schema.into()),
            name: name.into(),
            owner: None,
            section: if post { Section::PostData } else { Section::PreData },
            settings: Vec::new(),
            statements: Vec::new(),
            object: Some((kind.to_lowercase(), text.into())),
        });
        self
    }
}

/// A plan in short.
#[derive(Clone)]
pub(crate) struct Sketch {
    pub(crate) tables: TablePatterns,
    pub(crate) groups: Vec<GroupPlan>,
    pub(crate) capture: CapturePlan,
    pub(crate) settings: Settings,
    pub(crate) phases: Vec<PhasePlan>,
}

impl Sketch {
    pub(crate) fn new() -> Self {
        let mut sketch = Self {
            tables: TablePatterns { include: vec![Pattern::everything()], exclude: Vec::new() },
            groups: Vec::new(),
            capture: CapturePlan::default(),
            settings: Settings::default(),
            phases: Vec::new(),
        };
        sketch.groups = vec![group(None, "all", &["*"])];
        sketch
    }

    pub(crate) fn include(mut self, texts: &[&str]) -> Self {
        self.tables.include = patterns("/tables/include", texts);
        self
    }

    pub(crate) fn exclude(mut self, texts: &[&str]) -> Self {
        self.tables.exclude = patterns("/tables/exclude", texts);
        self
    }

    pub(crate) fn groups(mut self, groups: &[(&str, &[&str])]) -> Self {
        let numbered = groups.iter().enumerate();
        self.groups = numbered.map(|(at, (name, texts))| group(Some(at), name, texts)).collect();
        self
    }

    /// Adds a step to a phase, which is begun where it is a new one.
    pub(crate) fn step(
        mut self,
        path: &str,
        kind: &str,
        each: Option<Each>,
        params: Value,
    ) -> Self {
        let (phase, step) = path.split_once('/').unwrap();
        if self.phases.last().is_none_or(|last| last.name.0 != phase) {
            self.phases.push(PhasePlan {
                name: PhaseName(phase.into()),
                on_failure: OnFailure::Stop,
                steps: Vec::new(),
            });
        }
        let (at, steps) = (self.phases.len() - 1, &mut self.phases.last_mut().unwrap().steps);
        steps.push(DeclaredStep {
            phase: PhaseName(phase.into()),
            name: step.into(),
            kind: kind.into(),
            each,
            params,
            pointer: Some(format!("/phases/{at}/steps/{}", steps.len())),
        });
        self
    }

    pub(crate) fn compile(&self, world: &World) -> Result<Compiled, Vec<Finding>> {
        let request = Request {
            tables: &self.tables,
            groups: &self.groups,
            capture: &self.capture,
            settings: &self.settings,
            phases: &self.phases,
        };
        compile_request(request, &world.0, KINDS)
    }

    /// The errors, as a report would show them.
    pub(crate) fn errors(&self, world: &World) -> String {
        let findings = self.compile(world).err().unwrap_or_default();
        shown(findings.iter().filter(|finding| finding.is_error()))
    }
}

pub(crate) fn shown<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!("{}: {}", finding.code, finding.message));
        for place in &finding.places {
            lines.push(format!("  at {}", serde_json::to_string(place).unwrap()));
        }
        lines.extend(finding.help.iter().map(|help| format!("  help: {help}")));
    }
    lines.join("\n")
}

fn group(at: Option<usize>, name: &str, texts: &[&str]) -> GroupPlan {
    let pointer = at.map(|at| format!("/groups/{at}"));
    let patterns = match &pointer {
        Some(pointer) => patterns(&format!("{pointer}/tables"), texts),
        None => texts.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
    };
    let tables = Selector { patterns, having: Vec::new(), having_pointer: None };
    GroupPlan { name: ident(name), tables, sets: Vec::new(), pointer }
}

fn patterns(pointer: &str, texts: &[&str]) -> Vec<Pattern> {
    let numbered = texts.iter().enumerate();
    numbered.map(|(at, text)| Pattern::parse(text).unwrap().at(format!("{pointer}/{at}"))).collect()
}

const fn kind(kind: &'static str, service: bool, worker: bool) -> KindSpec {
    KindSpec {
        kind,
        about: "Does what its parameters say.",
        params: || json!({}),
        each: &[Each::Table, Each::Part, Each::UnloggedPart, Each::Slot, Each::ReplicationSet],
        version: 1,
        leaves: Leaves::Result,
        service,
        worker,
        servers: &[],
        expand: expand_as_told,
    }
}

/// They fold as their name says.
pub(crate) static KINDS: &[KindSpec] = &[
    kind("alone", false, true),
    kind("chain", false, true),
    kind("small", false, true),
    kind("service", true, false),
    KindSpec { servers: &[Server::Source, Server::Target], ..kind("watch", false, false) },
];

/// `reads`, `writes` and `adds` list objects, `{}` standing for the item; `entry` reads what the item's
/// entry depends on and writes the entry. `of` holds the same for single items. `sql`, `before`, `after` and `undo` are statements, `irreversible`
/// says why there is no undo, `output` is an object, `stops` a service.
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of every kind")]
fn expand_as_told(expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
    let (key, cost) = item(&expansion.item);
    let params = &expansion.declared.params;
    let params = params.get("of").and_then(|of| of.get(&key)).unwrap_or(params);
    let text = |field: &str| params.get(field).and_then(Value::as_str);
    let mut draft = Draft {
        key: text("key").map_or_else(|| key.clone(), str::to_owned),
        params: json!({ "key": key }),
        touches: Vec::new(),
        script: Script::default(),
        cost,
        fold: match text("fold").unwrap_or(&expansion.declared.kind) {
            "chain" => Fold::Chain,
            "small" if cost < 1 << 30 => Fold::Small,
            _ => Fold::Alone,
        },
        stops: text("stops").map(str::to_owned),
    };
    let modes =
        [("reads", TouchMode::Read), ("writes", TouchMode::Write), ("adds", TouchMode::Add)];
    for (field, mode) in modes {
        let objects = params.get(field).and_then(Value::as_array).into_iter().flatten();
        draft.touches.extend(objects.map(|object| Touch {
            object: Object(object.as_str().unwrap().replace("{}", &key)),
            mode,
        }));
    }
    if let (Some(_), Item::Entry(entry)) = (params.get("entry"), &expansion.item) {
        draft.touches.push(Touch::write(Object::new("entry", entry.number)));
        let needs = entry.depends.iter();
        draft.touches.extend(needs.map(|needed| Touch::read(Object::new("entry", needed))));
    }
    let statements = |field: &str| -> Vec<Statement> {
        text(field).into_iter().map(|sql| Statement::guarded(sql.replace("{}", &key))).collect()
    };
    let undo = match text("irreversible") {
        Some(reason) => Undo::Irreversible(reason.to_owned()),
        None if text("undo").is_some() => Undo::Statements(statements("undo")),
        None => Undo::Nothing,
    };
    draft.script = Script {
        before: statements("before"),
        run: statements("sql"),
        after: statements("after"),
        undo,
    };
    if let Some(object) = text("output") {
        let mut statement = Statement::alone(Server::Source, "set transaction snapshot ");
        statement.text.push(Piece::Output {
            of: pgkedge_model::OutputOf::Writer(Object(object.into())),
            field: "id".into(),
            quoted_as: QuotedAs::Literal,
        });
        draft.script.run.insert(0, statement);
    }
    Ok(vec![draft])
}

fn item(item: &Item<'_>) -> (String, u64) {
    match item {
        Item::Once => (String::new(), 0),
        Item::Table(table) => (table.name.to_string(), table.bytes),
        Item::Part(table, part) if part.of == 1 => (table.name.to_string(), table.bytes),
        Item::Part(table, part) => {
            (format!("{}#{}", table.name, part.number), table.bytes / u64::from(part.of))
        }
        Item::Entry(entry) => (entry.name.clone(), 8192),
        Item::Sequence(sequence) => (sequence.name.to_string(), 0),
        Item::Slot(slot) => (slot.name.to_string(), 0),
        Item::ReplicationSet(set) => (set.name.to_string(), 0),
    }
}
