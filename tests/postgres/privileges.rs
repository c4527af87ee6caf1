//! Roles that may do little: what they can move, and what is told before anything is changed.

use std::path::PathBuf;

use crate::harness::{Ended, Move, Side, pgkedge, text, write_private};

/// A small database of an application that has roles of its own.
const APPLICATION: &str = "
    create role app_owner;
    create role app_user login password 'not a secret';
    grant app_owner to app_user;
    create schema app authorization app_owner;
    set role app_owner;
    create type app.state as enum ('new', 'paid');
    create table app.customer (
      id bigint generated always as identity primary key, name text not null, state app.state default 'new');
    create table app.purchase (
      id serial primary key, customer bigint not null references app.customer, at timestamptz default now());
    create index by_customer on app.purchase (customer);
    create view app.busy as select customer, count(*) from app.purchase group by customer;
    create materialized view app.counted as select count(*) from app.purchase;
    create function app.greet(text) returns text language sql immutable as $$ select 'hello ' || $1 $$;
    comment on table app.customer is 'who buys';
    grant select on app.customer to app_user;
    insert into app.customer (name) select 'c' || n from generate_series(1, 200) n;
    insert into app.purchase (customer) select 1 + n % 200 from generate_series(1, 1000) n;
    refresh materialized view app.counted;
    reset role";
const IN_PUBLIC: &str = "
    alter database dvd_rental owner to app_owner;
    set role app_owner; create table public.plain (a int); reset role;";

/// A role that reads on the source, and one that owns the database of the target.
fn with_roles(source_more: &str, target_more: &str) -> Move {
    let moved = Move::new();
    moved.sql(Side::Source, APPLICATION);
    moved.sql(Side::Source, &format!("create role reader login password 'r'; {source_more}"));
    moved.sql(Side::Target, &format!("create role mover login password 'm'; {target_more}"));
    moved
}

/// The plan of these roles.
fn plan(moved: &Move) -> PathBuf {
    let path = moved.plan_named("least", "");
    let mut written = std::fs::read_to_string(&path).expect("it was written");
    for (cluster, role) in [(&moved.sandbox.source, "reader:r"), (&moved.sandbox.target, "mover:m")]
    {
        let url =
            moved.sandbox.folder.join(format!("{}.url", role.split_once(':').expect("a role").0));
        let connection =
            format!("postgresql://{role}@127.0.0.1:{}/{}", cluster.port, cluster.database);
        write_private(&url, &connection);
        written = written.replace(text(&cluster.url), text(&url));
    }
    std::fs::write(&path, written).expect("it is written");
    path
}

fn run(moved: &Move) -> Ended {
    pgkedge(&["run", text(&plan(moved)), "--yes", "--state", text(&moved.state)])
}

/// The target's catalog of schemas and roles, to see that nothing was changed.
fn traces(moved: &Move) -> String {
    moved.sql(
        Side::Target,
        "select string_agg(name, ' ' order by name) from (select nspname as name from pg_namespace \
         where nspname !~ '^pg_' union all select rolname from pg_roles where rolname !~ '^pg_') x",
    )
}

const OWNS: &str = "alter role mover createrole; alter database dvd_rental owner to mover";

#[test]
fn roles_with_the_least_privileges_move_a_database() {
    let moved = with_roles(
        "grant pg_read_all_data to reader; alter database dvd_rental owner to app_owner",
        OWNS,
    );
    let warned = run(&moved).expect(0);
    assert!(warned.stderr.contains("app_user"), "its password is lost: {}", warned.stderr);
    moved.assert_nothing_is_left();
    for table in ["app.customer", "app.purchase"] {
        let digest = format!("select count(*), sum(hashtext(t::text)) from {table} t");
        assert_eq!(moved.sql(Side::Target, &digest), moved.sql(Side::Source, &digest));
    }
    let owner = "select tableowner from pg_tables where tablename = 'customer'";
    assert_eq!(moved.sql(Side::Target, owner), "app_owner");
}

#[test]
fn a_table_that_the_source_role_may_not_read_is_named_with_the_grant() {
    let moved = with_roles(
        "grant usage on schema app to reader; grant select on app.purchase to reader",
        OWNS,
    );
    let before = traces(&moved);
    let ended = run(&moved);
    assert!(matches!(ended.code, Some(1 | 4)), "{:?} {}", ended.code, ended.stderr);
    for words in ["app.customer", "grant select on", "reader"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert_eq!(traces(&moved), before);
}

#[test]
fn what_a_role_lacks_is_named_before_anything_is_changed() {
    let hides = "grant pg_read_all_data to reader; alter table app.customer enable row level \
                 security; create policy low on app.customer using (id < 10);";
    let moved = with_roles(&format!("{hides}{IN_PUBLIC}"), "select 1");
    let before = traces(&moved);
    let ended = pgkedge(&["preflight", text(&plan(&moved)), "--output", "json"]).expect(4);
    for code in [
        "source::row_security",
        "target::cannot_create_roles",
        "target::cannot_create_schemas",
        "target::cannot_create_in_public",
    ] {
        assert!(ended.stdout.contains(code), "{code}: {}", ended.stdout);
    }
    let ended = run(&moved).expect(4);
    for words in ["app.customer", "bypassrls", "createrole", "grant create on database"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert_eq!(traces(&moved), before);
    moved.assert_nothing_is_left();

    // Each is mended as the help says.
    moved.sql(Side::Source, "alter role reader bypassrls");
    moved.sql(
        Side::Target,
        "alter role mover createrole; create role app_owner; \
         alter database dvd_rental owner to app_owner; grant app_owner to mover",
    );
    run(&moved).expect(0);
    moved.assert_nothing_is_left();
    assert_eq!(moved.sql(Side::Target, "select count(*) from app.customer"), "200");
}
