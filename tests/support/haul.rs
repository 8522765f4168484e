//! Runs the `haul` command in a folder of its own and holds every run against the oracle: exit 0 and the
//! target is *one* version that was served, with nothing left beside it, or another exit and an untouched target.
//!
//! Not part of `support` itself: examples include that, and only tests know where the command is.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses another part of it")]
#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Content, Resource, Server};

#[path = "running.rs"]
mod running;
#[path = "status.rs"]
mod status;

pub use running::{Finished, Running};
pub use status::Status;

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

/// Looks until that is so, where nothing tells of it.
pub fn poll(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
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
