-- Extras: policies, owners, grants, comments, a publication, settings.
alter table back_office.salary enable row level security
;;
create policy own_shop on back_office.salary for select to dvd_rental_clerk
  using (employee_id in (select employee_id from public.employee where shop_id = 1))
;;
create policy audit on back_office.salary as restrictive for update to dvd_rental_auditor
  using (month > '2026-03-01') with check (amount < 10000)
;;
alter table back_office.ledger_note owner to dvd_rental_auditor
;;
grant usage on schema back_office to dvd_rental_clerk, dvd_rental_auditor
;;
grant select on all tables in schema public to dvd_rental_auditor
;;
grant select, insert, update on public.rental, public.payment to dvd_rental_clerk with grant option
;;
grant select (member_id, given_name, family_name), update (email) on public.member to dvd_rental_clerk
;;
grant usage on sequence public.rental_rental_id_seq to dvd_rental_clerk
;;
revoke execute on function public.best_members(integer, numeric) from public
;;
grant execute on function public.best_members(integer, numeric) to dvd_rental_auditor
;;
alter default privileges in schema back_office grant select on tables to dvd_rental_auditor
;;
comment on table public.rental is 'A disc that a member took home; "returned_at" is empty until it is back.'
;;
comment on column public.title.bonus is 'Bonus material; NULL where nobody looked.'
;;
comment on function public.balance_of(integer, timestamptz) is E'What a member owes.\nNegative: what we owe.'
;;
comment on index public.rental_still_out is 'Serves the counter''s first question.'
;;
comment on constraint title_is_no_marathon on public.title is 'Series are entered disc by disc.'
;;
comment on trigger title_search_words on public.title is 'Keeps search_words.'
;;
comment on view public.overdue_rental is 'Who to call.'
;;
comment on materialized view back_office.monthly_revenue is 'Refreshed at night.'
;;
comment on policy own_shop on back_office.salary is 'Clerks see their shop.'
;;
create publication dvd_rental_changes for table public.rental, public.member with (publish = 'insert, update')
;;
do $$
begin
  execute pg_catalog.format('comment on database %I is %L', current_database(), 'DVD rental, made by pgkedge.');
  execute pg_catalog.format('alter database %I set search_path = public, back_office', current_database());
  execute pg_catalog.format('alter database %I set "DateStyle" = %L', current_database(), 'German, DMY');
  execute pg_catalog.format('alter database %I set work_mem = %L', current_database(), '8MB');
  execute pg_catalog.format('alter role dvd_rental_clerk in database %I set lock_timeout = %L', current_database(), '3s');
  execute pg_catalog.format('grant connect, temporary on database %I to dvd_rental_clerk', current_database());
end
$$
;;
analyze
;;
