//! Every pipeline and every example plan is a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn plans() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/examples");
    let entries = fs::read_dir(folder).expect("the examples are there");
    let mut plans: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    plans.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    plans.sort();
    plans
}

fn pgkedge(arguments: &[&str], plan: &Path) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
    command.arg(arguments[0]).arg(plan).args(&arguments[1..]).output().expect("starts")
}

#[test]
fn every_example_is_valid() {
    assert!(!plans().is_empty());
    for plan in plans() {
        let output = pgkedge(&["validate"], &plan);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", plan.display());
    }
}

#[test]
fn every_step_kind_is_used_by_a_pipeline_or_an_example() {
    let plans = plans();
    let expanded = plans.iter().map(|plan| pgkedge(&["validate", "--expand"], plan).stdout);
    let expanded = expanded.map(|text| String::from_utf8(text).expect("UTF-8"));
    let expanded = expanded.collect::<Vec<_>>().join("\n");
    let words: Vec<_> = expanded.split_whitespace().collect();
    for kind in pgkedge_steps::kinds() {
        let is_used = words.windows(2).any(|pair| pair[0] == "kind:" && pair[1] == kind.kind);
        assert!(is_used, "write an example plan that uses `{}`", kind.kind);
    }
}

#[test]
fn an_example_written_out_in_full_is_valid_and_says_the_same() {
    for plan in plans() {
        let expanded = pgkedge(&["validate", "--expand"], &plan).stdout;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("expanded.yaml");
        fs::write(&path, &expanded).expect("written");
        let again = pgkedge(&["validate", "--expand"], &path);
        let said = String::from_utf8_lossy(&again.stderr);
        assert_eq!(again.stdout, expanded, "{}: {said}", plan.display());
    }
}
