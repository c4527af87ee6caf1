//! Where the programs of a PostgreSQL server are.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::error::SandboxError;

/// What a cluster needs. Client programs are not among them: a server alone is enough.
const PROGRAMS: &[&str] = &["initdb", "pg_ctl", "postgres"];

/// Folders of packages, `<parent>/<version><rest>`.
const PACKAGED: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // Red Hat, from postgresql.org
    ("/opt/homebrew/opt", "postgresql@", "bin"), // macOS
    ("/usr/local/opt", "postgresql@", "bin"),    // macOS on Intel
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The folder with the programs of one PostgreSQL version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Installation {
    bin: PathBuf,
}

impl Installation {
    /// The folder that the caller names. The servers are started from elsewhere, so its whole name counts.
    pub fn at(bin: impl Into<PathBuf>) -> Result<Self, SandboxError> {
        let bin = bin.into();
        let bin = std::path::absolute(&bin).unwrap_or(bin);
        Self::complete(&bin).ok_or(SandboxError::NotAnInstallation { folder: bin })
    }

    /// What `pg_config` names, what stands in the search path, then the newest package.
    pub fn find() -> Result<Self, SandboxError> {
        named_by("pg_config", &["--bindir"])
            .or_else(|| {
                named_by("sh", &["-c", r#"dirname "$(readlink -f "$(command -v pg_ctl)")""#])
            })
            .or_else(newest_package)
            .ok_or(SandboxError::NoInstallation)
    }

    pub fn bin(&self) -> &Path {
        &self.bin
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    fn complete(bin: &Path) -> Option<Self> {
        let whole = PROGRAMS.iter().all(|program| bin.join(program).is_file());
        whole.then(|| Self { bin: bin.to_owned() })
    }
}

fn named_by(program: &str, arguments: &[&str]) -> Option<Installation> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let bin = String::from_utf8(output.stdout).ok()?;
    Installation::complete(Path::new(bin.trim()))
}

fn newest_package() -> Option<Installation> {
    PACKAGED
        .iter()
        .flat_map(|(parent, prefix, rest)| versions(Path::new(parent), prefix, rest))
        .max_by_key(|(version, _)| *version)
        .map(|(_, installation)| installation)
}

fn versions(parent: &Path, prefix: &str, rest: &str) -> Vec<(u32, Installation)> {
    let Ok(entries) = parent.read_dir() else { return Vec::new() };
    let version = |entry: std::fs::DirEntry| {
        let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
        Some((version, Installation::complete(&entry.path().join(rest))?))
    };
    entries.flatten().filter_map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_programs_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            Installation::at(folder.path()),
            Err(SandboxError::NotAnInstallation { .. })
        ));
    }

    #[test]
    fn a_package_is_known_by_its_version() {
        let folder = tempfile::tempdir().unwrap();
        for (version, programs) in
            [("9", PROGRAMS), ("15", PROGRAMS), ("18", &["postgres"]), ("doc", PROGRAMS)]
        {
            let bin = folder.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in programs {
                std::fs::write(bin.join(program), "").unwrap();
            }
        }
        let mut found: Vec<u32> =
            versions(folder.path(), "", "bin").into_iter().map(|(version, _)| version).collect();
        found.sort_unstable();
        assert_eq!(found, [9, 15]);
    }
}
