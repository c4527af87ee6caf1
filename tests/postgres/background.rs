//! A program that works while the test goes on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::harness::Ended;

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// `pgkedge`, started and not waited for. Killed when it is dropped.
pub(crate) struct Background {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Background {
    /// What it prints goes to files in a folder.
    pub(crate) fn start(mut command: Command, folder: &Path) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| {
            let path = folder.join(format!("{name}.{number}"));
            (File::create(&path).expect("a file for what is printed"), path)
        };
        let ((out, output), (err, errors)) = (file("stdout"), file("stderr"));
        let child =
            command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("pgkedge starts");
        Self { child, output, errors }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `INT`, `TERM`, `KILL`, `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill starts").success(), "no process to send {name} to");
    }

    /// What it printed so far, for people.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it was started").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Ended {
        let mut waited = Duration::ZERO;
        while self.is_running() {
            assert!(waited < PATIENCE, "it does not end:\n{}", self.said());
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
        let code = self.child.wait().expect("it was started").code();
        let read = |path: &Path| {
            String::from_utf8_lossy(&std::fs::read(path).expect("it is there")).into_owned()
        };
        Ended { code, stdout: read(&self.output), stderr: read(&self.errors) }
    }

    /// Ends it as `kill -9` does, and waits.
    pub(crate) fn killed(mut self) {
        drop(self.child.kill());
        self.child.wait().expect("it was started");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.is_running() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
