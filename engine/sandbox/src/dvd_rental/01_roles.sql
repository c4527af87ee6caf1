-- Extra: two roles of its own. Roles belong to the cluster, so they may be there already.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'dvd_rental_clerk') then
    create role dvd_rental_clerk nologin;
    comment on role dvd_rental_clerk is 'Works at the counter of a shop.';
  end if;
  if not exists (select from pg_catalog.pg_roles where rolname = 'dvd_rental_auditor') then
    create role dvd_rental_auditor nologin connection limit 5;
    comment on role dvd_rental_auditor is 'Reads everything, once a year.';
    alter role dvd_rental_auditor set statement_timeout = '15min';
    grant dvd_rental_clerk to dvd_rental_auditor;
  end if;
end
$$
;;
