//! What haul does, in half a minute: `cargo run --release --example demo`.
//!
//! A server on this machine limits each connection, as many do. The object is downloaded with eight requests at
//! once by a process that is killed half-way (SIGKILL: it learns nothing of it), and again by another one, which
//! fetches what is missing. Then the file is compared with what was served. With `--ci` the object is smaller.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use child::Downloader;
use haul::Partial;
use screen::{StatusLine, mib};
use support::{Content, Resource, Server};

#[path = "common/child.rs"]
mod child;
#[path = "common/screen.rs"]
mod screen;
#[path = "../tests/support/mod.rs"]
mod support;

const JOBS: usize = 8;
/// Bytes per second on each connection.
const RATE: u64 = 10_000_000;
/// Long enough for any step on any machine.
const PATIENCE: Duration = Duration::from_secs(300);
const TOO_EARLY: &str = "the download ended before it could be killed";
const OBJECT: &str = "/object";
const SLICE: &str = "/slice";

fn main() -> ExitCode {
    if let Some(code) = child::main() {
        return code;
    }
    let ci = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--ci" => true,
        _ => {
            eprintln!("usage: demo [--ci]");
            return ExitCode::from(2);
        }
    };
    match Demo::new(ci).and_then(Demo::run) {
        Ok(account) => account.print(),
        Err(error) => {
            eprintln!("the demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Demo {
    object: Content,
    /// What a single stream is timed on: a fraction of the object, so that this does not take minutes.
    slice: Content,
    server: Server,
    folder: tempfile::TempDir,
    line: StatusLine,
}

/// What came of it.
struct Account {
    object: Content,
    slice: Content,
    /// Until the kill, and from there.
    runs: [Run; 2],
    /// In place at the kill, by the checkpoint.
    kept: u64,
    segment_size: u64,
    stream: Duration,
    difference: Option<String>,
}

/// One process's work, seen from the server.
struct Run {
    time: Duration,
    bytes: u64,
    requests: usize,
}

impl Demo {
    fn new(ci: bool) -> Result<Self, Box<dyn Error>> {
        let object = Content::new(1, if ci { 128 << 20 } else { 1 << 30 });
        let slice = Content::new(2, object.len / 16);
        let limited = |content| Resource::new(content).rate(RATE);
        Ok(Self {
            object,
            slice,
            server: Server::start([(OBJECT, limited(object)), (SLICE, limited(slice))]),
            // Beside the program, where there is room for a build: /tmp may be memory.
            folder: tempfile::tempdir_in(own_folder()?)?,
            line: StatusLine::new(),
        })
    }

    fn run(self) -> Result<Account, Box<dyn Error>> {
        let target = self.folder.path().join("object");
        println!(
            "A server on this machine has an object of {} and sends at most {} MB/s on a connection.\n",
            mib(self.object.len),
            RATE / 1_000_000
        );
        println!("1. haul downloads it with {JOBS} requests at once, and is killed (kill -9) half-way.");
        let first = self.killed_half_way(&target)?;
        let partial = Partial::open(&target)?;
        println!("2. The same again: it resumes.");
        let second = self.to_the_end("resuming", OBJECT, &target, JOBS, self.object.len)?;
        println!("3. The file is compared with what the server has.");
        self.line.show("comparing");
        let difference = self.object.difference(&target);
        self.line.clear();
        println!("4. For comparison, a single stream: a slice of {}.\n", mib(self.slice.len));
        let slice = self.folder.path().join("slice");
        let stream = self.to_the_end("one stream", SLICE, &slice, 1, self.slice.len)?;
        Ok(Account {
            object: self.object,
            slice: self.slice,
            runs: [first, second],
            kept: partial.in_place,
            segment_size: partial.segment_size,
            stream: stream.time,
            difference,
        })
    }

    fn killed_half_way(&self, target: &Path) -> Result<Run, Box<dyn Error>> {
        let began = Instant::now();
        let child = Downloader::start(&self.server.url(OBJECT), target, JOBS)?;
        let child = self.watch(child, "downloading", 0, self.object.len, self.object.len / 2)?;
        if !child.ok_or(TOO_EARLY)?.kill()? {
            return Err(TOO_EARLY.into());
        }
        self.account(began, 0, 0)
    }

    fn to_the_end(
        &self,
        what: &str,
        path: &str,
        target: &Path,
        jobs: usize,
        total: u64,
    ) -> Result<Run, Box<dyn Error>> {
        let (bytes, requests) = (self.server.body_bytes(), self.server.requests());
        let began = Instant::now();
        let child = Downloader::start(&self.server.url(path), target, jobs)?;
        let before = if path == OBJECT { 0 } else { bytes };
        self.watch(child, what, before, total, u64::MAX)?;
        self.account(began, bytes, requests)
    }

    /// Shows how far a child is until the server has sent `enough`, which gives it back, or the child ends.
    fn watch(
        &self,
        mut child: Downloader,
        what: &str,
        before: u64,
        total: u64,
        enough: u64,
    ) -> Result<Option<Downloader>, Box<dyn Error>> {
        let began = Instant::now();
        loop {
            let sent = self.server.body_bytes();
            if sent >= enough {
                self.line.clear();
                return Ok(Some(child));
            }
            if let Some(status) = child.ended()? {
                self.line.clear();
                return if status.success() { Ok(None) } else { Err("the child failed".into()) };
            }
            if began.elapsed() > PATIENCE {
                return Err("the download hangs".into());
            }
            self.line.show(&format!("{what}: {} of {}", mib(sent - before), mib(total)));
            sleep(Duration::from_millis(20));
        }
    }

    /// What the server did since a run began.
    fn account(&self, began: Instant, bytes: u64, requests: usize) -> Result<Run, Box<dyn Error>> {
        let time = began.elapsed();
        if !self.server.wait_until_idle(PATIENCE) {
            return Err("the server is still sending".into());
        }
        let (bytes, requests) = (self.server.body_bytes() - bytes, self.server.requests() - requests);
        Ok(Run { time, bytes, requests })
    }
}

impl Account {
    fn print(&self) -> ExitCode {
        let [first, second] = &self.runs;
        let time = first.time + second.time;
        let scale = u32::try_from(self.object.len / self.slice.len).expect("a small factor");
        let stream = self.stream * scale;
        let faster = stream.as_secs_f64() / time.as_secs_f64();
        println!("{:24}{:>8}{:>14}{:>10}", "", "time", "sent", "requests");
        let both =
            Run { time, bytes: first.bytes + second.bytes, requests: first.requests + second.requests };
        for (what, run) in [("until the kill", first), ("after it", second), ("both", &both)] {
            println!("{what:24}{:>8}{:>14}{:>10}", seconds(run.time), mib(run.bytes), run.requests);
        }
        let (single, whole) = (seconds(stream), mib(self.object.len));
        println!(
            "{:24}{single:>8}{whole:>14}{:>10}   scaled up: the slice took {} for {}\n",
            "a single stream",
            1,
            seconds(self.stream),
            mib(self.slice.len)
        );
        let share = percent(self.twice(), self.object.len);
        let right = if self.difference.is_none() { "right" } else { "WRONG" };
        for (what, value, note) in [
            (
                "in place at the kill",
                mib(self.kept),
                "by the checkpoint that the killed process left".to_owned(),
            ),
            ("fetched twice", mib(self.twice()), format!("in flight at the kill: {share} of the object")),
            ("compared with a stream", format!("{faster:.1} x"), "as fast, the kill included".to_owned()),
            ("the file", right.to_owned(), "compared byte by byte with what the server has".to_owned()),
        ] {
            println!("{what:24}{value:>12}   {note}");
        }
        self.judge()
    }

    fn twice(&self) -> u64 {
        (self.runs[0].bytes + self.runs[1].bytes).saturating_sub(self.object.len)
    }

    /// A kill may cost the segments in flight, and what came since the last commit to the checkpoint.
    fn judge(&self) -> ExitCode {
        let most = JOBS as u64 * self.segment_size + JOBS as u64 * RATE / 10;
        if let Some(difference) = &self.difference {
            eprintln!("\nThe file is not what was served: {difference}");
            return ExitCode::FAILURE;
        }
        if self.twice() > most {
            eprintln!("\n{} were fetched twice; at most {} are expected.", mib(self.twice()), mib(most));
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

fn own_folder() -> Result<PathBuf, Box<dyn Error>> {
    Ok(env::current_exe()?.parent().ok_or("a program is in a folder")?.to_owned())
}

/// `6.8 s`.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// `2.4 %`.
fn percent(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let percent = part as f64 * 100.0 / whole as f64;
    format!("{percent:.1} %")
}
