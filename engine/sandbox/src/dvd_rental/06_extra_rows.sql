insert into back_office.rental_event
  select rental_id, (enum_range(null::back_office.rental_step))[1 + rental_id % 4], rented_at,
         case when rental_id % 5 = 0 then E'left at the door,\n"as usual"\t\\' end
    from public.rental where rental_id % 2 = 0
;;
-- Two rows that are equal in every column: only a count tells them apart from one.
insert into back_office.rental_event select * from back_office.rental_event where rental_id = 2
;;
insert into back_office.loyalty_card
  select member_id, 'L-' || lpad(((member_id::bigint * 48271) % 99999989)::text, 8, '0'), member_id * 3,
         daterange(joined, joined + 365, '[)')
    from public.member where active
;;
insert into back_office.title_document (title_id, facts, review)
  select title_id,
         jsonb_build_object('title', name, 'minutes', minutes, 'ratio', minutes / 7.0, 'tags', to_jsonb(bonus),
                            'nested', jsonb_build_object('empty', null, 'list', jsonb_build_array(1, 'two', null, 3.50))),
         (select string_agg(md5(title_id || '/' || line), ' ') from generate_series(1, 40 + title_id % 400) as line)
    from public.title
;;
insert into back_office.price_list (format, net, valid_from)
  select format, 1 + number * 0.25, date '2024-01-01' + number * 30
    from unnest(enum_range(null::public.disc_format)) as format, generate_series(0, 23) as number
;;
insert into back_office.basket (member_id, title_ids)
  select member_id, array[1 + member_id % 50, 1 + member_id % 60] from public.member where member_id % 6 = 0
;;
insert into back_office.salary
  select employee_id, month::date, 2000 + employee_id * 37.50
    from public.employee, generate_series(timestamp '2026-01-01', '2026-05-01', '1 month') as month
;;
insert into back_office.ledger_note (body)
  select 'Counted the till, difference ' || i % 3 || '.' from generate_series(1, 12) as i
;;
-- Large objects: one is empty, one larger than a page of them, one nobody points at.
insert into back_office.poster
  select title_id, lo_from_bytea(0, decode(repeat(md5('poster' || title_id), (title_id - 1) * 40), 'hex'))
    from public.title where title_id <= 20 order by title_id
;;
select lo_from_bytea(0, decode('00ff00ff', 'hex'))
;;
do $$
declare
  poster record;
begin
  for poster in select title_id, image from back_office.poster order by title_id loop
    if poster.title_id % 2 = 0 then
      execute pg_catalog.format('alter large object %s owner to dvd_rental_clerk', poster.image);
    end if;
    execute pg_catalog.format('grant select on large object %s to dvd_rental_auditor', poster.image);
    execute pg_catalog.format('comment on large object %s is %L', poster.image, 'Poster of title ' || poster.title_id);
  end loop;
end
$$
;;
do $$
declare
  counter record;
begin
  for counter in
    select s.oid::regclass as sequence, t.oid::regclass as owner, a.attname as field
      from pg_catalog.pg_class s
      join pg_catalog.pg_depend d on d.objid = s.oid and d.deptype = 'a' and d.classid = 'pg_class'::regclass
      join pg_catalog.pg_class t on t.oid = d.refobjid
      join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
     where s.relkind = 'S' and s.relnamespace = 'public'::regnamespace
  loop
    execute pg_catalog.format('select pg_catalog.setval(%L, (select max(%I) from %s))',
                              counter.sequence, counter.field, counter.owner);
  end loop;
end
$$
;;
