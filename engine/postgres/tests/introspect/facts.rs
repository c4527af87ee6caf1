//! Facts of a database that other crates decide by.

use pgkedge_model::{
    Catalog, ConstraintKind, Entry, Ident, QualifiedName, Section, ServerFacts, Table, TableKind,
    TypeFacts, TypeKind,
};
use pgkedge_postgres::{introspect, introspect_server};

use crate::access::{connect, create_database, endpoint, run};
use crate::cluster::Cluster;

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

fn name(schema: &str, name: &str) -> QualifiedName {
    QualifiedName::new(ident(schema), ident(name))
}

fn table<'a>(catalog: &'a Catalog, relation: &str) -> &'a Table {
    catalog.table_named(&name("app", relation)).unwrap_or_else(|| panic!("no table {relation}"))
}

fn type_of<'a>(catalog: &'a Catalog, relation: &str, column: &str) -> &'a TypeFacts {
    let columns = &table(catalog, relation).columns;
    let column = columns.iter().find(|found| found.name.as_str() == column).unwrap();
    &catalog.types[&column.type_oid]
}

fn entry<'a>(catalog: &'a Catalog, kind: &str, name: &str) -> &'a Entry {
    let found = catalog.entries.iter().find(|entry| entry.kind == kind && entry.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[tokio::test]
async fn rows_of_an_extensions_configuration_belong_to_the_user() {
    let Some(cluster) = Cluster::shared() else { return };
    create_database(&cluster, "configured", "").await;
    let client = connect(&cluster, "configured", "").await;
    run(
        &client,
        "create extension hstore; create table settings (a int); create table internal (a int);
         create sequence numbers; alter extension hstore add table settings;
         alter extension hstore add table internal; alter extension hstore add sequence numbers;
         update pg_extension set extcondition = array['where a > 1', ''],
           extconfig = array['settings'::regclass, 'numbers'::regclass]::oid[]
         where extname = 'hstore'",
    )
    .await;
    let catalog = introspect(&endpoint(&cluster, "configured"), "pgkedge:read").await.unwrap();
    let settings = name("public", "settings");
    assert_eq!(catalog.tables.len(), 1);
    let rows = catalog.table_named(&settings).unwrap().extension_rows.as_deref();
    assert_eq!(rows, Some("where a > 1"));
    assert_eq!(catalog.sequences[0].name, name("public", "numbers"));
    let hstore = catalog.extensions.iter().find(|found| found.name == "hstore").unwrap();
    assert_eq!(hstore.config_tables, [(settings, "where a > 1".to_owned())]);
}

#[tokio::test]
async fn a_server_is_asked_without_its_database() {
    let Some(cluster) = Cluster::shared() else { return };
    let endpoint = endpoint(&cluster, "rich");
    let catalog = introspect(&endpoint, "pgkedge:read").await.unwrap();
    let server = introspect_server(&endpoint, "pgkedge:read").await.unwrap();
    assert_eq!(server, ServerFacts { pg_dump: String::new(), ..catalog.server });
}

/// One server for all checks: starting one takes longer than they do.
#[tokio::test]
async fn facts_of_the_rich_database() {
    let Some(cluster) = Cluster::shared() else { return };
    let catalog = introspect(&endpoint(&cluster, "rich"), "pgkedge:read").await.unwrap();
    server_and_database(&catalog);
    roles(&catalog);
    which_objects_count(&catalog);
    tables(&catalog);
    partitions(&catalog);
    types(&catalog);
    constraints_and_indexes(&catalog);
    sequences(&catalog);
    entries(&catalog);
    every_table_index_and_constraint_has_its_entry(&catalog);
}

fn server_and_database(catalog: &Catalog) {
    assert_eq!(catalog.server.settings["wal_level"], "logical");
    assert!(!catalog.server.settings.contains_key("default_transaction_read_only"));
    assert!(catalog.server.session_role.superuser && !catalog.server.in_recovery);
    assert!(catalog.server.session_role.member_of.contains(&ident("rich_owner")));
    assert!(catalog.server.pg_dump.starts_with(&catalog.server.version.major().to_string()));
    let database = &catalog.database;
    assert_eq!((database.encoding.as_str(), database.connection_limit), ("UTF8", 17));
    assert_eq!(database.comment.as_deref(), Some("a; database"));
    assert_eq!(database.event_triggers, [ident("on; ddl")]);
    let settings: Vec<_> = database
        .settings
        .iter()
        .map(|setting| (setting.role.as_ref().map(Ident::as_str), &*setting.name, &*setting.value))
        .collect();
    for expected in [
        (None, "DateStyle", "SQL, DMY"),
        (None, "app.equation", "a=b=c"),
        (Some("rich_owner"), "search_path", "app, \"$user\""),
    ] {
        assert!(settings.contains(&expected), "{settings:?}");
    }
    let grants = database.grants.as_ref().unwrap();
    let reader = grants.iter().find(|grant| grant.grantee == Some(ident("rich_reader"))).unwrap();
    assert_eq!(reader.privileges, ["CONNECT", "CREATE"]);
    assert!(reader.grantable);
    assert!(grants.iter().all(|grant| grant.grantee.is_some()));
    assert_eq!(catalog.large_objects.count, 1);
    assert!(catalog.available_extensions["hstore"].contains(&"1.8".to_owned()));
}

fn roles(catalog: &Catalog) {
    let limited = catalog.roles.iter().find(|role| role.name.as_str() == "rich_limited").unwrap();
    assert_eq!(limited.valid_until.as_deref(), Some("2030-01-02 03:04:05+00"));
    assert_eq!((limited.connection_limit, limited.login), (3, true));
    assert_eq!(limited.settings[0].value, "7MB");
    assert!(catalog.roles.iter().all(|role| !role.name.as_str().starts_with("pg_")));
    let member = |role: &str, member: &str| {
        let found = catalog
            .memberships
            .iter()
            .find(|found| found.role.as_str() == role && found.member.as_str() == member);
        found.unwrap().admin
    };
    assert!(member("rich_reader", "rich_owner"));
    assert!(!member("pg_read_all_data", "rich_limited"));
}

fn which_objects_count(catalog: &Catalog) {
    let schemas: Vec<&str> = catalog.schemas.iter().map(Ident::as_str).collect();
    assert!(schemas.contains(&"pgkedge_notours") && !schemas.contains(&"pgkedge_0a1b2c3d"));
    assert!(catalog.table_named(&name("pgkedge_0a1b2c3d", "run")).is_none());
    assert!(catalog.entries.iter().all(|entry| {
        !entry.statements.iter().any(|statement| statement.contains("pgkedge_0a1b2c3d"))
    }));
    assert!(catalog.tables.iter().all(|table| table.name.schema.as_str() != "information_schema"));
    let extensions: Vec<&str> =
        catalog.extensions.iter().map(|extension| extension.name.as_str()).collect();
    assert!(extensions.is_sorted() && extensions.contains(&"citext"));
}

fn tables(catalog: &Catalog) {
    assert!(catalog.tables.is_sorted_by_key(|table| &table.name));
    let everything = table(catalog, "everything");
    assert!(everything.row_security && everything.readable && everything.filenode != 0);
    let column =
        |name: &str| everything.columns.iter().find(|column| column.name.as_str() == name).unwrap();
    assert!(column("computed").generated && !column("id").generated);
    assert!(column("blind").nondeterministic && column("select").not_null);
    assert_eq!(column("new\nline").type_name, "numeric(10,3)");
    assert!(table(catalog, "unlogged").unlogged);
    assert_eq!(table(catalog, "material").kind, TableKind::MaterializedView);
    assert!(!table(catalog, "material").populated && table(catalog, "material_filled").populated);
    assert_eq!(table(catalog, "remote").kind, TableKind::Foreign);
    assert_eq!(table(catalog, "measure").kind, TableKind::Partitioned);
    let columns = &table(catalog, "dropped_column").columns;
    assert_eq!(columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let analyzed = table(catalog, "ref_target");
    assert_eq!((analyzed.estimated_rows, analyzed.pages), (Some(10), 1));
    assert!(analyzed.bytes >= 8192 && everything.estimated_rows.is_none());
    assert!(catalog.table_named(&name("new\nline", "\n")).is_some());
}

fn partitions(catalog: &Catalog) {
    let place = |relation: &str| table(catalog, relation).partition.as_ref().unwrap();
    let nested = place("measure_2024_rest_1");
    assert_eq!(nested.parent, name("app", "measure_2024_rest"));
    assert_eq!(nested.root, name("app", "measure"));
    assert!(!nested.through_root, "the hash of a bigint is the same everywhere");
    assert!(place("by_mood_1").through_root && place("by_mood_0_low").through_root);
    assert!(place("by_pair_0").through_root, "arrays of domains over enums");
    assert!(place("by_expression_0").through_root);
    assert!(table(catalog, "measure").partition.is_none());
    assert!(table(catalog, "child").partition.is_none(), "inheritance is no partitioning");
}

fn types(catalog: &Catalog) {
    let of = |column: &str| type_of(catalog, "everything", column);
    assert_eq!(of("Quo\"te").kind, TypeKind::Enum);
    assert!(of("Quo\"te").hashes && !of("Quo\"te").builtin);
    assert!(of("select").hashes && of("select").builtin);
    assert!(of("doc").hashes && of("ci").hashes && of("pair").hashes && of("tags").hashes);
    assert!(!of("temperature").hashes, "a type without operators");
    assert!(of("span").hashes && of("spans").hashes);
    let TypeKind::Composite { fields } = &of("pair").kind else { panic!() };
    assert_eq!(fields.len(), 3);
    let TypeKind::Array { element } = of("list").kind else { panic!() };
    assert_eq!(catalog.types[&element].name, name("app", "mood"));
    let TypeKind::Multirange { range } = of("spans").kind else { panic!() };
    assert!(matches!(catalog.types[&range].kind, TypeKind::Range { .. }));
    let TypeKind::Domain { base } = of("pos").kind else { panic!() };
    assert_eq!(catalog.types[&base].name, name("pg_catalog", "int4"));
}

fn constraints_and_indexes(catalog: &Catalog) {
    let constraint =
        |name: &str| catalog.constraints.iter().find(|found| found.name.as_str() == name).unwrap();
    assert!(!constraint("later").validated && constraint("later").kind == ConstraintKind::Check);
    assert_eq!(constraint("excl").kind, ConstraintKind::Exclusion);
    assert_eq!(constraint("deferred_one").kind, ConstraintKind::Trigger);
    assert_eq!(constraint("not_yet").references, Some(name("app", "everything")));
    assert!(constraint("excl").definition.ends_with("DEFERRABLE INITIALLY DEFERRED"));
    let index = |name: &str| catalog.indexes.iter().find(|i| i.name.name.as_str() == name).unwrap();
    let primary = index("pk; Type: INDEX");
    assert!(primary.primary && primary.unique);
    assert_eq!(primary.constraint_oid, Some(constraint("pk; Type: INDEX").oid));
    assert!(!index("measure_lonely").valid && index("measure_lonely").bytes == 0);
    assert!(index("Ind\"ex; 😀").definition.contains("\"Ind\"\"ex; 😀\" ON app.everything"));
}

fn sequences(catalog: &Catalog) {
    let sequence = |schema: &str, relation: &str| {
        let wanted = name(schema, relation);
        catalog.sequences.iter().find(|found| found.name == wanted).unwrap()
    };
    assert_eq!(sequence("app", "counter").type_name, "smallint");
    let owner = |relation: &str| sequence("app", relation).owned_by.clone().unwrap();
    assert_eq!(owner("counter"), (name("app", "parent"), ident("a")));
    assert_eq!(owner("ident;seq"), (name("app", "always_identity"), ident("id")));
    assert!(sequence("select", "seq;uence").owned_by.is_none());
}

fn entries(catalog: &Catalog) {
    let identity = |kind: &str, name: &str| entry(catalog, kind, name).object.clone().unwrap();
    let pair = |kind: &str, identity: &str| (kind.to_owned(), identity.to_owned());
    assert_eq!(identity("TABLE", "parent"), pair("table", "app.parent"));
    assert_eq!(
        identity("FK CONSTRAINT", "refers_part refers_part_a_fkey"),
        pair("table constraint", "refers_part_a_fkey on app.refers_part")
    );
    assert_eq!(
        identity("FUNCTION", "atomic(integer, integer)"),
        pair("function", "app.atomic(integer,integer)")
    );
    let owner = |kind: &str, name: &str| entry(catalog, kind, name).owner.clone().unwrap();
    assert_eq!(owner("FUNCTION", "tricky()"), "Rich \"App\"; Owner: x");
    let tricky = &entry(catalog, "FUNCTION", "tricky()").statements[0];
    assert!(tricky.contains("-- TOC entry 4242 (class 1255 OID 4242)\n"));
    let heap = &entry(catalog, "TABLE", "in_second_heap").settings;
    assert_eq!(heap, &[("default_table_access_method".into(), "second_heap".into())]);
    let table = entry(catalog, "TABLE", "tab\"le; Schema: x; Owner: y");
    assert_eq!(table.schema.as_deref(), Some("Sch\"ema; Type: TABLE"));
    assert_eq!(entry(catalog, "INDEX", "trgm").section, Section::PostData);
    assert_eq!(table.section, Section::PreData);
    let index = entry(catalog, "INDEX", "material_mood");
    assert!(index.depends.contains(&entry(catalog, "MATERIALIZED VIEW", "material").number));
    let in_space = entry(catalog, "INDEX", "everywhere");
    assert_eq!(in_space.settings, [("default_tablespace".into(), "rich; \"space\"".into())]);
}

/// Class and OID join facts and DDL: nothing may be without its entry. Constraints that stand
/// inside the statement of their table have none.
fn every_table_index_and_constraint_has_its_entry(catalog: &Catalog) {
    let has = |class: u32, oid: u32| {
        catalog.entries.iter().any(|entry| (entry.class, entry.oid) == (class, oid))
    };
    for table in &catalog.tables {
        assert!(has(1259, table.oid), "{}", table.name);
    }
    for index in catalog.indexes.iter().filter(|index| index.constraint_oid.is_none()) {
        assert!(has(1259, index.oid), "{}", index.name);
    }
    for constraint in &catalog.constraints {
        let apart = match constraint.kind {
            ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => true,
            ConstraintKind::Check
            | ConstraintKind::ForeignKey
            | ConstraintKind::NotNull
            | ConstraintKind::Trigger => false,
        };
        assert!(!apart || has(2606, constraint.oid), "{} on {}", constraint.name, constraint.table);
    }
}
