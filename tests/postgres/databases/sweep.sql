-- What the DVD-rental database lacks of what step kinds handle, for the conformance sweep.
create extension postgres_fdw;
create server elsewhere foreign data wrapper postgres_fdw options (host 'nowhere.invalid');
create user mapping for public server elsewhere options (user 'guest');

create schema "Odd; schema";
create table "Odd; schema"."select ""it""" (
    "the 'id'" bigint generated always as identity primary key,
    "{{ note }}" text unique,
    parent bigint references "Odd; schema"."select ""it"""
);
create index "by $$note$$" on "Odd; schema"."select ""it""" ("{{ note }}" desc);
insert into "Odd; schema"."select ""it""" ("{{ note }}", parent) values ('a', null), ('b', 1);

-- Loaded in several parts.
create table public.wide (id bigint primary key, filler text);
insert into public.wide select g, repeat(md5(g::text), 16) from generate_series(1, 8000) g;

create function public.refuse_nothing() returns event_trigger language plpgsql as $$ begin end $$;
create event trigger watch on ddl_command_end execute function public.refuse_nothing();

-- What the example plans speak of.
create role reporting;
create table public.moves (moved_at timestamptz);
grant usage on schema public to reporting;
grant select on all tables in schema public to reporting;
analyze;
