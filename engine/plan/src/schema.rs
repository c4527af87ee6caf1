//! The JSON Schemas of plans and pipelines (draft 2020-12), from the types and the step kinds.

use pgkedge_model::KindSpec;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::written::{PipelineDocument, PlanDocument};

/// Which of the two documents a schema is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Plan,
    Pipeline,
}

/// The schema of plans, for editors and for [`crate::check`].
pub fn plan_schema(kinds: &[KindSpec]) -> Value {
    build::<PlanDocument>(Language::Plan, kinds)
}

/// The schema of pipelines.
pub fn pipeline_schema(kinds: &[KindSpec]) -> Value {
    build::<PipelineDocument>(Language::Pipeline, kinds)
}

fn build<T: JsonSchema>(language: Language, kinds: &[KindSpec]) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    let mut definitions = Map::new();
    definitions.insert("Step".to_owned(), step(language, kinds));
    for kind in kinds {
        let (own, further) = step_of_kind(language, kind);
        definitions.insert(definition_name(kind), own);
        definitions.extend(further);
    }
    match schema.get_mut("$defs").and_then(Value::as_object_mut) {
        Some(existing) => existing.extend(definitions),
        None => schema["$defs"] = Value::Object(definitions),
    }
    schema
}

fn definition_name(kind: &KindSpec) -> String {
    format!("step_{}", kind.kind)
}

/// What all steps have, and one branch per kind. `if` leads to the one branch that is meant, so that
/// its errors are about the fields, where `oneOf` would only say that no branch fits.
fn step(language: Language, kinds: &[KindSpec]) -> Value {
    let branches: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "if": { "properties": { "kind": { "const": kind.kind } }, "required": ["kind"] },
                "then": { "$ref": format!("#/$defs/{}", definition_name(kind)) },
            })
        })
        .collect();
    let mut step = json!({
        "description": "A step: its name, its kind, and the fields that the kind takes.",
        "type": "object",
        "properties": own_fields(language),
        "required": ["name"],
        "allOf": branches,
    });
    let names: Vec<&str> = kinds.iter().map(|kind| kind.kind).collect();
    step["properties"]["kind"]["enum"] = json!(names);
    match language {
        Language::Pipeline => step["required"] = json!(["name", "kind"]),
        Language::Plan => {
            step["if"] = json!({ "required": ["remove"] });
            step["then"] = json!(true);
            step["else"] = json!({
                "properties": { "kind": {
                    "description": "What the step does.", "examples": ["sql"],
                } },
                "required": ["kind"],
            });
        }
    }
    step
}

fn own_fields(language: Language) -> Value {
    let mut fields = json!({
        "name": { "$ref": "#/$defs/Name", "examples": ["smoke_test"] },
        "kind": { "description": "What the step does.", "type": "string" },
    });
    if language == Language::Plan {
        let behind = "Puts a new step right behind this one of the same phase; left out, it goes last. \
                      This is the order of declaration: steps run side by side unless one needs \
                      what another makes.";
        fields["after"] = json!({ "description": behind, "type": "string" });
        fields["before"] = json!({
            "description": "Puts a new step right before this one of the same phase.",
            "type": "string",
        });
        fields["remove"] = json!({
            "description": "Takes the pipeline's step of this name out.", "const": true,
        });
    }
    fields
}

/// The schema of steps of one kind, and what it refers to.
fn step_of_kind(language: Language, kind: &KindSpec) -> (Value, Map<String, Value>) {
    let mut params = (kind.params)();
    let further = take_definitions(&mut params, kind);
    let mut schema = params.as_object().cloned().unwrap_or_default();
    for unwanted in ["$schema", "title"] {
        schema.shift_remove(unwanted);
    }
    let mut fields = own_fields(language).as_object().cloned().unwrap_or_default();
    fields.insert("kind".to_owned(), json!({ "description": kind.about, "const": kind.kind }));
    if !kind.each.is_empty() {
        let about = "What the step is repeated for.";
        fields.insert("each".to_owned(), json!({ "description": about, "enum": kind.each }));
    }
    if let Some(Value::Object(own)) = schema.shift_remove("properties") {
        fields.extend(own);
    }
    let mut required = vec![json!("name"), json!("kind")];
    if let Some(Value::Array(own)) = schema.shift_remove("required") {
        required.extend(own);
    }
    schema.insert("description".to_owned(), json!(kind.about));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(fields));
    schema.insert("required".to_owned(), Value::Array(required));
    schema.insert("additionalProperties".to_owned(), json!(false));
    (Value::Object(schema), further)
}

/// Moves the definitions of a kind's parameters to the root, under names of their own.
fn take_definitions(params: &mut Value, kind: &KindSpec) -> Map<String, Value> {
    let prefix = format!("{}_", kind.kind);
    rename_references(params, &prefix);
    let own = params.as_object_mut().and_then(|params| params.shift_remove("$defs"));
    let Some(Value::Object(own)) = own else { return Map::new() };
    own.into_iter().map(|(name, schema)| (format!("{prefix}{name}"), schema)).collect()
}

fn rename_references(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                let name = value.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
                match name {
                    Some(name) if key == "$ref" => {
                        *value = Value::String(format!("#/$defs/{prefix}{name}"));
                    }
                    _ => rename_references(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, prefix)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
