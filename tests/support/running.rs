//! A `haul` that runs, what it says, and what it came to.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{PATIENCE, State, TestEnv, poll};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was run, for messages.
    args: String,
    /// The exit code; the negative number of the signal that killed it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { args, code, stdout, stderr } = self;
        let short: Vec<_> = stdout.lines().rev().take(12).collect();
        write!(
            f,
            "haul {args}\nexit {code}\n--- stdout, backwards\n{}\n--- stderr\n{stderr}",
            short.join("\n")
        )
    }
}

impl Finished {
    /// It ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// It said this on stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "'{text}' is not said: {self}");
        self
    }

    /// It said this in exactly one line on stderr.
    #[track_caller]
    pub fn says_once(self, text: &str) -> Self {
        let lines = self.stderr.lines().filter(|line| line.contains(text)).count();
        assert_eq!(lines, 1, "'{text}' is not said in one line: {self}");
        self
    }

    /// The `--json` events.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The events of this kind.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// The one event of this kind.
    #[track_caller]
    pub fn event(&self, kind: &str) -> Value {
        let mut events = self.all(kind);
        assert_eq!(events.len(), 1, "{kind} events: {self}");
        events.remove(0)
    }
}

/// Lines that a child has written so far.
#[derive(Default, Debug)]
struct Lines {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, (Vec<String>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects lines in a thread of its own, to the end.
    fn collect(from: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let theirs = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                theirs.lock().0.push(String::from_utf8_lossy(&line).into_owned());
                theirs.changed.notify_all();
            }
            theirs.lock().1 = true;
            theirs.changed.notify_all();
        });
        lines
    }

    /// Waits until there are such lines, or the end, whatever they are then; false when the time was over first.
    fn wait(&self, reached: impl Fn(&[String]) -> bool) -> bool {
        let waiting = |(lines, ended): &mut (Vec<String>, bool)| !*ended && !reached(lines);
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn text(&self) -> String {
        let lines = &self.lock().0;
        lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

/// A running command; dropping it kills it.
#[derive(Debug)]
pub struct Running<'a> {
    env: &'a TestEnv,
    args: String,
    child: Child,
    stdout: Option<Arc<Lines>>,
    stderr: Arc<Lines>,
    /// What the target was before; `None` where the oracle does not apply.
    before: Option<State>,
}

impl<'a> Running<'a> {
    pub(super) fn new(env: &'a TestEnv, args: &[&str], oracle: bool) -> Self {
        Self::with_stdout(env, args, oracle, Stdio::piped())
    }

    /// The same with a stdout that nobody here reads.
    pub fn with_stdout(env: &'a TestEnv, args: &[&str], oracle: bool, stdout: Stdio) -> Self {
        let mut command = env.command(args);
        command.stdout(stdout);
        Self::of(env, command, args, oracle)
    }

    /// The same with a command that was prepared: another environment, another stdin.
    pub fn of(env: &'a TestEnv, mut command: Command, args: &[&str], oracle: bool) -> Self {
        let before = oracle.then(|| env.state());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("haul starts");
        let stdout = child.stdout.take().map(Lines::collect);
        let stderr = Lines::collect(child.stderr.take().expect("stderr is a pipe"));
        Self { env, args: args.join(" "), child, stdout, stderr, before }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. The child is not waited for yet, so its number is nobody else's.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("not 0");
        kill_process(pid, signal).expect("a child can be signalled");
    }

    /// Waits until progress events have said, twice, that at least so many bytes are in place: the checkpoint
    /// is then no further behind than one of them.
    pub fn wait_for_bytes(&self, bytes: u64) {
        let far = |line: &String| {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            event["event"] == "progress" && event["bytes"].as_u64().is_some_and(|now| now >= bytes)
        };
        let stdout = self.stdout.as_ref().expect("stdout is collected");
        assert!(
            stdout.wait(|lines| lines.iter().filter(|line| far(line)).count() >= 2),
            "{bytes} bytes of progress"
        );
    }

    /// Waits for an event of this kind.
    pub fn wait_for_event(&self, kind: &str) {
        let of_kind = |line: &String| line.contains(&format!("\"event\":\"{kind}\""));
        let stdout = self.stdout.as_ref().expect("stdout is collected");
        assert!(stdout.wait(|lines| lines.iter().any(of_kind)), "a {kind} event");
    }

    /// Waits until the process has ended, but for threads that the kernel does not let go: they wait for a disk.
    pub fn wait_until_ended(&self) {
        let stat = format!("/proc/{}/stat", self.pid());
        // A child is a zombie until it is waited for.
        poll("it has ended", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z ")));
    }

    /// Kills it, and waits until it is gone.
    pub fn kill9(self) -> Finished {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Waits for the end and holds it against the oracle.
    pub fn wait(mut self) -> Finished {
        // A process that has gone has closed its pipes.
        let ended = self.stderr.wait(|_| false);
        let drained = self.stdout.as_ref().is_none_or(|stdout| stdout.wait(|_| false));
        if !(ended && drained) {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("a child can be waited for");
        let code = status
            .code()
            .unwrap_or_else(|| -std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0));
        let finished = Finished {
            args: self.args.clone(),
            code,
            stdout: self.stdout.as_ref().map(|stdout| stdout.text()).unwrap_or_default(),
            stderr: self.stderr.text(),
        };
        assert!(ended && drained, "it did not end within {PATIENCE:?}: {finished}");
        if let Some(before) = &self.before {
            self.env.judge(&finished, before);
        }
        finished
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Errors say that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
