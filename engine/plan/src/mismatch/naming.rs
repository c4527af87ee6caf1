//! What to call a node of a document.

use serde_json::Value;

use crate::pointer;

/// A node for people. Items of lists go by their names, where they have one.
pub(super) fn path(document: &Value, at: &str) -> String {
    let (mut name, mut pointer_here, mut unnamed) = (String::new(), String::new(), false);
    for segment in at.split('/').skip(1) {
        pointer_here = format!("{pointer_here}/{segment}");
        let segment = if is_item(&pointer_here) {
            let item = document.pointer(&pointer_here);
            item.and_then(|item| item.get("name")?.as_str()).map(str::to_owned)
        } else {
            Some(pointer::name(segment))
        };
        unnamed = segment.is_none();
        if let Some(segment) = segment {
            name = if name.is_empty() { segment } else { format!("{name}.{segment}") };
        }
    }
    match (name.as_str(), unnamed) {
        ("", _) => "this file".to_owned(),
        (_, true) => format!("an item of `{name}`"),
        _ => format!("`{name}`"),
    }
}

/// The name of a field, without what it is in.
pub(super) fn last(at: &str) -> String {
    pointer::name(at)
}

/// Whether a pointer ends at an item of a list.
pub(super) fn is_item(at: &str) -> bool {
    at.rsplit('/').next().is_some_and(|segment| {
        !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
    })
}

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing: the value is missing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
