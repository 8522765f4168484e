//! Large objects at full speed: `just scale [GIB] [JOBS] [FOLDER]`, by default 100 GiB with 8 and with 256 jobs.
//!
//! A server on this machine makes the bytes up; the real command (`target/release/haul`) fetches them, to nowhere or into
//! a file in FOLDER, which is compared. What it took is read from `/proc` while it runs: the anonymous memory has to
//! be as flat at the end as at the beginning, whatever the length.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use screen::{StatusLine, mib};
use support::{Content, Resource, Server};

#[path = "common/screen.rs"]
mod screen;
#[path = "../tests/support/mod.rs"]
mod support;

/// The most anonymous memory, in bytes: so much, and so much for each job.
const MEMORY: u64 = 32 << 20;
const MEMORY_PER_JOB: u64 = 3 << 20;
/// What it may have more in the second half than in the first: so much, and a buffer of hyper's for each job.
const SLACK: u64 = 16 << 20;
const SLACK_PER_JOB: u64 = 400 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<u64>()).transpose();
    let (Ok(gib), Ok(jobs)) = (number(0), number(1)) else {
        eprintln!("usage: scale [GIB] [JOBS] [FOLDER]");
        return ExitCode::from(2);
    };
    let all: Vec<u64> = jobs.map_or_else(|| vec![8, 256], |jobs| vec![jobs]);
    let folder = arguments.get(2).map(Path::new);
    let run = |jobs: u64| one(Content::new(1, gib.unwrap_or(100) << 30), jobs, folder);
    println!(
        "{:>6} {:>5} {:>8} {:>9} {:>9} {:>11} {:>11} {:>11}",
        "GiB", "jobs", "s", "GiB/s", "CPU s", "RssAnon", "2nd half", "VmHWM"
    );
    match all.into_iter().map(run).collect::<Result<Vec<bool>, _>>() {
        Ok(flat) if flat.iter().all(|flat| *flat) => ExitCode::SUCCESS,
        Ok(_) => {
            eprintln!("memory is not flat");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Downloads it once; whether the memory was flat.
fn one(object: Content, jobs: u64, folder: Option<&Path>) -> Result<bool, Box<dyn Error>> {
    let server = Server::start([("/object", Resource::new(object))]);
    let target = folder.map_or_else(|| PathBuf::from("/dev/null"), |folder| folder.join("haul-scale"));
    let began = Instant::now();
    let mut haul = Haul::start(&server.url("/object"), &target, jobs)?;
    let line = StatusLine::new();
    let (mut first, mut second, mut last) = (0, 0, Usage::default());
    while haul.0.try_wait()?.is_none() {
        let sent = server.body_bytes();
        if let Some(usage) = Usage::of(haul.0.id()) {
            let half = if sent < object.len / 2 { &mut first } else { &mut second };
            *half = usage.anonymous.max(*half);
            last = usage;
        }
        line.show(&format!("{} of {}, RssAnon {}", mib(sent), mib(object.len), mib(last.anonymous)));
        sleep(Duration::from_millis(50));
    }
    line.clear();
    let took = began.elapsed().as_secs_f64();
    if !haul.0.wait()?.success() {
        return Err("the download failed".into());
    }
    if folder.is_some() {
        let difference = object.difference(&target);
        fs::metadata(&target).and_then(|_| remove(&target))?;
        if let Some(difference) = difference {
            return Err(format!("the file is wrong: {difference}").into());
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let gib = object.len as f64 / f64::from(1 << 30);
    println!(
        "{gib:>6.0} {jobs:>5} {took:>8.1} {:>9.2} {:>9.1} {:>11} {:>11} {:>11}",
        gib / took,
        last.cpu,
        mib(first),
        mib(second),
        mib(last.most)
    );
    Ok(first.max(second) < MEMORY + jobs * MEMORY_PER_JOB && second < first + SLACK + jobs * SLACK_PER_JOB)
}

#[expect(clippy::disallowed_methods, reason = "a file of the example's own")]
fn remove(path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)
}

/// The running command. It ends with its owner.
struct Haul(Child);

impl Haul {
    fn start(url: &str, target: &Path, jobs: u64) -> Result<Self, Box<dyn Error>> {
        let example = env::current_exe()?;
        let command = example.ancestors().nth(2).map(|folder| folder.join("haul"));
        let command =
            command.filter(|path| path.exists()).ok_or("build the command first: just scale does")?;
        let mut haul = Command::new(command);
        haul.args(["--quiet", "--force", "--jobs", &jobs.to_string(), "--output"]).arg(target).arg(url);
        // A proxy would not find this machine's loopback.
        haul.envs([("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")]);
        Ok(Self(haul.spawn()?))
    }
}

impl Drop for Haul {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process has used by now (`proc_pid_status(5)`, `proc_pid_stat(5)`).
#[derive(Clone, Copy, Default)]
struct Usage {
    /// Anonymous memory in bytes: what is its own, without the page cache under its maps.
    anonymous: u64,
    /// The most memory of any kind.
    most: u64,
    /// Seconds, user and system.
    cpu: f64,
}

impl Usage {
    /// `None` where it has gone.
    fn of(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // After the name, which may hold anything; utime and stime are the 14th and the 15th of all.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        let cpu = f64::from(ticks()? + ticks()?) / 100.0;
        Some(Self { anonymous: kib("RssAnon")? << 10, most: kib("VmHWM")? << 10, cpu })
    }
}
