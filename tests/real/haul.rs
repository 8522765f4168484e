//! The haul binary as a child process, with a limit on its time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any working run takes; only a broken one waits for it.
const PATIENCE: Duration = Duration::from_secs(90);

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The fields of the last line of `--json` output.
    pub fn last_event(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("no event in {self:?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

/// A run under way. It ends with its owner.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// Runs haul in `dir` to its end.
pub fn haul(dir: &Path, arguments: &[&str]) -> Ended {
    start(dir, arguments).wait()
}

/// Starts haul in `dir`.
pub fn start(dir: &Path, arguments: &[&str]) -> Running {
    let (stdout, stderr) = (dir.join(".stdout"), dir.join(".stderr"));
    let file = |path| File::create(path).expect("a file in the test's own folder");
    let child = Command::new(env!("CARGO_BIN_EXE_haul"))
        .args(arguments)
        .current_dir(dir)
        // A proxy would not find this machine's loopback.
        .envs([("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")])
        .stdout(file(&stdout))
        .stderr(file(&stderr))
        .spawn()
        .expect("haul starts");
    Running { child, stdout, stderr }
}

impl Running {
    /// Waits for the end.
    ///
    /// # Panics
    /// When it takes longer than any working run.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "haul hangs; it said: {}", read(&self.stderr));
            thread::sleep(Duration::from_millis(10));
        };
        Ended { code: status.code(), stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        assert_eq!(self.child.try_wait().expect("a child can be waited for"), None, "too late for a kill");
        self.child.kill().expect("a running child can be killed");
        self.child.wait().expect("a killed child ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}
