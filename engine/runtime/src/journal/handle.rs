//! The journal as its one runner holds it.

use std::path::Path;
use std::sync::Arc;

use pgkedge_model::{Checkpoint, Clock, Record, RunHeader};
use rusqlite::Connection;

use super::folder::{self, Folder};
use super::store::{self, Contents, Tail};
use super::writer::Writer;
use super::{Appender, JournalError};

/// A journal and the lock of its folder, both held for this value's life.
pub struct Journal {
    header: Arc<RunHeader>,
    opened: Checkpoint,
    // Dropped before the folder, whose lock must outlive the last write.
    writer: Writer,
    _folder: Folder,
}

impl Journal {
    /// Starts the journal of a new run. Refuses a folder that holds one.
    ///
    /// The header is not read back: of a large database there should be one in memory.
    pub fn create(
        folder: &Path,
        header: impl Into<Arc<RunHeader>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JournalError> {
        Folder::make(folder)?;
        let held = Folder::hold(folder, clock.as_ref())?;
        let (draft, journal) = (held.draft(), held.journal());
        if journal.symlink_metadata().is_ok() {
            return Err(JournalError::Exists { folder: folder.to_owned() });
        }
        // What a runner left that died while it prepared one was never a journal.
        if draft.symlink_metadata().is_ok() {
            std::fs::remove_file(&draft).map_err(JournalError::file(&draft))?;
        }
        drop(folder::create_private(&draft)?);
        let header = header.into();
        let tail = store::prepare(&draft, &header)?;
        std::fs::rename(&draft, &journal).map_err(JournalError::file(&journal))?;
        held.sync()?;
        let connection = store::open(&journal)?;
        Self::start(held, connection, header, (Checkpoint::default(), tail), clock)
    }

    /// Takes a run that is there, and verifies every record of it.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        folder::check(folder)?;
        if !folder::journal(folder).exists() {
            return Err(JournalError::Missing { folder: folder.to_owned() });
        }
        Self::read(Folder::hold(folder, clock.as_ref())?, clock)
    }

    /// As `open`, from a runner that holds the folder but hangs.
    pub fn take_over(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        folder::check(folder)?;
        if !folder::journal(folder).exists() {
            return Err(JournalError::Missing { folder: folder.to_owned() });
        }
        let taken = Folder::take_over(folder, clock.as_ref())?;
        Self::read(taken, clock)
    }

    fn read(held: Folder, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let connection = store::open(&held.journal())?;
        let Contents { header, checkpoint, tail } = store::load(&connection)?;
        Self::start(held, connection, Arc::new(header), (checkpoint, tail), clock)
    }

    fn start(
        folder: Folder,
        connection: Connection,
        header: Arc<RunHeader>,
        (opened, tail): (Checkpoint, Tail),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JournalError> {
        let writer = Writer::start(connection, tail, opened.clone(), clock)
            .map_err(JournalError::file(folder.journal()))?;
        Ok(Self { header, opened, writer, _folder: folder })
    }

    pub fn header(&self) -> &RunHeader {
        &self.header
    }

    /// The header, to be shared with the performer.
    pub fn shared_header(&self) -> Arc<RunHeader> {
        Arc::clone(&self.header)
    }

    /// The fold of the journal as it was when it was opened.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.opened
    }

    /// Goes on with what an edited plan says of servers, settings and steps, and records how that
    /// differs. The caller has checked that it may; the run and its facts stay.
    pub fn edit(&mut self, edited: RunHeader, changes: Vec<String>) -> Result<(), JournalError> {
        let old = RunHeader::clone(&self.header);
        let RunHeader { run_id, engine, facts, .. } = old;
        let header = RunHeader { run_id, engine, facts, ..edited };
        let text = store::plan_text(&header)?;
        self.writer.edit(Record::PlanEdited { changes }, text)?;
        self.header = Arc::new(header);
        Ok(())
    }

    /// Appends one record; returns when it is durable.
    pub async fn append(&self, record: Record) -> Result<(), JournalError> {
        self.writer.appender().append(record).await.map(|_| ())
    }

    pub(crate) fn appender(&self) -> Appender {
        self.writer.appender().clone()
    }
}
