//! A journal as everybody else sees it: `status`, `log` and `approve`, while a runner writes.

use std::path::{Path, PathBuf};

use pgkedge_model::{Checkpoint, Clock, RunHeader, StampedRecord};
use rusqlite::{Connection, OpenFlags};

use super::{JournalError, Request, folder, store};

/// Reads a journal; changes nothing but the table of requests.
pub struct JournalReader {
    folder: PathBuf,
    connection: Connection,
}

impl JournalReader {
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        folder::check(folder)?;
        let path = folder::journal(folder);
        if !path.exists() {
            return Err(JournalError::Missing { folder: folder.to_owned() });
        }
        let connection = store::connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self { folder: folder.to_owned(), connection })
    }

    /// As of the latest edit.
    pub fn header(&self) -> Result<RunHeader, JournalError> {
        store::load_header(&self.connection).map(|(header, _)| header)
    }

    /// Records after a place in the journal; 0 gives all.
    pub fn records(&self, after: u64) -> Result<Vec<StampedRecord>, JournalError> {
        store::records(&self.connection, after)
    }

    /// The fold of everything, with every hash verified.
    pub fn checkpoint(&self) -> Result<Checkpoint, JournalError> {
        store::load(&self.connection).map(|contents| contents.checkpoint)
    }

    /// Whether a runner has the folder now.
    pub fn is_held(&self) -> Result<bool, JournalError> {
        folder::is_held(&self.folder)
    }

    /// What the last runner said about itself: process, host, time.
    pub fn holder(&self) -> Option<String> {
        folder::holder(&self.folder)
    }

    /// Leaves a request for the runner, or for the next one.
    pub fn request(&self, request: &Request, clock: &dyn Clock) -> Result<(), JournalError> {
        let path = folder::journal(&self.folder);
        let connection = store::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        store::leave_request(&connection, request, clock.now())
    }
}
