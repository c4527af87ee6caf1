//! Every pattern can be read.

use pgkedge_model::Finding;

use super::Text;
use crate::codes;
use crate::pattern::{InvalidPattern, Pattern};
use crate::views::{self, TextView};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let mut patterns = views::texts(text.json, "/tables/include");
    patterns.extend(views::texts(text.json, "/tables/exclude"));
    for (group, _) in views::objects(text.json, "/groups") {
        patterns.extend(views::group_patterns(text.json, &group));
    }
    patterns.iter().filter_map(finding).collect()
}

fn finding(view: &TextView<'_>) -> Option<Finding> {
    let error = Pattern::parse(view.text).err()?;
    let message = format!("`{}` is no pattern for tables: {error}", view.text);
    Some(
        Finding::error(codes::MALFORMED_PATTERN, message)
            .at_value(view.pointer.clone(), "not a pattern")
            .help(help(view.text, &error)),
    )
}

fn help(text: &str, error: &InvalidPattern) -> String {
    match error {
        InvalidPattern::Empty => "write `schema.table`, or \"*\" for every table".to_owned(),
        InvalidPattern::NoSchema => {
            format!("write `public.{text}`, or \"*.{text}\" for every schema")
        }
        InvalidPattern::TooManyDots => {
            "write `schema.table`; a name that holds a dot stands in double quotes: '\"odd.schema\".orders'"
                .to_owned()
        }
        InvalidPattern::EmptyPart("before") => format!("write `public{text}`, or \"*{text}\" for every schema"),
        InvalidPattern::EmptyPart(_) => format!("write \"{text}*\" for every table of the schema"),
        InvalidPattern::OpenQuote => {
            "close it; in YAML, put single quotes around the whole: '\"Odd.Name\".orders'".to_owned()
        }
        InvalidPattern::Space => {
            "remove it; one pattern is one item of the list, and a name that holds a space stands in \
             double quotes: 'public.\"odd name\"'"
                .to_owned()
        }
        InvalidPattern::TooLong(_) => "no table can have this name: shorten it, or end it by \"*\"".to_owned(),
    }
}
