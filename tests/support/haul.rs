//! Runs the `haul` command in a folder of its own and holds every run against the oracle: exit 0 and the
//! target is *one* version that was served, with nothing left beside it, or another exit and an untouched target.
//!
//! Not part of `support` itself: examples include that, and only tests know where the command is.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses another part of it")]
#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Content, Resource, Seen, Server};

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
/// The smallest segment.
pub const SEGMENT: u64 = 64 * KIB;

/// Longer than any working run takes; only a broken one waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder in which `haul` runs, the target that it is expected to make there, and what that may hold.
#[derive(Debug)]
pub struct TestEnv {
    dir: PathBuf,
    /// Removes the folder, if it is one of our own.
    _own: Option<TempDir>,
    target: String,
    versions: Vec<Vec<u8>>,
    /// What runs the command, with the command and its arguments after it.
    through: Vec<String>,
}

/// Serves one resource under `/f`.
pub fn serve(resource: Resource) -> Server {
    Server::start([("/f", resource)])
}

/// Checks all cases at the same time: most of them wait. A case that fails fails the test.
pub fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    let check = &check;
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}

impl TestEnv {
    /// Expects a whole version of these in the target `f`.
    pub fn new(versions: &[Content]) -> Self {
        Self::parts(versions.iter().map(Content::bytes).collect())
    }

    /// Expects the half-open range `start..end` of `content` in the target `f`.
    pub fn part(content: Content, start: u64, end: u64) -> Self {
        Self::parts(vec![content.slice(start, end)])
    }

    fn parts(versions: Vec<Vec<u8>>) -> Self {
        let own = tempfile::tempdir().expect("a temporary folder can be made");
        let dir = own.path().to_owned();
        Self { dir, _own: Some(own), target: "f".to_owned(), versions, through: Vec::new() }
    }

    /// In this folder.
    pub fn inside(self, folder: &Path) -> Self {
        Self { dir: folder.to_owned(), _own: None, ..self }
    }

    /// Has the command run by another one, which ends up as it.
    pub fn through(self, command: &[&str]) -> Self {
        Self { through: command.iter().map(|&word| word.to_owned()).collect(), ..self }
    }

    /// Expects another target, relative to the folder.
    pub fn target(self, name: &str) -> Self {
        Self { target: name.to_owned(), ..self }
    }

    /// Where a name of the folder is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).expect("the folder can be read");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            let name = entry.expect("the folder can be read").file_name();
            name.into_string().expect("names here are UTF-8")
        };
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Flips the bits of one byte.
    pub fn damage(&self, name: &str, at: u64) {
        let mut bytes = self.read(name);
        bytes[usize::try_from(at).expect("a small file")] ^= 0xff;
        self.write(name, &bytes);
    }

    /// The file is exactly this content.
    pub fn assert_whole(&self, name: &str, content: &Content) {
        if let Some(difference) = content.difference(&self.path(name)) {
            panic!("{name}: {difference}");
        }
    }

    /// Part file and checkpoint of an interrupted download are there, and nothing else.
    pub fn assert_partial(&self) {
        assert_eq!(self.names(), [format!("{}.part", self.target), format!("{}.part.ckpt", self.target)]);
    }

    /// Downloads to the end and holds it against the oracle.
    pub fn run(&self, args: &[&str]) -> Finished {
        self.spawn(args).wait()
    }

    /// Starts a download; its end is held against the oracle.
    pub fn spawn(&self, args: &[&str]) -> Running<'_> {
        Running::new(self, args, true)
    }

    /// Runs something that is no download to the target.
    pub fn ask(&self, args: &[&str]) -> Finished {
        Running::new(self, args, false).wait()
    }

    /// `haul status --json` of the target.
    pub fn status(&self) -> Status {
        let answer = self.ask(&["status", "--json", &self.target]).expect(0);
        Status(serde_json::from_str(&answer.stdout).expect("status --json is JSON"))
    }

    /// The command, in the folder, with nothing of our environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let haul = env!("CARGO_BIN_EXE_haul").to_owned();
        let mut words = self.through.iter().chain([&haul]);
        let mut command = Command::new(words.next().expect("at least haul"));
        command.args(words).args(args).current_dir(&self.dir).env_clear().stdin(Stdio::null());
        command
    }

    fn state(&self) -> State {
        let path = self.path(&self.target);
        let kind = fs::symlink_metadata(&path).ok().map(|file| file.file_type());
        let bytes = kind.filter(fs::FileType::is_file).and_then(|_| fs::read(&path).ok());
        State { kind, bytes }
    }

    fn judge(&self, finished: &Finished, before: &State) {
        let now = self.state();
        let whole = self.versions.iter().any(|version| now.bytes.as_ref() == Some(version));
        if finished.code != 0 {
            // A kill may come between the name and the end.
            let killed = finished.code == -Signal::KILL.as_raw() && whole;
            assert!(now == *before || killed, "the target was touched: {finished}");
            return;
        }
        assert!(whole, "the target is no version that was served: {finished}");
        for suffix in [".part", ".part.ckpt"] {
            let left = self.path(&format!("{}{suffix}", self.target));
            assert!(fs::symlink_metadata(&left).is_err(), "{} is left: {finished}", left.display());
        }
    }
}

/// What is under a name.
#[derive(PartialEq, Eq, Debug)]
struct State {
    kind: Option<fs::FileType>,
    bytes: Option<Vec<u8>>,
}

/// What a partial download holds, by `haul status --json`.
#[derive(Debug)]
pub struct Status(pub Value);

impl Status {
    pub fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    /// Bytes in place.
    pub fn bytes(&self) -> u64 {
        self.number("bytes")
    }

    /// The missing ranges, half-open.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        let ranges = self.0["missing"].as_array().expect("missing is a list");
        let bound = |range: &Value, name: &str| range[name].as_u64().expect("a bound is a number");
        ranges.iter().map(|range| (bound(range, "start"), bound(range, "end"))).collect()
    }

    /// Where a complete segment begins.
    pub fn complete(&self) -> u64 {
        let missing = self.missing();
        let is_missing = |at: &u64| missing.iter().any(|(start, end)| (start..end).contains(&at));
        let mut starts = (0..self.number("length")).step_by(usize::try_from(SEGMENT).expect("small"));
        starts.find(|at| !is_missing(at)).expect("a segment is complete")
    }

    /// Every range that was asked for is missing here: nothing that is complete is fetched again.
    pub fn assert_only_missing(&self, asked: &[Seen]) {
        let missing = self.missing();
        for (first, last) in asked.iter().filter_map(|seen| seen.range) {
            assert!(
                missing.iter().any(|(start, end)| (start..end).contains(&&first) && last < *end),
                "{first}-{last} was asked for, and missing was {missing:?}"
            );
        }
    }
}

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
    fn new(env: &'a TestEnv, args: &[&str], oracle: bool) -> Self {
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
