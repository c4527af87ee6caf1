//! Tolerant looks into a document: what is missing or mistyped is passed over, because the schema
//! has a finding about it.

use pgkedge_model::{Each, KindSpec, OnFailure};
use serde_json::{Map, Value};

use crate::pattern::Pattern;
use crate::pointer;

/// Fields of a step that belong to no kind.
pub(crate) const STEP_FIELDS: [&str; 6] = ["name", "kind", "each", "after", "before", "remove"];

/// An entry of `phases`.
#[derive(Clone)]
pub(crate) struct PhaseView<'a> {
    pub(crate) pointer: String,
    fields: &'a Map<String, Value>,
}

/// An entry of `steps`.
#[derive(Clone)]
pub(crate) struct StepView<'a> {
    pub(crate) pointer: String,
    fields: &'a Map<String, Value>,
}

/// A text with its place.
#[derive(Clone)]
pub(crate) struct TextView<'a> {
    pub(crate) pointer: String,
    pub(crate) text: &'a str,
}

/// The phases of a plan or a pipeline.
pub(crate) fn phases(document: &Value) -> Vec<PhaseView<'_>> {
    objects(document, "/phases").map(|(pointer, fields)| PhaseView { pointer, fields }).collect()
}

/// The steps of all phases.
pub(crate) fn steps(document: &Value) -> Vec<StepView<'_>> {
    phases(document).iter().flat_map(PhaseView::steps).collect()
}

/// The objects of a list.
pub(crate) fn objects<'a>(
    document: &'a Value,
    list: &str,
) -> impl Iterator<Item = (String, &'a Map<String, Value>)> {
    items(document, list).filter_map(|(pointer, item)| Some((pointer, item.as_object()?)))
}

/// The texts of a list.
pub(crate) fn texts<'a>(document: &'a Value, list: &str) -> Vec<TextView<'a>> {
    items(document, list)
        .filter_map(|(pointer, item)| Some(TextView { pointer, text: item.as_str()? }))
        .collect()
}

/// The patterns of a group, whichever way it is written.
pub(crate) fn group_patterns<'a>(document: &'a Value, group: &str) -> Vec<TextView<'a>> {
    let tables = pointer::child(group, "tables");
    match document.pointer(&tables) {
        Some(Value::Object(_)) => texts(document, &pointer::child(&tables, "matching")),
        _ => texts(document, &tables),
    }
}

/// Those of the texts that are patterns.
pub(crate) fn parsed(texts: Vec<TextView<'_>>) -> Vec<Pattern> {
    texts
        .into_iter()
        .filter_map(|view| Some(Pattern::parse(view.text).ok()?.at(view.pointer)))
        .collect()
}

fn items<'a>(document: &'a Value, list: &str) -> impl Iterator<Item = (String, &'a Value)> {
    let pointer = list.to_owned();
    let items = document.pointer(list).and_then(Value::as_array).into_iter().flatten();
    items.enumerate().map(move |(n, item)| (pointer::child(&pointer, n), item))
}

impl<'a> PhaseView<'a> {
    pub(crate) fn text(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field)?.as_str()
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    pub(crate) fn name(&self) -> Option<&'a str> {
        self.text("name")
    }

    pub(crate) fn on_failure(&self) -> Option<OnFailure> {
        serde_json::from_value(self.fields.get("on_failure")?.clone()).ok()
    }

    pub(crate) fn removes(&self) -> bool {
        self.fields.get("remove") == Some(&Value::Bool(true))
    }

    pub(crate) fn at(&self, field: &str) -> String {
        pointer::child(&self.pointer, field)
    }

    pub(crate) fn steps(&self) -> Vec<StepView<'a>> {
        let steps = self.fields.get("steps").and_then(Value::as_array);
        steps
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(n, step)| {
                let pointer = pointer::child(&self.at("steps"), n);
                Some(StepView { pointer, fields: step.as_object()? })
            })
            .collect()
    }
}

impl<'a> StepView<'a> {
    pub(crate) fn text(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field)?.as_str()
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    pub(crate) fn name(&self) -> Option<&'a str> {
        self.text("name")
    }

    pub(crate) fn kind(&self) -> Option<&'a str> {
        self.text("kind")
    }

    pub(crate) fn spec<'k>(&self, kinds: &'k [KindSpec]) -> Option<&'k KindSpec> {
        let kind = self.kind()?;
        kinds.iter().find(|spec| spec.kind == kind)
    }

    pub(crate) fn each(&self) -> Option<Each> {
        serde_json::from_value(self.fields.get("each")?.clone()).ok()
    }

    pub(crate) fn removes(&self) -> bool {
        self.fields.get("remove") == Some(&Value::Bool(true))
    }

    pub(crate) fn at(&self, field: &str) -> String {
        pointer::child(&self.pointer, field)
    }

    /// The parameters of the kind.
    pub(crate) fn params(&self) -> Value {
        let own = self.fields.iter().filter(|(field, _)| !STEP_FIELDS.contains(&field.as_str()));
        Value::Object(own.map(|(field, value)| (field.clone(), value.clone())).collect())
    }
}
