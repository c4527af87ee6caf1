//! A connection string is found through a reference, which names something.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::{codes, passwords, pointer};

const WAYS: &str =
    "ways: { env: VARIABLE }, { file: PATH }, { command: [PROGRAM, …] }, { service: NAME }";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    PLACES
        .into_iter()
        .filter_map(|place| {
            let of = format!("/databases/{}", place.path);
            let at = format!("{of}/url");
            let fields = text.json.pointer(&of)?.as_object()?;
            let Some(url) = fields.get("url") else { return Some(missing(place, of)) };
            // The rule about passwords has more to say.
            let told = !passwords::find(&url.to_string()).is_empty();
            if told { None } else { finding(place, &at, url) }
        })
        .collect()
}

/// Where a url stands, what it is of, and the variable that may hold it.
#[derive(Clone, Copy)]
struct UrlPlace {
    path: &'static str,
    of: &'static str,
    variable: &'static str,
}

const PLACES: [UrlPlace; 4] = [
    UrlPlace { path: "source", of: "source", variable: "SOURCE_URL" },
    UrlPlace {
        path: "source/from_target",
        of: "source, as the target reaches it,",
        variable: "SOURCE_FROM_TARGET_URL",
    },
    UrlPlace { path: "replica", of: "replica", variable: "REPLICA_URL" },
    UrlPlace { path: "target", of: "target", variable: "TARGET_URL" },
];

fn missing(UrlPlace { of: database, variable, .. }: UrlPlace, at: String) -> Finding {
    Finding::error(codes::MISSING_FIELD, format!("the {database} needs a url"))
        .at_value(at, "`url` is missing here")
        .help(format!("add `url: {{ env: {variable} }}`\n{WAYS}"))
}

fn finding(place: UrlPlace, at: &str, url: &Value) -> Option<Finding> {
    let UrlPlace { of: database, variable, .. } = place;
    let instead = format!("write `url: {{ env: {variable} }}`");
    let Value::Object(reference) = url else {
        let empty = url.is_null() || url == "";
        let what = if empty { "empty" } else { "written out" };
        let help = if empty { instead } else { format!("keep it outside of the plan: {instead}") };
        let message = format!("the url of the {database} is {what}");
        return Some(wrong(message, at, "not a reference", &help));
    };
    let mut fields = reference.iter();
    if let (Some((way, value)), None) = (fields.next(), fields.next()) {
        return bad_way(database, at, (way, value), &instead);
    }
    let message = format!("the url of the {database} must be found in one way");
    Some(wrong(message, at, "needs exactly one", &instead))
}

fn bad_way(
    database: &str,
    at: &str,
    (way, value): (&str, &Value),
    instead: &str,
) -> Option<Finding> {
    let place = pointer::child(at, way);
    Some(match (way, value) {
        ("env", Value::String(name)) if !is_variable(name) => not_a_variable(&place, name, instead),
        ("env" | "file" | "service", Value::String(name)) if !name.is_empty() => return None,
        ("command", Value::Array(words)) if is_command(words) => return None,
        ("command", _) => {
            let message =
                format!("the command for the url of the {database} must be a list of words");
            let help = "write the program and its arguments one by one: \
                        `command: [vault, read, shop/url]`";
            wrong(message, &place, "not a command", help)
        }
        ("env" | "file" | "service", Value::String(_) | Value::Null) => {
            let message = format!("the {way} for the url of the {database} is empty");
            wrong(message, &place, "names nothing", instead)
        }
        ("env" | "file" | "service", _) => {
            let message = format!("the {way} for the url of the {database} must be a text");
            wrong(message, &place, "not a text", instead)
        }
        _ => {
            let message = format!("`{way}` is no way to find the url of the {database}");
            wrong(message, at, "not a way", instead)
        }
    })
}

fn not_a_variable(at: &str, name: &str, instead: &str) -> Finding {
    let message = format!("{} is no name of an environment variable", quoted(name));
    let bare = name.trim_start_matches(['$', '{']).trim_end_matches('}');
    let help = if is_variable(bare) { format!("write `env: {bare}`") } else { instead.to_owned() };
    wrong(message, at, "not a variable", &help)
}

fn wrong(message: String, at: &str, label: &str, help: &str) -> Finding {
    Finding::error(codes::SECRET_REFERENCE, message)
        .at_value(at, label)
        .help(format!("{help}\n{WAYS}"))
}

fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_command(words: &[Value]) -> bool {
    words.iter().all(Value::is_string) && words.first().is_some_and(|program| *program != "")
}

fn quoted(name: &str) -> String {
    if name.is_empty() { "an empty text".to_owned() } else { format!("`{name}`") }
}
