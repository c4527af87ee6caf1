//! Passwords stay where they were read: in no file, no output, no argument, no log.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgkedge_sandbox::{Options, StatementLog};

use crate::harness::{Move, Side, pgkedge, text, write_private};

/// Characters that YAML, URLs, shells, password files and JSON each write in their own way.
const PASSWORD: &str = r#"cAnArY"'$x% \:@/?&#é9"#;
/// What any way of writing it has in it.
const CANARIES: [&str; 2] = ["cAnArY", "%C3%A99"];

#[test]
fn a_password_is_found_nowhere_after_a_run() {
    let options = Options { statement_log: StatementLog::All, ..Options::default() };
    let moved = Move::with(&options);
    moved.sql(Side::Source, "create table public.t (a int); insert into public.t values (1)");
    let literal = PASSWORD.replace('\'', "''");
    for side in [Side::Source, Side::Target] {
        moved.sql(side, &format!("create role canary superuser login password '{literal}'"));
    }
    let plan = plan(&moved);
    let watching = AtomicBool::new(true);
    let (ended, seen) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&watching));
        let state = text(&moved.state);
        let ended = pgkedge(&["-vv", "run", text(&plan), "--yes", "--state", state]);
        watching.store(false, Ordering::Relaxed);
        (ended, watcher.join().expect("the watcher does not panic"))
    });
    let ended = ended.expect(0);
    assert!(seen.iter().any(|line| line.contains("pg_dump")), "pg_dump was not seen");
    let mut places = vec![("stdout", ended.stdout), ("stderr", ended.stderr)];
    places.push(("arguments and environments", seen.into_iter().collect()));
    for command in ["status", "log"] {
        places
            .push((command, moved.of_run(&[command, "-vv", "--output", "json"]).expect(0).stdout));
    }
    for cluster in [&moved.sandbox.source, &moved.sandbox.target] {
        let logged = cluster.logged_statements().expect("the log is readable");
        let ours = logged.into_iter().filter(|one| one.application.starts_with("pgkedge"));
        places.push(("server log", ours.map(|one| one.text + "\n").collect()));
    }
    let files: Vec<(String, String)> = files(&moved.state);
    assert!(files.iter().any(|(name, _)| name.ends_with("journal.sqlite")), "{files:?}");
    places.extend(files.iter().map(|(name, content)| (name.as_str(), content.clone())));
    for (place, content) in &places {
        for canary in CANARIES {
            assert!(!content.contains(canary), "{canary} in {place}");
        }
    }

    // An error of a server, or of the connection string itself, does not tell it either.
    moved.sql(Side::Source, "alter role canary password 'another'");
    let ended = pgkedge(&["-vv", "inspect", text(&plan)]).expect(1);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("28P01") && CANARIES.iter().all(|one| !told.contains(one)), "{told}");
    let wrong = format!("postgresql://canary:{PASSWORD}@127.0.0.1:x/");
    write_private(&moved.sandbox.folder.join("source.canary"), &wrong);
    let ended = pgkedge(&["-vv", "inspect", text(&plan)]);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert_ne!(ended.code, Some(0));
    assert!(CANARIES.iter().all(|one| !told.contains(one)), "{told}");
}

/// The source's password stands in its connection string, the target's in a password file.
fn plan(moved: &Move) -> std::path::PathBuf {
    let (source, target) = (&moved.sandbox.source, &moved.sandbox.target);
    let folder = &moved.sandbox.folder;
    let encoded: Vec<String> = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let encoded = encoded.concat();
    // Half of it as it stands, so that a part of the text would be found as well.
    let encoded = encoded.replace("%63%41%6E%41%72%59", "cAnArY");
    let url =
        format!("postgresql://canary:{encoded}@127.0.0.1:{}/{}", source.port, source.database);
    write_private(&folder.join("source.canary"), &url);
    let passfile = folder.join("canary.pgpass");
    let escaped = PASSWORD.replace('\\', r"\\").replace(':', r"\:");
    let line = format!("127.0.0.1:{}:*:canary:{escaped}\n", target.port);
    write_private(&passfile, &line);
    let url = format!(
        "postgresql://canary@127.0.0.1:{}/{}?passfile={}",
        target.port,
        target.database,
        text(&passfile)
    );
    write_private(&folder.join("target.canary"), &url);
    let path = moved.plan_named("canary", "");
    let written = std::fs::read_to_string(&path).expect("it was written");
    let written = written
        .replace(text(&source.url), text(&folder.join("source.canary")))
        .replace(text(&target.url), text(&folder.join("target.canary")));
    std::fs::write(&path, written).expect("it is written");
    path
}

/// Arguments and environments of every process that is seen meanwhile, this test's own excepted.
fn watch(watching: &AtomicBool) -> BTreeSet<String> {
    let own = std::process::id().to_string();
    let mut seen = BTreeSet::new();
    while watching.load(Ordering::Relaxed) {
        let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten();
        for process in processes.filter(|one| one.file_name() != own.as_str()) {
            for file in ["cmdline", "environ"] {
                let text = std::fs::read(process.path().join(file)).unwrap_or_default();
                let text = String::from_utf8_lossy(&text).replace('\0', " ");
                if text.contains("pg_dump") || text.contains("pgkedge") || text.contains("cAnArY") {
                    seen.insert(text);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    seen
}

/// Every file of a folder, as text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").flatten();
    entries
        .map(|entry| {
            let content = std::fs::read(entry.path()).expect("it is a file");
            (text(&entry.path()).to_owned(), String::from_utf8_lossy(&content).into_owned())
        })
        .collect()
}
