//! The part of a schema that an error is about.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::{Map, Value};

use crate::pointer;

/// A schema, within the document that its references point into.
#[derive(Clone, Copy)]
pub(super) struct SchemaNode<'a> {
    root: &'a Value,
    node: &'a Value,
    /// The node that refers to this one; what it says goes first.
    outer: Option<&'a Value>,
}

impl<'a> SchemaNode<'a> {
    /// The schema whose keyword failed.
    pub(super) fn of(error: &ValidationError<'_>, root: &'a Value) -> Self {
        // The canonical path leads to the keyword; the evaluation path tells who referred to it.
        let keyword = error.schema_path().as_str();
        let node = root.pointer(pointer::parent(keyword)).unwrap_or(root);
        let outer = error
            .evaluation_path()
            .as_str()
            .rsplit_once("/$ref/")
            .and_then(|(path, _)| follow(root, path));
        Self { root, node, outer }
    }

    /// The fields that an object may have.
    pub(super) fn fields(&self) -> Vec<&'a str> {
        self.properties()
            .map(|fields| fields.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let outer = self.properties()?.get(name)?;
        let node = referred(self.root, outer).unwrap_or(outer);
        Some(Self { root: self.root, node, outer: Some(outer) })
    }

    fn properties(&self) -> Option<&'a Map<String, Value>> {
        self.node.get("properties")?.as_object()
    }

    pub(super) fn description(&self) -> Option<String> {
        let text = [self.outer, Some(self.node)]
            .into_iter()
            .flatten()
            .find_map(|node| node.get("description")?.as_str())?;
        Some(text.replace('\n', " "))
    }

    /// An example as it would be written.
    pub(super) fn example(&self) -> Option<String> {
        let examples = |node: &'a Value| node.get("examples")?.get(0);
        match self.outer.and_then(examples).or_else(|| examples(self.node))? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The types that a value may have, for people.
    pub(super) fn types(&self) -> Option<String> {
        let types = match self.node.get("type")? {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            single => vec![single.as_str()?],
        };
        let words: Vec<&str> = types.into_iter().filter(|name| *name != "null").map(word).collect();
        Some(words.join(" or "))
    }

    /// The values that are possible, where they can be counted.
    pub(super) fn choices(&self, error: &ValidationError<'_>) -> Vec<String> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "other errors have no choices")]
        match error.kind() {
            Kind::Constant { expected_value } => vec![plain(expected_value)],
            Kind::Enum { options } => options.as_array().into_iter().flatten().map(plain).collect(),
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                let inner = context.iter().flatten();
                let same_place = inner.filter(|e| e.instance_path() == error.instance_path());
                same_place.flat_map(|e| self.choices(e)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn referred<'a>(root: &'a Value, node: &Value) -> Option<&'a Value> {
    root.pointer(node.get("$ref")?.as_str()?.strip_prefix('#')?)
}

/// Follows a path that goes through references.
fn follow<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    let mut node = root;
    for segment in path.split('/').skip(1) {
        node = match segment {
            "$ref" => referred(root, node)?,
            _ => node.pointer(&format!("/{segment}"))?,
        };
    }
    Some(node)
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
