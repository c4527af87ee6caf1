-- 2,000 small tables, and 600 partitions. PostgreSQL 12 or later. Loads by psql into an empty database.
-- The number can be set: psql -v tables=100 -f many.sql
\set ON_ERROR_STOP on
\if :{?tables} \else
  \set tables 2000
\endif
set client_min_messages = warning;

create schema many;
select set_config('many.tables', :'tables', false) as tables;

-- In batches of 100, so that one transaction does not need more locks than a server of default size has.
create procedure pg_temp.make_tables(amount integer) language plpgsql as $$
begin
  for n in 1..amount loop
    execute format('create table many.t%s (id serial primary key, label text not null, amount integer)', n);
    execute format('insert into many.t%s (label, amount) select ''row '' || i || '' of table %s'', 1 + i * %s %% 100 from generate_series(1, 100) as i', n, n, n % 7);
    execute format('create index t%s_by_label on many.t%s (label)', n, n);
    if n % 10 = 0 and n > 10 then
      execute format('alter table many.t%s add foreign key (amount) references many.t%s (id)', n, n - 10);
    end if;
    if n % 100 = 0 then commit; end if;
  end loop;
end $$;
call pg_temp.make_tables(:tables);

-- The variant with partitions: 20 tables of 30 days each, with an index, a key and a default.
create procedure pg_temp.make_partitions(amount integer) language plpgsql as $$
begin
  for n in 1..amount loop
    execute format('create table many.p%s (id bigint generated always as identity, day date not null, note text, primary key (id, day)) partition by range (day)', n);
    execute format('create index p%s_by_note on many.p%s (note)', n, n);
    for k in 0..28 loop
      execute format('create table many.p%s_%s partition of many.p%s for values from (%L) to (%L)', n, k, n, date '2026-01-01' + k, date '2026-01-02' + k);
    end loop;
    execute format('create table many.p%s_rest partition of many.p%s default', n, n);
    execute format('insert into many.p%s (day, note) select date ''2025-12-31'' + i %% 31, md5(i::text) from generate_series(1, 3000) as i', n);
    commit;
  end loop;
end $$;
call pg_temp.make_partitions(greatest(1, :tables / 100));

analyze;
