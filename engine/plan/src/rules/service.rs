//! A step that stops a service names one that there is.

use pgkedge_model::{DeclaredStep, Finding};
use serde_json::Value;

use super::Text;
use crate::codes;
use crate::nearest::suggestion;
use crate::views;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(phases) = text.phases else { return Vec::new() };
    let steps: Vec<&DeclaredStep> = phases.iter().flat_map(|phase| &phase.steps).collect();
    let is_service =
        |step: &DeclaredStep| text.kinds.iter().any(|spec| spec.kind == step.kind && spec.service);
    let services: Vec<&str> =
        steps.iter().filter(|step| is_service(step)).map(|step| step.name.as_str()).collect();
    let mut findings = Vec::new();
    for step in &steps {
        let Some(service) = step.params.get("service").and_then(Value::as_str) else { continue };
        if !services.contains(&service) {
            findings.push(finding(text, step, service, &services));
        }
    }
    findings
}

fn finding(text: &Text<'_>, step: &DeclaredStep, service: &str, services: &[&str]) -> Finding {
    let message = format!(
        "step `{}` of phase `{}` needs the service `{service}`, which no step keeps up",
        step.name, step.phase
    );
    let help = match services {
        [] => format!(
            "no step of this plan keeps a service up: remove `{}` as well, or keep the step that starts it",
            step.name
        ),
        _ => suggestion(service, "services", services),
    };
    let finding = Finding::error(codes::UNKNOWN_SERVICE, message);
    match place(text, step, service) {
        Some((at, true)) => finding.at_value(at, "not a service").help(help),
        Some((at, false)) => finding.at_value(at, "taken out here").help(help),
        None => finding.at_value("/phases", "needs the service").help(help),
    }
}

/// The field that names the service, or the entry that took the service away.
fn place(text: &Text<'_>, step: &DeclaredStep, service: &str) -> Option<(String, bool)> {
    if let Some(pointer) = &step.pointer {
        return Some((format!("{pointer}/service"), true));
    }
    let own = views::steps(text.json);
    let own_step = own.iter().find(|view| view.text("service") == Some(service));
    if let Some(view) = own_step {
        return Some((view.at("service"), true));
    }
    let changed = own.iter().find(|view| view.name() == Some(service));
    changed.map(|view| (view.at("name"), false)).or_else(|| {
        let phases = views::phases(text.json);
        phases.iter().find(|phase| phase.removes()).map(|phase| (phase.at("remove"), false))
    })
}
