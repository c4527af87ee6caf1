//! Where a document does not fit its schema, in words: the innermost cause, the field by its name,
//! and what it takes.

mod cause;
mod naming;
mod node;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use pgkedge_model::Finding;
use serde_json::Value;

use crate::nearest::{listed, nearest};
use crate::{codes, passwords, pointer};
use naming::path;
use node::SchemaNode;

/// A schema that is ready for documents.
pub(crate) struct CheckedSchema {
    schema: Value,
    validator: Validator,
}

impl CheckedSchema {
    /// # Panics
    /// If the schema is none: it is made by this crate from types.
    pub(crate) fn new(schema: Value) -> Self {
        let validator = jsonschema::draft202012::options()
            .build(&schema)
            .expect("the schemas of types and kinds are valid");
        Self { schema, validator }
    }
}

/// Everything in `document` that the schema does not allow.
pub(crate) fn findings(
    document: &Value,
    CheckedSchema { schema, validator }: &CheckedSchema,
) -> Vec<Finding> {
    let errors: Vec<_> = validator.iter_errors(document).collect();
    let mut mismatches: Vec<Mismatch<'_>> = errors
        .iter()
        .flat_map(cause::innermost)
        .map(|error| Mismatch { error, node: SchemaNode::of(error, schema), document })
        .collect();
    let misspelt: Vec<(String, String)> =
        mismatches.iter().flat_map(Mismatch::misspelt_fields).collect();
    mismatches.retain(|mismatch| {
        !mismatch.missing_field().is_some_and(|missing| misspelt.contains(&missing))
    });
    let mut findings = Vec::new();
    for finding in mismatches.iter().flat_map(Mismatch::findings) {
        // Branches of a schema may say the same.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

/// One error, with the part of the schema that it is about.
struct Mismatch<'a> {
    error: &'a ValidationError<'a>,
    node: SchemaNode<'a>,
    document: &'a Value,
}

impl Mismatch<'_> {
    fn findings(&self) -> Vec<Finding> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "what is left is about the value alone")]
        match self.error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                unexpected.iter().map(|field| self.unknown_field(field)).collect()
            }
            Kind::Required { property } => {
                vec![self.without_field(property.as_str().unwrap_or(""))]
            }
            _ => match cause::wanted_types(self.error) {
                Some(types) => vec![self.wrong_type(&types)],
                None => vec![self.bad_value()],
            },
        }
    }

    fn at(&self) -> &str {
        self.error.instance_path().as_str()
    }

    /// The last part of the field's path.
    fn field(&self) -> String {
        naming::last(self.at())
    }

    /// Where a field is missing that the author may have misspelt, and its name.
    fn missing_field(&self) -> Option<(String, String)> {
        let Kind::Required { property } = self.error.kind() else { return None };
        Some((self.at().to_owned(), property.as_str()?.to_owned()))
    }

    fn misspelt_fields(&self) -> Vec<(String, String)> {
        let Kind::AdditionalProperties { unexpected } = self.error.kind() else {
            return Vec::new();
        };
        let meant = |field: &String| nearest(field, self.node.fields());
        unexpected
            .iter()
            .filter_map(|field| Some((self.at().to_owned(), meant(field)?.to_owned())))
            .collect()
    }

    fn unknown_field(&self, field: &str) -> Finding {
        let known = self.node.fields();
        let all = format!("fields: {}", listed(&known));
        let message = format!("{} has no field `{field}`", path(self.document, self.at()));
        Finding::error(codes::UNKNOWN_FIELD, message)
            .at_key(pointer::child(self.at(), field), "unknown field")
            .help(match nearest(field, known) {
                Some(nearest) => format!("did you mean `{nearest}`?\n{all}"),
                None => all,
            })
    }

    fn without_field(&self, field: &str) -> Finding {
        let about = self.node.field(field);
        let example = about.as_ref().and_then(SchemaNode::example);
        let mut help = format!("add `{field}: {}`", example.unwrap_or_else(|| "…".to_owned()));
        if let Some(description) = about.and_then(|about| about.description()) {
            help.push_str(&["\n`", field, "`: ", &description].concat());
        }
        let message = format!("{} needs the field `{field}`", path(self.document, self.at()));
        Finding::error(codes::MISSING_FIELD, message)
            .at_value(self.at(), format!("`{field}` is missing here"))
            .help(help)
    }

    fn wrong_type(&self, types: &str) -> Finding {
        let value = self.error.instance();
        let mut help = Vec::new();
        if let Some(example) = self.node.example() {
            help.push(format!("for example `{}: {example}`", self.field()));
        } else if value.is_null() {
            help.push(format!("give `{}` a value, or remove it", self.field()));
        }
        help.extend(self.about());
        let message = format!("{} must be {types}", path(self.document, self.at()));
        if help.is_empty() {
            help.push(format!("write {types} here"));
        }
        Finding::error(codes::WRONG_TYPE, message)
            .at_value(self.at(), format!("this is {}", naming::type_of(value)))
            .help(help.join("\n"))
    }

    fn bad_value(&self) -> Finding {
        let (fact, label) = self.fact();
        let choices = cause::choices(self.error);
        let mut help = Vec::new();
        let given = self.error.instance().as_str().unwrap_or("");
        match nearest(given, choices.iter().map(String::as_str)).or(choices.first().map(|s| &**s)) {
            Some(meant) if naming::is_item(self.at()) => help.push(format!("write `{meant}`")),
            Some(meant) => help.push(format!("write `{}: {meant}`", self.field())),
            None => {}
        }
        help.extend(self.about());
        let message = format!("{} {fact}", path(self.document, self.at()));
        let finding = Finding::error(codes::BAD_VALUE, message).at_value(self.at(), label);
        if help.is_empty() { finding } else { finding.help(help.join("\n")) }
    }

    /// What the field is for; of a text with a form, what the form is.
    fn about(&self) -> Option<String> {
        let has_form = matches!(self.error.kind(), Kind::Pattern { .. });
        let description = if has_form { self.node.form() } else { self.node.description() };
        let description = description?;
        Some(match self.field() {
            field if field.is_empty() || naming::is_item(self.at()) => description,
            field => format!("`{field}`: {description}"),
        })
    }

    /// What is wrong with the value, and what the underlined text is.
    fn fact(&self) -> (String, &'static str) {
        let choices = cause::choices(self.error);
        #[expect(clippy::wildcard_enum_match_arm, reason = "the rest has no words of its own")]
        match self.error.kind() {
            _ if choices.len() == 1 => (format!("must be {}", choices[0]), "another value"),
            _ if !choices.is_empty() => {
                (format!("must be one of: {}", choices.join(", ")), "none of these")
            }
            Kind::Minimum { limit } => (format!("must be at least {limit}"), "too small"),
            Kind::Maximum { limit } => (format!("must be at most {limit}"), "too large"),
            Kind::MinLength { .. } | Kind::MinItems { .. } => {
                ("must not be empty".to_owned(), "empty")
            }
            Kind::Pattern { .. } => (self.refused(), "does not have the right form"),
            _ => (self.refused(), "not possible here"),
        }
    }

    fn refused(&self) -> String {
        match &**self.error.instance() {
            Value::String(text) => format!("cannot be `{}`", passwords::mask(text)),
            value @ (Value::Object(_) | Value::Array(_)) => {
                format!("cannot be this {}", naming::type_of(value).trim_start_matches("a "))
            }
            value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => {
                format!("cannot be `{value}`")
            }
        }
    }
}
