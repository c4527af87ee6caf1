//! Why a journal cannot be used.

use std::path::PathBuf;
use std::sync::Arc;

use pgkedge_model::IllegalRecord;

#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    #[error("`{}` holds no run", folder.display())]
    Missing { folder: PathBuf },
    #[error("`{}` holds a run already", folder.display())]
    Exists { folder: PathBuf },
    #[error("`{}` {why}", path.display())]
    Unsafe { path: PathBuf, why: &'static str },
    #[error("another runner holds `{}`: {holder}", folder.display())]
    Held { folder: PathBuf, holder: String },
    /// Somebody has appended since this process read the journal.
    #[error("another runner has taken over this run")]
    TakenOver,
    #[error("the journal has format {found}, and this engine knows {known}")]
    Newer { found: u32, known: u32 },
    /// 0 is the run's header.
    #[error("the journal was changed at record {seq}")]
    Corrupt { seq: u64 },
    #[error(transparent)]
    Illegal(#[from] IllegalRecord),
    #[error("the journal's database cannot be used")]
    Store(#[source] Arc<rusqlite::Error>),
    #[error("`{}` cannot be used", path.display())]
    File { path: PathBuf, source: Arc<std::io::Error> },
    #[error("a record cannot be written as JSON")]
    Encode(#[source] Arc<serde_json::Error>),
    #[error("the journal takes no more records")]
    Closed,
}

impl JournalError {
    /// The next thing to do.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Missing { .. } => "start one with `pgkedge run PLAN --state DIR`".to_owned(),
            Self::Exists { folder } => {
                format!("go on with it: `pgkedge resume --state {}`", folder.display())
            }
            Self::Unsafe { path, .. } => {
                format!("make it yours alone: `chmod 700 {}`, or choose another", path.display())
            }
            Self::Held { folder, .. } => {
                let folder = folder.display();
                format!(
                    "watch it: `pgkedge status --state {folder}`; if it hangs for good: \
                     `pgkedge resume --take-over --state {folder}`"
                )
            }
            Self::TakenOver => {
                "follow that one with `pgkedge status`; this one has changed nothing since"
                    .to_owned()
            }
            Self::Newer { .. } => "use the version of pgkedge that wrote it".to_owned(),
            Self::Corrupt { .. } => {
                "restore the folder from a copy, or take the objects back with \
                 `pgkedge cleanup --scan`"
                    .to_owned()
            }
            Self::Store(_) | Self::File { .. } => {
                "look at free space and permissions of the folder, then `pgkedge resume`".to_owned()
            }
            Self::Illegal(_) | Self::Encode(_) | Self::Closed => return None,
        };
        Some(help)
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source: Arc::new(source) }
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<serde_json::Error> for JournalError {
    fn from(error: serde_json::Error) -> Self {
        Self::Encode(Arc::new(error))
    }
}
