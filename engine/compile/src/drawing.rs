//! The graph as a picture: DOT for Graphviz, and Mermaid for Markdown.
//!
//! Phases are boxes, one after the other; barriers are left out, and so are edges to earlier phases.

use std::collections::BTreeMap;

use pgkedge_model::{StepGraph, StepId, StepNode};

/// For `dot -Tsvg`.
pub fn dot(graph: &StepGraph) -> String {
    let mut lines = vec![
        "digraph steps {".to_owned(),
        "  rankdir=LR; compound=true; node [shape=box, fontname=\"sans-serif\"];".to_owned(),
    ];
    let drawing = Drawing::of(graph);
    for (number, (phase, steps)) in drawing.phases.iter().enumerate() {
        lines.push(format!("  subgraph cluster_{number} {{ label=\"{}\";", dot_text(phase)));
        for step in steps {
            let (name, label) = (drawing.name(step), dot_text(&label(step)));
            lines.push(format!("    {name} [label=\"{label}\"];"));
        }
        lines.push("  }".to_owned());
    }
    for (need, step) in drawing.edges() {
        lines.push(format!("  {need} -> {step};"));
    }
    for ((before, last), (after, first)) in drawing.neighbours() {
        lines.push(format!("  {last} -> {first} [ltail=cluster_{before}, lhead=cluster_{after}];"));
    }
    lines.push("}\n".to_owned());
    lines.join("\n")
}

/// For a block ```` ```mermaid ````.
pub fn mermaid(graph: &StepGraph) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    let drawing = Drawing::of(graph);
    for (number, (phase, steps)) in drawing.phases.iter().enumerate() {
        lines.push(format!("  subgraph p{number} [\"{}\"]", mermaid_text(phase)));
        for step in steps {
            let (name, label) = (drawing.name(step), mermaid_text(&label(step)));
            lines.push(format!("    {name}[\"{label}\"]"));
        }
        lines.push("  end".to_owned());
    }
    for (need, step) in drawing.edges() {
        lines.push(format!("  {need} --> {step}"));
    }
    for ((before, _), (after, _)) in drawing.neighbours() {
        lines.push(format!("  p{before} ==> p{after}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

struct Drawing<'a> {
    graph: &'a StepGraph,
    /// Phases that have steps, in order.
    phases: Vec<(&'a str, Vec<&'a StepNode>)>,
    /// Ids are hostile to both languages, so that steps are numbered.
    numbers: BTreeMap<&'a StepId, usize>,
}

impl<'a> Drawing<'a> {
    fn of(graph: &'a StepGraph) -> Self {
        let of_phase = |phase: &'a pgkedge_model::PhaseName| {
            let steps = graph.steps().map(AsRef::as_ref);
            (phase.0.as_str(), steps.filter(|step: &&StepNode| step.phase == *phase).collect())
        };
        let phases = graph.phases().iter().map(of_phase);
        let phases = phases.filter(|(_, steps): &(_, Vec<_>)| !steps.is_empty()).collect();
        let numbers = graph.steps().enumerate().map(|(number, step)| (&step.id, number)).collect();
        Self { graph, phases, numbers }
    }

    fn name(&self, step: &StepNode) -> String {
        format!("s{}", self.numbers[&step.id])
    }

    /// Within phases: what comes first, and what waits for it.
    fn edges(&self) -> Vec<(String, String)> {
        let needs = |step: &'a StepNode| {
            let needs = self.graph.needs(&step.id).filter_map(|id| self.graph.step(id));
            let needs = needs.filter(|need| need.phase == step.phase);
            needs.map(|need| (self.name(need), self.name(step))).collect::<Vec<_>>()
        };
        self.graph.steps().flat_map(|step| needs(step)).collect()
    }

    /// Each phase with a last step, and the one after it with a first step.
    fn neighbours(&self) -> Vec<((usize, String), (usize, String))> {
        let pairs = self.phases.windows(2).enumerate();
        pairs
            .filter_map(|(number, pair)| {
                let (last, first) = (pair[0].1.last()?, pair[1].1.first()?);
                Some(((number, self.name(last)), (number + 1, self.name(first))))
            })
            .collect()
    }
}

fn label(step: &StepNode) -> String {
    let within = step.id.0.split_once('/').map_or(step.id.0.as_str(), |(_, rest)| rest);
    if step.is_bundle() {
        return format!("{within} ({} members)", step.members.len());
    }
    within.to_owned()
}

fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Mermaid reads entities where it would read its own syntax.
fn mermaid_text(text: &str) -> String {
    let entity = |char: char| match char {
        '"' | '#' | ';' | '<' | '>' | '&' | '`' => format!("#{};", u32::from(char)),
        other => other.to_string(),
    };
    text.chars().map(entity).collect()
}

#[cfg(test)]
mod tests {
    use pgkedge_model::Each;
    use serde_json::json;

    use super::*;
    use crate::testing::{Sketch, World};

    fn graph() -> StepGraph {
        let world = World::new().table(1, "public.a").table(2, "public.we\"ird;");
        let sketch = Sketch::new()
            .step("one/hold", "service", None, json!({ "writes": ["snapshot:source"] }))
            .step("one/copy", "small", Some(Each::Table), json!({ "output": "snapshot:source" }))
            .step("none/at_all", "alone", Some(Each::ForeignKey), json!({}))
            .step("two/each", "alone", Some(Each::Table), json!({ "reads": ["snapshot:source"] }))
            .step("two/stop", "alone", None, json!({ "stops": "hold" }));
        sketch.compile(&world).unwrap().graph
    }

    #[test]
    fn a_graph_is_drawn_for_graphviz() {
        insta::assert_snapshot!(dot(&graph()));
    }

    #[test]
    fn a_graph_is_drawn_for_markdown() {
        insta::assert_snapshot!(mermaid(&graph()));
    }
}
