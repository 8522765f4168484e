//! Runs a case, holds it against the oracle, and runs it again against a server that is well.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::case::{Case, Expected, Scenario, Scene};
use super::dice::Dice;
use super::support::{Content, Resource, Seen, Server, Version};
use super::world::{PATIENCE, RUNTIME, SEGMENT, tuning};
use crate::checksum::{Algorithm, Hasher};
use crate::download::report::{Mode, Report};
use crate::download::request::{Download, Existing, OnChange};
use crate::error::{Error, ErrorKind, Result};
use crate::store::medium::Durability;

/// Seeds of each scenario where nobody asks for others.
const SEEDS: u64 = 200;
/// Runs at a time: most of them wait, for a time-out or for the disk.
const WIDTH: u64 = 32;

/// What came of a run.
pub(super) struct Outcome {
    pub(super) result: Result<Report>,
    pub(super) log: Vec<Seen>,
    /// What the other origin saw.
    pub(super) log_there: Vec<Seen>,
    pub(super) elapsed: Duration,
    /// How many GETs met what goes wrong.
    struck: u64,
}

/// Runs a scenario with every seed.
pub(super) fn check(of: &[Scenario], name: &'static str) {
    let scenario = *of.iter().find(|scenario| scenario.name == name).expect("a scenario of that name");
    let struck = all_seeds(name, SEEDS, |seed| {
        let mut case = Case::new(Dice::new(name, seed), seed);
        (scenario.twist)(&mut case);
        attempt(case)
    });
    // One that hardly ever strikes proves nothing.
    if let Some((struck, runs)) = struck.filter(|(_, runs)| *runs >= SEEDS) {
        assert!(struck * 4 >= runs, "{name} went wrong in {struck} of {runs} runs only");
    }
}

/// Runs every seed, many at a time; panics with the first that fails. Gives how many runs met what goes wrong, of
/// how many, unless a single one was asked for.
pub(super) fn all_seeds(
    name: &str,
    seeds: u64,
    attempt: impl Fn(u64) -> Result<bool, String> + Sync,
) -> Option<(u64, u64)> {
    let (first, last) = match (number("HAUL_SEED"), number("HAUL_SEEDS")) {
        (Some(seed), _) => (seed, seed),
        (None, seeds_asked) => (0, seeds_asked.unwrap_or(seeds) - 1),
    };
    let (next, struck) = (AtomicU64::new(first), AtomicU64::new(0));
    let failed: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let work = || {
        while failed.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last {
                return;
            }
            match attempt(seed) {
                Ok(hit) => drop(struck.fetch_add(u64::from(hit), Ordering::Relaxed)),
                Err(why) => drop(failed.lock().unwrap().get_or_insert((seed, why))),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WIDTH.min(last - first + 1) {
            scope.spawn(work);
        }
    });
    if let Some((seed, why)) = failed.into_inner().unwrap() {
        panic!("{name}, seed {seed}: {why}\nagain: HAUL_SEED={seed} cargo test --lib {name} -- --nocapture");
    }
    (first != last).then(|| (struck.into_inner(), last - first + 1))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Where the file goes, and what was there before.
struct Place {
    dir: TempDir,
    before: Option<Vec<u8>>,
}

/// One run and, where it left something, the next. Whether anything went wrong; an error breaks the oracle.
pub(super) fn attempt(mut case: Case) -> Result<bool, String> {
    let versions = case.versions();
    let date = case.style.date();
    let mut resource = case.resource.clone().version(versions[0].clone());
    resource = case
        .flips
        .iter()
        .zip(&versions[1..])
        .fold(resource, |resource, (when, version)| resource.then_version(*when, version.clone()));
    if let Some(date) = &date {
        resource = resource.header("Date", date);
    }
    let there = case.others.iter().any(|other| other.there).then(|| Server::start([]));
    let mut builder = Server::builder().resource("/f", resource);
    if let Some((most, excess)) = case.limit {
        builder = builder.max_connections(most, excess);
    }
    let here = builder.start();
    let scene =
        Scene { here: here.addr(), there: there.as_ref().map(Server::addr), version: versions[0].clone() };
    for other in std::mem::take(&mut case.others) {
        let server = there.as_ref().filter(|_| other.there).unwrap_or(&here);
        server.replace(&other.path, (other.resource)(&scene));
    }
    let place = Place::new(&mut case);
    let mut contents: Vec<Content> = versions.iter().map(|version| version.content).collect();
    contents.extend_from_slice(&case.pages);
    if case.coded {
        contents.extend(contents.clone().iter().map(Content::other));
    }
    if case.checksum {
        contents.truncate(1);
    }

    let outcome = run(&case, &place, &here, there.as_ref(), &contents);
    let judged = place.judge(&outcome, &contents).and_then(|()| judge_more(&case, &outcome));
    judged.map_err(|why| describe(&why, &case, &outcome))?;
    if outcome.result.is_ok() {
        return Ok(outcome.struck > 0 || case.struck_anyway);
    }

    let mut well = case.dice.pick(&versions);
    if case.tags {
        // After a tag nothing weaker is believed.
        well = Version::new(well.content);
    }
    run_again(&mut case, &place, here, &well).map_err(|why| describe(&why, &case, &outcome))?;
    Ok(outcome.struck > 0 || case.struck_anyway)
}

/// The server is well again, with any of the versions: here, or at another port.
fn run_again(case: &mut Case, place: &Place, here: Server, well: &Version) -> Result<(), String> {
    let resource = Resource::new(well.content).version(well.clone());
    let moved = case.limit.is_some() || case.dice.chance(25);
    let here = if moved {
        Server::start([(case.path.as_str(), resource)])
    } else {
        here.replace(&case.path, resource);
        here
    };
    (case.head, case.host, case.timeout) = (None, "127.0.0.1", PATIENCE);
    case.on_change = OnChange::Restart;
    let mut outcome = run(case, place, &here, None, &[well.content]);
    if matches!(&outcome.result, Err(error) if case.checksum && error.kind() == ErrorKind::Corrupt) {
        // What the first run had taken for right is found out, and not believed again.
        outcome = run(case, place, &here, None, &[well.content]);
    }
    let judged = place.judge(&outcome, &[well.content]).and_then(|()| match &outcome.result {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}")),
    });
    judged.map_err(|why| format!("the run after it: {why}\n{}", shown(&outcome.log)))
}

fn run(case: &Case, place: &Place, here: &Server, there: Option<&Server>, served: &[Content]) -> Outcome {
    let before = here.log().len();
    let began = Instant::now();
    let result = RUNTIME.block_on(async {
        let download = download(case, place.dir.path(), here, served);
        let ended = tokio::time::timeout(PATIENCE, download.run()).await;
        ended.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the run did not end")))
    });
    Outcome {
        result,
        elapsed: began.elapsed(),
        struck: here.struck(),
        log: here.log().split_off(before),
        log_there: there.map(Server::log).unwrap_or_default(),
    }
}

fn download(case: &Case, dir: &Path, here: &Server, served: &[Content]) -> Download {
    let url = |path: &str| format!("http://{}{}:{}{path}", case.userinfo, case.host, here.addr().port());
    let mut builder = Download::builder(url(&case.path))
        .dir(dir)
        .output("f")
        .jobs(case.jobs)
        .segment_size(SEGMENT)
        .retries(case.retries)
        .timeout(case.timeout)
        .max_wait(Duration::from_secs(5))
        .on_change(case.on_change)
        .existing(Existing::Replace)
        .durability(if case.length.is_multiple_of(2) { Durability::PowerCut } else { Durability::Kill })
        .tuning(tuning());
    for (name, value) in &case.headers {
        builder = builder.header(*name, *value);
    }
    if case.checksum {
        builder = builder.checksum(sha256(&served[0]));
    }
    if let Some(path) = &case.head {
        builder = builder.head_url(url(path));
    }
    builder.build().expect("the request is valid")
}

fn sha256(content: &Content) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&content.bytes());
    hasher.finish().to_string()
}

impl Place {
    fn new(case: &mut Case) -> Self {
        let dir = folder();
        let before = case.dice.chance(30).then(|| b"what was there before".to_vec());
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
        before.iter().for_each(|bytes| fs::write(dir.path().join("f"), bytes).expect("it can be written"));
        Self { dir, before }
    }

    /// The oracle.
    fn judge(&self, outcome: &Outcome, served: &[Content]) -> Result<(), String> {
        let target = self.dir.path().join("f");
        let names = self.names();
        if let Err(error) = &outcome.result {
            if fs::read(&target).ok() != self.before {
                return Err("it failed and touched the target".to_owned());
            }
            if error.kind() == ErrorKind::Internal {
                return Err(format!("a bug: {error}"));
            }
            let ours = |name: &String| ["f", "f.part", "f.part.ckpt"].contains(&name.as_str());
            return names.iter().all(ours).then_some(()).ok_or(format!("it left {names:?}"));
        }
        let differences: Vec<_> = served.iter().map_while(|content| content.difference(&target)).collect();
        if differences.len() == served.len() {
            return Err(format!("the file is no version that was served: {differences:?}"));
        }
        if names == ["f"] { Ok(()) } else { Err(format!("it succeeded and left {names:?}")) }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("the folder can be read");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("names here are UTF-8");
        let mut names: Vec<_> = entries.map(|entry| name(entry.expect("the folder can be read"))).collect();
        names.sort();
        names
    }
}

/// In memory, where there is a place for files there: thousands are made.
fn folder() -> TempDir {
    let memory = rustix::fs::statvfs("/dev/shm").is_ok_and(|disk| disk.f_bavail * disk.f_frsize > 1 << 30);
    let made = if memory { tempfile::tempdir_in("/dev/shm") } else { tempfile::tempdir() };
    made.expect("a temporary folder can be made")
}

/// What the scenario asks for beyond the oracle.
fn judge_more(case: &Case, outcome: &Outcome) -> Result<(), String> {
    let requests = outcome.log.len() + outcome.log_there.len();
    if requests > case.most_requests {
        return Err(format!("{requests} requests are more than {}", case.most_requests));
    }
    let fits = match (&outcome.result, case.expected) {
        (Ok(_), Expected::Whole) | (_, Expected::Either) => true,
        (Ok(report), Expected::Ranged) => report.mode == Mode::Ranges,
        (Ok(report), Expected::Streamed) => report.mode != Mode::Ranges,
        (Err(error), Expected::Fails(kind)) => error.kind() == kind,
        _ => false,
    };
    if !fits {
        return Err(format!("{:?} was expected", case.expected));
    }
    case.checks.iter().try_for_each(|check| check(outcome))
}

fn describe(why: &str, case: &Case, outcome: &Outcome) -> String {
    let ending = match &outcome.result {
        Ok(report) => {
            format!("ok after {} retries and {} restarts, {:?}", report.retries, report.restarts, report.mode)
        }
        Err(error) => format!("{:?}: {error}", error.kind()),
    };
    format!(
        "{why}\n{ending}, in {:?}, {} bytes, {} jobs\n{:?}\nflips {:?}\n{}",
        outcome.elapsed,
        case.length,
        case.jobs,
        case.resource,
        case.flips,
        shown(&outcome.log)
    )
}

/// The log, a line for each request.
fn shown(log: &[Seen]) -> String {
    log.iter().fold(String::new(), |mut text, seen| {
        let pin = seen.header("If-Match").or_else(|| seen.header("If-Unmodified-Since")).unwrap_or("-");
        let Seen { connection, method, path, range, status, body_bytes, .. } = seen;
        let _ =
            writeln!(text, "#{connection} {method} {path} {range:?} {pin} → {status}, {body_bytes} bytes");
        text
    })
}
