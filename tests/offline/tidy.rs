//! Habits of the house, as tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable")) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn no_file_of_code_is_longer_than_600_lines() {
    for path in files(&root().join("engine"), "rs") {
        let lines = fs::read_to_string(&path).expect("readable").lines().count();
        assert!(lines <= 600, "{} has {lines} lines: split it by noun", path.display());
    }
}

#[test]
fn each_pillar_belongs_to_one_crate() {
    let owners = [
        ("serde_yaml", "plan"),
        ("saphyr-parser", "plan"),
        ("jsonschema", "plan"),
        ("petgraph", "compile"),
        ("minijinja", "render"),
        ("tokio-postgres", "postgres"),
        ("postgres-protocol", "postgres"),
        ("rusqlite", "runtime"),
    ];
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(root().join("engine")).expect("readable") {
        let path = entry.expect("readable").path();
        let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) else { continue };
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for (library, _) in owners {
            if dependencies.lines().any(|line| line.starts_with(&format!("{library}."))) {
                let name = path.file_name().expect("a folder has a name").to_string_lossy();
                users.entry(library).or_default().push(name.into_owned());
            }
        }
    }
    for (library, owner) in owners {
        assert_eq!(users.get(library), Some(&vec![owner.to_owned()]), "{library}");
    }
}

#[test]
fn the_runbook_says_of_every_kind_what_shows_that_it_worked() {
    let words = fs::read_to_string(root().join("templates/text/signs.txt.j2")).expect("readable");
    let (signs, by_hand) = words.split_once("set by_hand").expect("two lists");
    let named = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("  \"")?.split_once("\": \""));
        lines.map(|(kind, _)| kind.to_owned()).collect()
    };
    let kinds = pgkedge_steps::kinds().iter().map(|spec| spec.kind.to_owned()).collect();
    assert_eq!(named(signs), kinds);
    assert!(named(by_hand).is_subset(&kinds), "{:?}", named(by_hand));
}

#[test]
fn every_step_template_belongs_to_a_kind() {
    let kinds: Vec<&str> = pgkedge_steps::kinds().iter().map(|spec| spec.kind).collect();
    for path in files(&root().join("templates/steps"), "j2") {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let stem = name.trim_end_matches(".sql.j2");
        assert!(kinds.contains(&stem), "{name} belongs to no step kind");
    }
}
