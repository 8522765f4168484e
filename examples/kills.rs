//! Downloads under `kill -9`, over and over: `just kills 20`, or `cargo run --release --example kills -- N [SEED]`.
//!
//! A process downloads 1 GiB with eight requests at once from a server that gives them 50 MB/s together. It is
//! killed (SIGKILL) N times, 0.3 to 2 s apart, and started again each time. Whenever a file is whole it is compared
//! with what was served, and the next download begins. At the end comes the bill: what the server sent, against
//! the objects' length and 10 MiB for each kill. The same seed gives the same pauses.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use child::Downloader;
use screen::{StatusLine, mib};
use support::{Content, Resource, Server};

#[path = "common/child.rs"]
mod child;
#[path = "common/screen.rs"]
mod screen;
#[path = "../tests/support/mod.rs"]
mod support;

const JOBS: usize = 8;
const LENGTH: u64 = 1 << 30;
/// Bytes per second over all connections.
const RATE: u64 = 50_000_000;
/// The most that a kill may cost.
const COST: u64 = 10 << 20;
/// Ten times what a download takes without a kill.
const PATIENCE: Duration = Duration::from_secs(200);

fn main() -> ExitCode {
    if let Some(code) = child::main() {
        return code;
    }
    let arguments: Result<Vec<u64>, _> = env::args().skip(1).map(|argument| argument.parse()).collect();
    let (kills, seed) = match arguments.as_deref() {
        Ok([kills]) => (*kills, fastrand::u64(..)),
        Ok([kills, seed]) => (*kills, *seed),
        _ => {
            eprintln!("usage: kills N [SEED]");
            return ExitCode::from(2);
        }
    };
    println!("{kills} kills with seed {seed}");
    match Siege::new(seed).and_then(|siege| siege.run(kills)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failed: {error}; seed {seed}");
            ExitCode::FAILURE
        }
    }
}

struct Siege {
    server: Server,
    folder: tempfile::TempDir,
    random: fastrand::Rng,
    line: StatusLine,
    kills: u64,
    /// The bill of the files before.
    paid: Bill,
}

/// What was sent for some files, and what may have been.
#[derive(Clone, Copy, Default)]
struct Bill {
    files: u64,
    kills: u64,
    sent: u64,
}

impl Bill {
    fn twice(&self) -> u64 {
        self.sent.saturating_sub(self.files * LENGTH)
    }

    fn is_fair(&self) -> bool {
        self.sent <= self.files * LENGTH + self.kills * COST
    }

    fn print(&self, what: &str) {
        let Self { files, kills, .. } = self;
        let each = self.twice() / kills.max(&1);
        println!(
            "{what:8} {files:>3} files, {kills:>4} kills: {:>11} sent, {:>10} of it twice, {:>8} a kill: {}",
            mib(self.sent),
            mib(self.twice()),
            mib(each),
            if self.is_fair() { "fair" } else { "TOO MUCH" }
        );
    }
}

impl Siege {
    fn new(seed: u64) -> Result<Self, Box<dyn Error>> {
        let program = env::current_exe()?;
        let folder = program.parent().ok_or("a program is in a folder")?;
        Ok(Self {
            server: Server::builder().shared_rate(RATE).start(),
            folder: tempfile::tempdir_in(folder)?,
            random: fastrand::Rng::with_seed(seed),
            line: StatusLine::new(),
            kills: 0,
            paid: Bill::default(),
        })
    }

    /// Whether every file was right and every bill fair.
    fn run(mut self, kills: u64) -> Result<bool, Box<dyn Error>> {
        let mut fair = true;
        while self.kills < kills {
            let bill = self.one_file(kills)?;
            bill.print(&format!("file {}", self.paid.files + 1));
            fair &= bill.is_fair();
            self.paid = Bill {
                files: self.paid.files + 1,
                kills: self.paid.kills + bill.kills,
                sent: self.paid.sent + bill.sent,
            };
        }
        self.paid.print("in all");
        Ok(fair)
    }

    /// Downloads one object under kills, as long as there are any left, and checks the file.
    fn one_file(&mut self, most: u64) -> Result<Bill, Box<dyn Error>> {
        let number = self.paid.files + 1;
        let (path, target) = (format!("/{number}"), self.folder.path().join("object"));
        let content = Content::new(number, LENGTH);
        self.server.replace(&path, Resource::new(content));
        let (sent, kills) = (self.server.body_bytes(), self.kills);
        while !self.attempt(&path, &target, most)? {
            self.kills += 1;
        }
        if !self.server.wait_until_idle(PATIENCE) {
            return Err("the server is still sending".into());
        }
        self.line.show("comparing");
        let difference = content.difference(&target);
        self.line.clear();
        if let Some(difference) = difference {
            return Err(format!("file {number} is wrong: {difference}").into());
        }
        self.reset()?;
        Ok(Bill { files: 1, kills: self.kills - kills, sent: self.server.body_bytes() - sent })
    }

    /// One process: whether it came to its end before it was killed.
    fn attempt(&mut self, path: &str, target: &Path, most: u64) -> Result<bool, Box<dyn Error>> {
        let began = Instant::now();
        let life = Duration::from_millis(self.random.u64(300..=2000));
        let life = if self.kills < most { life } else { PATIENCE };
        let mut child = Downloader::start(&self.server.url(path), target, JOBS)?;
        while began.elapsed() < life {
            if let Some(status) = child.ended()? {
                self.line.clear();
                return if status.success() { Ok(true) } else { Err("a download failed".into()) };
            }
            let sent = mib(self.server.body_bytes());
            self.line.show(&format!("{} of {most} kills, {sent} sent", self.kills));
            sleep(Duration::from_millis(10));
        }
        if self.kills >= most {
            return Err("a download hangs".into());
        }
        child.kill()?;
        // The kill may have come after the very end.
        Ok(target.exists())
    }

    /// An empty folder for the next file.
    fn reset(&mut self) -> Result<(), Box<dyn Error>> {
        let parent = self.folder.path().parent().ok_or("a folder is in a folder")?;
        self.folder = tempfile::tempdir_in(parent)?;
        Ok(())
    }
}
