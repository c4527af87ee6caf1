//! PostgreSQL keeps 63 bytes of a name; names of a plan become parts of such names.

use pgkedge_model::{Finding, Ident, InvalidIdent};
use serde_json::Value;

use super::Text;
use crate::{codes, pointer, views};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let phases = views::phases(text.json);
    let mut names: Vec<(String, &str)> = Vec::new();
    names.extend(
        text.json.get("name").and_then(Value::as_str).map(|name| ("/name".to_owned(), name)),
    );
    names.extend(views::objects(text.json, "/groups").filter_map(|(at, group)| {
        Some((pointer::child(&at, "name"), group.get("name").and_then(Value::as_str)?))
    }));
    for phase in &phases {
        names.extend(phase.name().map(|name| (phase.at("name"), name)));
        let steps = phase.steps();
        names.extend(steps.iter().filter_map(|step| Some((step.at("name"), step.name()?))));
    }
    names.into_iter().filter_map(|(at, name)| finding(at, name)).collect()
}

fn finding(at: String, name: &str) -> Option<Finding> {
    let Err(InvalidIdent::TooLong { bytes, .. }) = Ident::new(name) else { return None };
    let kept: String = name.chars().take(63).collect();
    Some(
        Finding::error(
            codes::NAME_TOO_LONG,
            format!("a name of {bytes} bytes; PostgreSQL keeps 63"),
        )
        .at_value(at, format!("{} bytes too long", bytes - 63))
        .help(format!("shorten it; the part that would be kept: `{kept}`")),
    )
}
