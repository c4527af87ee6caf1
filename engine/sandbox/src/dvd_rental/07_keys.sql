-- Core: keys, foreign keys, checks and indexes.
alter table public.country add primary key (country_id)
;;
alter table public.city add primary key (city_id), add foreign key (country_id) references public.country
;;
alter table public.address add primary key (address_id), add foreign key (city_id) references public.city
;;
alter table public.language add primary key (language_id), add unique (code)
;;
alter table public.genre add primary key (genre_id), add unique (name)
;;
alter table public.performer add primary key (performer_id)
;;
alter table public.title
  add primary key (title_id),
  add foreign key (language_id) references public.language on update cascade on delete restrict,
  add foreign key (dubbed_from) references public.language,
  add constraint title_is_no_marathon check (minutes < 600)
;;
alter table public.title_performer
  add primary key (performer_id, title_id, billing),
  add foreign key (title_id) references public.title,
  add foreign key (performer_id) references public.performer
;;
alter table public.title_genre
  add primary key (title_id, genre_id),
  add foreign key (title_id) references public.title on delete cascade,
  add foreign key (genre_id) references public.genre
;;
alter table public.shop add primary key (shop_id), add foreign key (address_id) references public.address
;;
alter table public.employee
  add primary key (employee_id),
  add foreign key (address_id) references public.address,
  add foreign key (shop_id) references public.shop
;;
-- A shop has a manager and a manager has a shop: a circle, closed at commit.
alter table public.shop
  add constraint shop_manager_is_employed foreign key (manager_id) references public.employee
  deferrable initially deferred
;;
alter table public.disc
  add primary key (disc_id),
  add foreign key (title_id) references public.title,
  add foreign key (shop_id) references public.shop
;;
alter table public.member
  add primary key (member_id),
  add foreign key (shop_id) references public.shop,
  add foreign key (address_id) references public.address
;;
alter table public.rental
  add primary key (rental_id),
  add foreign key (disc_id) references public.disc,
  add foreign key (member_id) references public.member,
  add foreign key (employee_id) references public.employee
;;
alter table public.payment add primary key (payment_id, paid_at)
;;
alter table public.payment
  add foreign key (member_id) references public.member,
  add foreign key (rental_id) references public.rental on delete set null
;;
create index city_of_country on public.city (country_id)
;;
create index performer_by_family_name on public.performer (lower(family_name), given_name)
;;
create index title_by_words on public.title using gin (search_words)
;;
create index disc_by_title on public.disc (title_id, shop_id)
;;
create index member_by_family_name on public.member (family_name varchar_pattern_ops) include (given_name)
;;
create unique index rental_once_a_moment on public.rental (disc_id, rented_at, member_id)
;;
create index rental_still_out on public.rental (disc_id) where returned_at is null
;;
create index payment_of_member on public.payment (member_id, paid_at desc nulls last)
;;
alter table public.rental alter column member_id set statistics 400
;;
-- Extras.
alter table back_office.loyalty_card add primary key (member_id)
;;
create unique index loyalty_card_by_number on back_office.loyalty_card (card_number)
;;
alter table back_office.loyalty_card
  add foreign key (member_id) references public.member, replica identity using index loyalty_card_by_number
;;
alter table back_office.title_document
  add primary key (document_id), add foreign key (title_id) references public.title
;;
create index title_document_by_fact on back_office.title_document using gin (facts jsonb_path_ops)
;;
alter table back_office.price_list
  add primary key (price_id), add unique (format, valid_from) deferrable initially deferred
;;
alter table back_office.poster add primary key (title_id), add foreign key (title_id) references public.title
;;
alter table back_office.basket add primary key (basket_id)
;;
alter table back_office.salary
  add primary key (employee_id, month), add foreign key (employee_id) references public.employee
;;
alter table back_office.ledger_note add primary key (note_id)
;;
alter table back_office.rental_event replica identity full
;;
create statistics back_office.rental_event_steps (ndistinct, dependencies) on rental_id, step from back_office.rental_event
;;
