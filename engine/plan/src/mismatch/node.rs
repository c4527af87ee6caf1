//! The part of a schema that an error is about.

use jsonschema::ValidationError;
use serde_json::{Map, Value};

use crate::pointer;

/// A schema, within the document that its references point into.
pub(super) struct SchemaNode<'a> {
    root: &'a Value,
    /// The schemas around it, the innermost first.
    path: Vec<&'a Value>,
    node: &'a Value,
    /// The node that refers to this one; what it says goes first.
    outer: Option<&'a Value>,
}

impl<'a> SchemaNode<'a> {
    /// The schema whose keyword failed.
    pub(super) fn of(error: &ValidationError<'_>, root: &'a Value) -> Self {
        // The canonical path leads to the keyword; the evaluation path tells who referred to it.
        let at = pointer::parent(error.schema_path().as_str());
        let evaluated = pointer::parent(error.evaluation_path().as_str());
        let outer = evaluated.strip_suffix("/$ref").and_then(|path| follow(root, path));
        let around =
            std::iter::successors(Some(at), |at| at.rsplit_once('/').map(|(parent, _)| parent));
        let path = around.filter_map(|at| root.pointer(at)).collect();
        Self { root, path, node: root.pointer(at).unwrap_or(root), outer }
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
        Some(Self { root: self.root, path: Vec::new(), node, outer: Some(outer) })
    }

    fn properties(&self) -> Option<&'a Map<String, Value>> {
        self.node.get("properties")?.as_object()
    }

    /// What the value is for.
    pub(super) fn description(&self) -> Option<String> {
        let branches = self.node.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        let referred = branches.filter_map(|branch| referred(self.root, branch));
        self.outer.into_iter().chain([self.node]).chain(referred).find_map(description)
    }

    /// What a value must look like: said next to where it is demanded.
    pub(super) fn form(&self) -> Option<String> {
        self.path.iter().copied().chain(self.outer).find_map(description)
    }

    /// An example as it would be written.
    pub(super) fn example(&self) -> Option<String> {
        let examples = |node: &'a Value| node.get("examples")?.get(0);
        let example = self.outer.and_then(examples).or_else(|| examples(self.node))?;
        Some(flow(example))
    }
}

fn description(node: &Value) -> Option<String> {
    Some(node.get("description")?.as_str()?.replace('\n', " "))
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

/// A value as YAML on one line. Examples are plain words, which need no quotes.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
