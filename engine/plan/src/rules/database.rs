//! The databases are those that the pipeline needs, and not the same one twice.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::nearest::suggestion;
use crate::{codes, pointer};

/// What pipelines can use.
const KNOWN: [&str; 3] = ["source", "replica", "target"];

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(databases) = text.json.get("databases").and_then(Value::as_object) else {
        return Vec::new();
    };
    let unknown = databases.keys().filter(|name| !KNOWN.contains(&name.as_str()));
    let mut findings: Vec<Finding> = unknown.map(|name| unknown_database(name)).collect();
    let url = |name: &str| databases.get(name)?.get("url");
    for (first, second) in [("source", "target"), ("source", "replica"), ("replica", "target")] {
        if let (Some(one), Some(other)) = (url(first), url(second))
            && one == other
            && one.is_object()
        {
            findings.push(same_database(first, second));
        }
    }
    findings
}

fn unknown_database(name: &str) -> Finding {
    let message = format!("no pipeline uses a database named `{name}`");
    Finding::error(codes::UNKNOWN_DATABASE, message)
        .at_key(pointer::child("/databases", name), "not used")
        .help(suggestion(name, "databases", &KNOWN))
}

fn same_database(first: &str, second: &str) -> Finding {
    let at = |name: &str| pointer::child(&pointer::child("/databases", name), "url");
    let variable = format!("{}_URL", second.to_uppercase());
    Finding::error(codes::SAME_DATABASE, format!("{first} and {second} are the same database"))
        .at_value(at(second), "the same reference")
        .at_value(at(first), "as here")
        .help(format!(
            "give the {second} a reference of its own, for example `url: {{ env: {variable} }}`"
        ))
}
