-- Core: 7 views.
create view public.title_card as
  select t.title_id, t.name, t.summary, l.name as language, t.rating, t.daily_rate,
         (select string_agg(g.name, ', ' order by g.name)
            from public.title_genre tg join public.genre g using (genre_id) where tg.title_id = t.title_id) as genres
    from public.title t join public.language l using (language_id)
;;
create view public.performer_credits as
  select p.performer_id, p.given_name || ' ' || p.family_name as performer, count(*) as titles, min(t.released) as first_seen
    from public.performer p join public.title_performer using (performer_id) join public.title t using (title_id)
   group by p.performer_id
;;
create view public.member_card as
  select m.member_id, m.given_name || ' ' || m.family_name as member, a.street, a.postal_code, c.name as city,
         n.name as country, case when m.active then 'active' else 'left' end as state, m.shop_id
    from public.member m join public.address a using (address_id) join public.city c using (city_id)
    join public.country n using (country_id)
;;
create view public.employee_card as
  select e.employee_id, e.given_name || ' ' || e.family_name as employee, a.street, c.name as city, e.shop_id
    from public.employee e join public.address a using (address_id) join public.city c using (city_id)
;;
create view public.overdue_rental with (security_barrier) as
  select r.rental_id, t.name as title, m.member, r.rented_at, public.balance_of(r.member_id, r.rented_at) as balance
    from public.rental r join public.disc d using (disc_id) join public.title t using (title_id)
    join public.member_card m using (member_id)
   where r.returned_at is null
;;
create view public.revenue_by_genre as
  select g.name as genre, sum(p.amount) as revenue
    from public.payment p join public.rental r using (rental_id) join public.disc d using (disc_id)
    join public.title_genre tg using (title_id) join public.genre g using (genre_id)
   group by g.name
;;
create view public.revenue_by_shop as
  select s.shop_id, c.name as city, sum(p.amount) as revenue
    from public.payment p join public.employee e using (employee_id) join public.shop s using (shop_id)
    join public.address a on a.address_id = s.address_id join public.city c using (city_id)
   group by s.shop_id, c.name
;;
-- Extras: materialized views, the second on top of the first.
create materialized view back_office.monthly_revenue as
  select date_trunc('month', p.paid_at at time zone 'UTC')::date as month, e.shop_id, count(*) as payments, sum(p.amount) as revenue
    from public.payment p join public.employee e using (employee_id)
   group by 1, 2
;;
create unique index monthly_revenue_key on back_office.monthly_revenue (month, shop_id)
;;
create materialized view back_office.best_month as
  select distinct on (shop_id) shop_id, month, revenue from back_office.monthly_revenue order by shop_id, revenue desc, month
;;
-- Extra: a rule. Notes of the ledger are never deleted.
create rule notes_stay as on delete to back_office.ledger_note do instead nothing
;;
