//! A pattern that matches nothing is a slip of the fingers.

use std::collections::BTreeSet;

use pgkedge_model::{Facts, Finding, QualifiedName, Table};
use pgkedge_plan::{GroupPlan, Pattern};

use super::at_plan;
use crate::compile::Request;
use crate::passes::views;
use pgkedge_plan::nearest;

pub(crate) fn unmatched_patterns(
    request: Request<'_>,
    facts: &Facts,
    selected: &[&Table],
    findings: &mut Vec<Finding>,
) {
    let tables: Vec<&QualifiedName> = facts.source.tables.iter().map(|table| &table.name).collect();
    let views: Vec<QualifiedName> = views(facts).map(|(_, name)| name).collect();
    let matches_table = |pattern: &Pattern| tables.iter().any(|name| pattern.matches(name));
    let matches_view = |pattern: &Pattern| views.iter().any(|name| pattern.matches(name));
    for pattern in &request.tables.include {
        if !pattern.is_everything() && !matches_table(pattern) {
            findings.push(matches_nothing(pattern, &tables));
        }
    }
    for pattern in &request.tables.exclude {
        if !matches_table(pattern) && !matches_view(pattern) {
            findings.push(matches_nothing(pattern, &tables));
        }
    }
    for group in request.groups {
        for pattern in &group.tables.patterns {
            let moves = selected.iter().any(|table| pattern.matches(&table.name));
            if moves || pattern.is_everything() {
                continue;
            }
            findings.push(if matches_table(pattern) {
                matches_only_what_stays(pattern, group)
            } else {
                matches_nothing(pattern, &tables)
            });
        }
    }
}

fn matches_nothing(pattern: &Pattern, tables: &[&QualifiedName]) -> Finding {
    let message = format!("`{pattern}` matches no table of the source");
    let finding = Finding::error("compile::pattern_matches_nothing", message);
    let finding = at_plan(finding, pattern.pointer.as_ref(), "matches no table");
    let plain = |name: &QualifiedName| format!("{}.{}", name.schema.as_str(), name.name.as_str());
    let mut names: BTreeSet<String> = tables.iter().map(|name| plain(name)).collect();
    names.extend(tables.iter().map(|name| format!("{}.*", name.schema.as_str())));
    finding.help(match nearest(pattern.as_str(), names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`pgkedge inspect --database source` prints the tables that there are".to_owned(),
    })
}

fn matches_only_what_stays(pattern: &Pattern, group: &GroupPlan) -> Finding {
    let message = format!(
        "`{pattern}` of group `{}` matches only tables that the plan leaves out",
        group.name
    );
    let finding = Finding::error("compile::pattern_matches_excluded", message)
        .help("take the pattern out of the group, or its tables out of `tables.exclude`");
    at_plan(finding, pattern.pointer.as_ref(), "these tables are left out")
}
