//! What an error is about, also where it is inside an `anyOf` or `oneOf`.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use crate::pointer;

/// Goes down to the branch whose type and tag fit; where none or several do, the error stays whole.
pub(super) fn innermost<'e>(error: &'e ValidationError<'e>) -> Vec<&'e ValidationError<'e>> {
    let (Kind::AnyOf { context } | Kind::OneOfNotValid { context }) = error.kind() else {
        return vec![error];
    };
    let here = error.instance_path().as_str();
    let meant: Vec<_> =
        context.iter().filter(|branch| !branch.iter().any(|e| is_of_another(e, here))).collect();
    match meant.as_slice() {
        [branch] => branch.iter().flat_map(|inner| innermost(inner)).collect(),
        _ => vec![error],
    }
}

/// Whether an error says that its branch is for another type or tag.
fn is_of_another(error: &ValidationError<'_>, here: &str) -> bool {
    let at = error.instance_path().as_str();
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are about the contents")]
    match error.kind() {
        Kind::Type { .. } | Kind::Enum { .. } => at == here,
        Kind::Constant { .. } => at == here || pointer::parent(at) == here,
        _ => false,
    }
}

/// The types that would do, for people, if the type is what is wrong.
pub(super) fn wanted_types(error: &ValidationError<'_>) -> Option<String> {
    let mut types: Vec<String> = Vec::new();
    for name in type_names(error)?.iter().filter(|name| *name != "null") {
        let word = word(name).to_owned();
        if !types.contains(&word) {
            types.push(word);
        }
    }
    Some(types.join(" or "))
}

fn type_names(error: &ValidationError<'_>) -> Option<Vec<String>> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other error is about the type")]
    match error.kind() {
        Kind::Type { kind: TypeKind::Single(name) } => Some(vec![name.to_string()]),
        Kind::Type { kind: TypeKind::Multiple(names) } => {
            Some(names.iter().map(|name| name.to_string()).collect())
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let branches: Option<Vec<_>> =
                context.iter().map(|branch| type_names(branch.first()?)).collect();
            Some(branches?.concat())
        }
        _ => None,
    }
}

/// The values that would do, where they can be counted.
pub(super) fn choices(error: &ValidationError<'_>) -> Vec<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other errors leave no choice")]
    match error.kind() {
        Kind::Constant { expected_value } => vec![plain(expected_value)],
        Kind::Enum { options } => options.as_array().into_iter().flatten().map(plain).collect(),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let same_place =
                context.iter().flatten().filter(|e| e.instance_path() == error.instance_path());
            same_place.flat_map(choices).collect()
        }
        _ => Vec::new(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn word(name: &str) -> &str {
    match name {
        "object" => "a mapping (`field: value`)",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}
