//! What a journal promises: durable, whole, private, and one runner's.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use pgkedge_model::{CloseStatus, Epoch, Record, RunId, StepState};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;

use super::graph::{clock, graph, header, private_folder, step};
use super::world::Trial;
use crate::{Journal, JournalError, JournalReader, RunError};

fn started(step: &str) -> Record {
    Record::StepStarted { step: step.into(), attempt: 1 }
}

fn filled(folder: &Path, records: usize) -> Vec<Record> {
    let journal = Journal::create(folder, header(&[step("a", &[])], 1, 1), clock()).unwrap();
    let opened =
        Record::RunOpened { run_id: RunId("r".into()), epoch: Epoch(1), engine: "e".into() };
    let mut all = vec![opened];
    all.extend((1..records).map(|n| started(&format!("s{n}"))));
    // On a thread of its own, for a test may be asynchronous itself.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for record in &all {
                runtime.block_on(journal.append(record.clone())).unwrap();
            }
        });
    });
    all
}

fn sql(folder: &Path) -> Connection {
    Connection::open(folder.join("journal.sqlite")).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_journal_opens_as_it_was_written() {
    let folder = private_folder();
    let written = filled(folder.path(), 5);
    let journal = Journal::open(folder.path(), clock()).unwrap();
    assert_eq!(journal.header(), &header(&[step("a", &[])], 1, 1));
    assert_eq!(journal.checkpoint().steps.len(), 4);
    let reader = JournalReader::open(folder.path()).unwrap();
    let read: Vec<Record> =
        reader.records(0).unwrap().into_iter().map(|stamped| stamped.record).collect();
    assert_eq!(read, written);
    assert_eq!(reader.records(4).unwrap().len(), 1);
    assert_eq!(&reader.checkpoint().unwrap(), journal.checkpoint());
}

#[tokio::test]
async fn appends_of_many_callers_are_durable_when_they_return() {
    let folder = private_folder();
    let journal = Journal::create(folder.path(), header(&[step("a", &[])], 1, 1), clock()).unwrap();
    let reader = JournalReader::open(folder.path()).unwrap();
    let appends = (0..500).map(|n| journal.append(started(&format!("s{n}"))));
    for result in futures_util::future::join_all(appends).await {
        result.unwrap();
    }
    assert_eq!(reader.checkpoint().unwrap().steps.len(), 500);
}

#[tokio::test]
async fn a_record_that_cannot_follow_is_refused_alone() {
    let folder = private_folder();
    let journal = Journal::create(folder.path(), header(&[step("a", &[])], 1, 1), clock()).unwrap();
    let (first, again, other) = tokio::join!(
        journal.append(started("a")),
        journal.append(started("a")),
        journal.append(started("b"))
    );
    first.unwrap();
    other.unwrap();
    assert!(matches!(again, Err(JournalError::Illegal(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_flipped_bit_anywhere_in_a_record_is_refused(
        seq in 1..6_i64, place in any::<prop::sample::Index>(), bit in 0..8_u8,
        column in prop_oneof![Just("body"), Just("at"), Just("hash")],
    ) {
        let folder = recorded();
        let connection = sql(folder.path());
        let read = format!("select cast({column} as blob) from record where seq = ?1");
        let mut bytes: Vec<u8> =
            connection.query_row(&read, (seq,), |row| row.get(0)).unwrap();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let kind = if column == "hash" { "blob" } else { "text" };
        connection
            .execute(
                &format!("update record set {column} = cast(?1 as {kind}) where seq = ?2"),
                (&bytes, seq),
            )
            .unwrap();
        drop(connection);
        let refused = Journal::open(folder.path(), clock()).err();
        let seq = u64::try_from(seq).unwrap();
        prop_assert!(
            matches!(refused, Some(JournalError::Corrupt { seq: found }) if found == seq),
            "{refused:?}"
        );
    }
}

/// A copy of one journal: making one for each case would take long.
fn recorded() -> tempfile::TempDir {
    static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let bytes = FILE.get_or_init(|| {
        let folder = private_folder();
        filled(folder.path(), 5);
        std::fs::read(folder.path().join("journal.sqlite")).unwrap()
    });
    let folder = private_folder();
    let path = folder.path().join("journal.sqlite");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

#[test]
fn a_changed_header_and_a_missing_record_are_refused() {
    for (change, seq) in [
        ("update run set header = replace(header, '150000', '150001')", 1),
        ("update plan set body = replace(body, 'fake', 'true')", 1),
        ("delete from record where seq = 3", 3),
    ] {
        let folder = recorded();
        sql(folder.path()).execute(change, ()).unwrap();
        let refused = Journal::open(folder.path(), clock()).err();
        assert!(
            matches!(refused, Some(JournalError::Corrupt { seq: found }) if found == seq),
            "{change}: {refused:?}"
        );
    }
}

#[test]
fn a_newer_format_is_refused() {
    let folder = recorded();
    sql(folder.path()).pragma_update(None, "user_version", 2).unwrap();
    let refused = Journal::open(folder.path(), clock()).err();
    assert!(matches!(refused, Some(JournalError::Newer { found: 2, known: 1 })), "{refused:?}");
}

#[test]
fn a_second_runner_is_told_who_holds_the_run() {
    let folder = private_folder();
    filled(folder.path(), 2);
    let reader = JournalReader::open(folder.path()).unwrap();
    assert!(!reader.is_held().unwrap());
    let journal = Journal::open(folder.path(), clock()).unwrap();
    assert!(reader.is_held().unwrap());
    let Some(JournalError::Held { holder, .. }) = Journal::open(folder.path(), clock()).err()
    else {
        panic!("it was not refused");
    };
    assert!(holder.contains(&format!("process {} on ", std::process::id())), "{holder}");
    drop(journal);
    assert!(Journal::open(folder.path(), clock()).is_ok());
}

#[test]
fn a_folder_that_holds_a_run_takes_no_other() {
    let folder = private_folder();
    filled(folder.path(), 2);
    let again = Journal::create(folder.path(), header(&[], 1, 1), clock());
    assert!(matches!(again.err(), Some(JournalError::Exists { .. })));
    let empty = private_folder();
    let missing = Journal::open(empty.path(), clock());
    assert!(matches!(missing.err(), Some(JournalError::Missing { .. })));
}

#[test]
fn only_the_owner_can_read_a_journal() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state/run");
    let journal = Journal::create(&folder, header(&[], 1, 1), clock()).unwrap();
    assert_eq!(mode(&folder), 0o700);
    for file in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "lock"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
    drop(journal);
}

#[test]
fn a_folder_that_others_could_reach_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    filled(&folder, 2);
    let link = parent.path().join("link");
    symlink(&folder, &link).unwrap();
    let refused = |path: &Path| {
        matches!(Journal::open(path, clock()).err(), Some(JournalError::Unsafe { .. }))
            && matches!(JournalReader::open(path).err(), Some(JournalError::Unsafe { .. }))
    };
    assert!(refused(&link));
    let journal = folder.join("journal.sqlite");
    std::fs::set_permissions(&journal, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&folder));
    std::fs::set_permissions(&journal, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).unwrap();
    assert!(refused(&folder));
}

#[tokio::test]
async fn an_edit_replaces_what_the_plan_says_and_is_part_of_the_chain() {
    let folder = private_folder();
    filled(folder.path(), 3);
    let mut journal = Journal::open(folder.path(), clock()).unwrap();
    let mut edited = journal.header().clone();
    edited.graph = graph(&[step("a", &[]), step("b", &["a"])]);
    edited.settings.load.workers = 7;
    journal.edit(edited.clone(), vec!["b is new".to_owned()]).unwrap();
    journal.append(started("b")).await.unwrap();
    drop(journal);
    let journal = Journal::open(folder.path(), clock()).unwrap();
    assert_eq!(journal.header(), &edited);
    let state = journal.checkpoint().state(&"b".into()).clone();
    assert_eq!(state, StepState::Running { attempt: 1 });
    drop(journal);
    let change = "update plan set body = replace(body, 'fake', 'true') where since > 0";
    sql(folder.path()).execute(change, ()).unwrap();
    let refused = Journal::open(folder.path(), clock()).err();
    assert!(matches!(refused, Some(JournalError::Corrupt { seq: 4 })), "{refused:?}");
}

#[tokio::test]
async fn a_full_disk_stops_the_run_before_the_next_effect_and_it_goes_on_later() {
    let names: Vec<String> = (0..40).map(|n| format!("s{n:02}")).collect();
    let sketches: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, name)| match at {
            0 => step(name, &[]),
            _ => step(name, &[&names[at - 1]]),
        })
        .collect();
    let trial = Trial::new(header(&sketches, 4, 4));
    let journal = trial.journal();
    let pages: u32 =
        sql(trial.folder.path()).pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    journal.appender().limit_pages(pages + 1);
    let world = &trial.world;
    let fence = std::sync::Arc::new(super::world::FakeFence(std::sync::Arc::clone(world)));
    let performer = std::sync::Arc::clone(world);
    let stop = crate::StopSignal::new();
    let options = super::world::options();
    let report = crate::run(journal, performer, fence, Vec::new(), options, stop).await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert!(matches!(report.cause, Some(RunError::Journal(_))), "{report:?}");
    let recorded = trial.records();
    for step in &trial.world.state().started {
        let intent = Record::StepStarted { step: step.clone(), attempt: 1 };
        assert!(recorded.contains(&intent), "{step} ran without a record");
    }
    assert!(trial.world.state().started.len() < 40);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
}

#[tokio::test]
async fn a_note_is_durable_and_read_back() {
    let folder = private_folder();
    filled(folder.path(), 2);
    let journal = Journal::open(folder.path(), clock()).unwrap();
    let value = json!({ "lsn": "16/B374D848" });
    let note = Record::Noted { step: "s1".into(), key: "hand_off".into(), value: value.clone() };
    journal.append(note).await.unwrap();
    drop(journal);
    let journal = Journal::open(folder.path(), clock()).unwrap();
    assert_eq!(journal.checkpoint().notes[&"s1".into()]["hand_off"], value);
}
