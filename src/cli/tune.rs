//! `haul tune`: which number of jobs is worth it here.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use haul::{Curve, CurveEnd, Point, Tune};
use indicatif::ProgressBar;
use serde::Serialize;

use super::chart::{self, Bar};
use super::command_args::{MeasuringArgs, TuneArgs};
use super::exit::{ExitCode, Failure};
use super::requests::described;
use super::resolve::{Surroundings, width};
use super::signals::Signals;
use super::{human, output, run, svg};

/// How often the line that says what is being done turns its spinner.
const TICK: Duration = Duration::from_millis(100);

/// Measures, and answers in bars and one command, or in JSON; and draws a picture where one is wanted.
pub(crate) fn tune(arguments: &TuneArgs) -> Result<ExitCode, Failure> {
    let MeasuringArgs { jobs, time, max_bytes, allow_unvalidated, svg } = &arguments.measuring;
    let described = described(&arguments.url, &arguments.request)?;
    let described = if *allow_unvalidated { described.allow_unvalidated() } else { described };
    let url = described.clone().build()?.url();
    for jobs in jobs {
        described.clone().jobs(*jobs).build()?;
    }
    let tune = Tune::new(described).jobs(jobs.iter().copied()).time(*time).max_bytes(*max_bytes);
    let curve = run::run_to_end(measure(tune, jobs, Surroundings::detect()))?;
    let lines = if arguments.answer.json {
        vec![output::json(&CurveJson::new(&url, &curve))]
    } else {
        lines(&url, &curve, width())
    };
    for line in lines {
        output::stdout(&line).map_err(|error| Failure::io("stdout", "write the answer", &error))?;
    }
    if let Some(path) = svg {
        let picture = svg::picture(&format!("goodput of {url}"), &bars(&curve));
        save(path, &picture).map_err(|error| Failure::io(path.display(), "write the picture", &error))?;
    }
    Ok(ExitCode::Success)
}

async fn measure(tune: Tune, jobs: &[usize], surroundings: Surroundings) -> Result<Curve, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::io("haul", "listen for signals", &error))?;
    let spinner = if surroundings.terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message(doing(jobs, None));
    spinner.enable_steady_tick(TICK);
    let ended = tokio::select! {
        ended = tune.run(|point| spinner.set_message(doing(jobs, Some(point)))) => ended.map_err(Failure::from),
        code = signals.first() => Err(Failure::new(code, "stopped; nothing was kept")),
    };
    spinner.finish_and_clear();
    ended
}

/// `8 jobs: 18.9 MiB/s; trying 16`.
fn doing(jobs: &[usize], measured: Option<&Point>) -> String {
    let after = measured.map_or(0, |point| point.jobs);
    let next = jobs.iter().filter(|jobs| **jobs > after).min();
    let next = next.map(|next| format!("trying {}", human::count(*next as u64, "job")));
    let done = measured.map(|point| format!("{} jobs: {}", point.jobs, human::rate(point.rate)));
    [done, next].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The picture can be made anew, so it replaces what was there.
fn save(path: &Path, picture: &str) -> io::Result<()> {
    File::create(path)?.write_all(picture.as_bytes())
}

fn bars(curve: &Curve) -> Vec<Bar> {
    let knee = curve.knee().jobs;
    let bar = |point: &Point| Bar { jobs: point.jobs, rate: point.rate, knee: point.jobs == knee };
    curve.points.iter().map(bar).collect()
}

fn lines(url: &str, curve: &Curve, width: usize) -> Vec<String> {
    let mut lines = vec!["jobs".to_owned()];
    lines.extend(chart::bars(&bars(curve), width));
    lines.push(String::new());
    lines.extend(notes(curve));
    lines.push(advice(curve));
    lines.push(format!("  {}", command(url, curve.knee().jobs)));
    lines
}

/// What a person should know before they believe the bars.
fn notes(curve: &Curve) -> Vec<String> {
    let points = &curve.points;
    let mut notes: Vec<String> = Vec::new();
    if let Some(point) = points.iter().find(|point| point.connections < point.jobs) {
        notes.push(format!(
            "with {} no more than {} open at once",
            human::count(point.jobs as u64, "job"),
            count_were(point.connections)
        ));
    }
    let retries: u64 = points.iter().map(|point| point.retries).sum();
    if retries > 0 {
        notes.push(format!("{} failed and had to be repeated", human::count(retries, "request")));
    }
    if points.iter().any(Point::is_rough) {
        let ended = points.iter().any(|point| point.whole && point.is_rough());
        let why = if ended { "a larger object" } else { "a larger --max-bytes or --time" };
        notes.push(format!("measured for less than a second, so roughly: {why} tells more"));
    }
    let most = points.last().map_or(0, |point| point.jobs);
    if points.len() > 1
        && curve.knee().jobs == most
        && most < 256
        && matches!(curve.ended, CurveEnd::Complete)
    {
        notes.push(format!("more may do better still: try -j {most},{}", (most * 2).min(256)));
    }
    notes.extend(reason(&curve.ended));
    notes
}

fn count_were(connections: usize) -> String {
    let verb = if connections == 1 { "was" } else { "were" };
    format!("{} {verb}", human::count(connections as u64, "connection"))
}

/// Why there is no more to see.
fn reason(ended: &CurveEnd) -> Option<String> {
    match ended {
        CurveEnd::Throttled { jobs } => Some(format!(
            "the server turned requests away (429 or 503) at {jobs} jobs: it wants no more than so many"
        )),
        CurveEnd::Stream(reason) => Some(format!("one stream is all there is: {reason}")),
        CurveEnd::Failed { jobs, error } => Some(format!("with {jobs} jobs: {error}")),
        _ => None,
    }
}

fn advice(curve: &Curve) -> String {
    let (knee, best) = (curve.knee(), curve.best());
    let rate = human::rate(best.rate);
    match (knee.jobs, &curve.ended) {
        (_, CurveEnd::Stream(_)) => format!("{rate}; --jobs makes no difference:"),
        (jobs, _) if jobs == best.jobs => format!("{} did best, {rate}:", human::count(jobs as u64, "job")),
        (jobs, _) => {
            let verb = if jobs == 1 { "job does" } else { "jobs do" };
            format!("{jobs} {verb} it: within 5 % of the best, {rate} with {}:", best.jobs)
        }
    }
}

/// What to type. A URL that has secrets is not repeated.
fn command(url: &str, jobs: usize) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/%@+=,".contains(c);
    let url = match url {
        url if url.contains("[hidden]") => "URL".to_owned(),
        url if url.chars().all(plain) => url.to_owned(),
        url => format!("'{}'", url.replace('\'', r"'\''")),
    };
    format!("haul --jobs {jobs} {url}")
}

/// `tune --json`.
#[derive(Debug, Serialize)]
struct CurveJson<'a> {
    url: &'a str,
    /// `null` where the server does not say.
    length: Option<u64>,
    points: Vec<PointJson>,
    /// The fewest jobs within 5 % of the best.
    knee: usize,
    best: usize,
    command: String,
    ended: &'static str,
    /// Why there are no more points, in words.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct PointJson {
    jobs: usize,
    /// Bytes per second.
    rate: u64,
    measured_ms: u128,
    received: u64,
    connections: usize,
    throttled: u64,
    retries: u64,
    whole: bool,
}

impl<'a> CurveJson<'a> {
    fn new(url: &'a str, curve: &Curve) -> Self {
        let point = |point: &Point| PointJson {
            jobs: point.jobs,
            rate: human::whole(point.rate),
            measured_ms: point.measured.as_millis(),
            received: point.received,
            connections: point.connections,
            throttled: point.throttled,
            retries: point.retries,
            whole: point.whole,
        };
        let knee = curve.knee().jobs;
        Self {
            url,
            length: curve.length,
            points: curve.points.iter().map(point).collect(),
            knee,
            best: curve.best().jobs,
            command: command(url, knee),
            ended: match curve.ended {
                CurveEnd::Complete => "complete",
                CurveEnd::Throttled { .. } => "throttled",
                CurveEnd::Stream(_) => "stream",
                _ => "failed",
            },
            reason: reason(&curve.ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_and_has_no_secret() {
        for (url, expected) in [
            ("https://h/a-b_c%20d.iso", "haul --jobs 8 https://h/a-b_c%20d.iso"),
            ("https://h/a(1)&b", "haul --jobs 8 'https://h/a(1)&b'"),
            ("https://h/it's", r"haul --jobs 8 'https://h/it'\''s'"),
            ("https://h/a?[hidden]", "haul --jobs 8 URL"),
        ] {
            assert_eq!(command(url, 8), expected);
        }
    }

    #[test]
    fn what_is_being_done_is_said() {
        assert_eq!(doing(&[1, 2, 4], None), "trying 1 job");
        assert_eq!(doing(&[], None), "");
    }
}
