//! Looks secrets up where the plan says that they are.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgkedge_model::{SecretError, SecretRef, SecretString, Secrets};

/// Reads environment, files and commands. Relative paths start at the plan's folder.
pub(crate) struct ProcessSecrets {
    pub(crate) plan_folder: PathBuf,
}

impl ProcessSecrets {
    pub(crate) fn beside(plan: &Path) -> Self {
        Self { plan_folder: plan.parent().unwrap_or(Path::new(".")).to_owned() }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let path = self.plan_folder.join(path);
        let metadata = fs::metadata(&path)
            .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(format!(
                "others may read {}; type: chmod 600 {}",
                path.display(),
                path.display()
            ));
        }
        fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    fn command(&self, words: &[String]) -> Result<String, String> {
        let (program, arguments) = words.split_first().ok_or("the command is empty")?;
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.plan_folder)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start `{program}`: {error}"))?;
        if !output.status.success() {
            return Err(format!("`{program}` ended with {}", output.status));
        }
        String::from_utf8(output.stdout).map_err(|_| format!("`{program}` printed no UTF-8"))
    }
}

impl Secrets for ProcessSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let found = match reference {
            SecretRef::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => {
                    format!("it is not set; type: export {name}='postgres://user@host/database'")
                }
                std::env::VarError::NotUnicode(_) => "it is no UTF-8".to_owned(),
            }),
            SecretRef::File(path) => self.file(path),
            SecretRef::Command(words) => self.command(words),
            SecretRef::Service(_) => Err("a service is looked up by the connection".to_owned()),
        };
        match found {
            Ok(text) => {
                let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line);
                Ok(SecretString::from(text.strip_suffix('\r').unwrap_or(text).to_owned()))
            }
            Err(reason) => Err(SecretError { reference: reference.clone(), reason }),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
