-- Core: 15 tables, 13 of them with a sequence. Keys and indexes follow after the rows.
create table public.country (
  country_id  serial not null,
  name        text not null,
  changed_at  timestamptz not null default now()
)
;;
create table public.city (
  city_id     serial not null,
  country_id  integer not null,
  name        text not null,
  changed_at  timestamptz not null default now()
)
;;
create table public.address (
  address_id  serial not null,
  city_id     integer not null,
  street      text not null,
  extra_line  text,
  postal_code varchar(12),
  phone       varchar(24),
  changed_at  timestamptz not null default now()
)
;;
create table public.language (
  language_id serial not null,
  code        char(5) not null,
  name        text not null
)
;;
create table public.genre (
  genre_id    serial not null,
  name        text not null
)
;;
create table public.performer (
  performer_id serial not null,
  given_name   text not null,
  family_name  text not null,
  changed_at   timestamptz not null default now()
)
;;
create table public.title (
  title_id      serial not null,
  name          text not null,
  summary       text,
  released      public.release_year,
  language_id   integer not null,
  dubbed_from   integer,
  loan_days     smallint not null default 3,
  daily_rate    numeric(5,2) not null default 2.50,
  minutes       smallint,
  price         numeric(6,2) not null default 19.90,
  rating        public.age_rating default 'everyone',
  bonus         text[],
  search_words  tsvector,
  changed_at    timestamptz not null default now()
)
;;
create table public.title_performer (
  title_id     integer not null,
  performer_id integer not null,
  billing      smallint not null default 1
)
;;
create table public.title_genre (
  title_id integer not null,
  genre_id integer not null
)
;;
create table public.shop (
  shop_id     serial not null,
  manager_id  integer not null,
  address_id  integer not null,
  hours       back_office.opening_hours[],
  changed_at  timestamptz not null default now()
)
;;
create table public.employee (
  employee_id serial not null,
  shop_id     integer not null,
  address_id  integer not null,
  given_name  text not null,
  family_name text not null,
  email       text,
  active      boolean not null default true,
  photo       bytea,
  changed_at  timestamptz not null default now()
)
;;
create table public.disc (
  disc_id     serial not null,
  title_id    integer not null,
  shop_id     integer not null,
  format      public.disc_format not null default 'dvd',
  changed_at  timestamptz not null default now()
)
;;
create table public.member (
  member_id   serial not null,
  shop_id     integer not null,
  address_id  integer not null,
  given_name  text not null,
  family_name text not null,
  email       text,
  joined      date not null default current_date,
  active      boolean not null default true,
  changed_at  timestamptz not null default now()
)
;;
create table public.rental (
  rental_id   serial not null,
  disc_id     integer not null,
  member_id   integer not null,
  employee_id integer not null,
  rented_at   timestamptz not null,
  returned_at timestamptz,
  changed_at  timestamptz not null default now()
)
;;
-- Extra: payments are partitioned by month; a month in two halves, and a default partition.
create table public.payment (
  payment_id  serial not null,
  member_id   integer not null,
  employee_id integer not null,
  rental_id   integer,
  amount      numeric(7,2) not null,
  paid_at     timestamptz not null
) partition by range (paid_at)
;;
create table public.payment_2026_01 partition of public.payment
  for values from ('2026-01-01 00:00+00') to ('2026-02-01 00:00+00')
;;
create table public.payment_2026_02 partition of public.payment
  for values from ('2026-02-01 00:00+00') to ('2026-03-01 00:00+00')
;;
create table public.payment_2026_03 partition of public.payment
  for values from ('2026-03-01 00:00+00') to ('2026-04-01 00:00+00')
;;
create table public.payment_2026_04 partition of public.payment
  for values from ('2026-04-01 00:00+00') to ('2026-05-01 00:00+00')
  partition by hash (payment_id)
;;
create table public.payment_2026_04_even partition of public.payment_2026_04
  for values with (modulus 2, remainder 0)
;;
create table public.payment_2026_04_odd partition of public.payment_2026_04
  for values with (modulus 2, remainder 1)
;;
-- Its columns stand in another order than the parent's, and one was dropped.
create table public.payment_2026_05 (
  paid_at     timestamptz not null,
  obsolete    text,
  amount      numeric(7,2) not null,
  rental_id   integer,
  employee_id integer not null,
  member_id   integer not null,
  payment_id  integer not null default nextval('public.payment_payment_id_seq')
)
;;
alter table public.payment_2026_05 drop column obsolete
;;
alter table public.payment attach partition public.payment_2026_05
  for values from ('2026-05-01 00:00+00') to ('2026-06-01 00:00+00')
;;
create table public.payment_other partition of public.payment default
;;
