//! The databases are those that the pipeline needs, and not the same one twice.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::nearest::suggestion;
use crate::{codes, pointer};

/// What pipelines can use today.
const NEEDED: [&str; 2] = ["source", "target"];

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(databases) = text.json.get("databases").and_then(Value::as_object) else {
        return Vec::new();
    };
    let unknown = databases.keys().filter(|name| !NEEDED.contains(&name.as_str()));
    let mut findings: Vec<Finding> = unknown.map(|name| unknown_database(name)).collect();
    let url = |name: &str| databases.get(name)?.get("url");
    if let (Some(source), Some(target)) = (url("source"), url("target"))
        && source == target
        && source.is_object()
    {
        findings.push(same_database());
    }
    findings
}

fn unknown_database(name: &str) -> Finding {
    let message = format!("no pipeline uses a database named `{name}`");
    Finding::error(codes::UNKNOWN_DATABASE, message)
        .at_key(pointer::child("/databases", name), "not used")
        .help(suggestion(name, "databases", &NEEDED))
}

fn same_database() -> Finding {
    Finding::error(codes::SAME_DATABASE, "source and target are the same database")
        .at_value("/databases/target/url", "the same reference")
        .at_value("/databases/source/url", "as here")
        .help("give the target a reference of its own, for example `url: { env: TARGET_URL }`")
}
