//! Checks the servers before anything is changed: every finding with what mends it.

mod archive_rules;
mod capture;
mod live;
mod replica;
mod roles;
mod servers;
mod source;

use pgkedge_model::{
    Call, Capture, Draft, Expansion, Facts, Failure, FailureClass, Finding, Fold, Leaves, Place,
    QualifiedName, RunTag, Script, Server, Settings, Severity, StepGraph,
};
use pgkedge_postgres::Sql;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::step::Step;

/// How many names a finding lists.
const LISTED: usize = 5;

pub(crate) struct Preflight;

/// What the target's database holds before the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Beforehand {
    #[default]
    Nothing,
    /// All that the source has: something else has brought it there.
    Everything,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PreflightParams {
    /// What the target's database holds before the run.
    target_holds: Beforehand,
}

/// What is known at run time.
#[derive(Debug, Default, Serialize, Deserialize)]
struct MemberParams {
    excluded: Vec<QualifiedName>,
    #[serde(default)]
    capture: Capture,
    #[serde(default)]
    target_holds: Beforehand,
}

impl Step for Preflight {
    const KIND: &'static str = "preflight";
    const ABOUT: &'static str =
        "Checks both servers, and stops the run where it could not succeed.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = PreflightParams;

    fn expand(
        params: &PreflightParams,
        expansion: &Expansion<'_>,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        let params = MemberParams {
            excluded: expansion.selection.excluded.clone(),
            capture: expansion.capture.clone(),
            target_holds: params.target_holds,
        };
        Ok(vec![Draft {
            key: String::new(),
            params: json!(params),
            touches: Vec::new(),
            script: Script::default(),
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let mut asked = MemberParams::default();
        for member in &call.node.members {
            let params: MemberParams = context.member(&call.node, member)?;
            asked.excluded.extend(params.excluded);
            asked.capture.slots.extend(params.capture.slots);
            asked.target_holds = params.target_holds;
        }
        let question = Question {
            facts: context.facts(),
            settings: context.settings(),
            excluded: &asked.excluded,
            capture: &asked.capture,
            target_holds: asked.target_holds,
            run: Some(context.tag()),
        };
        let source = context.read(Server::Source).await?;
        let target = context.read(Server::Target).await?;
        let replica = match context.endpoint(Server::Replica) {
            Ok(_) => Some(context.read(Server::Replica).await?),
            Err(_) => None,
        };
        let sessions = Sessions { source: &source, target: &target, replica: replica.as_deref() };
        let findings = findings(&question, sessions).await?;
        if findings.iter().any(Finding::is_error) {
            return Err(blocked(&findings));
        }
        Ok(json!({ "findings": findings }))
    }
}

/// What a preflight is asked about.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub facts: &'a Facts,
    pub settings: &'a Settings,
    /// Tables that the plan leaves out.
    pub excluded: &'a [QualifiedName],
    /// Empty where the plan captures no changes.
    pub capture: &'a Capture,
    pub target_holds: Beforehand,
    /// The run that asks, whose own traces are fine; none outside of a run.
    pub run: Option<&'a RunTag>,
}

impl Question<'_> {
    fn excludes(&self, table: &QualifiedName) -> bool {
        self.excluded.contains(table)
    }

    /// Whether the target's role may do what only a superuser may.
    fn is_target_superuser(&self) -> bool {
        self.facts.target.as_ref().is_some_and(|target| target.server.session_role.superuser)
    }
}

/// What a compiled plan captures, and what its target holds before, as its preflight was told.
pub fn captured(graph: &StepGraph) -> (Capture, Beforehand) {
    let preflights = graph.steps().filter(|step| step.kind == Preflight::KIND);
    let mut params = preflights.flat_map(|step| &step.members).map(|member| &member.params);
    let params = params.find_map(|params| serde_json::from_value(params.clone()).ok());
    let MemberParams { capture, target_holds, .. } = params.unwrap_or_default();
    (capture, target_holds)
}

/// A session on each server that is checked.
#[derive(Clone, Copy)]
pub struct Sessions<'a> {
    pub source: &'a Sql,
    pub target: &'a Sql,
    /// None where the plan has no replica.
    pub replica: Option<&'a Sql>,
}

/// Checks all servers. Reads only; the worst findings come first.
pub async fn findings(
    question: &Question<'_>,
    sessions: Sessions<'_>,
) -> Result<Vec<Finding>, Failure> {
    let Sessions { source, target, replica } = sessions;
    let mut findings = settled(question);
    findings.extend(live::source(question, source).await?);
    findings.extend(live::target(question, target).await?);
    findings.extend(capture::source(question, source).await?);
    findings.extend(capture::target(question, target).await?);
    findings.extend(replica::findings(question, replica).await?);
    findings
        .sort_by(|a, b| (b.severity, &a.code, &a.message).cmp(&(a.severity, &b.code, &b.message)));
    Ok(findings)
}

/// What the catalogs alone tell.
fn settled(question: &Question<'_>) -> Vec<Finding> {
    let mut findings = servers::findings(question);
    findings.extend(roles::findings(question));
    findings.extend(source::findings(question));
    findings.extend(archive_rules::findings(question));
    findings.extend(capture::findings(question));
    findings
}

fn blocked(findings: &[Finding]) -> Failure {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let message = match errors {
        1 => "preflight found a blocker; nothing was changed".to_owned(),
        _ => format!("preflight found {errors} blockers; nothing was changed"),
    };
    findings
        .iter()
        .fold(Failure::new(FailureClass::Blocked, message), |failure, finding| {
            failure.detail(line(finding))
        })
        .help("mend them, then `pgkedge resume`; `pgkedge preflight PLAN` checks without a run")
}

/// A finding as one entry of a failure.
fn line(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let help = finding.help.as_ref().map(|help| format!("; help: {help}")).unwrap_or_default();
    format!("{severity} {}: {}{help}", finding.code, finding.message)
}

/// The first few of many names, and how many more there are.
fn listed<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let shown = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn on(server: Server) -> Place {
    Place::Server(server)
}

fn object(server: Server, name: impl std::fmt::Display) -> Place {
    Place::Object { server, object: name.to_string() }
}

#[cfg(test)]
#[path = "preflight/tests.rs"]
mod tests;
