//! The folder of a run: who may read it, and which runner holds it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgkedge_model::Clock;

use super::JournalError;

const JOURNAL: &str = "journal.sqlite";
const LOCK: &str = "lock";
/// The lock of a runner that takes over, before it gets its name.
const NEW_LOCK: &str = "lock.new";
/// Bits that let anyone but the owner in.
const OTHERS: u32 = 0o077;
/// A reader that asks whether the folder is held takes the lock for a moment; a runner waits that out.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A folder that this process holds. The lock goes with the process, however it ends.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing.
    pub(super) fn make(path: &Path) -> Result<(), JournalError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(JournalError::file(path))
    }

    /// Takes the lock of a folder that is safe to use.
    pub(super) fn hold(path: &Path, clock: &dyn Clock) -> Result<Self, JournalError> {
        let lock_path = path.join(LOCK);
        let lock = locked(path, &lock_path, clock)?;
        // Whoever replaced the file meanwhile holds the folder.
        if !is_the_same(&lock, &lock_path).map_err(JournalError::file(&lock_path))? {
            return Err(held(path));
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Takes a folder from a runner that may be stopped but not dead: a new file takes the place of
    /// the one that it has locked. What keeps it from writing is the journal's last record.
    pub(super) fn take_over(path: &Path, clock: &dyn Clock) -> Result<Self, JournalError> {
        let (lock_path, new) = (path.join(LOCK), path.join(NEW_LOCK));
        let lock = locked(path, &new, clock)?;
        std::fs::rename(&new, &lock_path).map_err(JournalError::file(&lock_path))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn journal(&self) -> PathBuf {
        journal(&self.path)
    }

    /// Where a journal is prepared before it gets its name in one step.
    pub(super) fn draft(&self) -> PathBuf {
        self.path.join(format!("{JOURNAL}.new"))
    }

    /// Makes names in the folder durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(JournalError::file(&self.path))
    }
}

pub(super) fn journal(folder: &Path) -> PathBuf {
    folder.join(JOURNAL)
}

/// Refuses a folder, or a journal in it, that others could read or change.
pub(super) fn check(folder: &Path) -> Result<(), JournalError> {
    let found = existing(folder)?.ok_or(JournalError::Missing { folder: folder.to_owned() })?;
    if found.is_symlink() {
        return Err(unsafe_path(folder, "is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(unsafe_path(folder, "is no folder"));
    }
    if found.mode() & OTHERS != 0 {
        return Err(unsafe_path(folder, "can be read or changed by others"));
    }
    let journal = journal(folder);
    refuse_symlink(&journal)?;
    match existing(&journal)? {
        Some(file) if file.mode() & OTHERS != 0 => {
            Err(unsafe_path(&journal, "can be read or changed by others"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Creates an empty file that its owner alone can read.
pub(super) fn create_private(path: &Path) -> Result<File, JournalError> {
    private(OpenOptions::new().create_new(true)).open(path).map_err(JournalError::file(path))
}

/// Whether a runner holds the folder now.
pub(super) fn is_held(folder: &Path) -> Result<bool, JournalError> {
    let path = folder.join(LOCK);
    match File::open(&path) {
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(JournalError::file(path)(error)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(JournalError::file(path)(error)),
    }
}

/// What the last holder wrote about itself. For people: nothing is decided by it.
pub(super) fn holder(folder: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(folder.join(LOCK)).ok()?.take(1024).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Opens, locks and signs a file of a folder that is safe to use.
fn locked(folder: &Path, path: &Path, clock: &dyn Clock) -> Result<File, JournalError> {
    check(folder)?;
    check_owner(folder)?;
    refuse_symlink(path)?;
    let mut lock = private(OpenOptions::new().create(true).truncate(false))
        .open(path)
        .map_err(JournalError::file(path))?;
    if !take(&lock).map_err(JournalError::file(path))? {
        return Err(held(folder));
    }
    sign(&mut lock, clock).map_err(JournalError::file(path))?;
    Ok(lock)
}

fn held(folder: &Path) -> JournalError {
    let holder = holder(folder).unwrap_or_else(|| "it does not say who it is".to_owned());
    JournalError::Held { folder: folder.to_owned(), holder }
}

fn is_the_same(open: &File, path: &Path) -> std::io::Result<bool> {
    let (open, named) = (open.metadata()?, path.symlink_metadata()?);
    Ok(open.ino() == named.ino() && open.dev() == named.dev())
}

/// A new file belongs to whoever this process is: the folder must belong to the same one.
fn check_owner(folder: &Path) -> Result<(), JournalError> {
    let path = folder.join(format!("owner-{}", std::process::id()));
    // A process of the same number may have died just here.
    drop(std::fs::remove_file(&path));
    let file = create_private(&path)?;
    let mine = file.metadata().map_err(JournalError::file(&path))?.uid();
    std::fs::remove_file(&path).map_err(JournalError::file(&path))?;
    let owner = std::fs::metadata(folder).map_err(JournalError::file(folder))?.uid();
    if mine == owner { Ok(()) } else { Err(unsafe_path(folder, "belongs to another user")) }
}

fn existing(path: &Path) -> Result<Option<Metadata>, JournalError> {
    match path.symlink_metadata() {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::file(path)(error)),
    }
}

fn refuse_symlink(path: &Path) -> Result<(), JournalError> {
    match existing(path)? {
        Some(found) if found.is_symlink() => Err(unsafe_path(path, "is a symbolic link")),
        Some(_) | None => Ok(()),
    }
}

fn unsafe_path(path: &Path, why: &'static str) -> JournalError {
    JournalError::Unsafe { path: path.to_owned(), why }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.read(true).write(true).mode(0o600)
}

fn take(lock: &File) -> std::io::Result<bool> {
    for attempt in 1..=LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if attempt < LOCK_TRIES => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn sign(lock: &mut File, clock: &dyn Clock) -> std::io::Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown" } else { host.trim() };
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "process {} on {host}, since {}", std::process::id(), clock.now())
}
