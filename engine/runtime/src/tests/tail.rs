//! A journal whose end another runner has written, or that has lost its end.

use std::path::Path;

use pgkedge_model::{Epoch, Record, RunId};

use super::graph::{clock, header, private_folder, step};
use crate::{Journal, JournalError, JournalReader};

fn opened(epoch: u64) -> Record {
    Record::RunOpened { run_id: RunId("r".into()), epoch: Epoch(epoch), engine: "e".into() }
}

fn journal(folder: &Path) -> Journal {
    Journal::create(folder, header(&[step("a", &[])], 1, 1), clock()).unwrap()
}

#[tokio::test]
async fn a_runner_that_was_taken_over_writes_nothing_more() {
    let folder = private_folder();
    let stopped = journal(folder.path());
    stopped.append(opened(1)).await.unwrap();
    assert!(matches!(Journal::open(folder.path(), clock()), Err(JournalError::Held { .. })));

    let next = Journal::take_over(folder.path(), clock()).unwrap();
    next.append(opened(2)).await.unwrap();
    for _ in 0..2 {
        let refused = stopped.append(opened(3)).await;
        assert!(matches!(refused, Err(JournalError::TakenOver)), "{refused:?}");
    }
    drop(stopped);

    let reader = JournalReader::open(folder.path()).unwrap();
    assert!(reader.is_held().unwrap(), "the stopped runner's lock is not the folder's any more");
    assert!(matches!(Journal::open(folder.path(), clock()), Err(JournalError::Held { .. })));
    next.append(Record::StepStarted { step: "a".into(), attempt: 1 }).await.unwrap();
    assert_eq!(reader.checkpoint().unwrap().epoch, Some(Epoch(2)));
}

#[tokio::test]
async fn a_journal_that_lost_its_end_opens_with_what_is_whole() {
    let folder = private_folder();
    let written = journal(folder.path());
    for epoch in 1..=20 {
        written.append(opened(epoch)).await.unwrap();
    }
    let log = std::fs::read(folder.path().join("journal.sqlite-wal")).unwrap();
    let mut last = 0;
    for cut in (0..=log.len()).step_by(1_000) {
        let copy = private_folder();
        std::fs::copy(folder.path().join("journal.sqlite"), copy.path().join("journal.sqlite"))
            .unwrap();
        std::fs::write(copy.path().join("journal.sqlite-wal"), &log[..cut]).unwrap();
        let epoch = Journal::open(copy.path(), clock()).unwrap().checkpoint().epoch;
        let epoch = epoch.map_or(0, |epoch| epoch.0);
        assert!(epoch >= last, "{cut}: {epoch} after {last}");
        last = epoch;
    }
    assert!(last >= 19, "{last}");
}
