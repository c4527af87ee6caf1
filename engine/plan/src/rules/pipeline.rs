//! The pipeline exists.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::codes;
use crate::nearest::suggestion;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let name = text.json.get("pipeline").and_then(Value::as_str);
    let Some(name) = name.filter(|name| !name.is_empty() && text.base.is_none()) else {
        return Vec::new();
    };
    let known: Vec<&str> = text.pipelines.iter().map(String::as_str).collect();
    let help = suggestion(name, "pipelines", &known);
    vec![
        Finding::error(codes::UNKNOWN_PIPELINE, format!("there is no pipeline `{name}`"))
            .at_value("/pipeline", "neither a shipped pipeline nor a file")
            .help(format!("{help}\na pipeline of your own is named by its path, from the folder of the plan, and ends with .yaml")),
    ]
}
