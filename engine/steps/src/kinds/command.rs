//! The user's own program.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use pgkedge_model::{
    Call, Draft, Expansion, Failure, FailureClass, Finding, Fold, Leaves, Probe, Script, Undo,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command as Process;

use crate::context::StepContext;
use crate::step::Step;
use crate::uncertain::uncertain;

/// How much of what a program prints is kept: its end.
const KEPT: usize = 16 * 1024;
/// Lines of its errors that a failure shows.
const SHOWN: usize = 20;

pub(crate) struct Command;

/// A program and its arguments. No shell reads them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The program and its arguments; it runs in the plan's folder.
    #[schemars(length(min = 1))]
    run: Vec<String>,
    /// May run again when nobody knows whether it came to its end.
    #[serde(default)]
    idempotent: bool,
    /// A program that ends well (status 0) where the command has done its work.
    #[serde(default)]
    #[schemars(length(min = 1))]
    probe: Option<Vec<String>>,
    /// A program that takes its work back.
    #[serde(default)]
    #[schemars(length(min = 1))]
    undo: Option<Vec<String>>,
}

impl Step for Command {
    const KIND: &'static str = "command";
    const ABOUT: &'static str = "Runs your own program, without a shell.";
    const LEAVES: Leaves = Leaves::Result;
    const WORKER: bool = false;
    type Params = Params;

    fn expand(params: &Params, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let commands = [Some(&params.run), params.probe.as_ref(), params.undo.as_ref()];
        let is_empty = |words: &Vec<String>| words.first().is_none_or(String::is_empty);
        if commands.into_iter().flatten().any(is_empty) {
            let name = &expansion.declared.name;
            let message = format!("step `{name}` names no program");
            let finding = Finding::error("steps::no_program", message)
                .help("write it as a list: `run: [\"./smoke.sh\", \"--fast\"]`");
            return Err(vec![match &expansion.declared.pointer {
                Some(pointer) => finding.at_value(pointer, "declared here"),
                None => finding,
            }]);
        }
        let undo = match params.undo {
            Some(_) => Undo::Nothing,
            None => Undo::Irreversible("the plan gives no `undo:` for it".to_owned()),
        };
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: Vec::new(),
            script: Script { undo, ..Script::default() },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let params: Params = context.params(&call.node)?;
        let ended = ended(context, &params.run).await?;
        ended.well(&params.run)?;
        Ok(json!({ "output": ended.output, "errors": ended.errors }))
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let params: Params = context.params(&call.node)?;
        match &params.probe {
            Some(probe) if ended(context, probe).await?.status.success() => {
                Ok(Probe::Applied(Value::Null))
            }
            Some(_) => Ok(Probe::Absent),
            None if params.idempotent => Ok(Probe::Absent),
            None => Ok(uncertain(&call.node)),
        }
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        let params: Params = context.params(&call.node)?;
        match &params.undo {
            Some(undo) => ended(context, undo).await?.well(undo),
            None => crate::script::undo(context, call).await,
        }
    }
}

/// How a program ended, and the end of what it printed.
struct Ended {
    status: ExitStatus,
    output: String,
    errors: String,
}

impl Ended {
    fn well(&self, words: &[String]) -> Result<(), Failure> {
        if self.status.success() {
            return Ok(());
        }
        let message = format!("`{}` ended with {}", words.join(" "), self.status);
        let lines: Vec<&str> = self.errors.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN)..];
        let failure = Failure::new(FailureClass::Operator, message)
            .help("mend what it says, then `pgkedge resume`");
        Err(shown.iter().fold(failure, |failure, line| failure.detail(*line)))
    }
}

/// Runs a program to its end, in the plan's folder, so that `resume` from anywhere finds the same
/// one. It is killed when the step is cancelled.
async fn ended(context: &StepContext, words: &[String]) -> Result<Ended, Failure> {
    let folder = Path::new(&context.header().plan_path).parent().filter(|folder| folder.is_dir());
    tokio::select! {
        ended = run(words, folder.unwrap_or(Path::new("."))) => ended,
        failure = context.cancelled() => Err(failure),
    }
}

async fn run(words: &[String], folder: &Path) -> Result<Ended, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::permanent("the plan names no program"));
    };
    let failed = |error: std::io::Error| {
        Failure::new(FailureClass::Operator, format!("cannot run `{program}`: {error}"))
            .help("check that the file is there and may be executed")
    };
    let mut child = Process::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (output, errors, status) =
        tokio::try_join!(tail(output), tail(errors), child.wait()).map_err(failed)?;
    Ok(Ended { status, output, errors })
}

/// Reads a stream to its end, and keeps the last of it.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let mut kept = Vec::new();
    loop {
        let read = stream.read_buf(&mut kept).await?;
        if kept.len() > 2 * KEPT || (read == 0 && kept.len() > KEPT) {
            kept.drain(..kept.len() - KEPT);
        }
        if read == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sample;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_command_without_a_program_is_refused() {
        for params in [json!({ "run": [] }), json!({ "run": ["true"], "probe": [""] })] {
            let findings = Sample::default().expand::<Command>(params).unwrap_err();
            assert_eq!(findings[0].code, "steps::no_program");
        }
    }

    #[tokio::test]
    async fn no_shell_reads_the_arguments_and_the_output_is_kept() {
        let ended = run(&words(&["echo", "$HOME; exit 1"]), Path::new("/")).await.unwrap();
        assert_eq!(ended.output, "$HOME; exit 1\n");
    }

    #[tokio::test]
    async fn a_failure_shows_the_end_of_the_errors() {
        let words = words(&["sh", "-c", "seq 30 >&2; exit 3"]);
        let failure = run(&words, Path::new("/")).await.unwrap().well(&words).unwrap_err();
        assert!(failure.message.ends_with("exit status: 3"), "{failure}");
        assert_eq!(failure.details.first().map(String::as_str), Some("11"));
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_output_is_kept() {
        let ended = run(&words(&["sh", "-c", "yes | head -c 100000; echo end"]), Path::new("/"))
            .await
            .unwrap();
        assert_eq!(ended.output.len(), KEPT);
        assert!(ended.output.ends_with("end\n"));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let failure = run(&words(&["./no such program"]), Path::new("/")).await.err().unwrap();
        assert!(failure.message.contains("`./no such program`"));
    }
}
