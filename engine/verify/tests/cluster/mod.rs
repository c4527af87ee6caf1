//! A throw-away cluster with two databases, one for each side.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use pgkedge_model::{
    Column, DatabaseRef, Ident, QualifiedName, ReplicaIdentity, SecretError, SecretRef,
    SecretString, Secrets, Server, Table, TableKind, TypeFacts, TypeKind,
};
use pgkedge_postgres::{Endpoint, Row, Sql};
use tempfile::TempDir;

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// A running server. Dropping it stops it.
pub(crate) struct Cluster {
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// None where PostgreSQL 15 is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !PathBuf::from(PROGRAMS).join("initdb").exists() {
            eprintln!("skipped: there is no {PROGRAMS}/initdb");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("pgkedge-verify").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { folder, port };
        if Self::is_root() {
            let path = cluster.folder.path();
            assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
        }
        let data = cluster.data();
        Self::call("initdb", &["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", &data]);
        let options = format!(
            "-p {port} -k {} -c fsync=off -c listen_addresses=127.0.0.1",
            cluster.folder.path().display()
        );
        let log = format!("{}/log", cluster.folder.path().display());
        Self::call("pg_ctl", &["-w", "-D", &data, "-l", &log, "-o", &options, "start"]);
        Some(cluster)
    }

    pub(crate) async fn session(&self, server: Server, database: &str) -> Sql {
        self.endpoint(server, database).sql("pgkedge:read").await.unwrap()
    }

    pub(crate) fn endpoint(&self, server: Server, database: &str) -> Endpoint {
        let url = SecretRef::Env(format!(
            "postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        ));
        let database = DatabaseRef::new(url);
        Endpoint::new(server, database, Arc::new(Named))
    }

    /// Two fresh databases with a session in each.
    pub(crate) async fn sides(&self, name: &str) -> [Sql; 2] {
        self.sides_in(name, "UTF8").await
    }

    /// The same, with another encoding at the source.
    pub(crate) async fn sides_in(&self, name: &str, encoding: &str) -> [Sql; 2] {
        let admin = self.session(Server::Source, "postgres").await;
        for (side, encoding) in [("source", encoding), ("target", "UTF8")] {
            let options = format!("encoding '{encoding}' locale 'C' template template0");
            admin.execute(&format!("create database {name}_{side} {options}")).await.unwrap();
        }
        [
            self.session(Server::Source, &format!("{name}_source")).await,
            self.session(Server::Target, &format!("{name}_target")).await,
        ]
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.path().display())
    }

    fn is_root() -> bool {
        let id = Command::new("id").arg("-u").output().unwrap();
        String::from_utf8_lossy(&id.stdout).trim() == "0"
    }

    /// Servers refuse to run as root.
    fn call(program: &str, arguments: &[&str]) {
        let program = format!("{PROGRAMS}/{program}");
        let mut command = if Self::is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", &program]);
            command
        } else {
            Command::new(&program)
        };
        // The server would keep a pipe open.
        command.args(arguments).current_dir("/").stdout(std::process::Stdio::null());
        assert!(command.status().unwrap().success(), "{program} {arguments:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        Self::call("pg_ctl", &["-w", "-m", "immediate", "-D", &data, "stop"]);
    }
}

/// The name of a variable is its value.
struct Named;

impl Secrets for Named {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef::Env(url) = reference else { panic!("{reference}") };
        Ok(SecretString::from(url.clone()))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fn field(row: &Row, column: usize) -> String {
    row.get(column).unwrap_or_default().to_owned()
}

fn number(row: &Row, column: usize) -> u32 {
    field(row, column).parse().unwrap()
}

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

pub(crate) fn named(name: &str) -> QualifiedName {
    QualifiedName::new(ident("public"), ident(name))
}

/// The facts of all types of a database.
pub(crate) async fn types(sql: &Sql) -> BTreeMap<u32, TypeFacts> {
    let rows = sql
        .rows(
            "select t.oid, n.nspname, t.typname, t.typtype, t.typelem, t.typbasetype, \
             coalesce(r.rngsubtype, m.rngtypid, 0), t.typsubscript = 'array_subscript_handler'::regproc \
             and t.typlen = -1 and t.typname like '\\_%', t.oid < 16384, exists (select from pg_opclass c \
             join pg_am a on a.oid = c.opcmethod and a.amname = 'hash' \
             join pg_amproc p on p.amprocfamily = c.opcfamily and p.amprocnum = 2 \
              and p.amproclefttype = c.opcintype \
             where c.opcdefault and (c.opcintype in (t.oid, t.typbasetype) \
              or t.oid = 'varchar'::regtype and c.opcintype = 'text'::regtype \
              or t.oid = 'cidr'::regtype and c.opcintype = 'inet'::regtype \
              or t.typtype = 'r' and c.opcintype = 'anyrange'::regtype \
              or t.typtype = 'm' and c.opcintype = 'anymultirange'::regtype)) \
             from pg_type t join pg_namespace n on n.oid = t.typnamespace \
             left join pg_range r on r.rngtypid = t.oid left join pg_range m on m.rngmultitypid = t.oid",
        )
        .await
        .unwrap();
    let mut types: BTreeMap<u32, TypeFacts> =
        rows.iter().map(|row| (number(row, 0), facts(row))).collect();
    let hashing: Vec<u32> =
        types.values().filter(|facts| facts.hashes).map(|facts| facts.oid).collect();
    for facts in types.values_mut() {
        if let TypeKind::Array { element } = &facts.kind {
            facts.hashes = hashing.contains(element);
        }
    }
    types
}

fn facts(row: &Row) -> TypeFacts {
    let kind = match (field(row, 3).as_str(), row.get(7)) {
        ("b", Some("t")) => TypeKind::Array { element: number(row, 4) },
        ("b", _) => TypeKind::Base,
        ("d", _) => TypeKind::Domain { base: number(row, 5) },
        ("c", _) => TypeKind::Composite { fields: Vec::new() },
        ("e", _) => TypeKind::Enum,
        ("r", _) => TypeKind::Range { subtype: number(row, 6) },
        ("m", _) => TypeKind::Multirange { range: number(row, 6) },
        _ => TypeKind::Pseudo,
    };
    TypeFacts {
        oid: number(row, 0),
        name: QualifiedName::new(ident(&field(row, 1)), ident(&field(row, 2))),
        kind,
        builtin: row.get(8) == Some("t"),
        hashes: row.get(9) == Some("t"),
    }
}

/// A table or materialized view of schema public, as introspection would tell it.
pub(crate) async fn table(sql: &Sql, name: &str) -> Table {
    let columns = sql
        .rows(&format!(
            "select a.attname, a.atttypid, a.attgenerated <> '', \
             coalesce(not c.collisdeterministic, false) \
             from pg_attribute a left join pg_collation c on c.oid = a.attcollation \
             where a.attrelid = 'public.{name}'::regclass and a.attnum > 0 and not a.attisdropped \
             order by a.attnum"
        ))
        .await
        .unwrap();
    let relation = format!(
        "select relkind, relispopulated from pg_class where oid = 'public.{name}'::regclass"
    );
    let relation = sql.rows(&relation).await.unwrap().remove(0);
    let column = |row: &Row| Column {
        name: ident(&field(row, 0)),
        type_oid: number(row, 1),
        type_name: String::new(),
        not_null: false,
        generated: row.get(2) == Some("t"),
        nondeterministic: row.get(3) == Some("t"),
    };
    Table {
        oid: 0,
        name: named(name),
        kind: match relation.get(0) {
            Some("m") => TableKind::MaterializedView,
            Some("p") => TableKind::Partitioned,
            _ => TableKind::Ordinary,
        },
        owner: ident("postgres"),
        unlogged: false,
        columns: columns.iter().map(column).collect(),
        partition: None,
        pages: 0,
        bytes: 0,
        estimated_rows: None,
        filenode: 0,
        row_security: false,
        force_row_security: false,
        identity: ReplicaIdentity::default(),
        reaches_foreign: false,
        populated: relation.get(1) == Some("t"),
        extension_rows: None,
        readable: true,
    }
}
