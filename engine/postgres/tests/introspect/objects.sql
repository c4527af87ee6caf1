-- Every kind of object that a dump knows, under names that are hard to read back.
create extension hstore with schema public;
create extension citext;
create extension pg_trgm;
create extension postgres_fdw;
create extension btree_gist;

create schema app authorization rich_owner;
create schema "Sch""ema; Type: TABLE";
create schema "select";
create schema "-";
create schema "new
line";
create schema pgkedge_0a1b2c3d;
create table pgkedge_0a1b2c3d.run (run_id text primary key);
create schema pgkedge_notours;
create table pgkedge_notours.kept (a int);
comment on schema app is 'comment; with -- dashes';
comment on schema "new
line" is E'two\nlines\n--\n-- TOC entry 9999 (class 1259 OID 1)\n-- Name: fake; Type: TABLE; Schema: public; Owner: x\n--\n';

-- Types.
create type app.mood as enum ('sad', 'ok', 'it''s', '😀');
alter type app.mood add value 'better' before 'ok';
create type app.money_pair as (amount numeric(12, 2), currency text collate "C", mood app.mood);
create type app."Type""d" as (a int, "b c" app.mood[]);
create domain app.positive as integer default 1 constraint "positive; check" check (value > 0) not null;
alter domain app.positive add constraint big check (value < 1000000) not valid;
create domain app.mood_domain as app.mood;
create domain app.pos_list as app.positive[];
create type app.text_range as range (subtype = text, collation = "C", multirange_type_name = app.text_ranges);
create function app.float_diff(a float8, b float8) returns float8 language sql immutable as 'select a - b';
create type app.float_range as range (subtype = float8, subtype_diff = app.float_diff);
create type app.shell;
create type app.celsius;
create function app.celsius_in(cstring) returns app.celsius language internal immutable strict as 'int4in';
create function app.celsius_out(app.celsius) returns cstring language internal immutable strict as 'int4out';
create type app.celsius (input = app.celsius_in, output = app.celsius_out, like = int4);
comment on type app.mood is 'how one feels';
comment on domain app.positive is 'above zero';
comment on constraint big on domain app.positive is 'comment on a domain constraint';
comment on column app.money_pair.amount is 'column of a composite';

create collation app.numeric_order (provider = icu, locale = 'en-u-kn-true');
create collation app.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create conversion app.my_conversion for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;

-- Functions.
create function app.tricky() returns text language plpgsql as $function$
begin
  -- a body that looks like the archive
  return '
--
-- TOC entry 4242 (class 1255 OID 4242)
-- Dependencies: 3
-- Name: fake; Type: FUNCTION; Schema: public; Owner: nobody
--

drop schema app cascade;
';
end $function$;
create function app.dollars() returns text language sql as $$select '$_$ $function$ ; --' || 'x'$$;
create function app.atomic(a int, b int default 3) returns int language sql immutable
begin atomic
  select case when a > b then a else b end;
  select a + b;
end;
create procedure app.atomic_procedure(x int) language sql
begin atomic
  insert into pgkedge_notours.kept values (x);
  update pgkedge_notours.kept set a = case a when 1 then 2 else a end;
end;
create function app.set_of(variadic list int[]) returns setof int language sql as $a$ select unnest(list) $a$;
create function app.with_settings() returns void language plpgsql security definer cost 7 parallel safe leakproof
  set search_path = app, "Sch""ema; Type: TABLE" set work_mem = '1MB' as 'begin perform 1; end';
create function app.old_style() returns text language plpgsql as 'begin return ''semi;colon \ backslash''; end';
create function app."quote""d; Type: FUNCTION; Schema: public; Owner: me"(a app.mood default 'sad'::app.mood) returns int language sql as 'select 1';
alter function app.tricky() owner to "Rich ""App""; Owner: x";
create procedure app.plain_procedure(inout a int) language plpgsql as $$ begin a := a + 1; commit; end $$;
comment on function app.tricky() is 'tricky '' ; $$ comment';
comment on procedure app.plain_procedure(int) is 'a procedure';
create aggregate app.total(int) (sfunc = int4pl, stype = int, initcond = '0', combinefunc = int4pl, parallel = safe);
create aggregate app.percentile(float8 order by anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
comment on aggregate app.total(int) is 'sums';

-- Operators.
create function app.pair_eq(app.money_pair, app.money_pair) returns bool language sql immutable as 'select $1.amount = $2.amount';
create function app.pair_lt(app.money_pair, app.money_pair) returns bool language sql immutable as 'select $1.amount < $2.amount';
create function app.pair_cmp(app.money_pair, app.money_pair) returns int language sql immutable as 'select case when $1.amount < $2.amount then -1 when $1.amount = $2.amount then 0 else 1 end';
create operator app.=== (function = app.pair_eq, leftarg = app.money_pair, rightarg = app.money_pair, commutator = operator(app.===));
create operator app.<<< (function = app.pair_lt, leftarg = app.money_pair, rightarg = app.money_pair);
create operator family app.pair_family using btree;
create operator class app.pair_ops for type app.money_pair using btree family app.pair_family as
  operator 1 app.<<<, operator 3 app.===, function 1 app.pair_cmp(app.money_pair, app.money_pair);
create function app.pair_hash(app.money_pair) returns int language sql immutable as 'select hashtext($1.currency)';
create operator class app.lone_ops for type app.money_pair using hash as
  operator 1 app.===, function 1 app.pair_hash(app.money_pair);
comment on operator app.=== (app.money_pair, app.money_pair) is 'same amount';
comment on operator class app.pair_ops using btree is 'orders pairs';
create function app.pair_to_text(app.money_pair) returns text language sql immutable as 'select $1.currency';
create cast (app.money_pair as text) with function app.pair_to_text(app.money_pair) as assignment;
create cast (app.mood as integer) with inout;
comment on cast (app.money_pair as text) is 'a cast';
create function app.to_hstore_trf(internal) returns internal language internal immutable as 'boolin';

-- Text search.
create text search dictionary app.simple_dict (template = pg_catalog.simple, stopwords = english);
create text search configuration app.config (parser = pg_catalog."default");
alter text search configuration app.config add mapping for asciiword, word with app.simple_dict;
create text search parser app.parser (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
create text search template app.template (lexize = dsimple_lexize);
comment on text search configuration app.config is 'ts';

-- Tables.
create table app.everything (
  id bigint generated by default as identity (start 10 increment 5),
  "select" text not null default 'x;--',
  "Quo""te" app.mood,
  "new
line" numeric(10, 3) default 1.5,
  "😀" timestamptz default now(),
  pair app.money_pair,
  list app.mood[] default '{sad}',
  tags hstore,
  ci citext unique,
  pos app.positive,
  span app.float_range,
  spans app.text_ranges,
  temperature app.celsius,
  blind text collate app.blind,
  computed int generated always as (length("select")) stored,
  payload bytea,
  doc jsonb compression pglz,
  constraint "pk; Type: INDEX" primary key (id),
  constraint "chk -- comment" check ("select" <> ';') no inherit,
  constraint excl exclude using gist (span with &&) deferrable initially deferred
);
alter table app.everything owner to rich_owner;
alter table app.everything add constraint later check (pos < 500) not valid;
alter table app.everything alter column "select" set statistics 500;
alter table app.everything alter column payload set storage external;
alter table app.everything alter column "Quo""te" set (n_distinct = 4);
alter table app.everything replica identity full;
alter table app.everything set (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off);
comment on table app.everything is 'all; of
it';
comment on column app.everything."new
line" is 'column ''comment''';
comment on constraint "pk; Type: INDEX" on app.everything is 'comment on a constraint';
create index "Ind""ex; 😀" on app.everything using gin (tags) where id > 5;
create index expressions on app.everything ((lower("select")), "Quo""te" desc nulls last) include (pos) with (fillfactor = 50);
create unique index trgm_less on app.everything (pos) nulls not distinct;
create index trgm on app.everything using gist ("select" gist_trgm_ops(siglen=32));
alter index app.expressions alter column 1 set statistics 300;
cluster app.everything using "pk; Type: INDEX";
comment on index app.expressions is 'comment on an index';
create statistics app.stats (ndistinct, dependencies, mcv) on "select", pos from app.everything;
alter statistics app.stats set statistics 77;
create statistics app.stats_expression on (id % 10) from app.everything;
comment on statistics app.stats is 'extended';

create table "Sch""ema; Type: TABLE"."tab""le; Schema: x; Owner: y" (
  a int primary key, b int unique deferrable initially deferred,
  everything bigint references app.everything on delete cascade on update set null deferrable,
  self int references "Sch""ema; Type: TABLE"."tab""le; Schema: x; Owner: y" (a) match full);
alter table "Sch""ema; Type: TABLE"."tab""le; Schema: x; Owner: y" owner to "Rich ""App""; Owner: x";
alter table "Sch""ema; Type: TABLE"."tab""le; Schema: x; Owner: y" add constraint not_yet foreign key (b) references app.everything (id) not valid;
create table "select"."table" ("user" int, "order" text, "a
b" int check ("a
b" > 0));
create table "-"."-" (a int);
create table "new
line"."
" ("
" int);
create table app.n23456789012345678901234567890123456789012345678901234567890123 (c23456789012345678901234567890123456789012345678901234567890123 int primary key);
create table app.no_columns ();
create unlogged table app.unlogged (a int primary key, b serial);
create table app.parent (a int, b text default 'p', constraint a_positive check (a > 0));
create table app.child (c int, b text default 'c') inherits (app.parent);
create table app.second_child (b text default 'q') inherits (app.parent, app.child);
create table app.of_type of app.money_pair (amount with options not null, primary key (amount));
create table app.identity_index (a int not null, b int not null);
create unique index identity_index_ab on app.identity_index (a, b);
alter table app.identity_index replica identity using index identity_index_ab;
create table app.dropped_column (a int, gone int, b text);
alter table app.dropped_column drop column gone;
create table app.always_identity (id smallint generated always as identity (sequence name app."ident;seq" minvalue -5 maxvalue 99 cycle), v text);

-- Partitions.
create table app.measure (id bigint generated always as identity, at date not null, mood app.mood, value int, primary key (id, at, mood)) partition by range (at);
create table app.measure_2024 partition of app.measure for values from ('2024-01-01') to ('2025-01-01') partition by list (mood);
create table app.measure_2024_sad partition of app.measure_2024 for values in ('sad', null);
create table app.measure_2024_rest partition of app.measure_2024 default partition by hash (id);
create table app.measure_2024_rest_0 partition of app.measure_2024_rest for values with (modulus 2, remainder 0);
create table app.measure_2024_rest_1 partition of app.measure_2024_rest for values with (modulus 2, remainder 1);
create table app.measure_default partition of app.measure default;
alter table app.measure_2024_sad add constraint only_here check (value < 100);
alter table app.measure_2024_sad alter column value set default 9;
create index measure_value on app.measure (value);
create index measure_lonely on only app.measure (at, value);
create table app.by_mood (mood app.mood, n int) partition by hash (mood);
create table app.by_mood_0 partition of app.by_mood for values with (modulus 2, remainder 0) partition by range (n);
create table app.by_mood_0_low partition of app.by_mood_0 for values from (minvalue) to (100);
create table app.by_mood_1 partition of app.by_mood for values with (modulus 2, remainder 1);
create table app.by_pair (pair app.money_pair, moods app.mood_domain[]) partition by hash (moods);
create table app.by_pair_0 partition of app.by_pair for values with (modulus 1, remainder 0);
create table app.by_expression (n int) partition by hash ((n / 2));
create table app.by_expression_0 partition of app.by_expression for values with (modulus 1, remainder 0);
create table app.refers (id bigint, at date, mood app.mood, foreign key (id, at, mood) references app.measure);
create table app.ref_target (a int primary key);
create table app.refers_part (a int references app.ref_target, b int) partition by range (b);
create table app.refers_part_1 partition of app.refers_part for values from (0) to (10);

create table app.constants (
  at timestamptz default '2024-01-02 03:04:05+00' check (at > '2024-06-01 00:00:00.123+00'),
  span interval default '1 mon -2 days 03:04:05.6', price money default 1234.5::numeric::money,
  bytes bytea default '\x00ff5c27', real float8 default 0.1::float4 + 1e-7, path text default E'a\\b''c',
  check (price > '1.50'::money)) partition by range (at);
create table app.constants_2024 partition of app.constants for values from ('2024-01-01 00:00:00+00') to ('2025-01-01 00:00:00+00');

-- Sequences, views, rules, triggers, policies.
create sequence app.counter as smallint increment by -2 start with -4 cache 3 cycle;
alter sequence app.counter owned by app.parent.a;
create sequence "select"."seq;uence" owned by none;
comment on sequence app.counter is 'counts';
create view app.plain_view with (security_barrier, check_option = local) as select id, "select" from app.everything where id > 0;
create view app.union_view as select 1 as a union all select 2;
alter view app.plain_view alter column "select" set default 'from the view';
create view app.recursive_view as with recursive r (n) as (values (1) union all select n + 1 from r where n < 3) select n from r;
create materialized view app.material as select "Quo""te" as mood, count(*) as n from app.everything group by 1 with no data;
create materialized view app.material_filled as select 1 as one;
create unique index material_mood on app.material (mood);
comment on view app.plain_view is 'a view';
comment on column app.plain_view.id is 'a column of a view';
comment on materialized view app.material is 'a materialized view';
create view app.rule_view as select a from app.parent;
create rule "insert; rule" as on insert to app.rule_view do instead (insert into app.parent (a) values (new.a); select 1);
create rule nothing as on delete to app.parent where old.a = 1 do instead nothing;
alter table app.parent disable rule nothing;
comment on rule nothing on app.parent is 'a rule';
create view app.circular as select 1 as a;
create function app.reads_circular() returns setof app.circular language sql as 'select * from app.circular';
create or replace view app.circular as select a from (select 1 as a) q where exists (select app.reads_circular());
create function app.on_change() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger "before; update" before update of "select" on app.everything for each row when (old.id <> new.id) execute function app.on_change('arg''1', 'x;y');
create trigger after_statement after insert on app.everything referencing new table as added for each statement execute function app.on_change();
create constraint trigger deferred_one after insert on app.everything deferrable initially deferred for each row execute function app.on_change();
create trigger always_one before insert on app.parent for each row execute function app.on_change();
alter table app.parent enable always trigger always_one;
create trigger disabled_one before insert on app.parent for each row execute function app.on_change();
alter table app.parent disable trigger disabled_one;
create trigger on_partitioned after insert on app.measure for each row execute function app.on_change();
alter table app.measure_2024_sad disable trigger on_partitioned;
create trigger instead_of instead of update on app.plain_view for each row execute function app.on_change();
comment on trigger always_one on app.parent is 'a trigger';
alter table app.everything enable row level security;
alter table app.parent enable row level security;
alter table app.parent force row level security;
create policy "pol;icy" on app.everything as restrictive for select to rich_reader, "😀 reader" using (id > 0);
create policy plain on app.parent using (true) with check (a > 1);
comment on policy plain on app.parent is 'a policy';
create function app.on_ddl() returns event_trigger language plpgsql as $$ begin end $$;
create event trigger "on; ddl" on ddl_command_end when tag in ('CREATE TABLE', 'DROP TABLE') execute function app.on_ddl();
alter event trigger "on; ddl" disable;
comment on event trigger "on; ddl" is 'an event trigger';

-- Foreign data.
create foreign data wrapper plain_wrapper options (debug 'true');
create server "Remote; server" type 't' version '1' foreign data wrapper postgres_fdw options (host 'nowhere', dbname 'x''y');
create server bare foreign data wrapper plain_wrapper;
create user mapping for rich_owner server "Remote; server" options (user 'u', password 'hidden;''secret');
create user mapping for public server bare options (token 'hidden too');
create user mapping for "Rich ""App""; Owner: x" server bare;
create foreign table app.remote (a int options (column_name 'b'), b text not null) server "Remote; server" options (table_name 't;t');
create table app.over_remote (a int, b int) partition by range (b);
create foreign table app.remote_part partition of app.over_remote for values from (10) to (20) server "Remote; server";
comment on server "Remote; server" is 'a server';
comment on foreign data wrapper plain_wrapper is 'a wrapper';
comment on foreign table app.remote is 'a foreign table';

-- Publications, access methods, languages, large objects.
create access method second_heap type table handler heap_tableam_handler;
create table app.in_second_heap (a int) using second_heap;
comment on access method second_heap is 'an access method';
create function app.copied_handler() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
create function app.copied_inline(internal) returns void language c strict as '$libdir/plpgsql', 'plpgsql_inline_handler';
create trusted language copied handler app.copied_handler inline app.copied_inline;
create function app.in_copied() returns int language copied as ' begin return 1; end ';
create transform for hstore language copied (from sql with function app.to_hstore_trf(internal));
create publication everything_published for all tables with (publish = 'insert');
create publication "some; of it" for table app.parent where (a > 5), app.ref_target (a) with (publish_via_partition_root);
create publication "schema; wide" for tables in schema "select";
alter publication "some; of it" owner to postgres;
comment on publication "some; of it" is 'a publication';
do $$ begin perform lo_create(4711); end $$;
comment on large object 4711 is 'not in a schema dump';

-- Privileges.
grant usage on schema app to rich_reader with grant option;
set session authorization rich_owner;
grant usage on schema app to "Rich ""App""; Owner: x";
grant select on app.everything to rich_reader with grant option;
grant update ("select", "Quo""te") on app.everything to "😀 reader";
reset session authorization;
set role rich_reader;
grant select on app.everything to rich_limited;
reset role;
revoke all on function app.atomic(int, int) from public;
grant execute on function app.atomic(int, int) to rich_reader;
grant usage on sequence app.counter to rich_reader;
grant usage on type app.mood to rich_reader;
revoke usage on domain app.positive from public;
grant usage on foreign server "Remote; server" to rich_owner;
grant usage on foreign data wrapper plain_wrapper to rich_owner;
revoke all on language copied from public;
revoke create on schema public from public;
revoke usage on schema public from public;
grant select on pg_catalog.pg_class to rich_reader;
alter default privileges for role rich_owner in schema app grant select on tables to rich_reader;
alter default privileges for role rich_owner revoke execute on functions from public;
alter default privileges grant usage on types to "😀 reader";
alter schema public owner to rich_owner;
comment on schema public is 'changed';
comment on extension hstore is 'changed as well';

-- The database itself, and what only statistics tell.
alter database rich connection limit 17;
alter database rich set datestyle = 'SQL, DMY';
alter database rich set timezone = 'Asia/Kathmandu';
alter database rich set intervalstyle = 'sql_standard';
alter database rich set bytea_output = 'escape';
alter database rich set extra_float_digits = -15;
alter database rich set quote_all_identifiers = on;
alter database rich set default_transaction_read_only = on;
alter database rich set standard_conforming_strings = off;
alter database rich set search_path = app;
alter database rich set app.equation = 'a=b=c';
alter role rich_owner in database rich set search_path = app, "$user";
comment on database rich is 'a; database';
revoke all on database rich from public;
grant connect, create on database rich to rich_reader with grant option;
create index everywhere on app.parent (b) tablespace "rich; ""space""";
insert into app.ref_target select generate_series(1, 10);
analyze app.ref_target;
