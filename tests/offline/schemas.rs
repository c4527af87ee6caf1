//! The schemas that are checked in are those of the types.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn checked_in_schemas_are_current() {
    for document in ["plan", "pipeline", "catalog"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
        let output = command.args(["schema", document]).output().expect("starts");
        let current = String::from_utf8(output.stdout).expect("UTF-8");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let path = folder.join(format!("{document}.schema.json"));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &current).expect("written");
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == current,
            "{} is stale; type: UPDATE_SCHEMAS=1 cargo test --test offline schemas",
            path.display()
        );
    }
}
