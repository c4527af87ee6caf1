-- Every built-in type, with the values that copying and comparing get wrong. PostgreSQL 14 or later.
-- Loads by psql into an empty database.
\set ON_ERROR_STOP on
set client_min_messages = warning;
set datestyle = iso, ymd;
set timezone = utc;
set standard_conforming_strings = on;

create schema types;
set search_path = types, pg_catalog;

create table integers (id integer primary key, s smallint, i integer, b bigint, o oid, x xid, x8 xid8, c cid, t tid);
insert into integers values
  (1, -32768, -2147483648, -9223372036854775808, 0, '0', '0', '0', '(0,0)'),
  (2, 32767, 2147483647, 9223372036854775807, 4294967295, '4294967295', '18446744073709551615', '4294967295', '(4294967295,65535)'),
  (3, 0, 0, 0, 1, '1', '1', '1', '(0,1)'),
  (4, null, null, null, null, null, null, null, null);

create table floats (id serial primary key, r real, d double precision);
insert into floats (r, d) values
  ('NaN', 'NaN'), ('Infinity', 'Infinity'), ('-Infinity', '-Infinity'), ('-0', '-0'), ('0', '0'),
  ('3.4028235e38', '1.7976931348623157e308'), ('1.17549435e-38', '2.2250738585072014e-308'),
  ('1e-45', '5e-324'), ('0.1', '0.1'), ('1.00000012', '0.30000000000000004'), ('16777216', '9007199254740993'),
  ('123456.79', '1e308'), ('1e-30', '123456789012345678'), (null, null);

create table numerics (id serial primary key, free numeric, scaled numeric(12, 4), whole numeric(40, 0), coarse numeric(6, -2), fine numeric(3, 5));
insert into numerics (free, scaled, whole, coarse, fine) values
  ('NaN', 'NaN', 'NaN', 'NaN', 'NaN'), ('Infinity', null, null, null, null), ('-Infinity', null, null, null, null),
  (0, 0, 0, 0, 0), (0.000, 0.1, 7, 1234567, 0.00999), (1.10, 1.10, 99999999999999999999, -987650, -0.00001),
  (('1' || repeat('0', 4000))::numeric, 99999999.9999, 1, 12, 0.001), (('0.' || repeat('0', 3000) || '1')::numeric, 0.0001, 2, 50, 0.00123),
  (1e-20, -0.0001, -3, 149, 0), (12345678901234567890.1234567890123456789, 1.5, 4, 150, 0), (null, null, null, null, null);

create table monies (id serial primary key, amount money);
insert into monies (amount) values ('0'), (92233720368547758.07::numeric::money), ((-92233720368547758.08)::numeric::money),
  (1234567.89::numeric::money), ((-0.01)::numeric::money), (null);

create table texts (id serial primary key, t text, v varchar, v5 varchar(5), c1 char, c5 char(5), bp bpchar, n name, q "char");
insert into texts (t, v, v5, c1, c5, bp, n, q) values
  ('', '', '', '', '', '', '', ''), (null, null, null, null, null, null, null, null),
  (' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '), ('a  ', 'a  ', 'a    ', 'a', 'a', 'a  ', 'a  ', 'a'),
  (E'\t\n\r\b\f\v\\', E'\\N', E'\\.', E'\\', E'\t', E'\\.\n', E'\\', E'\\'),
  (E'\\N', E'\\N\\N', 'NULL', 'N', 'null', '\N', 'NULL', 'N'),
  ('žluťoučký kůň', '日本語', 'ééééé', 'é', 'ßß', '🦀🦀', '🦀', 'x'),
  (E'e\u0301 is not é', E'\u200B', E'\u00A0', E'\u00A0', E'\u2003', E'\uFEFF', E'\u0001', E'\x7f'),
  (E'line\r\nline\rline\nend', E'quote '' and "', '$$', '$', '{"a"}', '''', '"', ''''),
  (E'\\.', E'\n\\.\n', E'a\nb', ',', 'a,b', '{NULL}', '(,)', ','),
  (repeat('long ', 200000), repeat('ž', 5000), null, null, null, repeat(' ', 100), repeat('n', 63), null);

create table bytes (id serial primary key, b bytea);
insert into bytes (b) values (''), ('\x00'), ('\xff00ff'), ('\x5c5c'), ('\x5c4e'), ('\x0a0d09'), (null),
  (decode('e282', 'hex')), (convert_to('\x41', 'UTF8')), (decode(repeat('deadbeef', 300000), 'hex'));
insert into bytes (b) select decode(lpad(to_hex(i), 2, '0'), 'hex') from generate_series(0, 255) as i;
alter table bytes alter column b set storage external;

create table times (id serial primary key, d date, t time, t0 time(0), tz timetz, ts timestamp, ts3 timestamp(3), tstz timestamptz, i interval, i_ym interval year to month, i_ds interval day to second(2));
insert into times (d, t, t0, tz, ts, ts3, tstz, i, i_ym, i_ds) values
  ('infinity', '00:00', '00:00', '00:00+00', 'infinity', 'infinity', 'infinity', '0', '0', '0'),
  ('-infinity', '24:00', '24:00', '24:00-15:59:59', '-infinity', '-infinity', '-infinity', '-178000000 years', '-1 month', '-1 second'),
  ('4713-01-01 BC', '23:59:59.999999', '23:59:59', '23:59:59.999999+15:59:59', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '178000000 years', '178 years 11 months', '1.99 seconds'),
  ('5874897-12-31', '12:34:56.789', '12:34:56.789', '12:34:56.789+05:30', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999', '294276-12-31 23:59:59.999999+00', '1 mon -1 day +00:00:00.000001', '2 years', '3 days 04:05:06.78'),
  ('0001-01-01', '00:00:00.000001', '00:00:01', '00:00:00.000001-00:00:01', '0001-12-31 23:59:59.999999 BC', '2000-01-01 00:00:00.0005', '2026-03-29 01:30:00+01', '-1 year +2 mons -3 days +04:00:00', null, null),
  ('2000-02-29', '01:02:03', '01:02:03', '01:02:03+00', '2000-01-01', '2000-01-01', '1999-12-31 23:59:59.999999+00', '23:59:60', null, '00:00:00.01'),
  ('2026-01-02', null, null, null, '2026-10-25 02:30:00', null, '2026-10-25 02:30:00+02', '1 day 24 hours', null, null),
  ('2026-02-01', null, null, null, '1582-10-10', null, '1883-11-18 12:03:58+00', '720 hours', null, null),
  (null, null, null, null, null, null, null, '30 days', null, null), (null, null, null, null, null, null, null, '1 month', null, null);

create table booleans (id serial primary key, b boolean, u uuid);
insert into booleans (b, u) values (true, '00000000-0000-0000-0000-000000000000'), (false, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), (null, null);

create table bits (id serial primary key, b1 bit, b9 bit(9), v varbit, v3 varbit(3));
insert into bits (b1, b9, v, v3) values (B'0', B'000000000', B'', B''), (B'1', B'101010101', B'1', B'101'), (null, null, null, null),
  (B'1', B'111111111', repeat('10', 5000)::varbit, B'0');

create table networks (id serial primary key, i inet, c cidr, m macaddr, m8 macaddr8);
insert into networks (i, c, m, m8) values
  ('0.0.0.0', '0.0.0.0/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00'), ('192.168.1.7/24', '10/8', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff'),
  ('::', '::/0', '08002b:010203', '08002b0102030405'), ('fe80::1/64', '2001:db8::/32', null, null), ('::ffff:1.2.3.4/128', '1.2.3.4/32', null, null), (null, null, null, null);

create table shapes (id serial primary key, p point, l line, s lseg, b box, pa path, po polygon, c circle);
insert into shapes (p, l, s, b, pa, po, c) values
  ('(0,0)', '{1,-1,0}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),0>'),
  ('(-0,NaN)', '{0,-1,1e300}', '[(Infinity,-Infinity),(0.1,0.2)]', '(Infinity,1),(-Infinity,0)', '((0,0),(1,1),(2,0))', '((0.1,0.2))', '<(1e-300,1e300),Infinity>'),
  ('(0.1,0.30000000000000004)', null, null, null, null, null, '<(1,2),3>'), (null, null, null, null, null, null, null);

create table documents (id serial primary key, j json, jb jsonb, x xml, p jsonpath);
insert into documents (j, jb, p) values
  ('{"a": 1, "a": 2,   "b":[ ]}', '{"a": 1, "a": 2, "b": []}', '$'), ('null', 'null', '$.a[*] ? (@ > 1)'), ('""', '""', 'strict $."a b"'),
  ('1e400', '1e400', '$[last]'), (' [1,  2.50, "x"] ', '[1.10, -0, 1E+3]', '$.**{2 to last}'), ('{"":""}', '{"": "", "\"": "\\", "é": "\u00e9🦀"}', 'lax $.x'), (null, null, null),
  (E'{"new\\nline": "\\u0041", \n "z": true}', '{"deep": [[[[[[[[[[{"k": null}]]]]]]]]]]}', '$.datetime()'),
  (('[' || repeat('"0123456789",', 20000) || '1]')::json, ('[' || repeat('"0123456789",', 20000) || '1]')::jsonb, null);
update documents set x = case id when 1 then xmlparse(document '<?xml version="1.0"?><a b="c">é &amp; <![CDATA[<]]></a>')
  when 2 then xmlparse(content 'just text, <b/> and more') when 3 then xmlparse(content '') when 4 then xmlelement(name bytes, '\xdeadbeef'::bytea) end;

create table searches (id serial primary key, v tsvector, q tsquery);
insert into searches (v, q) values ('', ''), ('''a b'':1A,2B c:16383 d', '''a b'':*A & !c | (d <-> e) <2> f'), ('''it''''s'':1 ''back\\slash'':2', '''it''''s'''),
  (to_tsvector('english', repeat('the quick brown fox ', 300)), to_tsquery('english', 'jumps & foxes')), (null, null);

create table catalogs (id serial primary key, rc regclass, rp regproc, rpr regprocedure, ro regoper, ror regoperator, rt regtype, rr regrole, rn regnamespace, rco regcollation, rcf regconfig, rd regdictionary);
insert into catalogs (rc, rp, rpr, ro, ror, rt, rr, rn, rco, rcf, rd) values
  ('pg_class', 'pg_catalog.now', 'pg_catalog.abs(integer)', 'pg_catalog.||/', 'pg_catalog.+(integer,integer)', 'integer[]', null, 'pg_catalog', '"C"', 'pg_catalog.english', 'pg_catalog.simple'),
  ('-', '-', '-', '0', '0', '-', '-', '-', '-', '-', '-'), (null, null, null, null, null, null, null, null, null, null, null);

create table positions (id serial primary key, l pg_lsn, ts txid_snapshot, ps pg_snapshot, rf refcursor, ac aclitem);
insert into positions (l, ts, ps, rf, ac) values ('0/0', '10:20:10,14,15', '10:20:10,14,15', 'c', null),
  ('FFFFFFFF/FFFFFFFF', '1:1:', '1:1:', '', null), ('16/B374D848', null, null, '"', null), (null, null, null, null, null);

create table vectors (id serial primary key, ov oidvector, iv int2vector);
insert into vectors (ov, iv) values ('', ''), ('1 4294967295', '-1 2 3'), (null, null);

create table arrays (id serial primary key, i integer[], t text[], d double precision[], ts timestamptz[], b bytea[], j jsonb[], n numeric(6,2)[], c char(3)[], bo boolean[], iv interval[], bx box[], mo money[], u uuid[], na name[]);
insert into arrays (i, t, d, ts, b, j, n, c, bo, iv, bx, mo, u, na) values
  ('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  ('{NULL,1}', '{NULL,"NULL","null",""," ","a,b","{","\"","\\"}', '{NaN,-0,Infinity,1e308}', '{infinity,"2026-01-01 00:00+00",NULL}', array['\x00'::bytea, '', null],
   array['{"a":1}'::jsonb, 'null', null], '{1,2.5,NULL}', '{a,"bc ",NULL}', '{t,f,NULL}', '{"1 day",NULL}', '{(1,1),(0,0);(2,2),(1,1)}', array[1.5::numeric::money, null], '{00000000-0000-0000-0000-000000000000}', '{a,b}'),
  ('[-2:0]={1,2,3}', '[0:1][5:6]={{a,b},{c,d}}', '{{1,2},{3,4}}', null, null, null, null, '{{{a},{b}}}', null, null, null, null, null, null),
  (array(select generate_series(1, 50000)), array(select md5(i::text) from generate_series(1, 5000) as i), null, null, null, null, null, null, null, null, null, null, null, null);

create table ranges (id serial primary key, i4 int4range, i8 int8range, n numrange, t tsrange, tz tstzrange, d daterange,
  mi4 int4multirange, mi8 int8multirange, mn nummultirange, mt tsmultirange, mtz tstzmultirange, md datemultirange, a int4range[]);
insert into ranges (i4, i8, n, t, tz, d, mi4, mi8, mn, mt, mtz, md, a) values
  ('empty', 'empty', 'empty', 'empty', 'empty', 'empty', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  ('(,)', '[1,9223372036854775807)', '(1.10,2.200]', '[-infinity,infinity]', '[2026-01-01 00:00+00,2026-01-01 00:00:00.000001+00)', '(2026-01-01,infinity]',
   '{[1,2),[5,)}', '{(,0),[5,6]}', '{[1.0,1.00],(2,3)}', '{[2026-01-01,2026-01-02)}', '{(,)}', '{[2026-01-01,2026-01-01]}', '{empty,"[1,2)","(,)",NULL}'),
  (null, null, '[NaN,NaN]', null, null, null, null, null, null, null, null, null, null);

-- Types of the user's own.
create type mood as enum ('sad', 'so so', 'it''s fine', E'back\\slash', '"quoted"', 'Glück', '');
alter type mood add value 'between' after 'sad';
create domain percent as numeric(5,2) check (value between 0 and 100);
create domain percents as percent[] not null check (array_length(value, 1) < 10);
create domain short_text as varchar(10) collate "C" default 'x';
create type inner_row as (a integer, b text, c mood);
create type outer_row as (i inner_row, l inner_row[], n numeric, ts timestamptz);
create type float_span as range (subtype = double precision, subtype_diff = float8mi, multirange_type_name = float_spans);
create type text_span as range (subtype = text, collation = "C");
create table own (id serial primary key, m mood, ma mood[], p percent, ps percents, s short_text, r inner_row, o outer_row, ra inner_row[], fs float_span, fm float_spans, ts text_span, tsm text_span_multirange, oa outer_row[]);
insert into own (m, ma, p, ps, s, r, o, ra, fs, fm, ts, tsm, oa) values
  ('sad', '{sad,"so so",NULL}', 0, '{0,100}', default, row(1, 'x', 'sad'), row(row(1, 'a,"b"', null), array[row(2, null, 'between')::inner_row], 1.10, '2026-01-01 00:00+00'), '{"(1,x,sad)","(,,)"}', '[-0,1e308)', '{[0.1,0.2],(5,)}', '[a,"b,c")', '{[a,b),[x,)}', null),
  ('', '{""}', 100, '{}', '', row(null, null, null), row(null, null, null, null), '{}', 'empty', '{}', '(,)', '{}', '{}'),
  (E'back\\slash', null, 33.33, '{1.5,NULL}', ' ', row(-1, E'(")\n\\', 'Glück'), null, null, null, null, '["\"","\\"]', null, array[row(row(1, '{}', 'sad'), '{}', 'NaN', 'infinity')::outer_row, null]),
  (null, null, null, '{5}', null, null, null, null, null, null, null, null, null);

create table whole_rows (id serial primary key, f floats, t times);
insert into whole_rows (f, t) select f, tt from floats f join times tt using (id);

-- Rows at the edges of what a table may hold.
create table no_columns ();
insert into no_columns select from generate_series(1, 1000);
create table one_null (a integer);
insert into one_null select null from generate_series(1, 17);
create table empty_texts (a text);
insert into empty_texts select '' from generate_series(1, 17);
create table lone_backslash_dot (a text);
insert into lone_backslash_dot values (E'\\.'), (E'x\n\\.'), (E'\\.\n'), (E'\\N'), ('');
create table equal_rows (a integer, b text);
insert into equal_rows select i % 3, 'same' from generate_series(1, 999) as i;
create table wide (id integer primary key);
do $$ begin
  for i in 1..1599 loop execute format('alter table types.wide add column c%s smallint', i); end loop;
end $$;
insert into wide (id, c1, c800, c1599) values (1, 1, 2, 3), (2, null, null, -1);
create table large_value (id integer primary key, t text, b bytea);
insert into large_value values (1, repeat(md5('x'), 1000000), decode(repeat(md5('y'), 500000), 'hex'));
alter table large_value alter column b set storage external;

analyze;

-- Domains over types whose hash PostgreSQL finds only by the type itself.
create domain types.span as int4range;
create domain types.spans as int4multirange;
create domain types.numbers as int4[];
create table types.domains_over_ranges (id int, span types.span, spans types.spans, numbers types.numbers);
insert into types.domains_over_ranges values
  (1, '[1,5)', '{[1,5),[7,9)}', '{1,2,NULL}'), (2, 'empty', '{}', '{}'), (3, '(,)', '{(,)}', '[2:3]={4,5}'),
  (4, null, null, null);
