//! Only the source is reached by the target: its subscriptions read from there.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::{codes, pointer};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let databases = text.json.get("databases").and_then(Value::as_object).into_iter().flatten();
    let others = databases.filter(|(name, fields)| {
        ["replica", "target"].contains(&name.as_str()) && fields.get("from_target").is_some()
    });
    others
        .map(|(name, _)| {
            let at = pointer::child(&pointer::child("/databases", name), "from_target");
            let message = format!("the target does not connect to the {name}");
            Finding::error(codes::FROM_TARGET, message)
                .at_key(at, "only under `source`")
                .help("move it under `source`: it says how the target reaches the source")
        })
        .collect()
}
