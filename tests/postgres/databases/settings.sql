-- A database whose settings, functions, operators and tables change what an unguarded session reads and writes.
-- PostgreSQL 12 or later. Loads by psql into an empty database; its roles begin with `settings_`.
-- Look at it afterwards with: PGOPTIONS='-c statement_timeout=0 -c search_path=settings' psql
\set ON_ERROR_STOP on
set client_min_messages = warning;
set standard_conforming_strings = on;
set datestyle = iso, ymd;
set intervalstyle = postgres;
set timezone = utc;

do $$ begin
  if not exists (select from pg_roles where rolname = 'settings_owner') then create role settings_owner; end if;
  if not exists (select from pg_roles where rolname = 'settings_reader') then create role settings_reader login connection limit 3 valid until '2040-01-01 00:00+00'; end if;
  if not exists (select from pg_roles where rolname = 'settings_"Quoted" role') then create role "settings_""Quoted"" role" createdb noinherit; end if;
end $$;

create schema settings;
set search_path = settings;

-- What each setting below would spoil.
create table moments (id serial primary key, ts timestamptz, plain timestamp, d date, i interval, t timetz);
insert into moments (ts, plain, d, i, t)
  select timestamptz '2026-03-04 05:06:07.089+00' + n * interval '31 days 5 hours', timestamp '2026-03-04 05:06:07' + n * interval '1 day', date '2026-03-04' + n,
         make_interval(months => n, days => -n, secs => n * 1.5), ('01:02:03+0' || n % 9)::timetz
    from generate_series(0, 499) as n;
create table measures (id serial primary key, r real, d double precision, m money, n numeric);
insert into measures (r, d, m, n) select 1.0 / n, pi() * n / 1e7, (n * 1.01)::numeric::money, 1.0 / n from generate_series(1, 500) as n;
insert into measures (r, d) values ('NaN', '-0'), ('Infinity', '1e308'), ('-0', 'NaN');
create table raw (id serial primary key, b bytea, t text, x xml, a integer[], ta text[]);
insert into raw (b, t, x, a, ta)
  select decode(md5(n::text), 'hex'), E'back\\slash \\' || n, xmlelement(name n, n), array[n, null, -n], array['NULL', null, 'null', '\']
    from generate_series(1, 300) as n;
insert into raw (t, x) values ('ß ž 🦀', xmlparse(content 'no <b>document</b> at all'));
create table private (id integer primary key, owner text, secret text);
insert into private select n, 'settings_reader', 'hidden ' || n from generate_series(1, 50) as n;
alter table private enable row level security;
alter table private force row level security;
create policy nobody on private using (false);
create table constants (a text default E'\\', b timestamptz default '2026-01-02 03:04:05+00', c interval default '1 mon -2 days', d double precision default 0.1,
  e bytea default '\x5c00', f date default '2026-02-03', check (f < '2040-05-06'), g double precision generated always as (d * 1.1) stored);
insert into constants default values;
create view constant_view as select ts > timestamptz '2026-05-06 07:08:09+00' as later, '1 year 2 mons'::interval as i, E'a\\b'::text as t, 0.1::real as r from moments;
create index constant_index on moments (id) where ts > '2026-05-06 07:08:09+00' and plain < '2030-01-02';
create materialized view counted as select count(*) as n, sum(id) as total, max(d) as latest from moments;
create sequence "Select" as bigint start 42;
select nextval('"Select"');

-- Objects that an unqualified name would find first. They answer wrongly, quietly.
create schema evil;
create table evil.pg_class as select * from pg_catalog.pg_class limit 3;
create table evil.pg_namespace (oid oid, nspname name);
create table evil.pg_attribute (attrelid oid, attname name, attnum smallint);
create view evil.pg_settings as select 'server_version_num'::text as name, '90600'::text as setting;
create view evil.pg_constraint as select 1 as oid where false;
create view evil.pg_roles as select 'nobody'::name as rolname, true as rolsuper;
create view evil.pg_database as select 'template0'::name as datname, 0::oid as oid;
create function evil.format(text, text) returns text language sql immutable as $$ select 'evil'::text $$;
create function evil.format(text, variadic text[]) returns text language sql immutable as $$ select 'evil'::text $$;
create function evil.quote_ident(name) returns text language sql immutable as $$ select 'evil'::text $$;
create function evil.quote_ident(text) returns text language sql immutable as $$ select 'evil'::text $$;
create function evil.quote_literal(text) returns text language sql immutable as $$ select '''evil'''::text $$;
create function evil.quote_nullable(text) returns text language sql immutable as $$ select '''evil'''::text $$;
create function evil.md5(text) returns text language sql immutable as $$ select 'evil'::text $$;
create function evil.length(text) returns integer language sql immutable as $$ select 0 $$;
create function evil.lower(text) returns text language sql immutable as $$ select 'evil'::text $$;
create function evil.upper(text) returns text language sql immutable as $$ select 'EVIL'::text $$;
create function evil.now() returns timestamptz language sql stable as $$ select '-infinity'::timestamptz $$;
create function evil.clock_timestamp() returns timestamptz language sql volatile as $$ select '-infinity'::timestamptz $$;
create function evil.version() returns text language sql stable as $$ select 'PostgreSQL 6.5'::text $$;
create function evil.current_setting(text) returns text language sql stable as $$ select 'evil'::text $$;
create function evil.current_setting(text, boolean) returns text language sql stable as $$ select 'evil'::text $$;
create function evil.set_config(text, text, boolean) returns text language sql volatile as $$ select $2 $$;
create function evil.setval(regclass, bigint) returns bigint language sql volatile as $$ select $2 $$;
create function evil.setval(regclass, bigint, boolean) returns bigint language sql volatile as $$ select $2 $$;
create function evil.nextval(regclass) returns bigint language sql volatile as $$ select 1::bigint $$;
create function evil.pg_relation_size(regclass) returns bigint language sql volatile as $$ select 0::bigint $$;
create function evil.pg_total_relation_size(regclass) returns bigint language sql volatile as $$ select 0::bigint $$;
create function evil.pg_get_constraintdef(oid) returns text language sql stable as $$ select 'evil'::text $$;
create function evil.pg_get_indexdef(oid) returns text language sql stable as $$ select 'evil'::text $$;
create function evil.pg_get_viewdef(oid) returns text language sql stable as $$ select 'evil'::text $$;
create function evil.pg_export_snapshot() returns text language sql volatile as $$ select 'evil'::text $$;
create function evil.pg_advisory_lock(bigint) returns void language sql volatile as $$ select null::void $$;
create function evil.pg_try_advisory_lock(bigint) returns boolean language sql volatile as $$ select true $$;
create function evil.to_regclass(text) returns regclass language sql stable as $$ select null::regclass $$;
create function evil.coalesce(text, text) returns text language sql immutable as $$ select 'evil'::text $$;
create function evil.hash_record_extended(settings.moments, bigint) returns bigint language sql immutable as $$ select 42::bigint $$;
create function evil.hash_record_extended(settings.raw, bigint) returns bigint language sql immutable as $$ select 42::bigint $$;
create function evil.hashtextextended(text, bigint) returns bigint language sql immutable as $$ select 42::bigint $$;
create function evil.none(bigint, bigint) returns bigint language sql immutable as $$ select 0::bigint $$;
create aggregate evil.count(*) (sfunc = pg_catalog.int8inc, stype = bigint, initcond = '1000000');
create aggregate evil.count("any") (sfunc = pg_catalog.int8inc_any, stype = bigint, initcond = '1000000');
create aggregate evil.sum(bigint) (sfunc = evil.none, stype = bigint, initcond = '0');
create aggregate evil.max(bigint) (sfunc = evil.none, stype = bigint, initcond = '0');
create function evil.same_never(integer, integer) returns boolean language sql immutable as $$ select false $$;
create function evil.same_never(name, name) returns boolean language sql immutable as $$ select false $$;
create function evil.same_never(text, text) returns boolean language sql immutable as $$ select false $$;
create function evil.same_never(oid, oid) returns boolean language sql immutable as $$ select false $$;
create operator evil.= (function = evil.same_never, leftarg = integer, rightarg = integer);
create operator evil.= (function = evil.same_never, leftarg = name, rightarg = name);
create operator evil.= (function = evil.same_never, leftarg = text, rightarg = text);
create operator evil.= (function = evil.same_never, leftarg = oid, rightarg = oid);
create function evil.joined(text, text) returns text language sql immutable as $$ select 'evil'::text $$;
create operator evil.|| (function = evil.joined, leftarg = text, rightarg = text);
create domain evil.text as pg_catalog.text check (value is null);
create domain evil.int8 as pg_catalog.int8 check (value is null);
create domain evil.regclass as pg_catalog.oid;
create table evil."oid" (a integer);
-- A table of the user's whose check and index call such functions: restoring them must find the right ones.
create function evil.is_positive(integer) returns boolean language sql immutable as $$ select $1 operator(pg_catalog.>) 0 $$;
create table evil.uses_them (id integer primary key check (evil.is_positive(id)), t pg_catalog.text, low pg_catalog.text generated always as (evil.lower(t)) stored);
insert into evil.uses_them (id, t) select n, 'T' from generate_series(1, 40) as n;
create index uses_them_index on evil.uses_them (evil.lower(t));

grant usage on schema settings to settings_reader;
grant select on all tables in schema settings to settings_reader;
alter table private owner to settings_owner;
analyze;

-- The settings, of the database and of roles in it. They hold for sessions to come, not for this one.
do $$
declare
  db text := current_database();
  item record;
begin
  for item in select * from (values
    ('"DateStyle"', $v$'SQL, DMY'$v$), ('"IntervalStyle"', $v$'iso_8601'$v$), ('"TimeZone"', $v$'Asia/Kolkata'$v$), ('timezone_abbreviations', $v$'India'$v$),
    ('extra_float_digits', '-15'), ('bytea_output', $v$'escape'$v$), ('lc_monetary', $v$'C'$v$), ('lc_numeric', $v$'C'$v$), ('array_nulls', 'off'),
    ('search_path', 'evil, settings, pg_catalog, "$user", "with, comma"'), ('statement_timeout', $v$'50ms'$v$), ('lock_timeout', $v$'20ms'$v$), ('idle_in_transaction_session_timeout', $v$'100ms'$v$),
    ('default_transaction_read_only', 'on'), ('default_transaction_isolation', $v$'serializable'$v$), ('default_transaction_deferrable', 'on'),
    ('quote_all_identifiers', 'on'), ('standard_conforming_strings', 'off'), ('backslash_quote', 'on'), ('escape_string_warning', 'on'), ('row_security', 'off'), ('transform_null_equals', 'on'),
    ('xmlbinary', $v$'hex'$v$), ('xmloption', $v$'document'$v$), ('check_function_bodies', 'on'), ('default_text_search_config', $v$'pg_catalog.german'$v$), ('client_encoding', $v$'LATIN1'$v$),
    ('application_name', $v$'pgkedge:imposter'$v$), ('client_min_messages', $v$'debug1'$v$), ('synchronize_seqscans', 'on'), ('enable_seqscan', 'off'), ('lo_compat_privileges', 'on'), ('password_encryption', $v$'md5'$v$),
    ('work_mem', $v$'64kB'$v$), ('maintenance_work_mem', $v$'1MB'$v$), ('max_parallel_workers_per_gather', '0'), ('from_collapse_limit', '1'), ('synchronous_commit', 'off'), ('jit', 'on'),
    ('"settings.custom"', $v$'a, b; ''quoted'' "double" back\slash = x'$v$), ('"settings.lines"', E'E''one\\ntwo\\ttab'''), ('"settings.empty"', $v$''$v$)
  ) as wanted(name, value) loop
    execute format('alter database %I set %s = %s', db, item.name, item.value);
  end loop;
  execute format('alter role settings_reader in database %I set search_path = settings', db);
  execute format('alter role settings_reader in database %I set role = settings_owner', db);
  execute format('alter role "settings_""Quoted"" role" in database %I set "TimeZone" = %L', db, 'America/St_Johns');
  execute format('alter role settings_owner in database %I set session_replication_role = replica', db);
  execute format('comment on database %I is %L', db, E'A database with opinions.\nIt''s "odd" \\.');
  execute format('alter database %I connection limit 90', db);
  execute format('revoke all on database %I from public', db);
  execute format('grant connect on database %I to settings_reader with grant option', db);
  execute format('grant create, temporary on database %I to settings_owner', db);
end $$;
alter role settings_reader set statement_timeout = '1min';
alter role settings_reader set search_path = 'a', 'B c', "$user";
alter role settings_owner set log_min_duration_statement = 250;
