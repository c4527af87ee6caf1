//! Embeds every file of `templates/`, so that a new step kind registers its template by writing it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const SUFFIX: &str = ".j2";

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let root = variable("CARGO_MANIFEST_DIR")?.join("../../templates").canonicalize()?;
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    let mut cargo = String::new();
    while let Some(folder) = folders.pop() {
        // Cargo looks at a folder's own time, so that a new file is seen as well.
        writeln!(cargo, "cargo::rerun-if-changed={}", folder.display()).expect("into memory");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(SUFFIX) {
                files.push(path);
            }
        }
    }
    files.sort();
    fs::write(variable("OUT_DIR")?.join("embedded.rs"), embedded(&root, &files))?;
    io::stdout().write_all(cargo.as_bytes())
}

/// Rust for `(name, content)` of every template, and for the kinds that have one.
fn embedded(root: &Path, files: &[PathBuf]) -> String {
    let mut templates = String::new();
    let mut kinds = String::new();
    for path in files {
        let name = path.strip_prefix(root).expect("found below the root").to_string_lossy();
        let name = name.replace('\\', "/");
        let file = path.to_string_lossy();
        writeln!(templates, "    ({name:?}, include_str!({file:?})),").expect("into memory");
        let stem = name.strip_prefix("steps/").and_then(|name| name.strip_suffix(".sql.j2"));
        if let Some(kind) = stem {
            writeln!(kinds, "    {kind:?},").expect("into memory");
        }
    }
    format!(
        "pub(crate) static TEMPLATES: &[(&str, &str)] = &[\n{templates}];\n\
         pub(crate) static STEP_KINDS: &[&str] = &[\n{kinds}];\n"
    )
}
