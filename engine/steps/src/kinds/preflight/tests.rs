use pgkedge_model::{
    DatabaseSetting, Extension, Ident, Operation, ReplicationSet, Role, ServerVersion, SessionRole,
    Slot,
};

use super::*;
use crate::testing::{Sample, entry, ident, name};

fn codes(sample: &Sample) -> Vec<String> {
    let question = Question {
        facts: &sample.facts,
        settings: &sample.settings,
        excluded: &sample.selection.excluded,
        capture: &sample.capture,
        target_holds: Beforehand::Nothing,
        run: None,
    };
    let is_serious = |finding: &Finding| finding.severity > Severity::Note;
    settled(&question).into_iter().filter(is_serious).map(|finding| finding.code).collect()
}

fn role(name: &str) -> Role {
    Role {
        name: ident(name),
        superuser: false,
        inherits: true,
        creates_roles: false,
        creates_databases: false,
        login: true,
        replication: false,
        bypasses_row_security: false,
        connection_limit: -1,
        valid_until: None,
        comment: None,
        settings: Vec::<DatabaseSetting>::new(),
    }
}

fn changed(change: impl FnOnce(&mut Sample)) -> Vec<String> {
    let mut sample = Sample::default();
    change(&mut sample);
    codes(&sample)
}

#[test]
fn two_plain_databases_have_no_findings() {
    assert!(codes(&Sample::default()).is_empty());
}

#[test]
fn servers_must_fit() {
    let version = |major: u32| ServerVersion(major * 10_000);
    assert_eq!(changed(|s| s.target().server.version = version(14)), ["target::older_than_source"]);
    assert_eq!(changed(|s| s.target().server.version = version(19)), ["server::unknown_version"]);
    assert_eq!(changed(|s| s.target().server.in_recovery = true), ["target::in_recovery"]);
    assert_eq!(changed(|s| s.target().database.collate = "de_DE".into()), ["target::locale"]);
    assert!(changed(|s| s.facts.source.database.encoding = "LATIN1".into()).is_empty());
    assert_eq!(
        changed(|s| s.facts.source.database.encoding = "SQL_ASCII".into()),
        ["target::encoding"]
    );
    assert_eq!(
        changed(|s| {
            let source = s.facts.source.clone();
            s.facts.target = Some(source);
        }),
        ["target::same_database"]
    );
}

#[test]
fn a_plan_that_takes_more_connections_than_there_are_is_refused() {
    assert_eq!(
        changed(|s| s.settings.limits.target_connections = 95),
        ["server::too_few_connections"]
    );
}

#[test]
fn extensions_and_tablespaces_must_be_there() {
    let found = changed(|s| {
        s.facts.source.extensions.push(Extension {
            name: "postgis".into(),
            version: "3".into(),
            schema: ident("public"),
            config_tables: Vec::new(),
        });
        let mut table = entry(1, "TABLE", "t", &[]);
        table.settings = vec![("default_tablespace".into(), "fast".into())];
        s.facts.source.entries.push(table);
    });
    assert_eq!(found, ["target::extension_missing", "target::tablespaces"]);
}

#[test]
fn roles_must_be_there_or_be_creatable_and_owners_reachable() {
    let owned = entry(1, "TABLE", "t", &["ALTER TABLE public.t OWNER TO shop"]);
    let found = changed(|s| {
        s.facts.source.roles.push(role("app"));
        s.facts.source.entries.push(owned.clone());
        s.target().roles.push(role("shop"));
    });
    assert_eq!(
        found,
        [
            "target::cannot_create_roles",
            "source::passwords_unreadable",
            "target::not_member_of_owner",
            "target::owners_without_create",
        ]
    );
    let found = changed(|s| s.facts.source.entries.push(owned));
    assert_eq!(found, ["target::absent_owners", "target::owners_without_create"]);
}

#[test]
fn what_the_source_hides_is_an_error_unless_it_is_excluded() {
    let hidden = |s: &mut Sample| {
        s.table(10, "public", "secret").readable = false;
        s.table(11, "public", "partial").row_security = true;
        s.sequence(12, "counter");
        s.facts.source.sequences[0].readable = false;
    };
    assert_eq!(
        changed(hidden),
        ["source::unreadable_tables", "source::unreadable_sequences", "source::row_security",]
    );
    let found = changed(|s| {
        hidden(s);
        s.selection.excluded = s.facts.source.tables.iter().map(|t| t.name.clone()).collect();
    });
    assert_eq!(found, ["source::unreadable_sequences"]);
}

#[test]
fn what_takes_a_superuser_is_found_in_the_archive() {
    let entries = |s: &mut Sample| {
        s.facts.source.entries = vec![
            entry(1, "EVENT TRIGGER", "e", &["CREATE EVENT TRIGGER e"]),
            entry(2, "FUNCTION", "f()", &["CREATE FUNCTION f()\n    LANGUAGE c STRICT AS 'x'"]),
            entry(3, "FUNCTION", "g()", &["CREATE FUNCTION g() AS ' LANGUAGE c '"]),
            entry(4, "PUBLICATION", "p", &["CREATE PUBLICATION p FOR ALL TABLES"]),
        ];
    };
    assert_eq!(
        changed(entries),
        ["target::event_triggers", "target::publication_for_all_tables", "target::c_functions",]
    );
    assert!(
        changed(|s| {
            entries(s);
            s.target().server.session_role.superuser = true;
        })
        .is_empty()
    );
}

#[test]
fn blockers_stop_the_run_with_everything_that_was_found() {
    let findings =
        [Finding::error("a::b", "it is so").help("do that"), Finding::note("a::c", "also")];
    let failure = blocked(&findings);
    assert_eq!(failure.class, FailureClass::Blocked);
    assert_eq!(failure.details, ["error a::b: it is so; help: do that", "note a::c: also"]);
}

#[test]
fn long_lists_are_cut() {
    let names: Vec<Ident> = (0..7).map(|n| ident(&format!("t{n}"))).collect();
    assert_eq!(listed(names), "t0, t1, t2, t3, t4 and 2 more");
}

#[test]
fn a_role_may_own_objects_where_it_may_create_them() {
    let table = entry(1, "TABLE", "t", &["ALTER TABLE public.t OWNER TO shop"]);
    let found = changed(|s| {
        s.facts.source.database.owner = ident("shop");
        s.facts.source.roles.push(role("shop"));
        s.facts.source.entries.push(table);
        let target = s.target();
        target.server.session_role.creates_roles = true;
        target.roles.push(Role { creates_databases: true, ..role("mover") });
    });
    assert_eq!(found, ["source::passwords_unreadable"]);
}

#[test]
fn only_the_owner_changes_a_database() {
    let found = changed(|s| {
        s.facts.source.database.comment = Some("goods".into());
        s.target().database.owner = ident("other");
    });
    assert_eq!(found, ["target::database_owner", "target::not_database_owner"]);
}

/// A plan that captures the changes of one table.
fn capturing(change: impl FnOnce(&mut Sample)) -> Vec<String> {
    changed(|sample| {
        sample.table(10, "public", "orders");
        sample.facts.source.server.session_role.superuser = true;
        sample.target().server.session_role.superuser = true;
        let all = ident("all");
        let set = ReplicationSet {
            name: all.clone(),
            slot: all.clone(),
            publication: None,
            operations: Operation::ALL.into(),
            tables: vec![name("public", "orders")],
            through_root: false,
        };
        let slot = Slot { name: all.clone(), existing: false, groups: vec![all], sets: vec![set] };
        sample.capture.slots.push(slot);
        change(sample);
    })
}

fn set(sample: &mut Sample, name: &str, value: &str) {
    sample.facts.source.server.settings.insert(name.to_owned(), value.to_owned());
}

#[test]
fn the_source_must_let_changes_be_decoded() {
    assert!(capturing(|s| set(s, "wal_level", "logical")).is_empty());
    assert_eq!(capturing(|s| set(s, "wal_level", "replica")), ["source::wal_level"]);
    assert!(changed(|s| set(s, "wal_level", "replica")).is_empty());
    let plugins = "output_plugin_libraries";
    assert!(capturing(|s| set(s, plugins, "wal2json, pgoutput")).is_empty());
    assert_eq!(capturing(|s| set(s, plugins, "wal2json")), ["source::output_plugin"]);
    let kept = capturing(|s| set(s, "max_slot_wal_keep_size", "1GB"));
    assert_eq!(kept, ["source::max_slot_wal_keep_size"]);
}

#[test]
fn no_subscription_may_become_a_synchronous_standby() {
    let found = |names| capturing(|s| set(s, "synchronous_standby_names", names));
    assert_eq!(found("FIRST 1 (*)"), ["source::any_synchronous_standby"]);
    assert!(found("FIRST 1 (one, two)").is_empty());
}

#[test]
fn roles_must_be_allowed_to_capture() {
    let plain = |role: &mut SessionRole| role.superuser = false;
    let found = capturing(|s| plain(&mut s.facts.source.server.session_role));
    assert!(found.contains(&"source::no_replication".to_owned()), "{found:?}");
    assert!(found.contains(&"source::not_owner".to_owned()), "{found:?}");
    let found = capturing(|s| {
        let role = &mut s.facts.source.server.session_role;
        plain(role);
        role.replication = true;
        role.member_of.push(ident("shop"));
    });
    assert!(!found.iter().any(|code| code.starts_with("source::no")), "{found:?}");

    let target = |major: u32, member_of: &str| {
        capturing(|s| {
            let server = &mut s.target().server;
            plain(&mut server.session_role);
            server.version = ServerVersion(major * 10_000);
            server.session_role.member_of.push(ident(member_of));
        })
        .contains(&"target::no_subscriptions".to_owned())
    };
    assert!(target(15, "pg_create_subscription"));
    assert!(!target(16, "pg_create_subscription"));
    assert!(target(16, "shop"));
}
