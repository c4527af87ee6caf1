//! The graph as a picture: DOT for Graphviz, and Mermaid for Markdown.
//!
//! Services, and the windows of phases that are taken back together, have dashed lines. Phases are
//! boxes, one after the other; barriers are left out, and so are edges to earlier phases.

use std::collections::BTreeMap;

use pgkedge_model::{OnFailure, PhaseRule, StepGraph, StepId, StepNode};

/// For `dot -Tsvg`.
pub fn dot(graph: &StepGraph) -> String {
    let mut lines = vec![
        "digraph steps {".to_owned(),
        "  rankdir=LR; compound=true; node [shape=box, fontname=\"sans-serif\"];".to_owned(),
        "  fontname=\"sans-serif\";".to_owned(),
    ];
    let drawing = Drawing::of(graph);
    let mut number = 0;
    for (at, part) in drawing.parts.iter().enumerate() {
        if let Some(window) = &part.window {
            let title = dot_text(window);
            lines.push(format!("  subgraph cluster_w{at} {{ label=\"{title}\"; style=dashed;"));
        }
        for (phase, steps) in &part.phases {
            let title = dot_text(phase);
            lines.push(format!("  subgraph cluster_{number} {{ label=\"{title}\"; style=solid;"));
            for step in steps {
                let (name, label) = (drawing.name(step), dot_text(&label(step)));
                let style = if step.service { ", style=dashed" } else { "" };
                lines.push(format!("    {name} [label=\"{label}\"{style}];"));
            }
            lines.push("  }".to_owned());
            number += 1;
        }
        lines.extend(part.window.is_some().then(|| "  }".to_owned()));
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
    let mut number = 0;
    for (at, part) in drawing.parts.iter().enumerate() {
        if let Some(window) = &part.window {
            lines.push(format!("  subgraph w{at} [\"{}\"]", mermaid_text(window)));
        }
        for (phase, steps) in &part.phases {
            lines.push(format!("  subgraph p{number} [\"{}\"]", mermaid_text(phase)));
            for step in steps {
                let (name, label) = (drawing.name(step), mermaid_text(&label(step)));
                let class = if step.service { ":::service" } else { "" };
                lines.push(format!("    {name}[\"{label}\"]{class}"));
            }
            lines.push("  end".to_owned());
            number += 1;
        }
        if part.window.is_some() {
            lines.push("  end".to_owned());
            lines.push(format!("  style w{at} stroke-dasharray: 6 4"));
        }
    }
    for (need, step) in drawing.edges() {
        lines.push(format!("  {need} --> {step}"));
    }
    for ((before, _), (after, _)) in drawing.neighbours() {
        lines.push(format!("  p{before} ==> p{after}"));
    }
    lines.push("  classDef service stroke-dasharray: 3 3".to_owned());
    lines.push(String::new());
    lines.join("\n")
}

/// Phases in a row that are taken back together, or one that is not.
struct Part<'a> {
    /// What its frame says; none where a failure takes nothing back.
    window: Option<String>,
    /// Those that have steps.
    phases: Vec<(&'a str, Vec<&'a StepNode>)>,
}

struct Drawing<'a> {
    graph: &'a StepGraph,
    /// In order.
    parts: Vec<Part<'a>>,
    /// Ids are hostile to both languages, so that steps are numbered.
    numbers: BTreeMap<&'a StepId, usize>,
}

impl<'a> Drawing<'a> {
    fn of(graph: &'a StepGraph) -> Self {
        let mut parts: Vec<Part<'a>> = Vec::new();
        // An empty phase draws nothing, but it ends a window, or goes on with one.
        let mut is_open = false;
        for phase in graph.phases() {
            let window = window(&graph.rule(phase));
            if window.is_none() || !is_open {
                parts.push(Part { window: window.clone(), phases: Vec::new() });
            }
            is_open = window.is_some();
            let steps = graph.steps().map(AsRef::as_ref);
            let steps: Vec<_> = steps.filter(|step: &&StepNode| step.phase == *phase).collect();
            if let Some(part) = parts.last_mut().filter(|_| !steps.is_empty()) {
                part.phases.push((&phase.0, steps));
            }
        }
        parts.retain(|part| !part.phases.is_empty());
        let numbers = graph.steps().enumerate().map(|(number, step)| (&step.id, number)).collect();
        Self { graph, parts, numbers }
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

    /// The step of a phase that most others come before, one after the other.
    fn deepest(&self, steps: &[&'a StepNode]) -> Option<&'a StepNode> {
        let mut depths: BTreeMap<&StepId, usize> = BTreeMap::new();
        for step in steps {
            let needs = self.graph.needs(&step.id).filter_map(|need| depths.get(need));
            let depth = needs.max().map_or(0, |depth| depth + 1);
            depths.insert(&step.id, depth);
        }
        // Of equals the first one.
        steps.iter().rev().copied().max_by_key(|step| depths[&step.id])
    }

    /// Each phase with the step at the end of its longest chain, so that the next one is drawn behind
    /// all of it, and the phase after it with a first step.
    fn neighbours(&self) -> Vec<((usize, String), (usize, String))> {
        let phases: Vec<_> = self.parts.iter().flat_map(|part| &part.phases).collect();
        let pairs = phases.windows(2).enumerate();
        pairs
            .filter_map(|(number, pair)| {
                let (last, first) = (self.deepest(&pair[0].1)?, pair[1].1.first()?);
                Some(((number, self.name(last)), (number + 1, self.name(first))))
            })
            .collect()
    }
}

fn window(rule: &PhaseRule) -> Option<String> {
    let deadline = rule.deadline.map_or(String::new(), |span| format!(" or after {span}"));
    (rule.on_failure == OnFailure::Undo).then(|| format!("taken back on a failure{deadline}"))
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
    use pgkedge_model::{Each, PhaseName, TimeSpan};
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
            .step("two/stop", "alone", None, json!({ "stops": "hold" }))
            .step("three/go", "alone", None, json!({}))
            .step("four/on", "alone", None, json!({}));
        let rule = PhaseRule { on_failure: OnFailure::Undo, deadline: Some(TimeSpan(10_000)) };
        let window = ["none", "two", "three"].map(|phase| (PhaseName(phase.into()), rule.clone()));
        sketch.compile(&world).unwrap().graph.with_rules(window.into())
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
