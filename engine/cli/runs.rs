//! Where runs keep their state, and which run is meant.

use std::fs;
use std::path::{Path, PathBuf};

use pgkedge_model::{Checkpoint, CloseStatus, Leaves, RunHeader, RunId, StepState};
use pgkedge_runtime::JournalReader;

use crate::exit::Stop;

/// A run on this machine.
pub(crate) struct FoundRun {
    pub(crate) folder: PathBuf,
    pub(crate) header: RunHeader,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) held: bool,
}

impl FoundRun {
    fn open(folder: &Path) -> Option<Self> {
        let reader = JournalReader::open(folder).ok()?;
        let header = reader.header().ok()?;
        let checkpoint = reader.checkpoint().ok()?;
        let held = reader.is_held().ok()?;
        Some(Self { folder: folder.to_owned(), header, checkpoint, held })
    }

    /// Whether it can still be resumed.
    pub(crate) fn is_unfinished(&self) -> bool {
        !self.checkpoint.closed.is_some_and(CloseStatus::is_final)
    }

    /// Whether any step that leaves something behind was ever started.
    fn has_effects(&self) -> bool {
        self.header.graph.steps().any(|node| {
            node.leaves != Leaves::Nothing
                && !matches!(
                    self.checkpoint.state(&node.id),
                    StepState::Pending | StepState::Undone
                )
        })
    }
}

/// `$XDG_STATE_HOME/pgkedge`, or `~/.local/state/pgkedge`.
pub(crate) fn root() -> Result<PathBuf, Stop> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local/state")));
    state.map(|state| state.join("pgkedge")).ok_or_else(|| {
        Stop::usage("neither XDG_STATE_HOME nor HOME says where state is kept")
            .help("say where: --state DIR")
    })
}

/// The folder for a new run; refuses where a run of the same plan could still be resumed.
pub(crate) fn folder_for(
    explicit: Option<&Path>,
    plan_name: &str,
    run_id: &RunId,
) -> Result<PathBuf, Stop> {
    let Some(folder) = explicit else {
        let root = root()?;
        for run in all_in(&root).into_iter().filter(|run| run.header.plan_name == plan_name) {
            refuse_unfinished(&run)?;
        }
        return Ok(root.join(format!("{plan_name}-{}", run_id.tag())));
    };
    if let Some(run) = FoundRun::open(folder) {
        refuse_unfinished(&run)?;
        discard(&run, folder)?;
    }
    Ok(folder.to_owned())
}

/// A run that is over, or never changed anything, makes room for the next one in its folder.
fn discard(run: &FoundRun, folder: &Path) -> Result<(), Stop> {
    if run.is_unfinished() || run.checkpoint.closed == Some(CloseStatus::Succeeded) {
        let kept = folder.with_file_name(format!(
            "{}.{}",
            folder.file_name().unwrap_or_default().to_string_lossy(),
            run.header.run_id.tag()
        ));
        return fs::rename(folder, &kept).map_err(|error| {
            Stop::usage(format!("cannot move {} aside: {error}", folder.display()))
        });
    }
    fs::remove_dir_all(folder)
        .map_err(|error| Stop::usage(format!("cannot remove {}: {error}", folder.display())))
}

fn refuse_unfinished(run: &FoundRun) -> Result<(), Stop> {
    let folder = run.folder.display();
    if run.held {
        return Err(Stop::usage(format!("a run of this plan is going on in {folder}"))
            .help(format!("watch it: pgkedge status --watch --state {folder}"))
            .exit(crate::exit::Exit::Held));
    }
    if run.is_unfinished() && run.has_effects() {
        return Err(Stop::usage(format!("an unfinished run of this plan is in {folder}")).help(
            format!(
                "go on with it: pgkedge resume --state {folder}\n\
                 or take it back: pgkedge abort --state {folder}"
            ),
        ));
    }
    Ok(())
}

/// The run that a command without `--state` means: the only one that is not over.
pub(crate) fn find(explicit: Option<&Path>) -> Result<PathBuf, Stop> {
    if let Some(folder) = explicit {
        return if folder.join("journal.sqlite").exists() {
            Ok(folder.to_owned())
        } else {
            Err(Stop::usage(format!("{} holds no run", folder.display()))
                .help("start one: pgkedge run PLAN --state DIR"))
        };
    }
    let root = root()?;
    let mut runs = all_in(&root);
    let unfinished: Vec<&FoundRun> = runs.iter().filter(|run| run.is_unfinished()).collect();
    match unfinished.as_slice() {
        [run] => Ok(run.folder.clone()),
        [] => match runs.pop() {
            Some(newest) => Ok(newest.folder),
            None => Err(Stop::usage(format!("there is no run in {}", root.display()))
                .help("start one: pgkedge run PLAN, or say where it is: --state DIR")),
        },
        several => {
            let folders: Vec<_> =
                several.iter().map(|run| format!("--state {}", run.folder.display())).collect();
            Err(Stop::usage("several runs are unfinished").help(folders.join("\n")))
        }
    }
}

/// The folder of the run with this id or tag.
pub(crate) fn find_by_id(id: &str) -> Result<PathBuf, Stop> {
    let root = root()?;
    all_in(&root)
        .into_iter()
        .find(|run| run.header.run_id.0 == id || run.header.run_id.tag().0 == id)
        .map(|run| run.folder)
        .ok_or_else(|| {
            Stop::usage(format!("no run `{id}` in {}", root.display()))
                .help("without its state: pgkedge cleanup --scan PLAN")
        })
}

/// Every run below a folder, oldest first: run ids begin with a clock.
fn all_in(root: &Path) -> Vec<FoundRun> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let mut runs: Vec<_> = folders.filter_map(|entry| FoundRun::open(&entry.path())).collect();
    runs.sort_by(|a, b| a.header.run_id.cmp(&b.header.run_id));
    runs
}
