//! What `pgkedge plan` shows is what `pgkedge run` sends: no statement more, none less.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pgkedge_postgres::lexer;
use pgkedge_sandbox::dvd_rental::{self, Size};
use pgkedge_sandbox::{Cluster, Options, StatementLog};
use serde_json::Value;

use crate::harness::{Move, Side, pgkedge, text};

#[test]
fn a_run_sends_what_the_dry_run_of_the_dvd_rental_shows() {
    let moved = logged();
    let statements = dvd_rental::statements(Size::new(0.05).expect("a size"));
    moved.sql_script(Side::Source, &(statements.join(";\n") + ";\n"));
    // Several parts, locks of the tables that have them, and bundles.
    let plan = moved.plan_with("load: { part_size: 1MiB }\n");
    let shown = dry_run(&moved, &plan);
    moved.run_plan(&plan).expect(0);
    assert_sent(&moved, &shown);
}

#[test]
fn a_run_sends_what_the_dry_run_of_odd_settings_shows() {
    let moved = logged();
    moved.load("settings.sql");
    let shown = dry_run(&moved, &moved.plan());
    moved.run().expect(0);
    assert_sent(&moved, &shown);
}

#[test]
fn a_capture_sends_what_its_dry_run_shows() {
    let moved = logged();
    let statements = dvd_rental::statements(Size::new(0.02).expect("a size"));
    moved.sql_script(Side::Source, &(statements.join(";\n") + ";\n"));
    moved.sql(Side::Source, "alter system set log_replication_commands to on");
    moved.sql(Side::Source, "select pg_catalog.pg_reload_conf()");
    let plan = moved.plan_of("full-load-and-capture", CAPTURED);
    let shown = dry_run(&moved, &plan);
    moved.run_plan(&plan).expect(0);
    assert_sent(&moved, &shown);
}

/// Two slots, one of which has two sets, and keys that lead from one to the other.
const CAPTURED: &str = "
slots: { money: {}, rest: {} }
replication_sets:
  money_rows: { slot: money, operations: [update, delete] }
  money_inserts: { slot: money, operations: [insert, truncate] }
  rest: { slot: rest }
groups:
  - { name: money, tables: [\"public.payment*\"], replication_sets: [money_rows, money_inserts] }
  - { name: rest, tables: [\"*\"], replication_sets: [rest] }
crossing_foreign_keys:
  [public.payment.payment_member_id_fkey, public.payment.payment_rental_id_fkey]
";

#[test]
fn catalogs_from_files_give_the_same_dry_run_as_the_servers() {
    let moved = Move::of("objects.sql");
    let plan = moved.plan();
    let file = |database: &str| {
        let catalog = pgkedge(&["inspect", text(&plan), "--database", database]).expect(0).stdout;
        let path = moved.sandbox.folder.join(format!("{database}.json"));
        std::fs::write(&path, catalog).expect("the catalog is written");
        format!("{database}={}", text(&path))
    };
    let (source, target) = (file("source"), file("target"));
    let shown = |arguments: &[&str]| {
        pgkedge(&[&["plan", text(&plan)], arguments].concat()).expect(0).stdout
    };
    let offline = ["--catalog", &source, "--catalog", &target];
    for format in ["json", "text"] {
        let asked = shown(&["--format", format]);
        let read = shown(&[&offline[..], &["--format", format]].concat());
        assert_eq!(asked, read, "{format}");
    }

    let alone = json(&shown(&["--catalog", &source, "--format", "json"]));
    let databases = alone["databases"].as_array().expect("databases");
    let target = databases.iter().find(|one| one["server"] == "target").expect("a target");
    assert_eq!(target["assumed"], true);
    let told = shown(&["--catalog", &source]);
    assert!(told.contains("assumed"), "{told}");
}

fn logged() -> Move {
    Move::with(&Options { statement_log: StatementLog::All, ..Options::default() })
}

fn dry_run(moved: &Move, plan: &std::path::Path) -> Value {
    let shown = pgkedge(&["plan", text(plan), "--format", "json"]).expect(0);
    assert!(!moved.state.exists(), "a dry-run leaves nothing");
    json(&shown.stdout)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Fails with what was sent and not shown, and what was shown and not sent.
fn assert_sent(moved: &Move, shown: &Value) {
    let mut wrong = String::new();
    for (name, cluster) in [("source", &moved.sandbox.source), ("target", &moved.sandbox.target)] {
        let (done, read) = (sent(cluster, ":do"), sent(cluster, ":read"));
        let promised = Promise::read(shown, name, &done);
        compare(name, promised, done, &read, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every statement that a server has logged of one job of a run: of its effects, or of its reads.
fn sent(cluster: &Cluster, job: &str) -> Vec<String> {
    let logged = cluster.logged_statements().expect("the log is readable");
    // A session has no other way to know its own number.
    let own_number = "select pg_catalog.pg_backend_pid()";
    let effects = logged.iter().filter(|statement| statement.text != own_number);
    let effects = effects.filter(|statement| {
        let application = &statement.application;
        application.starts_with("pgkedge:") && application.ends_with(job)
    });
    effects.flat_map(|one| lexer::statements(&one.text)).map(str::to_owned).collect()
}

/// What a dry-run says of one server.
#[derive(Default)]
struct Promise {
    /// Sent exactly once each.
    once: Vec<String>,
    /// Sent as often as there is something that it is for, or not at all.
    repeated: Vec<String>,
}

impl Promise {
    /// Large objects go in batches, of which only the run knows how many there are: as many as
    /// contents that it asked the source for.
    fn read(shown: &Value, server: &str, sent: &[String]) -> Self {
        let mut promise = Self::default();
        for step in all(&shown["phases"]).iter().flat_map(|phase| all(&phase["steps"])) {
            match step["kind"].as_str() {
                Some("copy_large_objects") => {
                    promise.add_large_objects(step, shown, server, sent);
                }
                Some("close_target" | "fence_source" | "open_target") => {
                    promise.add(step, shown, server);
                    promise.repeat_what_depends_on_roles();
                }
                Some("start_apply") => promise.add_secret(step, shown, server),
                _ => promise.add(step, shown, server),
            }
        }
        promise
    }

    fn add(&mut self, step: &Value, shown: &Value, server: &str) {
        let members = all(&step["members"]).iter();
        let run = members.clone().flat_map(|member| all(&member["statements"]));
        let statements = all(&step["before"]).iter().chain(run).chain(all(&step["after"]));
        let statements: Vec<&Value> = statements.filter(|one| one["on"] == server).collect();
        self.once.extend(statements.iter().map(|one| string(&one["text"])));
        if statements.iter().any(|one| one["guarded"] == true) {
            let keys: Vec<String> = members.map(|member| string(&member["key"])).collect();
            self.add_guard(shown, &string(&step["id"]), &keys);
        }
    }

    /// Who may connect, and whose sessions there are, is only known in the run.
    fn repeat_what_depends_on_roles(&mut self) {
        let depends = |text: &String| {
            let is_access =
                ["database ", "role ", "pg_terminate_backend(", "prepared ", " where step"];
            let is_open = text.contains('‹') && is_access.iter().any(|word| text.contains(word));
            is_open || text == "set local role none" || text.contains(" reset default_transaction_")
        };
        self.repeated.extend(self.once.extract_if(.., |text| depends(text)));
    }

    /// What holds a connection string is kept out of the log, with the statement that ends that.
    fn add_secret(&mut self, step: &Value, shown: &Value, server: &str) {
        let known = self.once.len();
        self.add(step, shown, server);
        let added = self.once.split_off(known);
        let quiet = added.iter().position(|text| text.contains("('log_statement', 'none')"));
        let Some(quiet) = quiet else {
            assert!(added.is_empty(), "{added:?}");
            return;
        };
        let loud = added.iter().position(|text| text == "set local log_statement to default");
        let loud = loud.expect("logging goes on");
        let is_logged = |at: &usize| *at <= quiet || *at > loud;
        let logged = added.into_iter().enumerate().filter(|(at, _)| is_logged(at));
        self.once.extend(logged.map(|(_, text)| text));
    }

    fn add_guard(&mut self, shown: &Value, step: &str, members: &[String]) {
        self.once.extend(all(&shown["guard"]["open"]).iter().map(string));
        for close in all(&shown["guard"]["close"]) {
            let close = string(close);
            let Some((head, row)) = close.split_once(" values ") else {
                self.once.push(close);
                continue;
            };
            let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
            let row = row.replace("'‹step›'", &literal(step));
            let rows: Vec<_> =
                members.iter().map(|member| row.replace("'‹member›'", &literal(member))).collect();
            self.once.push(format!("{head} values {}", rows.join(", ")));
        }
    }

    fn add_large_objects(&mut self, step: &Value, shown: &Value, server: &str, sent: &[String]) {
        let run = all(&step["members"][0]["statements"]);
        let batch = run.iter().filter(|one| !string(&one["text"]).contains("‹oid›"));
        let batch: Vec<&Value> = batch.filter(|one| one["on"] == server).collect();
        let first = string(&batch[0]["text"]);
        let batches = sent.iter().filter(|text| fits(&first, text)).count();
        let ends = all(&step["before"]).iter().chain(all(&step["after"]));
        self.once.extend(ends.filter(|one| one["on"] == server).map(|one| string(&one["text"])));
        for _ in 0..batches {
            self.once.extend(batch.iter().map(|one| string(&one["text"])));
        }
        if server == "target" {
            for _ in 0..batches {
                self.add_guard(shown, &string(&step["id"]), &["‹batch›".to_owned()]);
            }
            self.add_guard(shown, &string(&step["id"]), &["large_objects".to_owned()]);
            let each = run.iter().map(|one| string(&one["text"]));
            self.repeated.extend(each.filter(|text| text.contains("‹oid›")));
        }
    }
}

/// What only looks goes out as a read, whether it is shown or not.
fn compare(server: &str, promise: Promise, sent: Vec<String>, read: &[String], wrong: &mut String) {
    let mut exact: BTreeMap<String, usize> = BTreeMap::new();
    let mut patterns = Vec::new();
    for text in promise.once {
        assert_eq!(lexer::statements(&text).len(), 1, "one statement: {text}");
        let text = lexer::statements(&text)[0].to_owned();
        if text.contains('‹') {
            patterns.push(text);
        } else {
            *exact.entry(text).or_default() += 1;
        }
    }
    // The most telling first, so that a vague one does not take what fits another.
    patterns.sort_by_key(|pattern| std::cmp::Reverse(literal_length(pattern)));
    for text in sent {
        if let Some(count) = exact.get_mut(&text).filter(|count| **count > 0) {
            *count -= 1;
        } else if let Some(at) = patterns.iter().position(|pattern| fits(pattern, &text)) {
            patterns.remove(at);
        } else if !promise.repeated.iter().any(|pattern| fits(pattern, &text)) {
            writeln!(wrong, "{server}: sent, not shown: {text}").expect("a String takes all");
        }
    }
    let unsent = exact.into_iter().flat_map(|(text, count)| vec![text; count]).chain(patterns);
    for text in unsent.filter(|text| !read.iter().any(|sent| fits(text, sent))) {
        writeln!(wrong, "{server}: shown, not sent: {text}").expect("a String takes all");
    }
}

fn literal_length(pattern: &str) -> usize {
    literals(pattern).iter().map(|literal| literal.len()).sum()
}

/// The text around the run-time values of a statement.
fn literals(pattern: &str) -> Vec<&str> {
    let mut literals = Vec::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('‹') {
        literals.push(before);
        rest = after.split_once('›').map_or("", |(_, rest)| rest);
    }
    literals.push(rest);
    literals
}

/// Whether a text is a statement with its run-time values filled in.
fn fits(pattern: &str, text: &str) -> bool {
    let literals = literals(pattern);
    let Some((first, others)) = literals.split_first() else { return false };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
    for literal in middle {
        let Some(at) = rest.find(literal) else { return false };
        rest = &rest[at + literal.len()..];
    }
    rest.ends_with(last)
}

fn all(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
