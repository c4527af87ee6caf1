//! Runs programs, and measures them.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often the kernel is asked about a program that runs.
const PERIOD: Duration = Duration::from_millis(10);
/// Ticks of the processor times in `/proc`, a second.
const TICKS: f64 = 100.0;

/// What a program took.
pub(crate) struct Measured {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of processor time, its children's excepted.
    pub(crate) cpu: f64,
    /// The most memory that it ever had.
    pub(crate) peak_kib: u64,
}

/// Runs a program that must succeed.
#[track_caller]
pub(crate) fn measured(command: &mut Command) -> Measured {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("starts");
    let (mut cpu, mut peak_kib) = (0.0, 0);
    let status = loop {
        if let Some(status) = child.try_wait().expect("the program is ours") {
            break status;
        }
        (cpu, peak_kib) = usage(&child).unwrap_or((cpu, peak_kib));
        std::thread::sleep(PERIOD);
    };
    let wall = started.elapsed().as_secs_f64();
    assert_succeeded(command, status);
    Measured { wall, cpu, peak_kib }
}

/// What a program that must succeed prints.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("starts");
    assert_succeeded(command, output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn assert_succeeded(command: &Command, status: ExitStatus) {
    assert!(status.success(), "{status}: {command:?}");
}

/// Processor time and the highest memory so far; none where there is no `/proc`, or no process.
fn usage(child: &Child) -> Option<(f64, u64)> {
    let folder = format!("/proc/{}", child.id());
    let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
    // What stands before the bracket is the program's name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((f64::from(ticks(11)? + ticks(12)?) / TICKS, peak))
}
