//! The pipelines that are built into the binary, and those that a plan names by path.

use std::fs;
use std::path::{Path, PathBuf};

use pgkedge_plan::Pipelines;

const BUILT_IN: &[(&str, &str)] = &[
    ("full-load", include_str!("../../pipelines/full-load.yaml")),
    ("full-load-and-capture", include_str!("../../pipelines/full-load-and-capture.yaml")),
    ("paused-replica", include_str!("../../pipelines/paused-replica.yaml")),
    ("capture-only", include_str!("../../pipelines/capture-only.yaml")),
];

/// Phases that pipelines include.
const PARTS: &[(&str, &str)] = &[
    ("drain", include_str!("../../pipelines/parts/drain.yaml")),
    ("held", include_str!("../../pipelines/parts/held.yaml")),
    ("open", include_str!("../../pipelines/parts/open.yaml")),
];

/// Finds pipelines by name, or by a path that starts at the plan's folder.
pub(crate) struct PipelineFiles {
    plan_folder: PathBuf,
}

impl PipelineFiles {
    pub(crate) fn beside(plan: &Path) -> Self {
        Self { plan_folder: plan.parent().unwrap_or(Path::new(".")).to_owned() }
    }
}

impl Pipelines for PipelineFiles {
    fn load(&self, name: &str) -> Option<String> {
        let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
        if let Some((_, text)) = built_in {
            return Some((*text).to_owned());
        }
        let path = Path::new(name);
        path.extension().filter(|extension| *extension == "yaml" || *extension == "yml")?;
        fs::read_to_string(self.plan_folder.join(path)).ok()
    }

    fn names(&self) -> Vec<String> {
        BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn part(&self, name: &str) -> Option<String> {
        let part = PARTS.iter().find(|(known, _)| *known == name);
        part.map(|(_, text)| (*text).to_owned())
    }

    fn parts(&self) -> Vec<String> {
        PARTS.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}
