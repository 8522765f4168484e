//! What a person is told beside the progress, in words. Pure.

use std::path::Path;
use std::time::Duration;

use haul::{Event, Mode, Outcome, Phase, Progress, Proof, ProofSource, Report, Writing};

use super::human::{self, count};
use super::output;
use super::resolve::Verbosity;

/// What an event is worth saying, a line each; nothing where nobody wants to know.
pub(crate) fn on_event(label: &str, event: &Event, verbosity: Verbosity) -> Vec<String> {
    let (notes, details) = (verbosity >= Verbosity::Normal, verbosity >= Verbosity::Verbose);
    let mut said = Vec::new();
    match event {
        Event::Started { mode, .. } => {
            if let (Mode::Stream(reason), true) = (mode, notes) {
                said.push(format!("{label}: cannot be resumed: {reason}"));
            }
            said.extend(plan(event).filter(|_| details).map(|plan| format!("{label}: {plan}")));
        }
        Event::Retry { segment, reason, wait } if details => {
            let place = segment.map(|segment| format!("segment {segment}: ")).unwrap_or_default();
            said.push(format!("{label}: {place}{reason}; again in {}", human::duration(*wait)));
        }
        Event::Restarted { reason } if notes => said.push(format!("{label}: starting over: {reason}")),
        Event::Note { message } if notes => said.push(format!("{label}: {message}")),
        _ => {}
    }
    said
}

/// How the object will be fetched, for who asks.
fn plan(event: &Event) -> Option<String> {
    let Event::Started { length, segment_size, segments, resumed, jobs, validator, mode, .. } = event else {
        return None;
    };
    let length = length.map_or_else(|| "unknown size".into(), human::bytes);
    let how = match mode {
        Mode::Ranges => {
            let segments = count(*segments as u64, "segment");
            format!("in {segments} of {}, {}", human::bytes(*segment_size), count(*jobs as u64, "job"))
        }
        Mode::Stream(_) => "in one stream".into(),
    };
    let validator = validator.as_ref().map_or_else(|| "no validator".into(), ToString::to_string);
    let resumed = (*resumed > 0).then(|| format!(", {} there already", human::bytes(*resumed)));
    Some(format!("{length} {how}, {validator}{}", resumed.unwrap_or_default()))
}

/// How far a download is: `412.3 MiB of 1.0 GiB (40 %), 52.1 MiB/s, 12 s left, 8 connections`.
pub(crate) fn progress(now: &Progress) -> String {
    let connections = count(now.connections as u64, "connection");
    match now.phase {
        Phase::Probing => "connecting".into(),
        Phase::Checking => format!("{}, checking what is there", amount(now)),
        Phase::Paused => format!("{}, paused", amount(now)),
        Phase::Finishing => format!("{}, checking and making durable", amount(now)),
        Phase::Fetching => {
            let left = time_left(now).map(|time| format!(", {} left", human::rough_duration(time)));
            format!("{}, {}{}, {connections}", amount(now), human::rate(now.rate), left.unwrap_or_default())
        }
    }
}

/// Several downloads, as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Together {
    pub(crate) ended: usize,
    pub(crate) count: Option<usize>,
    pub(crate) running: usize,
    /// Body bytes.
    pub(crate) received: u64,
    /// Bytes per second.
    pub(crate) rate: f64,
    pub(crate) connections: usize,
}

/// How far they are: `37 of 500 ended, 16 under way: 9.3 MiB, 22.1 MiB/s, 16 connections`.
pub(crate) fn together(now: &Together) -> String {
    let of = now.count.map(|count| format!(" of {count}")).unwrap_or_default();
    let connections = count(now.connections as u64, "connection");
    let (received, rate) = (human::bytes(now.received), human::rate(now.rate));
    format!("{}{of} ended, {} under way: {received}, {rate}, {connections}", now.ended, now.running)
}

/// Which of them it is: `[3/500]`.
pub(crate) fn position(number: usize, count: Option<usize>) -> String {
    count.map_or_else(|| format!("[{number}]"), |count| format!("[{number}/{count}]"))
}

fn amount(now: &Progress) -> String {
    let done = human::bytes(now.in_place);
    match now.total {
        Some(total) => {
            format!("{done} of {} ({} %)", human::bytes(total), human::percent(now.in_place, total))
        }
        None => done,
    }
}

/// `None` where nobody can tell: no total, or hardly a byte coming.
fn time_left(now: &Progress) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = now.total?.saturating_sub(now.in_place) as f64 / now.rate;
    // Above ten days it is no estimate any more.
    Duration::try_from_secs_f64(seconds).ok().filter(|time| now.rate >= 1.0 && time.as_secs() < 864_000)
}

/// The line at the end: `disk.img: 1.0 GiB in 12.3 s, 83.2 MiB/s (412.0 MiB were there already)`.
pub(crate) fn summary(label: &str, report: &Report) -> String {
    let proof = proof(report);
    match report.outcome {
        Outcome::Existed => return format!("{label}: exists already{proof}, nothing to do"),
        Outcome::NotModified => return format!("{label}: not modified, nothing to do"),
        Outcome::Downloaded | Outcome::Piped => {}
    }
    let rate =
        human::mean_rate(report.received, report.elapsed).map(|rate| format!(", {}", human::rate(rate)));
    let resumed =
        (report.resumed > 0).then(|| format!(" ({} were there already)", human::bytes(report.resumed)));
    let discarded = report.path.is_none() && report.outcome != Outcome::Piped;
    let discarded = if discarded { ", discarded" } else { "" };
    format!(
        "{label}: {} in {}{}{discarded}{proof}{}",
        human::bytes(report.length),
        human::duration(report.elapsed),
        rate.unwrap_or_default(),
        resumed.unwrap_or_default(),
    )
}

/// What says that the bytes are the right ones, if anything does.
fn proof(report: &Report) -> String {
    match &report.proof {
        Some(Proof { checksum, source: ProofSource::Given }) => format!(", {} right", checksum.algorithm()),
        Some(Proof { checksum, source }) => format!(", {} right ({source})", checksum.algorithm()),
        None if report.outcome == Outcome::Piped => ", no digest".to_owned(),
        None if report.path.is_none() || report.outcome != Outcome::Downloaded => String::new(),
        None => ", no digest".to_owned(),
    }
}

/// What it took, for who asks: `disk.img: 83 requests, 2 of them again, 1.0 GiB received, positioned writing`.
pub(crate) fn account(label: &str, report: &Report) -> String {
    let requests = count(report.requests, "request");
    let writing = match report.writing {
        Writing::Mapped => "mapped writing",
        Writing::Positioned => "positioned writing",
    };
    let received = human::bytes(report.received);
    format!("{label}: {requests}, {} of them again, {received} received, {writing}", report.retries)
}

/// What a download is called: its target, once there is one. The bar draws it, so it is harmless already here.
pub(crate) fn label(path: &Path) -> String {
    output::harmless(&path.strip_prefix(".").unwrap_or(path).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use haul::{StreamReason, Validator};

    fn started(mode: Mode) -> Event {
        Event::Started {
            length: Some(1 << 30),
            segment_size: 256 << 10,
            segments: 4096,
            resumed: 1 << 20,
            jobs: 8,
            validator: Some(Validator::EntityTag("\"v1\"".into())),
            mode,
            path: None,
        }
    }

    #[test]
    fn what_is_said_depends_on_who_listens() {
        let stream = "x: cannot be resumed: the server ignores ranges";
        let retry =
            Event::Retry { segment: Some(3), reason: "reset".into(), wait: Duration::from_millis(1200) };
        for (event, normal, verbose) in [
            (
                started(Mode::Ranges),
                vec![],
                vec!["x: 1.0 GiB in 4096 segments of 256.0 KiB, 8 jobs, ETag \"v1\", 1.0 MiB there already"],
            ),
            (
                started(Mode::Stream(StreamReason::NoRanges)),
                vec![stream],
                vec![stream, "x: 1.0 GiB in one stream, ETag \"v1\", 1.0 MiB there already"],
            ),
            (retry, vec![], vec!["x: segment 3: reset; again in 1.2 s"]),
            (
                Event::Restarted { reason: "changed".into() },
                vec!["x: starting over: changed"],
                vec!["x: starting over: changed"],
            ),
            (Event::Note { message: "hello".into() }, vec!["x: hello"], vec!["x: hello"]),
        ] {
            assert_eq!(on_event("x", &event, Verbosity::Quiet), Vec::<String>::new());
            assert_eq!(on_event("x", &event, Verbosity::Normal), normal);
            assert_eq!(on_event("x", &event, Verbosity::Verbose), verbose);
        }
    }

    #[test]
    fn progress_says_what_is_known() {
        let fetching = Progress {
            phase: Phase::Fetching,
            in_place: 432_327_885,
            total: Some(1 << 30),
            rate: 54_630_810.0,
            connections: 8,
            ..Progress::default()
        };
        for (now, expected) in [
            (Progress::default(), "connecting"),
            (fetching, "412.3 MiB of 1.0 GiB (40 %), 52.1 MiB/s, 12 s left, 8 connections"),
            (Progress { total: None, connections: 1, ..fetching }, "412.3 MiB, 52.1 MiB/s, 1 connection"),
            (Progress { rate: 0.0, ..fetching }, "412.3 MiB of 1.0 GiB (40 %), 0 B/s, 8 connections"),
            (Progress { rate: f64::NAN, ..fetching }, "412.3 MiB of 1.0 GiB (40 %), 0 B/s, 8 connections"),
            (
                Progress { phase: Phase::Finishing, in_place: 1 << 30, ..fetching },
                "1.0 GiB of 1.0 GiB (100 %), checking and making durable",
            ),
            (
                Progress { phase: Phase::Checking, ..fetching },
                "412.3 MiB of 1.0 GiB (40 %), checking what is there",
            ),
            (Progress { phase: Phase::Paused, ..fetching }, "412.3 MiB of 1.0 GiB (40 %), paused"),
        ] {
            assert_eq!(progress(&now), expected);
        }
    }

    #[test]
    fn the_summary_says_what_came_and_what_was_there() {
        let fresh = Report {
            outcome: Outcome::Downloaded,
            path: Some("x".into()),
            length: 1 << 30,
            received: 1 << 30,
            resumed: 0,
            requests: 9,
            retries: 0,
            restarts: 0,
            elapsed: Duration::from_millis(12_300),
            mode: Mode::Ranges,
            writing: Writing::Positioned,
            validator: None,
            proof: None,
        };
        assert_eq!(
            account("x", &fresh),
            "x: 9 requests, 0 of them again, 1.0 GiB received, positioned writing"
        );
        let resumed = Report { received: 612 << 20, resumed: 412 << 20, ..fresh.clone() };
        let discarded = Report { path: None, ..fresh.clone() };
        let by = |source| {
            let checksum = format!("sha-256:{}", "0".repeat(64)).parse().unwrap();
            Report { proof: Some(Proof { checksum, source }), ..fresh.clone() }
        };
        let (given, sent) = (by(ProofSource::Given), by(ProofSource::Header("repr-digest".into())));
        let existed = Report { outcome: Outcome::Existed, ..fresh.clone() };
        let not_modified = Report { outcome: Outcome::NotModified, ..fresh.clone() };
        for (report, expected) in [
            (fresh, "x: 1.0 GiB in 12.3 s, 83.3 MiB/s, no digest"),
            (resumed, "x: 1.0 GiB in 12.3 s, 49.8 MiB/s, no digest (412.0 MiB were there already)"),
            (discarded, "x: 1.0 GiB in 12.3 s, 83.3 MiB/s, discarded"),
            (given, "x: 1.0 GiB in 12.3 s, 83.3 MiB/s, sha-256 right"),
            (sent, "x: 1.0 GiB in 12.3 s, 83.3 MiB/s, sha-256 right (repr-digest)"),
            (existed, "x: exists already, nothing to do"),
            (not_modified, "x: not modified, nothing to do"),
        ] {
            assert_eq!(summary("x", &report), expected);
        }
    }

    #[test]
    fn a_target_in_the_current_folder_is_called_by_its_name() {
        assert_eq!(label(Path::new("./disk.img")), "disk.img");
        assert_eq!(label(Path::new("/tmp/disk.img")), "/tmp/disk.img");
        assert_eq!(label(Path::new("./a\u{1b}[31m\u{202e}")), "a\\u{1b}[31m\\u{202e}", "H79");
    }
}
