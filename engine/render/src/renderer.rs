//! A set of templates, compiled once.

use minijinja::Environment;
use minijinja::value::Serde;
use pgkedge_model::Piece;
use serde::Serialize;

use crate::encoding::{closes_a_statement, statements};
use crate::environment::{sql_environment, text_environment};
use crate::{Block, RenderError};

pub(crate) struct Renderer {
    sql: Environment<'static>,
    text: Environment<'static>,
}

impl Renderer {
    /// A template that does not parse is reported where it is used.
    pub(crate) fn new(templates: &'static [(&'static str, &'static str)]) -> Self {
        let mut renderer = Self { sql: sql_environment(), text: text_environment() };
        renderer.sql.set_loader(|name| Ok(templates_loader(templates, name)));
        renderer.text.set_loader(|name| Ok(templates_loader(templates, name)));
        renderer
    }

    pub(crate) fn step(
        &self,
        kind: &str,
        block: Block,
        context: &impl Serialize,
    ) -> Result<Vec<Vec<Piece>>, RenderError> {
        let template = format!("steps/{kind}.sql.j2");
        let part = format!("{template}#{}", block.name());
        let rendered = render(&self.sql, &part, &template, context)?;
        if closes_a_statement(&rendered) {
            let message = "a statement must not end with a semicolon; a line of `;;` separates two";
            return Err(RenderError::of_template(&template, message));
        }
        statements(&rendered)
            .map_err(|error| RenderError::of_template(&template, error.to_string()))
    }

    pub(crate) fn text(&self, name: &str, context: &impl Serialize) -> Result<String, RenderError> {
        let template = format!("text/{name}.txt.j2");
        render(&self.text, &template, &template, context)
    }
}

/// The template's own text, or, for `steps/x.sql.j2#run`, one that empties its other blocks: they
/// may use values that are not given, so they must not be evaluated.
fn templates_loader(templates: &[(&str, &str)], name: &str) -> Option<String> {
    let (file, part) = name.split_once('#').unwrap_or((name, ""));
    let source = templates.iter().find(|(known, _)| *known == file).map(|(_, source)| *source)?;
    if part.is_empty() {
        return Some(keep_separators(source));
    }
    let others = Block::ALL.iter().map(|block| block.name()).filter(|block| *block != part);
    let emptied: Vec<String> =
        others.map(|block| format!("{{% block {block} %}}{{% endblock %}}")).collect();
    Some(format!("{{% extends {file:?} %}}{}", emptied.concat()))
}

/// A block's end takes its line break with it, and would put the separator behind the statement.
fn keep_separators(source: &str) -> String {
    source.replace(" %}\n;;\n", " +%}\n;;\n")
}

fn render(
    environment: &Environment<'_>,
    part: &str,
    template: &str,
    context: &impl Serialize,
) -> Result<String, RenderError> {
    let failed = |error: &minijinja::Error| RenderError::of_engine(template, error);
    // Only the template itself may be missing; one that it includes is its own error.
    let missing = |error: minijinja::Error| {
        if error.kind() == minijinja::ErrorKind::TemplateNotFound {
            return RenderError::Missing(template.to_owned());
        }
        failed(&error)
    };
    environment.get_template(template).map_err(missing)?;
    let compiled = environment.get_template(part).map_err(|error| failed(&error))?;
    compiled.render(Serde(context)).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests;
