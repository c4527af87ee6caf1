//! Where a document does not fit its schema, in words: the innermost cause, the field by its name,
//! and what it takes.

mod cause;
mod node;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use pgkedge_model::Finding;
use serde_json::Value;

use crate::nearest::{listed, nearest};
use crate::{codes, passwords, pointer};
use node::SchemaNode;

/// Everything in `document` that `schema` does not allow.
///
/// # Panics
/// If the schema is none: it is made by this crate from types.
pub(crate) fn findings(document: &Value, schema: &Value) -> Vec<Finding> {
    let validator = jsonschema::draft202012::options()
        .build(schema)
        .expect("schemas of kinds are valid: a test builds them all");
    let mut findings = Vec::new();
    for error in validator.iter_errors(document) {
        for cause in cause::innermost(&error) {
            for finding in described(cause, schema) {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
    }
    findings
}

fn described(error: &ValidationError<'_>, schema: &Value) -> Vec<Finding> {
    let at = error.instance_path().as_str();
    let node = SchemaNode::of(error, schema);
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is left is about the value alone")]
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|field| unknown_field(at, field, &node)).collect()
        }
        Kind::Required { property } => {
            vec![missing_field(at, property.as_str().unwrap_or(""), &node)]
        }
        Kind::Type { .. } => vec![wrong_type(at, error.instance(), &node)],
        _ => vec![bad_value(at, error, &node)],
    }
}

fn unknown_field(at: &str, field: &str, node: &SchemaNode<'_>) -> Finding {
    let known = node.fields();
    let finding =
        Finding::error(codes::UNKNOWN_FIELD, format!("{} has no field `{field}`", owner(at)))
            .at_key(pointer::child(at, field), "unknown field");
    let all = format!("fields: {}", listed(&known));
    match nearest(field, known.iter().copied()) {
        Some(nearest) => finding.help(format!("did you mean `{nearest}`?\n{all}")),
        None => finding.help(all),
    }
}

fn missing_field(at: &str, field: &str, node: &SchemaNode<'_>) -> Finding {
    let about = node.field(field);
    let example = about.as_ref().and_then(SchemaNode::example).unwrap_or_else(|| "…".to_owned());
    let add = format!("add `{field}: {example}`");
    let help = match about.and_then(|field| field.description()) {
        Some(description) => format!("{add}\n`{field}`: {description}"),
        None => add,
    };
    Finding::error(codes::MISSING_FIELD, format!("{} needs the field `{field}`", owner(at)))
        .at_value(at, format!("`{field}` is missing here"))
        .help(help)
}

fn wrong_type(at: &str, value: &Value, node: &SchemaNode<'_>) -> Finding {
    let wanted = node.types().unwrap_or_else(|| "something else".to_owned());
    let finding = Finding::error(codes::WRONG_TYPE, format!("{} must be {wanted}", field_name(at)))
        .at_value(at, format!("this is {}", type_of(value)));
    match node.description() {
        Some(description) => finding.help(format!("{}: {description}", field_name(at))),
        None => finding,
    }
}

fn bad_value(at: &str, error: &ValidationError<'_>, node: &SchemaNode<'_>) -> Finding {
    let (fact, label) = fact(error, node);
    let name = field_name(at);
    let finding = Finding::error(codes::BAD_VALUE, format!("{name} {fact}")).at_value(at, label);
    let mut help = Vec::new();
    if let (Some(value), choices) = (error.instance().as_str(), node.choices(error)) {
        help.extend(
            nearest(value, choices.iter().map(String::as_str))
                .map(|nearest| format!("did you mean `{nearest}`?")),
        );
    }
    help.extend(node.description().map(|description| format!("{name}: {description}")));
    if help.is_empty() { finding } else { finding.help(help.join("\n")) }
}

/// What is wrong with a value, and what the underlined text is.
fn fact(error: &ValidationError<'_>, node: &SchemaNode<'_>) -> (String, &'static str) {
    let choices = node.choices(error);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest has no words of its own")]
    match error.kind() {
        _ if choices.len() == 1 => (format!("must be {}", choices[0]), "another value"),
        _ if !choices.is_empty() => {
            (format!("must be one of: {}", choices.join(", ")), "none of these")
        }
        Kind::Minimum { limit } => (format!("must be at least {limit}"), "too small"),
        Kind::Maximum { limit } => (format!("must be at most {limit}"), "too large"),
        Kind::MinLength { .. } | Kind::MinItems { .. } => ("must not be empty".to_owned(), "empty"),
        Kind::Pattern { .. } => {
            (format!("cannot be {}", shown(error.instance())), "does not have the right form")
        }
        _ => (format!("cannot be {}", shown(error.instance())), "not possible here"),
    }
}

/// A value in a message: short, and without a password.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", passwords::mask(text)),
        Value::Object(_) | Value::Array(_) => type_of(value).to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
    }
}

/// The thing whose field is meant, for people: `the plan`, `group 2`, `databases.source`.
fn owner(at: &str) -> String {
    if at.is_empty() { "the document".to_owned() } else { field_name(at) }
}

/// A node for people: `load.workers`, `the 2nd of phases`.
fn field_name(at: &str) -> String {
    if at.is_empty() {
        return "the document".to_owned();
    }
    let mut name = String::new();
    for segment in at.split('/').skip(1) {
        let segment = pointer::name(segment);
        match segment.parse::<usize>() {
            Ok(n) => name.push_str(&format_args!("[{n}]").to_string()),
            Err(_) if name.is_empty() => name = segment,
            Err(_) => {
                name.push('.');
                name.push_str(&segment);
            }
        }
    }
    format!("`{name}`")
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing: the value is missing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
