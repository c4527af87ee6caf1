-- Core: 8 functions and the 1 trigger. Every name in a body is qualified, so that no search_path matters.
create function public.last_day_of_month(day date) returns date
  language sql immutable strict
  as $$ select (pg_catalog.date_trunc('month', day::timestamp) + interval '1 month' - interval '1 day')::date $$
;;
create function public.holder_of_disc(disc integer) returns integer
  language plpgsql stable
  as $$
declare
  holder integer;
begin
  select member_id into holder from public.rental
   where disc_id = disc and returned_at is null
   order by rented_at desc limit 1;
  return holder;
end
$$
;;
create function public.is_in_stock(disc integer) returns boolean
  language sql stable
  as $$ select public.holder_of_disc(disc) is null $$
;;
create function public.discs_in_stock(wanted_title integer, in_shop integer) returns setof integer
  language sql stable rows 10
  as $$ select disc_id from public.disc where title_id = wanted_title and shop_id = in_shop and public.is_in_stock(disc_id) $$
;;
create function public.discs_on_loan(wanted_title integer, in_shop integer) returns setof integer
  language sql stable rows 10
  as $$ select disc_id from public.disc where title_id = wanted_title and shop_id = in_shop and not public.is_in_stock(disc_id) $$
;;
create function public.balance_of(member integer, at timestamptz default now()) returns numeric
  language plpgsql stable
  as $$
declare
  fees numeric;
  paid numeric;
begin
  -- What the loans cost, a day of delay at the daily rate, less what was paid.
  select pg_catalog.sum(t.daily_rate * t.loan_days
           + greatest(0, extract(day from coalesce(r.returned_at, at) - r.rented_at) - t.loan_days) * t.daily_rate)
    into fees
    from public.rental r join public.disc d using (disc_id) join public.title t using (title_id)
   where r.member_id = member and r.rented_at <= at;
  select pg_catalog.sum(p.amount) into paid from public.payment p where p.member_id = member and p.paid_at <= at;
  return coalesce(fees, 0) - coalesce(paid, 0);
end
$$
;;
create function public.best_members(min_rentals integer, min_spent numeric) returns setof public.member
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as $$
  select m.* from public.member m
   where (select count(*) from public.rental r where r.member_id = m.member_id) >= min_rentals
     and (select sum(p.amount) from public.payment p where p.member_id = m.member_id) >= min_spent
$$
;;
create function public.keep_search_words() returns trigger
  language plpgsql
  as $$
begin
  new.search_words := pg_catalog.to_tsvector('pg_catalog.english', new.name || ' ' || coalesce(new.summary, ''));
  return new;
end
$$
;;
update public.title
   set search_words = to_tsvector('pg_catalog.english', name || ' ' || coalesce(summary, ''))
;;
create trigger title_search_words before insert or update of name, summary on public.title
  for each row execute procedure public.keep_search_words()
;;
