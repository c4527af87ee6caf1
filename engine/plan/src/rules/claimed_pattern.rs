//! A group whose pattern an earlier group has used up would get no table by it.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::pattern::Pattern;
use crate::{codes, pointer, views};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let mut claimed: Vec<(String, Pattern)> = Vec::new();
    let mut findings = Vec::new();
    for (group, fields) in views::objects(text.json, "/groups") {
        let name = fields.get("name").and_then(Value::as_str).unwrap_or("?");
        let patterns = views::parsed(views::group_patterns(text.json, &group));
        for pattern in &patterns {
            let earlier =
                claimed.iter().find(|(_, other)| other.is_everything() || other.same_as(pattern));
            if let Some((owner, earlier)) = earlier {
                findings.push(finding(name, pattern, owner, earlier));
            }
        }
        // A group by properties leaves the tables of its patterns that have them not.
        let whole =
            !matches!(text.json.pointer(&pointer::child(&group, "tables")), Some(Value::Object(_)));
        if whole {
            claimed.extend(patterns.into_iter().map(|pattern| (name.to_owned(), pattern)));
        }
    }
    findings
}

fn finding(group: &str, pattern: &Pattern, owner: &str, earlier: &Pattern) -> Finding {
    let at = |pattern: &Pattern| pattern.pointer.clone().unwrap_or_default();
    let message =
        format!("group `{group}` can get no table by `{pattern}`: group `{owner}` has them all");
    Finding::error(codes::CLAIMED_PATTERN, message)
        .at_value(at(pattern), "nothing is left for this")
        .at_value(at(earlier), format!("`{owner}` claims them here"))
        .help(format!(
            "a table belongs to the first group that claims it: move `{group}` above `{owner}`, \
             or remove one of the two patterns"
        ))
}
