-- Rows come from generate_series and arithmetic: the same size gives the same rows, everywhere.
create function pg_temp.many(at_size_one integer, at_least integer) returns integer
  language sql stable
  as $$ select greatest(at_least, round(at_size_one * current_setting('dvd_rental.size')::numeric)::integer) $$
;;
create function pg_temp.pick(words text[], number bigint) returns text
  language sql immutable
  as $$ select words[1 + (number % array_length(words, 1))::integer] $$
;;
create function pg_temp.made_at(number bigint) returns timestamptz
  language sql immutable
  as $$ select timestamptz '2026-01-01 08:00+00' + number * interval '61.7 seconds' $$
;;
insert into public.country
  select i, pg_temp.pick('{Nord,Süd,Ost,West,Mid,Upper,Lower}', i) || ' '
         || pg_temp.pick('{Arvonia,Belcastia,Ceruland,Dravonia,Estermark,Falconia,Gyrland,Høyland}', i / 7) || ' ' || i,
         pg_temp.made_at(i)
    from generate_series(1, 109) as i
;;
insert into public.city
  select i, 1 + i % 109, pg_temp.pick('{Alder,Birch,Cedar,Dogwood,Elm,Fir,Gorse,Hazel,Ivy}', i)
         || pg_temp.pick('{ford,ham,mouth,stead,ville,burg,ås}', i / 9) || ' ' || i, pg_temp.made_at(i)
    from generate_series(1, 600) as i
;;
insert into public.address
  select i, 1 + i % 600, (1 + i % 240) || ' ' || pg_temp.pick('{Station,Market,Harbour,Mill,Church,Garden}', i)
         || pg_temp.pick('{" Road"," Street"," Lane"," Row"}', i / 6),
         case when i % 7 = 0 then 'Floor ' || i % 12 end,
         case when i % 50 = 0 then null else lpad((i % 99999)::text, 5, '0') end,
         case when i % 11 = 0 then '' else '+00 555 ' || lpad((i % 1000000)::text, 6, '0') end,
         pg_temp.made_at(i)
    from generate_series(1, pg_temp.many(6600, 150)) as i
;;
insert into public.language (language_id, code, name)
  select row_number() over (), code, name
    from (values ('en', 'English'), ('de', 'Deutsch'), ('fr', 'Français'), ('ja', '日本語'),
                 ('pt-br', 'Português (Brasil)'), ('cs', 'Čeština')) as spoken(code, name)
;;
insert into public.genre (genre_id, name)
  select row_number() over (), name
    from unnest('{Adventure,Animation,Biography,Comedy,Courtroom,Dance,Documentary,Family,Heist,History,Horror,Music,Nature,Romance,Space,Western}'::text[]) as name
;;
insert into public.performer
  select i, pg_temp.pick('{Ada,Bruno,Chiara,Dmitri,Eluned,Faisal,Greta,Hiro,Ines,Jörg}', i),
         pg_temp.pick('{Abara,Bellweather,Castellan,"D''Arco",Eriksen,Fontaine,Grünwald,Hayashi,Ivanova}', i / 10) || ' ' || i,
         pg_temp.made_at(i)
    from generate_series(1, pg_temp.many(500, 40)) as i
;;
insert into public.title
      (title_id, name, summary, released, language_id, dubbed_from, loan_days, daily_rate, minutes, price, rating, bonus, changed_at)
  select i, pg_temp.pick('{Silent,Crimson,Paper,Borrowed,Northern,Hollow,Electric,Last}', i) || ' '
         || pg_temp.pick('{Lantern,Harvest,Detective,Staircase,Orbit,Orchard,Signal}', i / 8) || ' ' || i,
         case when i % 13 <> 0 then 'A ' || pg_temp.pick('{tender,restless,bitter,playful,icy}', i) || ' story of a '
              || pg_temp.pick('{pilot,baker,judge,diver,cartographer,violinist}', i / 5) || ' who returns to '
              || pg_temp.pick('{"a flooded town","an empty theatre","the night train","an island"}', i / 3) || '.' end,
         1920 + i % 107, 1 + i % 6, case when i % 9 = 0 then 1 + (i / 9) % 6 end, 2 + i % 6,
         1.50 + (i % 7) * 0.50, 61 + i % 120, 9.90 + (i % 20), 
         (enum_range(null::public.age_rating))[1 + i % 5],
         case i % 4 when 0 then null when 1 then '{}'::text[] when 2 then array['trailer', 'deleted scenes']
              else array['commentary', null, 'behind "the" scenes'] end,
         pg_temp.made_at(i)
    from generate_series(1, pg_temp.many(2000, 60)) as i
;;
insert into public.title_performer
  select i, 1 + (i * 7 + billing * 13) % (select count(*) from public.performer), billing
    from generate_series(1, (select max(title_id) from public.title)) as i,
         generate_series(1, 5) as billing
;;
insert into public.title_genre
  select i, 1 + (i + k * 5) % 16
    from generate_series(1, (select max(title_id) from public.title)) as i, generate_series(1, 2) as k
;;
insert into public.employee
  select i, 1 + i % 4, 1 + i, pg_temp.pick('{Kay,Lou,Max,Nat,Ola,Pip}', i),
         pg_temp.pick('{Rowan,Sorrel,Tansy}', i / 6) || ' ' || i, 'employee' || i || '@shop.example', i % 10 <> 0,
         case when i % 3 = 0 then decode(repeat(md5(i::text), 40), 'hex') end, pg_temp.made_at(i)
    from generate_series(1, 24) as i
;;
insert into public.shop
  select i, i, i + 30,
         array[row('09:00', '18:00')::back_office.opening_hours, row(null, '12:00:30.5')::back_office.opening_hours],
         pg_temp.made_at(i)
    from generate_series(1, 4) as i
;;
insert into public.disc
  select i, 1 + i % (select max(title_id) from public.title), 1 + i % 4,
         (enum_range(null::public.disc_format))[1 + (i / 5) % 3], pg_temp.made_at(i)
    from generate_series(1, pg_temp.many(9000, 240)) as i
;;
insert into public.member
  select i, 1 + i % 4, 1 + (i * 3) % (select max(address_id) from public.address),
         pg_temp.pick('{Amara,Björn,Célia,Dev,Esra,Finn,Gaia,Hana,Ilya,Juno,Kofi}', i),
         pg_temp.pick('{Nguyễn,Okafor,Pereira,Quist,Rossi,"St. Clair",Tamm}', i / 11) || ' ' || i,
         case when i % 17 = 0 then null else 'member' || i || '@mail.example' end,
         date '2015-01-01' + i % 4000, i % 25 <> 0, pg_temp.made_at(i)
    from generate_series(1, pg_temp.many(6000, 200)) as i
;;
-- The days of rentals are spread over five months, whatever their number.
insert into public.rental
  select i, 1 + (i * 11) % discs, 1 + (i * 17) % members, 1 + i % 24, rented_at,
         case when i % 37 <> 0 then rented_at + (1 + i % 9) * interval '1 day 3 hours 7.123456 seconds' end, rented_at
    from (select i, (select max(disc_id) from public.disc) as discs, (select max(member_id) from public.member) as members,
                 timestamptz '2026-01-01 09:00+00' + i * (interval '150 days' / pg_temp.many(65000, 600)) as rented_at
            from generate_series(1::bigint, pg_temp.many(65000, 600)) as i) as made
;;
insert into public.payment
  select rental_id, member_id, employee_id, case when rental_id % 41 <> 0 then rental_id end, 1.50 + (rental_id % 13) * 0.75,
         rented_at + interval '5 minutes'
    from public.rental
;;
-- Paid before the disc is fetched: the default partition is not empty either.
insert into public.payment (member_id, employee_id, amount, paid_at)
  select 1 + i % 50, 1 + i % 24, 5 * i, timestamptz '2026-07-01 12:00+00' + i * interval '1 hour'
    from generate_series(1, 40) as i
;;
