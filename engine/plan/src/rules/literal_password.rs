//! A plan is checked in: no password may stand in it, wherever it may be.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::{codes, passwords, pointer};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    search(text.json, "", &mut findings);
    findings
}

fn search(value: &Value, at: &str, findings: &mut Vec<Finding>) {
    match value {
        Value::String(text) if !passwords::find(text).is_empty() => findings.push(finding(at)),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                search(item, &pointer::child(at, n), findings);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                search(field, &pointer::child(at, key), findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn finding(at: &str) -> Finding {
    let database = ["source", "replica", "target"]
        .into_iter()
        .find(|name| pointer::is_within(at, &format!("/databases/{name}")));
    let help = match database {
        Some(name) => {
            let variable = format!("{}_URL", name.to_uppercase());
            format!(
                "change this password, it may be known by now; then keep the connection string outside of \
                 the plan:\n  export {variable}='postgres://…'\nand write `url: {{ env: {variable} }}`, \
                 or `file:`, `command:` or `service:`"
            )
        }
        None => "change this password, it may be known by now; let the command read it from the \
                 environment or from a password file"
            .to_owned(),
    };
    Finding::error(codes::LITERAL_PASSWORD, "a password is written out")
        .at_value(at, "holds a password (masked here)")
        .help(help)
}
