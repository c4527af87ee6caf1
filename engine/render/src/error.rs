//! What is wrong with a template, or with what it was given.

use std::ops::Range;

use pgkedge_model::Finding;

/// A template that could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("there is no template `{0}`")]
    Missing(String),
    /// Names the template, the line and the expression.
    #[error("{}: {message}", Spot { template, line: *line, expression: expression.as_deref() })]
    Failed { template: String, line: Option<usize>, expression: Option<String>, message: String },
}

struct Spot<'a> {
    template: &'a str,
    line: Option<usize>,
    expression: Option<&'a str>,
}

impl std::fmt::Display for Spot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "templates/{}", self.template)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(expression) = self.expression {
            write!(f, ": `{expression}`")?;
        }
        Ok(())
    }
}

/// A template is ours, so that it cannot be rendered is a fault of ours: for `expand` to report.
impl From<RenderError> for Finding {
    fn from(error: RenderError) -> Self {
        Self::error("render::template", error.to_string())
            .help("the fault lies in pgkedge, not in the plan: report it")
    }
}

impl RenderError {
    pub(crate) fn of_template(template: &str, message: impl Into<String>) -> Self {
        Self::Failed {
            template: template.to_owned(),
            line: None,
            expression: None,
            message: message.into(),
        }
    }

    pub(crate) fn of_engine(template: &str, error: &minijinja::Error) -> Self {
        let range = error.range();
        let expression = range.and_then(|range| around(error.template_source()?, range));
        let message = match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.kind().to_string(),
        };
        Self::Failed {
            template: error.name().unwrap_or(template).to_owned(),
            line: error.line(),
            expression,
            message,
        }
    }
}

/// The whole `{{ … }}` or `{% … %}` that a range lies in; the engine knows only the failing filter.
fn around(source: &str, range: Range<usize>) -> Option<String> {
    let (before, after) = (source.get(..range.start)?, source.get(range.end..)?);
    let start = before.rfind("{{").max(before.rfind("{%"))? + 2;
    let end = [after.find("}}"), after.find("%}")].into_iter().flatten().min()?;
    Some(source.get(start..range.end + end)?.trim().to_owned())
}
