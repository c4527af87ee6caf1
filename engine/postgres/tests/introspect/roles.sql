-- Roles of the rich database. They belong to the cluster, so they are made once.
create role rich_owner login;
create role "Rich ""App""; Owner: x" login;
create role rich_reader nologin noinherit;
create role rich_limited login connection limit 3 valid until '2030-01-02 03:04:05+00';
create role "😀 reader" nologin;
grant rich_reader to rich_owner with admin option;
grant rich_reader to rich_limited;
grant pg_read_all_data to rich_limited;
alter role rich_limited set work_mem = '7MB';
comment on role rich_owner is 'owns, isn''t it';
