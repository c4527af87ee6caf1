-- What the writers keep beside the DVD-rental database. No foreign key leads in or out.
create schema writers
;;
-- One row for each transaction that was committed.
create table writers.log (
  writer      integer not null,
  number      bigint not null,
  written_at  timestamptz not null default clock_timestamp(),
  primary key (writer, number)
)
;;
-- The same without a key: what is applied twice stands here twice.
create table writers.trace (
  writer integer not null,
  number bigint not null
)
;;
alter table writers.trace replica identity full
;;
-- How many there are: what is applied in another order, or not at all, adds up to something else.
create table writers.counter (
  writer       integer primary key,
  transactions bigint not null
)
;;
-- Its rows move from one partition to another.
create table writers.shelf (
  shelf_id bigint not null,
  region   text not null,
  label    text,
  primary key (shelf_id, region)
) partition by list (region)
;;
create table writers.shelf_north partition of writers.shelf for values in ('north')
;;
create table writers.shelf_south partition of writers.shelf for values in ('south')
;;
create table writers.shelf_other partition of writers.shelf default
;;
-- Filled by thousands of rows in one transaction.
create table writers.parcel (
  writer  integer not null,
  number  bigint not null,
  line    integer not null,
  content text not null,
  primary key (writer, number, line)
)
;;
-- Emptied by TRUNCATE.
create table writers.scratch (
  scratch_id bigint primary key,
  note       text
)
;;
grant usage on schema writers, public, back_office to dvd_rental_app
;;
grant select, insert, update, delete on all tables in schema writers to dvd_rental_app
;;
grant truncate on writers.scratch to dvd_rental_app
;;
grant select on all tables in schema public, back_office to dvd_rental_app
;;
grant insert, update, delete on public.rental, public.payment, back_office.rental_event,
  back_office.loyalty_card, back_office.basket to dvd_rental_app
;;
grant update on public.member, back_office.title_document to dvd_rental_app
;;
grant usage on all sequences in schema public, back_office to dvd_rental_app
;;
do $$
declare
  poster record;
begin
  for poster in select image from back_office.poster loop
    execute pg_catalog.format('grant select, update on large object %s to dvd_rental_app', poster.image);
  end loop;
end
$$
