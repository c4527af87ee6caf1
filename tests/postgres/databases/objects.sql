-- Every kind of object that pg_dump knows, in its odd shapes. PostgreSQL 15 or later, with its contrib extensions.
-- Loads by psql into an empty database, any number of times into one cluster (its roles begin with `objects_`).
\set ON_ERROR_STOP on
set client_min_messages = warning;
set standard_conforming_strings = on;
set datestyle = iso, ymd;
set timezone = utc;

-- Roles: a chain of grants, with and without inheritance, with settings.
do $$
declare
  role text;
begin
  foreach role in array array['objects_owner', 'objects_lead', 'objects_member', 'objects_guest', 'objects_login'] loop
    if not exists (select from pg_roles where rolname = role) then execute format('create role %I', role); end if;
  end loop;
end $$;
alter role objects_owner createdb;
alter role objects_lead createrole noinherit;
alter role objects_login login password 'not a secret' valid until '2035-06-07 08:09:10+00' connection limit 7;
comment on role objects_guest is 'May look, not touch.';
grant objects_lead to objects_owner with admin option;
grant objects_member to objects_lead;
grant objects_guest to objects_member, objects_login;

create schema objects authorization objects_owner;
create schema more;
create schema extensions;
create schema empty_one;
comment on schema objects is 'A bit of everything.';
comment on schema public is 'changed';
revoke create on schema public from public;
grant usage on schema public to objects_guest;
set search_path = objects, public;

-- Extensions, some in a schema of their own, with objects that depend on them.
create extension hstore schema extensions;
create extension citext schema extensions;
create extension pg_trgm schema extensions;
create extension btree_gist schema public;
create extension intarray schema extensions;
create extension postgres_fdw;
create extension "uuid-ossp" schema extensions;
create extension tablefunc schema extensions;
comment on extension hstore is 'a comment of our own';

-- Types.
create type colour as enum ('red', 'green', 'blue');
alter type colour add value 'amber' before 'green';
create type colour_alias as enum ();
create type position_3d as (x double precision, y double precision, label text collate "C");
create type shell;
create domain positive as integer check (value > 0);
create domain even_positive as positive default 2 not null constraint is_even check (value % 2 = 0);
alter domain positive add constraint not_valid_yet check (value < 1000000) not valid;
create domain tags as text[] check (array_position(value, '') is null);
create type price_range as range (subtype = numeric, multirange_type_name = price_ranges);
comment on type colour is 'Signal colours.';
comment on domain positive is 'Above nothing.';
comment on constraint not_valid_yet on domain positive is 'Not checked for old rows.';
comment on column position_3d.label is 'What it is called.';

-- A base type with functions of C that the server brings, and a cast to it.
create type code;
create function code_in(cstring) returns code language internal immutable strict as 'textin';
create function code_out(code) returns cstring language internal immutable strict as 'textout';
create type code (input = code_in, output = code_out, like = text, category = 'U', preferred = false, default = 'none', delimiter = ';');
create cast (code as text) without function as assignment;
create cast (text as code) without function;
create function colour_number(colour) returns integer language sql immutable as $$ select array_position(enum_range(null::objects.colour), $1) $$;
create cast (colour as integer) with function colour_number(colour) as assignment;
create cast (integer as position_3d) with inout;
comment on cast (colour as integer) is 'Its rank.';

-- Functions, procedures, aggregates. Bodies that look like something else.
create function add_one(integer) returns integer language sql immutable strict parallel safe leakproof cost 7 return $1 + 1;
create function atomic(a integer, inout c integer default 5, out b integer, variadic rest integer[] default '{}') language sql
begin atomic
  select a + c;
  select a, c;
end;
create function traps() returns setof text language plpgsql rows 3 set work_mem = '4MB' set search_path = objects, pg_temp as $body$
begin
  return next $$
--
-- TOC entry 200 (class 1259 OID 16400)
-- Dependencies: 5 201
-- Name: fake; Type: TABLE; Schema: objects; Owner: postgres
--

CREATE TABLE objects.fake ();


--
-- TOC entry 3333 (class 0 OID 0)
$$;
  return next '; /* -- ''';
end
$body$;
create function secret() returns text language sql security definer set search_path = pg_catalog as $$ select current_user::text $$;
create function table_returning(n integer) returns table (i integer, t text) language sql as $$ select i, i::text from generate_series(1, n) as i $$;
create function polymorphic(anyarray, anyelement) returns anyelement language sql as $$ select $1[1] $$;
create function overloaded(integer) returns text language sql as $$ select 'integer'::text $$;
create function overloaded(text) returns text language sql as $$ select 'text'::text $$;
create function overloaded(text, integer default 3) returns text language sql as $$ select 'both'::text $$;
create function "odd ""name"", yes"("odd ""parameter""" text) returns text language sql as $$ select $1 $$;
create procedure tidy_up(inout n integer default 0) language plpgsql as $$ begin n := n + 1; commit; end $$;
create procedure sql_procedure(a integer, b text default E'\\') language sql begin atomic select a; select b; end;
create function keep_first(text, text) returns text language sql immutable as $$ select coalesce($1, $2) $$;
create aggregate first_text(text) (sfunc = keep_first, stype = text, parallel = safe, combinefunc = keep_first);
create aggregate moving_sum(float8) (sfunc = float8pl, stype = float8, initcond = '0', msfunc = float8pl, minvfunc = float8mi, mstype = float8, minitcond = '0');
create aggregate my_percentile(float8 order by anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
create aggregate my_rank(variadic "any" order by variadic "any") (sfunc = ordered_set_transition_multi, stype = internal, finalfunc = rank_final, finalfunc_extra, hypothetical);
create aggregate all_count(*) (sfunc = int8inc, stype = bigint, initcond = '0', finalfunc_modify = read_only);
comment on aggregate first_text(text) is 'The first that is there.';
comment on procedure tidy_up(integer) is 'Commits.';
comment on function overloaded(text, integer) is 'The third.';
alter function traps() owner to objects_owner;

-- Operators, their classes and families.
create function same_point(position_3d, position_3d) returns boolean language sql immutable as $$ select ($1).x = ($2).x and ($1).y = ($2).y $$;
create function other_point(position_3d, position_3d) returns boolean language sql immutable as $$ select not objects.same_point($1, $2) $$;
create operator === (function = same_point, leftarg = position_3d, rightarg = position_3d, commutator = ===, negator = <=!=>, restrict = eqsel, join = eqjoinsel);
create operator <=!=> (function = other_point, leftarg = position_3d, rightarg = position_3d, negator = ===);
create operator @#@ (function = add_one, rightarg = integer);
comment on operator === (position_3d, position_3d) is 'In the same place.';
create operator family backwards_family using btree;
create function backwards(integer, integer) returns integer language sql immutable as $$ select btint4cmp($2, $1) $$;
create operator class backwards for type integer using btree family backwards_family as
  operator 1 >, operator 2 >=, operator 3 =, operator 4 <=, operator 5 <, function 1 backwards(integer, integer);
alter operator family backwards_family using btree add operator 3 = (integer, bigint), function 1 (integer, bigint) btint48cmp(integer, bigint);
comment on operator class backwards using btree is 'Large ones first.';

-- Collations, conversions, text search.
create collation plain_c (locale = 'C');
create collation from_other from "C";
do $$ begin
  create collation objects.no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
exception when feature_not_supported then
  create collation objects.no_case from "C";
end $$;
comment on collation no_case is 'Upper is lower.';
create conversion to_latin for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1;
comment on conversion to_latin is 'With losses.';
create text search parser own_parser (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype, headline = prsd_headline);
create text search template own_template (init = dsimple_init, lexize = dsimple_lexize);
create text search dictionary own_dictionary (template = own_template, accept = 'false');
create text search dictionary own_snowball (template = pg_catalog.snowball, language = 'english', stopwords = 'english');
create text search configuration own_search (parser = own_parser);
alter text search configuration own_search add mapping for asciiword, word with own_snowball, pg_catalog.simple;
alter text search configuration own_search add mapping for email, url with pg_catalog.simple;
comment on text search configuration own_search is 'Ours.';
comment on text search dictionary own_dictionary is 'Also ours.';

-- Sequences: of all sizes, called and never called, at both ends.
create sequence never_called;
create sequence called_once;
select nextval('called_once');
create sequence small as smallint increment by -3 minvalue -300 maxvalue 300 start 299 cycle;
select nextval('small'), nextval('small');
create sequence cached as integer cache 50 increment 7;
select nextval('cached');
create sequence at_its_end maxvalue 3;
select nextval('at_its_end'), nextval('at_its_end'), nextval('at_its_end');
create sequence huge start 9223372036854775807;
select setval('huge', 9223372036854775807, false);
create sequence set_not_called;
select setval('set_not_called', 1234, false);
create unlogged sequence unlogged_one;
select setval('unlogged_one', 77);
alter sequence never_called owner to objects_owner;
grant usage, select on sequence never_called to objects_guest;
comment on sequence small is 'Counts down.';

-- Tables.
create table plain (
  id integer generated always as identity (start 1000 increment by 5 minvalue 10 maxvalue 100000 cache 3 cycle) primary key,
  other_id bigint generated by default as identity (sequence name objects.plain_numbers start with -5 increment by -1),
  small_id smallserial unique,
  name extensions.citext not null default 'someone' unique,
  attributes extensions.hstore default 'a=>1, b=>NULL',
  uid uuid default extensions.uuid_generate_v4(),
  colour colour default 'amber', colours colour[] default '{red}', place position_3d, tag tags, amount even_positive, prices price_range, codes code,
  folded text collate no_case, raw text collate "C", squeezed text compression pglz,
  doubled numeric generated always as (small_id * 2.5) stored,
  constraint plain_check check (small_id > 0 and add_one(small_id) > 0), constraint no_inherit check (id > 0) no inherit
) with (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_vacuum_scale_factor = 0.3, toast_tuple_target = 256, parallel_workers = 1);
insert into plain (name, attributes, colour, place, tag, amount, prices, codes, folded, raw, squeezed)
  select 'Name ' || n, ('n=>' || n)::extensions.hstore, (array['red', 'green', 'blue', null]::colour[])[1 + n % 4], row(n, -n, 'p')::position_3d, array['t' || n], 2 * n, price_range(n, n + 1), ('c' || n)::code,
         case when n % 2 = 0 then 'ABC' else 'abc' end || n, repeat('raw ', n), repeat(md5(n::text), n % 50)
    from generate_series(1, 400) as n;
alter table plain alter column raw set storage external, alter column raw set statistics 500, alter column place set (n_distinct = -0.5), alter column squeezed set (n_distinct = 42, n_distinct_inherited = 3);
alter table plain add column late text not null default 'added late';
alter table plain add column dropped_one text, add column after_dropped integer default 9;
alter table plain drop column dropped_one;
insert into plain (name) values ('the last');
comment on table plain is E'Plain.\nOr not.';
comment on column plain.folded is '';
comment on constraint plain_check on plain is 'Calls a function.';
create index plain_expression on plain (lower(name::text), ((place).x) desc nulls last) include (raw) with (fillfactor = 50, deduplicate_items = off) where colour is not null;
create index plain_trgm on plain using gin (squeezed extensions.gin_trgm_ops) with (fastupdate = off);
create index plain_brin on plain using brin (id, small_id) with (pages_per_range = 4, autosummarize = on);
create index plain_hash on plain using hash (raw);
create index plain_gist on plain using gist (prices);
create index plain_spgist on plain using spgist (raw text_ops);
create index plain_backwards on plain (id backwards, raw collate "C" text_pattern_ops);
create unique index plain_nulls on plain (folded, colour) nulls not distinct where folded is not null;
alter index plain_expression alter column 1 set statistics 321;
comment on index plain_brin is 'Coarse.';
alter table plain cluster on plain_pkey;
create statistics plain_kinds (mcv, ndistinct, dependencies) on colour, small_id from plain;
create statistics more.plain_expressions on (id % 10), (lower(raw)) from plain;
alter statistics plain_kinds set statistics 55;
comment on statistics plain_kinds is 'Correlated.';

create table identity_index (a integer not null, b text not null, c text);
create unique index identity_index_key on identity_index (b, a);
alter table identity_index replica identity using index identity_index_key;
insert into identity_index select n, n::text from generate_series(1, 30) as n;
create table identity_full (a integer);
alter table identity_full replica identity full;
insert into identity_full select n % 3 from generate_series(1, 30) as n;
create table identity_nothing (a integer primary key);
alter table identity_nothing replica identity nothing;
create table no_columns ();
insert into no_columns select from generate_series(1, 12);
create table only_generated (g integer generated always as (41 + 1) stored);
insert into only_generated select from generate_series(1, 15);
create table all_dropped (a integer, b text);
insert into all_dropped select n, 'x' from generate_series(1, 9) as n;
alter table all_dropped drop column a, drop column b;
create table typed of position_3d (x with options primary key, y with options default 3 not null);
insert into typed select n, n, 'typed' from generate_series(1, 25) as n;
create table row_of_rows (id integer primary key, r plain, many plain[], d typed);
insert into row_of_rows select n, (select p from plain p order by id limit 1), array[null]::plain[], row(1, 2, '"')::typed from generate_series(1, 5) as n;
create unlogged table unlogged_rows (id serial primary key, t text);
insert into unlogged_rows (t) select 'unlogged ' || n from generate_series(1, 100) as n;
create table in_parts (id integer primary key, filler text) with (fillfactor = 10);
insert into in_parts select n, repeat('x', 500) from generate_series(1, 3000) as n;
delete from in_parts where id % 3 = 0;
create table public.in_public (id integer);
insert into public.in_public values (1), (null);
create table more.plain (id integer primary key, same text default 'the same name elsewhere');
insert into more.plain values (1), (2);

-- Exclusion, deferrable and not yet valid constraints; circles of foreign keys.
create table bookings (room integer, during tstzrange, constraint no_overlap exclude using gist (room with =, during with &&) where (room > 0) deferrable initially deferred,
  nr integer, constraint bookings_nr unique (nr) deferrable, constraint bookings_key primary key (room, during) deferrable initially immediate);
insert into bookings select n % 5, tstzrange('2026-01-01 00:00+00'::timestamptz + n * interval '1 hour', '2026-01-01 00:00+00'::timestamptz + (n + 1) * interval '1 hour'), n from generate_series(1, 100) as n;
create table hen (id integer primary key, egg integer);
create table egg (id integer primary key, hen integer references hen on delete cascade deferrable initially deferred);
alter table hen add constraint hen_from_egg foreign key (egg) references egg on update set default on delete set null deferrable initially immediate;
begin;
insert into hen values (1, null), (2, null);
insert into egg values (10, 1), (20, 2);
update hen set egg = id * 10;
commit;
create table tree (id integer primary key, parent integer references tree, path text);
insert into tree select n, nullif(n / 2, 0), 'n' || n from generate_series(1, 63) as n;
create table old_rows (id integer, parent integer, v integer);
insert into old_rows values (1, 999, -5), (2, 1, 5);
alter table old_rows add constraint broken_reference foreign key (parent) references tree not valid;
alter table old_rows add constraint broken_check check (v > 0) not valid;
create table pair_parent (a integer, b text, unique (a, b));
insert into pair_parent values (1, 'x'), (2, null);
create table pair_child (a integer, b text, c integer, foreign key (a, b) references pair_parent (a, b) match full, foreign key (b, a) references pair_parent (b, a) on delete set null (b));
insert into pair_child values (1, 'x', 1), (null, null, 2);

-- Inheritance: columns from two parents, overridden defaults, a check that is not inherited.
create table vehicle (id integer primary key, wheels integer default 4, check (wheels >= 0), constraint own_check check (id < 100000) no inherit);
create table motor (power integer not null, wheels integer default 4);
create table car (doors integer default 5) inherits (vehicle, motor);
create table lorry (id integer, wheels integer default 6, load numeric, primary key (id)) inherits (vehicle);
alter table lorry alter column wheels set not null;
create table once_child (id integer not null, wheels integer, constraint vehicle_wheels_check check (wheels >= 0));
alter table once_child inherit vehicle;
insert into vehicle (id) select n from generate_series(1, 10) as n;
insert into car (id, power) select n, n * 10 from generate_series(11, 30) as n;
insert into lorry (id, load) select n, n / 3.0 from generate_series(31, 40) as n;
insert into once_child values (50, 2);
comment on column car.wheels is 'Round.';

-- Partitions: nested, by hash of an enum, with another order of columns, with a default, with and without rows.
create table measured (id bigint generated always as identity, at timestamptz not null, kind colour not null, value double precision default 1.5, note text,
  primary key (id, at, kind)) partition by range (at);
create table measured_2025 partition of measured (value default 2.5, constraint sane check (value is distinct from 1e6)) for values from (minvalue) to ('2026-01-01 00:00+00');
create table measured_2026 partition of measured for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00') partition by list (kind);
create table measured_2026_red partition of measured_2026 for values in ('red') partition by hash (id, kind);
create table measured_2026_red_0 partition of measured_2026_red for values with (modulus 3, remainder 0) with (fillfactor = 80);
create table measured_2026_red_1 partition of measured_2026_red for values with (modulus 3, remainder 1);
create table more.measured_2026_red_2 partition of measured_2026_red for values with (modulus 3, remainder 2);
create table measured_2026_rest partition of measured_2026 default;
create table measured_rest (note text, gone text, value double precision, kind colour not null, at timestamptz not null, id bigint not null, gone_too integer);
alter table measured_rest drop column gone, drop column gone_too;
alter table measured attach partition measured_rest default;
create table by_colour (c colour, n integer) partition by hash (c);
create table by_colour_0 partition of by_colour for values with (modulus 2, remainder 0);
create table by_colour_1 partition of by_colour for values with (modulus 2, remainder 1);
create table by_expression (a integer, b text) partition by range ((a % 10), lower(b) collate "C");
create table by_expression_low partition of by_expression for values from (minvalue, minvalue) to (5, 'm');
create table by_expression_high partition of by_expression for values from (5, 'm') to (maxvalue, maxvalue);
create table without_partitions (a integer) partition by list (a);
create unlogged table unlogged_parts (a integer) partition by list (a);
create unlogged table unlogged_part partition of unlogged_parts for values in (1, null);
insert into measured (at, kind, value, note)
  select timestamptz '2025-06-01 00:00+00' + n * interval '5 hours', (enum_range(null::colour))[1 + n % 4], case when n % 7 = 0 then 'NaN'::double precision when n % 11 = 0 then '-0' else n / 3.0 end, 'm' || n
    from generate_series(1, 4000) as n;
insert into by_colour select (enum_range(null::colour))[1 + n % 4], n from generate_series(1, 200) as n;
insert into by_colour values (null, 0);
insert into by_expression select n, chr(97 + n % 26) from generate_series(1, 200) as n;
insert into unlogged_parts values (1), (null);
create index measured_by_kind on measured (kind, at);
create index measured_only on only measured (value);
create index measured_2025_alone on measured_2025 (note);
create unique index measured_unique on measured (at, id, kind);
alter table measured_2026 add constraint only_here check (id > 0);
comment on table measured_2026_red_1 is 'A leaf.';
create table of_measured (id bigint, at timestamptz, kind colour, foreign key (id, at, kind) references measured on delete cascade);
insert into of_measured select id, at, kind from measured where id % 50 = 0;
create table colour_names (c colour primary key, label text);
insert into colour_names select c, initcap(c::text) from unnest(enum_range(null::colour)) as c;
alter table measured add constraint measured_kind foreign key (kind) references colour_names;
alter table by_colour add constraint by_colour_c foreign key (c) references colour_names;
create table parts_to_parts (id bigint, at timestamptz, kind colour) partition by list (kind);
create table parts_to_parts_all partition of parts_to_parts default;
alter table parts_to_parts add foreign key (id, at, kind) references measured;
insert into parts_to_parts select id, at, kind from measured where id % 100 = 0;

-- Views of all sorts, in an order that a dump has to find out.
create view grouped as select id, name, count(*) over (), small_id from plain group by id;
create recursive view ancestors (id, ancestor) as select id, parent from tree union all select a.id, t.parent from ancestors a join tree t on t.id = a.ancestor;
create view guarded with (security_barrier, security_invoker) as select id, name from plain where id > 0;
create view checked with (check_option = cascaded) as select * from identity_full where a >= 0;
create view writable as select id, name as "Name, of" from plain where small_id > 0 with local check option;
alter view writable alter column "Name, of" set default 'from the view';
create view first_view as select 1 as a, null::text as b;
create view second_view as select a, b from first_view;
create or replace view first_view as select 1 as a, (select max(squeezed) from plain) as b;
create view no_columns_view as select;
comment on view grouped is 'Leans on the primary key.';
comment on column grouped.name is 'In a view.';
create materialized view totals with (fillfactor = 60) as select kind, count(*) as n, sum(value) filter (where value <> 'NaN') as total from measured group by kind;
create unique index totals_key on totals (kind);
create materialized view totals_of_totals as select max(n) as most, (select count(*) from ancestors) as rows from totals;
create materialized view never_filled as select * from totals_of_totals with no data;
create index never_filled_index on never_filled (most);
create view on_matview as select * from totals_of_totals;
create materialized view on_view_on_matview as select most + 1 as more from on_matview;
comment on materialized view totals is 'Of all kinds.';
comment on column totals.n is 'How many.';

-- Rules and triggers.
create table changes (id bigserial primary key, what text, at timestamptz default '2026-01-01 00:00+00');
create rule instead_of_update as on update to writable where new.id < 0 do instead nothing;
create rule also_log as on insert to first_view do instead (insert into objects.changes (what) values ('rule ' || new.a));
create rule quiet as on delete to identity_nothing do also insert into objects.changes (what) values (E'deleted \\ ; -- ' || old.a);
alter table identity_nothing disable rule quiet;
comment on rule also_log on first_view is 'Logs.';
create function log_change() returns trigger language plpgsql as $$
begin
  insert into objects.changes (what) values (tg_name || ' ' || tg_op || ' ' || tg_table_name || ' ' || coalesce(array_to_string(tg_argv, ','), ''));
  return coalesce(new, old);
end $$;
create trigger before_row before insert or update of name, colour on plain for each row when (new.id > 0) execute function log_change('a', E'it''s\\', '');
create trigger after_statement after insert or delete or truncate on plain for each statement execute function log_change();
create trigger with_tables after update on plain referencing old table as old_rows new table as new_rows for each statement execute function log_change();
create constraint trigger later after insert or update on hen from egg deferrable initially deferred for each row execute function log_change();
create trigger instead instead of delete on grouped for each row execute function log_change();
create trigger disabled_one after insert on tree for each row execute function log_change();
create trigger always_one after insert on tree for each row execute function log_change();
create trigger replica_one after insert on tree for each row execute function log_change();
alter table tree disable trigger disabled_one, enable always trigger always_one, enable replica trigger replica_one;
create trigger on_partitions after insert on measured for each row execute function log_change();
alter table measured_2025 disable trigger on_partitions;
create trigger on_a_leaf before insert on measured_2026_red_0 for each row execute function log_change();
comment on trigger before_row on plain is 'Before.';

-- Row-level security.
alter table tree enable row level security;
alter table plain enable row level security, force row level security;
create policy everyone on tree using (true);
create policy "some" on plain as permissive for select to objects_guest, objects_member using (name = current_user::text and exists (select from objects.tree));
create policy fewer on plain as restrictive for all to public using (id > 0) with check (raw is distinct from E'\\');
comment on policy fewer on plain is 'Narrows.';

-- Foreign data.
create foreign data wrapper own_wrapper options (debug 'true');
create server elsewhere type 'postgres' version '15' foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', dbname 'nowhere');
create server unused foreign data wrapper own_wrapper options ("odd ""option""" 'it''s \ odd');
create user mapping for public server elsewhere options ("user" 'nobody');
create user mapping for objects_guest server elsewhere options ("user" 'guest', password 'p''w');
create foreign table remote_rows (id integer options (column_name 'ID') not null, t text collate "C" default 'x', check (id > 0)) server elsewhere options (schema_name 'a', table_name 'b;c');
create table with_foreign (a integer) partition by list (a);
create foreign table with_foreign_1 partition of with_foreign for values in (1) server elsewhere;
create table with_foreign_2 partition of with_foreign for values in (2);
insert into with_foreign values (2), (2);
comment on foreign table remote_rows is 'Cannot be reached.';
comment on server elsewhere is 'Nowhere.';
comment on foreign data wrapper own_wrapper is 'Does nothing.';
alter server elsewhere owner to objects_owner;
grant usage on foreign server elsewhere to objects_member with grant option;

-- Large objects, with owners, grants, comments; empty, sparse, more than a page.
create table lo_of (id integer primary key, object oid);
insert into lo_of values (1, lo_create(0)), (2, lo_from_bytea(0, '\x00ff')), (3, lo_from_bytea(0, decode(repeat(md5('x'), 20000), 'hex'))), (4, lo_create(4000000000)), (5, lo_from_bytea(4000000001, 'fixed'));
select lo_put(object, 100000, '\x01') from lo_of where id = 4;
do $$
declare
  o record;
begin
  for o in select * from objects.lo_of loop
    execute format('comment on large object %s is %L', o.object, E'object\n' || o.id);
    if o.id > 1 then execute format('alter large object %s owner to objects_owner', o.object); end if;
    if o.id > 2 then execute format('grant select on large object %s to objects_guest with grant option', o.object); end if;
    if o.id > 3 then execute format('grant update on large object %s to public', o.object); end if;
    if o.id = 5 then execute format('revoke all on large object %s from objects_owner', o.object); end if;
  end loop;
end $$;

-- Publications.
create publication of_nothing;
create publication of_tables for table plain (id, name, small_id) where (id > 10 and small_id is not null), only vehicle, more.plain with (publish = 'insert, truncate', publish_via_partition_root = true);
create publication of_schemas for tables in schema more, table identity_full;
create publication of_all for all tables with (publish = 'insert');
alter publication of_tables owner to objects_owner;
comment on publication of_tables is 'With a filter.';

-- Grants: chains through a grant option, of columns, of everything; and what is granted by default.
alter table plain owner to objects_owner;
alter table measured owner to objects_owner;
alter view grouped owner to objects_lead;
alter materialized view totals owner to objects_owner;
alter type colour owner to objects_owner;
grant usage on schema objects to objects_lead with grant option;
set role objects_owner;
grant select, insert, update on plain to objects_lead with grant option;
grant select (name), update (name, colour), references (id) on plain to objects_member with grant option;
reset role;
set role objects_lead;
grant usage on schema objects to objects_member with grant option;
grant select on objects.plain to objects_member with grant option;
reset role;
set role objects_member;
grant usage on schema objects to objects_guest;
grant select on objects.plain to objects_guest;
grant select (name) on objects.plain to public;
reset role;
grant all on measured_2025 to objects_guest;
grant trigger, truncate on tree to objects_guest;
grant execute on function secret() to objects_guest;
revoke execute on function secret() from public;
revoke all on table more.plain from current_user;
grant usage on type colour to objects_guest;
revoke usage on type price_range from public;
grant usage on language plpgsql to objects_guest;
revoke usage on language sql from public;
grant usage on foreign data wrapper own_wrapper to objects_owner;
grant set on parameter work_mem to objects_guest;
alter default privileges grant select on tables to objects_guest;
alter default privileges in schema more grant all on sequences to objects_member with grant option;
alter default privileges for role objects_owner revoke execute on functions from public;
alter default privileges for role objects_owner in schema objects grant usage on types to objects_guest;
alter default privileges for role objects_lead grant usage on schemas to objects_guest;

-- A language, and an access method for tables.
create function own_handler() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
create function own_inline_handler(internal) returns void language c as '$libdir/plpgsql', 'plpgsql_inline_handler';
create function own_validator(oid) returns void language c as '$libdir/plpgsql', 'plpgsql_validator';
create transform for integer language sql (from sql with function prsd_lextype(internal), to sql with function int4recv(internal));
create trusted language own_language handler own_handler inline own_inline_handler validator own_validator;
create function in_own_language() returns integer language own_language as 'begin return 1; end';
comment on language own_language is 'Plpgsql under another name.';
create access method own_heap type table handler heap_tableam_handler;
create table in_own_heap (id integer primary key, t text) using own_heap;
insert into in_own_heap select n, 'heap ' || n from generate_series(1, 20) as n;
comment on access method own_heap is 'The heap.';

-- Event triggers last: they see what comes after them. The second stops anyone but a superuser.
create table ddl_log (id bigserial, tag text, object text);
create function log_ddl() returns event_trigger language plpgsql security definer as $$
begin
  insert into objects.ddl_log (tag, object) select command_tag, object_identity from pg_catalog.pg_event_trigger_ddl_commands();
end $$;
create function forbid_drop() returns event_trigger language plpgsql as $$
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    raise exception 'schemas are not dropped here';
  end if;
end $$;
create event trigger log_ddl on ddl_command_end execute function log_ddl();
create event trigger forbid_drop on ddl_command_start when tag in ('DROP SCHEMA', 'DROP TABLE') execute function forbid_drop();
create event trigger sleeping on sql_drop execute function forbid_drop();
alter event trigger sleeping disable;
alter event trigger forbid_drop enable always;
comment on event trigger log_ddl is 'Writes a row a statement.';
create table after_event_triggers (id integer primary key);
refresh materialized view totals;
refresh materialized view totals_of_totals;
refresh materialized view on_view_on_matview;
-- Table by table: a plain ANALYZE would ask the server that cannot be reached, by way of the partitioned table above.
select format('analyze %s', oid::regclass) from pg_class where relkind in ('r', 'm') and relispopulated and relnamespace in ('objects'::regnamespace, 'more'::regnamespace) order by oid \gexec
