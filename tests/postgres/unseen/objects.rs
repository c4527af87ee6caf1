//! Random views, code, rules of access, and what else is no table.

use super::database::{Database, Table};

impl Database {
    pub(super) fn add_objects(&mut self) {
        for _ in 0..20 {
            self.add_sequence();
            self.add_function();
        }
        for _ in 0..40 {
            self.add_view();
            self.add_trigger();
            self.add_policy();
        }
        for _ in 0..10 {
            self.add_rule();
            self.add_large_object();
            self.add_grants_by_others();
            self.add_statistics();
        }
        self.refresh_all();
        self.add_the_rest();
    }

    fn table(&mut self) -> Table {
        let at = self.random.below(self.tables.len());
        self.tables[at].clone()
    }

    fn add_sequence(&mut self) {
        let (name, owner) = (self.new_place(), self.role());
        let options = self.random.pick(&[
            "",
            "as smallint increment -1",
            "cache 7 cycle maxvalue 100",
            "start 9223372036854775807",
            "minvalue -5 start -5",
        ]);
        let unlogged = self.random.maybe(10, &["unlogged"]);
        self.run(format!("create {unlogged} sequence {name} {options}"));
        for _ in 0..self.random.below(3) {
            self.run(format!("select nextval({})", super::names::literal(&name)));
        }
        self.comment(&format!("sequence {name}"));
        self.run(format!("alter sequence {name} owner to {owner}"));
        self.run(format!("grant usage on sequence {name} to {owner} with grant option"));
    }

    fn add_function(&mut self) {
        let (name, kind, argument) = (self.new_place(), self.kind(), self.new_name());
        let (value, text, role) = (self.value(&kind), self.text(), self.role());
        let of = kind.sql.split(" collate ").next().unwrap_or_default().to_owned();
        let options = self.random.maybe(
            60,
            &[
                "immutable",
                "stable strict",
                "security definer set search_path = pg_catalog, pg_temp",
                "parallel safe cost 7",
                "set work_mem = '3MB' set \"my.own\" = 'x, y'",
            ],
        );
        let body = match self.random.below(4) {
            0 => format!("returns {of} language sql {options} return {argument}"),
            1 => format!(
                "returns {of} language plpgsql {options} as $_$ begin -- $body$ ' \"\n perform {text}; /* ; */ return $1; end $_$"
            ),
            2 => format!(
                "returns table (a integer, b {of}) language sql {options} as $$ select 1, $1 $$"
            ),
            _ => format!(
                "returns setof text language sql {options} begin atomic select {text} as x; select {argument}::text; end"
            ),
        };
        self.run(format!("create function {name} ({argument} {of} default {value}, out_of text default {text}) {body}"));
        self.comment(&format!("function {name}"));
        self.run(format!("alter function {name} owner to {role}"));
        let to = self.role();
        self.run(format!("grant execute on function {name} to {to} with grant option"));
        self.run(format!("revoke execute on function {name} from public"));
        self.functions.push(name);
    }

    fn add_view(&mut self) {
        let (name, table, owner) = (self.new_place(), self.table(), self.role());
        let from = if self.views.is_empty() || self.random.percent(50) {
            table.name
        } else {
            let at = self.random.below(self.views.len());
            self.views[at].clone()
        };
        let (alias, text) = (self.new_name(), self.text());
        let options =
            self.random.maybe(20, &["with (security_barrier)", "with (security_invoker = true)"]);
        let what = self.random.pick(&["*", "t.*, 1 as one", "count(*) over () as n, t.*"]);
        match self.random.below(5) {
            0 => {
                self.run(format!("create materialized view {name} as select {what}, {text}::text as {alias} from {from} t"));
                self.run(format!("create index on {name} ({alias})"));
                if self.random.percent(20) {
                    self.run(format!("refresh materialized view {name} with no data"));
                } else {
                    self.views.push(name.clone());
                }
                self.run(format!("alter materialized view {name} owner to {owner}"));
            }
            1 => {
                self.run(format!("create recursive view {name} ({alias}) as select 1 union all select {alias} + 1 from {name} where {alias} < 5"));
            }
            _ => {
                self.run(format!("create view {name} {options} as select {what}, {text}::text as {alias} from {from} t"));
                self.comment(&format!("view {name}"));
                self.run(format!("grant select on {name} to {owner} with grant option"));
                self.views.push(name);
            }
        }
    }

    fn add_trigger(&mut self) {
        let (name, function, table, text) =
            (self.new_name(), self.new_place(), self.table().name, self.text());
        self.run(format!("create function {function}() returns trigger language plpgsql as $$ begin return new; end $$"));
        let kind = self.random.pick(&[
            "before insert on # for each row",
            "after update or delete on # for each row",
            "after truncate on # for each statement",
            "after insert on # referencing new table as \"N\" for each statement",
            "before update on # for each row when (old is distinct from new)",
        ]);
        let kind = kind.replace('#', &table);
        self.run(format!("create trigger {name} {kind} execute function {function}({text})"));
        let change = self.random.maybe(30, &["disable", "enable always", "enable replica"]);
        if !change.is_empty() {
            self.run(format!("alter table {table} {change} trigger {name}"));
        }
        self.comment(&format!("trigger {name} on {table}"));
        if self.random.percent(20) {
            let name = self.new_name();
            self.run(format!("create constraint trigger {name} after insert on {table} deferrable initially deferred for each row execute function {function}()"));
        }
    }

    fn add_policy(&mut self) {
        let (name, table, text) = (self.new_name(), self.table().name, self.text());
        let (first, second) = (self.role(), self.role());
        let kind = self.random.pick(&["", "as restrictive", "for select", "for update"]);
        self.run(format!("create policy {name} on {table} {kind} to {first}, {second} using ({text} <> current_user)"));
        let security = self.random.maybe(60, &["enable", "force", "enable"]);
        if !security.is_empty() {
            self.run(format!("alter table {table} {security} row level security"));
        }
        self.comment(&format!("policy {name} on {table}"));
    }

    fn add_rule(&mut self) {
        let (name, table, text) = (self.new_name(), self.table().name, self.text());
        let what = self.random.pick(&["insert", "delete", "update"]);
        self.run(format!(
            "create rule {name} as on {what} to {table} where {text} = 'x' do also select {text}"
        ));
        self.comment(&format!("rule {name} on {table}"));
    }

    fn add_large_object(&mut self) {
        let (oid, role, text) =
            (20_000_000 + self.random.below(1_000_000), self.role(), self.text());
        let size = self.random.pick(&["0", "1", "3000", "70000"]);
        self.run(format!(
            "select lo_from_bytea({oid}, convert_to(repeat({text}, {size}), 'UTF8'))"
        ));
        self.comment(&format!("large object {oid}"));
        self.run(format!("alter large object {oid} owner to {role}"));
        self.run(format!("grant select on large object {oid} to {role} with grant option"));
    }

    /// Grants that rest on the grant option of another grant.
    fn add_grants_by_others(&mut self) {
        let (table, first, second) = (self.table().name, self.role(), self.role());
        let schema = self.schema();
        self.run(format!("grant usage on schema {schema} to {first} with grant option"));
        self.run(format!("grant select on {table} to {first} with grant option"));
        self.run(format!("set role {first}"));
        self.run(format!("grant usage on schema {schema} to {second}"));
        self.run(format!("grant select on {table} to {second} with grant option"));
        self.run("reset role");
        let what = self.random.pick(&[
            "select on tables",
            "execute on functions",
            "usage on types",
            "all on sequences",
        ]);
        self.run(format!(
            "alter default privileges for role {first} in schema {schema} grant {what} to {second}"
        ));
        self.run(format!("alter default privileges for role {second} revoke {what} from public"));
    }

    fn add_statistics(&mut self) {
        let (name, table) = (self.new_place(), self.table());
        let [(first, _), (second, _), ..] = table.columns.as_slice() else { return };
        let kinds = self.random.maybe(60, &["(mcv)", "(ndistinct, dependencies)"]);
        self.run(format!(
            "create statistics {name} {kinds} on {first}, {second}, ({first} is null) from {}",
            table.name
        ));
        self.comment(&format!("statistics {name}"));
    }

    /// What its owner can no longer refresh, or would see otherwise, cannot be made again elsewhere.
    fn refresh_all(&mut self) {
        self.run(
            "select format('do $do$ begin refresh materialized view %1$s; exception when others \
             then drop materialized view %1$s cascade; end $do$', oid::regclass) \
             from pg_class where relkind = 'm' and relispopulated order by oid \\gexec\n",
        );
    }

    fn add_the_rest(&mut self) {
        let (table, name, text) = (self.table().name, self.new_name(), self.text());
        self.run(format!(
            "create publication {name} for table {table} with (publish = 'insert, truncate')"
        ));
        let (name, schema) = (self.new_name(), self.schema());
        self.run(format!("create publication {name} for tables in schema {schema}"));
        let (collation, search, dictionary) =
            (self.new_place(), self.new_place(), self.new_place());
        self.run(format!("create collation {collation} (locale = 'C')"));
        self.run(format!("create text search dictionary {dictionary} (template = pg_catalog.simple, accept = 'false')"));
        self.run(format!("create text search configuration {search} (copy = pg_catalog.english)"));
        self.run(format!("alter text search configuration {search} alter mapping for word with {dictionary}, pg_catalog.simple"));
        let (aggregate, procedure, operator) = (self.new_place(), self.new_place(), self.schema());
        self.run(format!("create aggregate {aggregate} (integer) (sfunc = int4pl, stype = integer, initcond = '0')"));
        self.run(format!("create procedure {procedure} (inout a text default {text}) language sql as $$ select $1 $$"));
        self.run(format!("create operator {operator}.<=>~ (function = int4eq, leftarg = integer, rightarg = integer)"));
        let (wrapper, server, foreign, role) =
            (self.new_name(), self.new_name(), self.new_place(), self.role());
        self.run(format!("create foreign data wrapper {wrapper} options (a {text})"));
        self.run(format!(
            "create server {server} foreign data wrapper {wrapper} options (\"b c\" {text})"
        ));
        self.run(format!(
            "create foreign table {foreign} (a integer, b text default {text}) server {server}"
        ));
        self.run(format!(
            "create user mapping for {role} server {server} options (password {text})"
        ));
        let (event, function) = (self.new_name(), self.new_place());
        self.run(format!(
            "create function {function}() returns event_trigger language plpgsql as 'begin end'"
        ));
        self.run(format!(
            "create event trigger {event} on ddl_command_end execute function {function}()"
        ));
    }
}
