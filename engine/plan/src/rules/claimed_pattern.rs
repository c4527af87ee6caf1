//! A group gets no table by a pattern that another group has used up.
//!
//! Groups that name tables go before those that describe them, by properties or by `*`; among the
//! latter the first one wins. Patterns that overlap in part are for `compile`, which knows the tables.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::pattern::Pattern;
use crate::{codes, pointer, views};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let mut claims: Vec<Claim<'_>> = Vec::new();
    let mut findings = Vec::new();
    for (group, fields) in views::objects(text.json, "/groups") {
        let name = fields.get("name").and_then(Value::as_str).unwrap_or("?");
        let tables = text.json.pointer(&pointer::child(&group, "tables"));
        let described = tables.is_some_and(Value::is_object);
        let patterns = views::parsed(views::group_patterns(text.json, &group));
        let everything = described && patterns.is_empty();
        for pattern in &patterns {
            let earlier = claims.iter().find(|claim| claim.uses_up(pattern, described));
            findings.extend(earlier.map(|earlier| finding(name, pattern, earlier)));
        }
        if let Some(earlier) =
            claims.iter().find(|claim| claim.pattern.is_everything() && everything)
        {
            let pattern = Pattern::everything().at(pointer::child(&group, "tables"));
            findings.push(finding(name, &pattern, earlier));
        }
        // A group by properties leaves the tables of its patterns that have them not.
        if !described {
            claims.extend(patterns.into_iter().map(|pattern| Claim { group: name, pattern }));
        }
    }
    findings
}

/// What a group takes whole.
struct Claim<'a> {
    group: &'a str,
    pattern: Pattern,
}

impl Claim<'_> {
    fn uses_up(&self, pattern: &Pattern, described: bool) -> bool {
        let takes_the_rest = self.pattern.is_everything();
        let waits_for_the_rest = described || pattern.is_everything();
        self.pattern.same_as(pattern) || takes_the_rest && waits_for_the_rest
    }
}

fn finding(group: &str, pattern: &Pattern, earlier: &Claim<'_>) -> Finding {
    let at = |pattern: &Pattern| pattern.pointer.clone().unwrap_or_default();
    let owner = earlier.group;
    let help = if earlier.pattern.is_everything() {
        format!(
            "what no group names goes to the first that takes it: move `{group}` above `{owner}`"
        )
    } else {
        "keep the pattern in one of the two groups".to_owned()
    };
    let message =
        format!("group `{group}` gets no table by `{pattern}`: group `{owner}` has them all");
    Finding::error(codes::CLAIMED_PATTERN, message)
        .at_value(at(pattern), "nothing is left for this")
        .at_value(at(&earlier.pattern), format!("`{owner}` takes them here"))
        .help(help)
}
