//! The program as a user meets it first.

use std::process::{Command, Output};

fn pgkedge(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
    command.args(arguments).env("NO_COLOR", "1").env("COLUMNS", "100").output().expect("starts")
}

#[test]
fn help_reads_well() {
    let output = pgkedge(&["help"]);
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
}

#[test]
fn help_of_every_command_reads_well() {
    let commands = [
        "validate",
        "inspect",
        "preflight",
        "plan",
        "run",
        "resume",
        "redo",
        "status",
        "log",
        "verify",
        "approve",
        "limits",
        "cleanup",
        "abort",
        "sandbox",
        "demo",
        "schema",
        "completions",
    ];
    let help: Vec<_> = commands
        .iter()
        .map(|command| String::from_utf8_lossy(&pgkedge(&[command, "--help"]).stdout).into_owned())
        .collect();
    insta::assert_snapshot!(help.join("\n----------------\n\n"));
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(pgkedge(&["frobnicate"]).status.code(), Some(2));
    assert_eq!(pgkedge(&["validate", "/nowhere/plan.yaml"]).status.code(), Some(2));
    assert_eq!(pgkedge(&["plan", "plan.yaml", "--undo"]).status.code(), Some(2));
}

#[test]
fn a_secret_that_is_not_set_is_named_with_the_next_thing_to_type() {
    let plan = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/examples/smallest.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
    command.args(["plan", plan]).env("NO_COLOR", "1").env_remove("SOURCE_URL");
    let output = command.output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("SOURCE_URL") && said.contains("export SOURCE_URL="), "{said}");
}
