//! Signals to all processes of a server, which its own programs cannot send.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::account::finish;
use crate::error::{SandboxError, io_error};

/// Sends a signal to a server and to every process that it has started.
pub(crate) fn send(data: &Path, name: &str) -> Result<(), SandboxError> {
    let path = data.join("postmaster.pid");
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let server = text.lines().next().unwrap_or_default().trim().to_owned();
    let mut ps = Command::new("ps");
    let listed = ps.args(["-A", "-o", "pid=", "-o", "ppid="]).output();
    let listed = listed.map_err(io_error("start", Path::new("ps")))?;
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &server]);
    kill.args(children(&String::from_utf8_lossy(&listed.stdout), &server));
    match finish(kill) {
        // One of them has come to its end meanwhile.
        Err(SandboxError::Program { output, .. }) if output.contains("No such process") => Ok(()),
        sent => sent,
    }
}

/// The processes of a list of process and parent whose parent this is.
fn children(list: &str, parent: &str) -> Vec<String> {
    let child = |line: &str| {
        let (pid, of) = line.trim().split_once(char::is_whitespace)?;
        (of.trim() == parent).then(|| pid.to_owned())
    };
    list.lines().filter_map(child).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_parent_not_by_a_number_that_looks_like_it() {
        let list = "    1     0\n   70     7\n    8     7\n  9      70\n";
        assert_eq!(children(list, "7"), ["70", "8"]);
    }
}
