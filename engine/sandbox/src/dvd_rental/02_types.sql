-- Core: the one domain.
create domain public.release_year as integer
  constraint release_year_is_plausible check (value between 1888 and 2155)
;;
comment on domain public.release_year is 'Year in which a title was first shown.'
;;
-- Extras: enums, a composite type, a schema beside public.
create type public.age_rating as enum ('everyone', 'accompanied', 'from 12', 'from 16', 'adults')
;;
create type public.disc_format as enum ('dvd', 'blu-ray', 'laser disc')
;;
create schema back_office
;;
create type back_office.rental_step as enum ('reserved', 'handed out', 'reminded', 'returned')
;;
create type back_office.opening_hours as (opens time, closes time)
;;
comment on schema back_office is 'What the counter does not need.'
;;
