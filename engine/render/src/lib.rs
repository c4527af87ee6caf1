//! Makes SQL and text of templates. Knows how a value is quoted; refuses one that is not.
//!
//! A step template holds up to four blocks, `before`, `run`, `after` and `undo`. Statements in a
//! block stand apart by a line that holds only `;;`, and none has a closing semicolon. Whatever a
//! value contains, it cannot split a statement or pass for a piece that is filled in at run time.

mod embedded;
mod encoding;
mod environment;
mod error;
mod filters;
mod markers;
mod renderer;

use std::sync::LazyLock;

use pgkedge_model::Piece;
use serde::Serialize;

pub use error::RenderError;
use renderer::Renderer;

/// A part of a step template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    Before,
    Run,
    After,
    Undo,
}

impl Block {
    const ALL: [Self; 4] = [Self::Before, Self::Run, Self::After, Self::Undo];

    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Run => "run",
            Self::After => "after",
            Self::Undo => "undo",
        }
    }
}

static SHIPPED: LazyLock<Renderer> = LazyLock::new(|| Renderer::new(embedded::TEMPLATES));

/// The statements of one block of `templates/steps/<kind>.sql.j2`; none if it has no such block.
pub fn step(
    kind: &str,
    block: Block,
    context: &impl Serialize,
) -> Result<Vec<Vec<Piece>>, RenderError> {
    SHIPPED.step(kind, block, context)
}

/// The text of `templates/text/<name>.txt.j2`, for people: nothing is quoted.
pub fn text(name: &str, context: &impl Serialize) -> Result<String, RenderError> {
    SHIPPED.text(name, context)
}

/// The kinds that have a template, sorted.
pub fn step_kinds() -> &'static [&'static str] {
    embedded::STEP_KINDS
}
