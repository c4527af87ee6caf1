-- Names that break whoever pastes them: for every kind of object, every hostile name. PostgreSQL 12 or later.
-- Loads by psql into an empty database, any number of times into one cluster (its roles begin with `names_`).
\set ON_ERROR_STOP on
set client_min_messages = warning;
set standard_conforming_strings = on;

-- Number 0 is tame, so that a failure can be told from a failure of the mechanics.
create temp table hostile (number serial, name text);
insert into hostile (number, name) values (0, 'tame');
insert into hostile (name) values
  ('Upper'), ('upper'), ('UPPER'), ('select'), ('table'), ('user'), ('order'), ('group'), ('null'), ('default'), ('public '),
  (' '), ('  leading'), ('trailing  '), ('two  blanks'), (E'tab\there'), (E'new\nline'), (E'carriage\rreturn'), (E'\n'), (E'\x01'), (E'\x7f'),
  ('"'), ('""'), ('quote"inside'), ('"quoted"'), (''''), ('it''s'), (''''''), ('\'), ('back\slash'), ('\N'), ('\.'), (E'\n\\.\n'), ('\restrict abc'), ('\! true'), ('\connect x'),
  (';'), (';;'), ('a;b'), ('; drop schema names cascade; --'), ('''; select 1; --'), ('"; select 1; --'), ('--'), ('-- comment'), ('/*'), ('*/'), ('/* x */'), ('/* /* nested'), (E'x -- y\nz'),
  ('$$'), ('$body$'), ('$1'), ('$'), ('a$b'), ('%'), ('%s %I %L'), ('%%'), ('{'), ('}'), ('{{x}}'), ('{{ name | ident }}'), ('{% raw %}'), ('{# x #}'), ('‹run›'), ('«guillemets»'), ('${HOME}'), ('$(id)'), ('`id`'),
  (E'\n-- TOC entry 1 (class 1259 OID 1)\n'), ('-- TOC entry 1 (class 1259 OID 1)'), (E'-- Name: x; Type: TABLE; Schema: public'), (E'\n--\n-- Dependencies: 1'), ('-- Completed on 2026-01-01'), (E'\n;;\n'),
  ('.'), ('a.b'), ('"a"."b"'), ('..'), ('/'), ('../../etc/passwd'), ('a/b'), ('C:\x'), ('*'), ('a*'), ('?'), ('[a]'), ('!not'), ('~'), ('^'), ('&'), ('|'), ('#'), ('@'), ('='), ('<a>'), (','), ('a,b'), ('('), (')'), ('()'), ('a(b)'), (':'), (':x'), (':''x'''), ('::int'), ('1'), ('1a'), ('0x'), ('-'), ('-1'), ('1e5'), ('U&"\0041"'), ('E''x'''),
  ('žluť'), ('ŽLUŤ'), ('ẞ'), ('İ'), ('日本語'), ('🦀'), ('👨‍👩‍👧'), (E'e\u0301'), ('é'), (E'\u200b'), (E'\u00a0'), (E'\u202e'), (E'\ufeff'), (E'\u2028'), ('中文 with blanks'),
  (repeat('x', 63)), (repeat('x', 62) || 'y'), (repeat('ž', 31)), (repeat('ž', 31) || 'a'), (repeat('🦀', 15) || 'abc'), (repeat('"', 63)), (repeat('''', 63)), (repeat('\', 63)), (repeat(' ', 63)), (repeat(E'\n', 63)),
  ('true'), ('false'), ('yes'), ('no'), ('~null'), ('on'), ('off'), ('NULL'), ('all'), ('none'), ('current_user'), ('session_user'), ('ctid_'), ('oid'), ('rows'), ('value'), ('new'), ('old'), ('excluded'), ('only'), ('lateral'), ('json'), ('name'), ('id'), ('_'), ('__'), ('pgkedge'), ('pgkedge_00000000'), ('pg'), ('information_schema_');
analyze hostile;
select count(*) as hostile_names, count(distinct name) = count(*) as distinct_names, max(octet_length(name)) as longest from hostile;

create schema names;

-- A role name may not be just anything, and lives in the cluster: a prefix, cut to 63 bytes at a character.
create function pg_temp.role_of(name text) returns text language plpgsql as $$
declare
  role text := 'names_' || name;
begin
  while octet_length(role) > 63 loop role := left(role, -1); end loop;
  return role;
end $$;

-- Another name in the same family; where 63 bytes are not enough, a few digits keep it apart.
create function pg_temp.other(name text, tail text) returns text language plpgsql as $$
declare
  cut text := name;
begin
  if octet_length(name) + octet_length(tail) + 1 <= 63 then return name || tail || '~'; end if;
  while octet_length(cut) + octet_length(tail) + 5 > 63 loop cut := left(cut, -1); end loop;
  return cut || tail || '~' || left(md5(name), 4);
end $$;

do $$
declare
  h record;
  role text;
begin
  for h in select number, name from hostile order by number loop
    role := pg_temp.role_of(h.name);
    if not exists (select from pg_roles where rolname = role) then
      execute format('create role %I', role);
    end if;
    execute format('comment on role %I is %L', role, h.name);
    -- A table, its columns, its keys, its sequence: all of the same name where the rules allow it.
    execute format('create sequence names.%I start %s', pg_temp.other(h.name, 'q' || h.number), 100 + h.number);
    execute format('create table names.%1$I (%1$I integer not null default nextval(%2$L), %3$I text default %4$L, %5$I text generated always as (%3$I || %4$L) stored)',
                   h.name, format('names.%I', pg_temp.other(h.name, 'q' || h.number)), pg_temp.other(h.name, '2'), h.name, pg_temp.other(h.name, '3'));
    execute format('alter sequence names.%I owned by names.%I.%I', pg_temp.other(h.name, 'q' || h.number), h.name, h.name);
    execute format('insert into names.%1$I (%1$I, %2$I) values (1, %3$L), (2, null), (3, %4$L)', h.name, pg_temp.other(h.name, '2'), h.name, '');
    execute format('insert into names.%1$I default values', h.name);
    execute format('alter table names.%I add constraint %I primary key (%I)', h.name, pg_temp.other(h.name, 'k'), h.name);
    execute format('alter table names.%1$I add constraint %2$I check (%3$I is distinct from %4$L)', h.name, pg_temp.other(h.name, 'c'), pg_temp.other(h.name, '2'), 'never');
    execute format('alter table names.%1$I add constraint %2$I foreign key (%1$I) references names.%1$I', h.name, pg_temp.other(h.name, 'f'));
    execute format('create index %2$I on names.%1$I (%3$I, (%3$I || %4$L)) where %3$I <> %4$L', h.name, pg_temp.other(h.name, 'i'), pg_temp.other(h.name, '2'), h.name);
    execute format('create statistics names.%2$I on %1$I, %3$I from names.%1$I', h.name, pg_temp.other(h.name, 's'), pg_temp.other(h.name, '2'));
    execute format('comment on table names.%I is %L', h.name, h.name);
    execute format('comment on column names.%I.%I is %L', h.name, h.name, h.name);
    execute format('comment on constraint %I on names.%I is %L', pg_temp.other(h.name, 'f'), h.name, h.name);
    -- Functions, triggers, rules, policies, views, types.
    execute format('create function names.%1$I() returns trigger language plpgsql as %2$L', h.name,
                   E'begin\n  -- ' || replace(replace(h.name, E'\n', ' '), E'\r', ' ') || E'\n  return new;\nend');
    execute format('create function names.%1$I(%1$I text default %2$L) returns text language sql immutable as %3$L',
                   pg_temp.other(h.name, 'q'), h.name, format('select $1 || %L', h.name));
    execute format('create trigger %2$I before insert on names.%1$I for each row when (new.%1$I <> 0) execute function names.%1$I(%3$L)',
                   h.name, pg_temp.other(h.name, 't'), h.name);
    execute format('create rule %2$I as on delete to names.%1$I do also notify %3$I', h.name, pg_temp.other(h.name, 'r'), left(h.name, 10) || 'x');
    execute format('create policy %2$I on names.%1$I for select to %3$I using (%4$I <> %5$L)',
                   h.name, pg_temp.other(h.name, 'p'), role, pg_temp.other(h.name, '2'), h.name);
    execute format('create view names.%2$I as select %1$I, %3$I as %2$I, %4$L::text as %5$I from names.%1$I',
                   h.name, pg_temp.other(h.name, 'v'), pg_temp.other(h.name, '2'), h.name, pg_temp.other(h.name, '4'));
    execute format('create materialized view names.%2$I as select %1$I from names.%1$I', h.name, pg_temp.other(h.name, 'm'));
    execute format('create type names.%I as enum (%L, %L)', pg_temp.other(h.name, 'e'), h.name, 'other');
    execute format('create type names.%I as (%I integer)', pg_temp.other(h.name, 'y'), h.name);
    execute format('create domain names.%I as text constraint %I check (value <> %L)', pg_temp.other(h.name, 'd'), h.name, h.name);
    execute format('alter table names.%1$I add column %2$I names.%2$I default %3$L', h.name, pg_temp.other(h.name, 'e'), h.name);
    -- Owners and grants.
    execute format('alter table names.%I owner to %I', h.name, role);
    execute format('grant select, update (%2$I) on names.%1$I to %3$I', h.name, h.name, pg_temp.role_of('tame'));
    execute format('grant execute on function names.%I(text) to %I with grant option', pg_temp.other(h.name, 'q'), role);
  end loop;
end $$;

-- Schemas, publications, extensions' schemas, event triggers: fewer are enough, one of each hostile kind.
do $$
declare
  h record;
  made text;
begin
  for h in select number, name from hostile where number % 3 = 0 or octet_length(name) > 60 order by number loop
    made := pg_temp.other(h.name, 'schema');
    execute format('create schema %I authorization %I', made, pg_temp.role_of(h.name));
    execute format('comment on schema %I is %L', made, h.name);
    execute format('create table %1$I.%2$I (%2$I bigint generated always as identity primary key, %3$I names.%4$I)',
                   made, h.name, pg_temp.other(h.name, '2'), pg_temp.other(h.name, 'e'));
    execute format('insert into %1$I.%2$I (%3$I) values (%4$L), (null), (%5$L)', made, h.name, pg_temp.other(h.name, '2'), h.name, 'other');
    execute format('alter table %1$I.%2$I add foreign key (%2$I) references names.%2$I not valid', made, h.name);
    execute format('create publication %I for table %I.%I', h.name, made, h.name);
    execute format('alter default privileges in schema %I grant select on tables to %I', made, pg_temp.role_of(h.name));
    -- Partitions by such names and such values.
    execute format('create table %1$I.%2$I (%3$I text, %4$I integer, primary key (%3$I, %4$I)) partition by list (%3$I)',
                   made, pg_temp.other(h.name, 'list'), h.name, pg_temp.other(h.name, '2'));
    execute format('create table %1$I.%2$I partition of %1$I.%3$I for values in (%4$L, %5$L)',
                   made, pg_temp.other(h.name, 'leaf'), pg_temp.other(h.name, 'list'), h.name, 'x' || h.name);
    execute format('insert into %I.%I values (%L, 1), (%L, 2)', made, pg_temp.other(h.name, 'list'), h.name, 'x' || h.name);
  end loop;
end $$;

-- The same name in two schemas, in two cases, as a table and as a type: they must not be mixed up.
create schema "Names";
create table "Names".tame (tame text primary key);
insert into "Names".tame values ('the other one');
create table "Names"."Tame" ("Tame" text primary key, tame text);
insert into "Names"."Tame" values ('a', 'b');

-- A body that holds what a dump's comments look like, quotes of all kinds, and every separator there is.
create function names.body_of_traps() returns text language plpgsql as $_$
declare
  trap text := $$
--
-- TOC entry 4711 (class 1259 OID 16384)
-- Dependencies: 3 4
-- Name: t; Type: TABLE; Schema: public; Owner: postgres
--
CREATE TABLE public.t (i integer);
;;
\restrict x
\.
{{ x }} {% x %} ‹run›
$$;
begin
  /* a ; b /* nested ' */ " */
  return trap || E'\'' || '\' || "current_schema"();  -- ;
end
$_$;

create function names."event; -- $$"() returns event_trigger language plpgsql as 'begin end';
create event trigger "names; -- event" on ddl_command_end when tag in ('CREATE SERVER') execute function names."event; -- $$"();
analyze;
