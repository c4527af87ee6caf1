//! The folder of a sandbox: what lies in it, who may read it, and the mark that allows its removal.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::{SandboxError, io_error};

/// Only a folder with this file is ever removed.
const MARKER: &str = ".pgkedge-sandbox";
const DESCRIPTION: &str = "sandbox.json";

/// Makes the folder and marks it. Others may pass through it, so that the servers' account reaches theirs.
pub(crate) fn create(wanted: Option<&Path>, account: &Account) -> Result<PathBuf, SandboxError> {
    let folder = match wanted {
        Some(folder) => named(folder)?,
        None => tempfile::Builder::new()
            .prefix("pgkedge-sandbox-")
            .tempdir()
            .map_err(io_error("create a folder in", Path::new("the folder for temporary files")))?
            .keep(),
    };
    fs::set_permissions(&folder, Permissions::from_mode(0o711))
        .map_err(io_error("set permissions of", &folder))?;
    write(&folder.join(MARKER), "Made by `pgkedge sandbox`, which removes it as a whole.\n")?;
    account.enters(&folder).inspect_err(|_| remove_quietly(&folder))?;
    Ok(folder)
}

fn named(folder: &Path) -> Result<PathBuf, SandboxError> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    let folder = folder.canonicalize().map_err(io_error("find", folder))?;
    let mut entries = folder.read_dir().map_err(io_error("read", &folder))?;
    if entries.next().is_some() {
        return Err(SandboxError::Occupied { folder });
    }
    Ok(folder)
}

/// A folder that belongs to the servers' account alone.
pub(crate) fn create_private(folder: &Path, account: &Account) -> Result<(), SandboxError> {
    fs::create_dir(folder).map_err(io_error("create", folder))?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
        .map_err(io_error("set permissions of", folder))?;
    account.give(folder)
}

/// Writes a file that only its owner may read.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(io_error("write", path))
}

pub(crate) fn describe(folder: &Path, description: &str) -> Result<(), SandboxError> {
    write(&folder.join(DESCRIPTION), description)
}

/// The folder's full name and its description, once it is proved to be a sandbox.
pub(crate) fn description(folder: &Path) -> Result<(PathBuf, Option<String>), SandboxError> {
    let missing = || SandboxError::NotASandbox { folder: folder.to_owned() };
    let folder = folder.canonicalize().map_err(|_| missing())?;
    if !folder.join(MARKER).is_file() {
        return Err(SandboxError::NotASandbox { folder });
    }
    let description = fs::read_to_string(folder.join(DESCRIPTION)).ok();
    Ok((folder, description))
}

/// Removes a marked folder with everything in it, the mark last.
pub(crate) fn remove(folder: &Path) -> Result<(), SandboxError> {
    let (folder, _) = description(folder)?;
    for entry in folder.read_dir().map_err(io_error("read", &folder))?.flatten() {
        let path = entry.path();
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if entry.file_name() == MARKER {
            continue;
        }
        let removed = if directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(io_error("remove", &path))?;
    }
    fs::remove_file(folder.join(MARKER)).map_err(io_error("remove", &folder))?;
    fs::remove_dir(&folder).map_err(io_error("remove", &folder))
}

pub(crate) fn remove_quietly(folder: &Path) {
    if let Err(error) = remove(folder) {
        tracing::warn!(%error, "the sandbox's folder is left");
    }
}

/// A password that nobody guesses: 128 bits from the system, as hexadecimal digits.
pub(crate) fn password() -> Result<String, SandboxError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(io_error("read", source))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_marked_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "").unwrap();
        assert!(matches!(remove(folder.path()), Err(SandboxError::NotASandbox { .. })));
        assert!(folder.path().join("precious").exists());
    }

    #[test]
    fn a_folder_with_something_in_it_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "").unwrap();
        let taken = create(Some(folder.path()), &Account::Caller);
        assert!(matches!(taken, Err(SandboxError::Occupied { .. })));
    }

    #[test]
    fn a_made_folder_is_marked_and_goes_as_a_whole() {
        let parent = tempfile::tempdir().unwrap();
        let folder = create(Some(&parent.path().join("a/b")), &Account::Caller).unwrap();
        fs::create_dir(folder.join("source")).unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_secret_file_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.url");
        write(&path, "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
