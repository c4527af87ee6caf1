//! Findings for people and for programs, each at its line and column.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity as Level, SourceCode};
use pgkedge_model::{Finding, Place, PlanPlace, Severity};
use serde_json::{Value, json};

use crate::passwords;
use crate::source_map::SourceMap;

/// A document and what was found in it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) map: SourceMap,
    pub(crate) findings: Vec<Finding>,
}

/// Why a text is no plan: all that is wrong with it, and with its pipeline.
#[derive(Debug)]
pub struct Rejection {
    /// In the order in which they stand in the text; those of the pipeline's own text last.
    pub findings: Vec<Finding>,
    located: Box<Value>,
    report: Box<Report>,
}

impl Rejection {
    pub(crate) fn new(plan: &Checked, pipeline: Option<&Checked>) -> Self {
        let mut report = Report { message: String::new(), problems: Vec::new() };
        let (mut findings, mut places) = (Vec::new(), Vec::new());
        let pipeline = pipeline.filter(|pipeline| !pipeline.findings.is_empty());
        for checked in std::iter::once(plan).chain(pipeline) {
            let sorted = in_order(&checked.map, &checked.findings);
            report.add(&checked.map, &sorted);
            places.extend(sorted.iter().map(|finding| entry(&checked.map, finding)));
            findings.extend(sorted.into_iter().cloned());
        }
        report.message = headline(plan.map.path(), &findings);
        Self { findings, located: Box::new(Value::Array(places)), report: Box::new(report) }
    }

    /// The findings with line and column, as [`located`] gives them.
    pub fn located(&self) -> Value {
        Value::clone(&self.located)
    }
}

/// Findings as one diagnostic.
#[derive(Debug)]
pub struct Report {
    message: String,
    problems: Vec<Problem>,
}

/// One finding, within its text.
#[derive(Debug)]
pub struct Problem {
    finding: Finding,
    labels: Vec<LabeledSpan>,
    source: Arc<NamedSource<String>>,
}

/// Findings that point into a plan, in the order of its text.
pub fn report(map: &SourceMap, findings: &[Finding]) -> Report {
    let mut report = Report { message: headline(map.path(), findings), problems: Vec::new() };
    report.add(map, &in_order(map, findings));
    report
}

/// Findings for programs: a list, each with its places as path, line and column.
pub fn located(map: &SourceMap, findings: &[Finding]) -> Value {
    in_order(map, findings).into_iter().map(|finding| entry(map, finding)).collect()
}

impl Report {
    /// Passwords are masked in the text: it goes to terminals and logs.
    fn add(&mut self, map: &SourceMap, findings: &[&Finding]) {
        let text = passwords::mask(map.text());
        let source = Arc::new(NamedSource::new(map.path(), text).with_language("yaml"));
        self.problems.extend(findings.iter().map(|finding| Problem {
            finding: (*finding).clone(),
            labels: labels(map, finding),
            source: Arc::clone(&source),
        }));
    }
}

fn in_order<'f>(map: &SourceMap, findings: &'f [Finding]) -> Vec<&'f Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| {
        let start = plan_places(finding).next().map_or(usize::MAX, |at| map.underlined(at).start);
        (start, finding.code.clone(), finding.message.clone())
    });
    sorted
}

fn plan_places(finding: &Finding) -> impl Iterator<Item = &PlanPlace> {
    finding.places.iter().filter_map(|place| match place {
        Place::Plan(place) => Some(place),
        Place::Object { .. } | Place::Server(_) => None,
    })
}

fn labels(map: &SourceMap, finding: &Finding) -> Vec<LabeledSpan> {
    plan_places(finding)
        .enumerate()
        .map(|(n, place)| {
            let span = map.underlined(place);
            let (label, bytes) = (Some(place.label.clone()), span.start..span.end);
            match n {
                0 => LabeledSpan::new_primary_with_span(label, bytes),
                _ => LabeledSpan::new_with_span(label, bytes),
            }
        })
        .collect()
}

fn headline(path: &str, findings: &[Finding]) -> String {
    let counted =
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
            .into_iter()
            .filter_map(|(severity, word)| {
                match findings.iter().filter(|finding| finding.severity == severity).count() {
                    0 => None,
                    1 => Some(format!("1 {word}")),
                    many => Some(format!("{many} {word}s")),
                }
            });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() {
        format!("{path}: nothing found")
    } else {
        format!("{path}: {}", counted.join(", "))
    }
}

fn entry(map: &SourceMap, finding: &Finding) -> Value {
    let places: Vec<Value> = finding.places.iter().map(|place| place_entry(map, place)).collect();
    json!({
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "help": finding.help,
        "places": places,
    })
}

fn place_entry(map: &SourceMap, place: &Place) -> Value {
    match place {
        Place::Plan(place) => {
            let span = map.underlined(place);
            let (start, end) = (map.position(span.start), map.position(span.end));
            json!({
                "path": map.path(),
                "line": start.line,
                "column": start.column,
                "end_line": end.line,
                "end_column": end.column,
                // A place that is no node has none.
                "pointer": (!place.pointer.starts_with('#')).then_some(&place.pointer),
                "label": place.label,
            })
        }
        Place::Object { server, object } => json!({ "server": server, "object": object }),
        Place::Server(server) => json!({ "server": server }),
    }
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warning,
        Severity::Note => Level::Advice,
    }
}

impl Problem {
    /// The objects of a database that it is about, which no text can show.
    fn objects(&self) -> impl Iterator<Item = String> {
        self.finding.places.iter().filter_map(|place| match place {
            Place::Plan(_) => None,
            Place::Object { server, object } => Some(format!("on the {server}: {object}")),
            Place::Server(server) => Some(format!("on the {server}")),
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.finding.code))
    }

    fn severity(&self) -> Option<Level> {
        Some(level(self.finding.severity))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let lines: Vec<String> = self.objects().chain(self.finding.help.clone()).collect();
        (!lines.is_empty()).then(|| Box::new(lines.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.labels.is_empty()).then_some(&*self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<_>)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn severity(&self) -> Option<Level> {
        let worst = self.problems.iter().map(|problem| problem.finding.severity).max();
        worst.map(level)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

impl std::error::Error for Rejection {}

impl Diagnostic for Rejection {
    fn severity(&self) -> Option<Level> {
        self.report.severity()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        self.report.related()
    }
}
