//! `--json`: one object a line on stdout. The names of events and fields are a contract.

use std::time::{Duration, Instant};

use haul::{Event, Outcome, Part, Phase, Progress, Report};
use serde::Serialize;

use super::exit::Failure;
use super::output::Stream;
use super::tally::{Numbers, Tally};
use super::{human, output};

/// At most five progress events a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'a> {
    /// The object is known. Comes again after a restart.
    Start {
        url: &'a str,
        /// `null` where the server does not say.
        length: Option<u64>,
        /// 0 in a single stream, as are the `segments`.
        segment_size: u64,
        segments: usize,
        resumed_bytes: u64,
        jobs: usize,
        /// `null`: nothing to resume by.
        validator: Option<String>,
    },
    Progress {
        url: &'a str,
        /// In place, those of earlier runs included.
        bytes: u64,
        total: Option<u64>,
        /// Received bytes per second.
        rate: u64,
        connections: usize,
    },
    Retry {
        url: &'a str,
        segment: Option<usize>,
        reason: &'a str,
        wait_ms: u64,
    },
    Restart {
        url: &'a str,
        reason: &'a str,
    },
    Done {
        url: &'a str,
        /// `downloaded` or `piped`; or the target `existed`, or is `not_modified`, and was left alone.
        outcome: &'static str,
        /// `null` where everything was discarded or piped.
        path: Option<String>,
        bytes: u64,
        bytes_fetched: u64,
        requests: u64,
        retries: u64,
        elapsed_ms: u64,
        /// What the bytes were compared with.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// Who said so: `given`, or the name of a header. `null`: nobody.
        digest_source: Option<String>,
    },
    /// After several downloads: what they came to. Of no URL.
    Summary {
        url: (),
        #[serde(flatten)]
        numbers: Numbers,
        elapsed_ms: u64,
    },
    Error {
        url: &'a str,
        /// The exit code for it.
        code: u8,
        kind: &'static str,
        message: &'a str,
    },
}

/// A line, and what it is of.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    /// As `--range` writes it; only where it is of a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<&'a str>,
}

/// Writes the events of one download.
#[derive(Debug)]
pub(crate) struct Journal {
    url: String,
    /// The part of the object, where it is not all of it.
    range: Option<String>,
    stream: Stream,
    last_progress: Instant,
    /// Stdout took no more and that was said.
    broken: bool,
}

impl Journal {
    /// `url` is the one without secrets.
    pub(crate) fn new(url: String, part: Option<Part>, stream: Stream) -> Self {
        let range = part.map(|part| part.to_string());
        Self { url, range, stream, last_progress: Instant::now(), broken: false }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if let Some(line) = line_of(&self.url, event) {
            let text = self.text(line);
            self.write(&text);
        }
    }

    /// Called more often than it may write.
    pub(crate) fn progress(&mut self, progress: &Progress, now: Instant) {
        let fetches = !matches!(progress.phase, Phase::Probing | Phase::Checking);
        if fetches && now.duration_since(self.last_progress) >= INTERVAL {
            self.last_progress = now;
            let text = self.text(line_of_progress(&self.url, progress));
            self.write(&text);
        }
    }

    pub(crate) fn done(&mut self, report: &Report) {
        let text = self.text(line_of_report(&self.url, report));
        self.write(&text);
    }

    pub(crate) fn error(&mut self, failure: &Failure) {
        let Failure { code, message, .. } = failure;
        let line = Line::Error { url: &self.url, code: code.number(), kind: code.word(), message };
        let text = self.text(line);
        self.write(&text);
    }

    fn text(&self, line: Line<'_>) -> String {
        output::json(&Entry { line, range: self.range.as_deref() })
    }

    /// A journal that cannot be written is no reason to end a download that goes well.
    fn write(&mut self, text: &str) {
        if let Err(error) = output::to(self.stream, text)
            && !self.broken
        {
            self.broken = true;
            Failure::io("stdout", "write events", &error).report(false);
        }
    }
}

/// Says what several downloads came to.
pub(crate) fn summary(tally: &Tally, elapsed: Duration) {
    let line = Line::Summary { url: (), numbers: tally.numbers(), elapsed_ms: milliseconds(elapsed) };
    let mut journal = Journal::new(String::new(), None, Stream::Stdout);
    journal.write(&output::json(&line));
}

/// `None` for what the contract has no event for: notes are for people.
fn line_of<'a>(url: &'a str, event: &'a Event) -> Option<Line<'a>> {
    Some(match event {
        Event::Started { length, segment_size, segments, resumed, jobs, validator, .. } => Line::Start {
            url,
            length: *length,
            segment_size: *segment_size,
            segments: *segments,
            resumed_bytes: *resumed,
            jobs: *jobs,
            validator: validator.as_ref().map(ToString::to_string),
        },
        Event::Retry { segment, reason, wait } => {
            Line::Retry { url, segment: *segment, reason, wait_ms: milliseconds(*wait) }
        }
        Event::Restarted { reason } => Line::Restart { url, reason },
        _ => return None,
    })
}

fn line_of_progress<'a>(url: &'a str, progress: &Progress) -> Line<'a> {
    let Progress { in_place, total, rate, connections, .. } = *progress;
    Line::Progress { url, bytes: in_place, total, rate: human::whole(rate), connections }
}

fn line_of_report<'a>(url: &'a str, report: &Report) -> Line<'a> {
    Line::Done {
        url,
        outcome: match report.outcome {
            Outcome::Downloaded => "downloaded",
            Outcome::Piped => "piped",
            Outcome::Existed => "existed",
            Outcome::NotModified => "not_modified",
        },
        path: report.path.as_ref().map(|path| path.to_string_lossy().into_owned()),
        bytes: report.length,
        bytes_fetched: report.received,
        requests: report.requests,
        retries: report.retries,
        elapsed_ms: milliseconds(report.elapsed),
        digest: report.proof.as_ref().map(|proof| proof.checksum.to_string()),
        digest_source: report.proof.as_ref().map(|proof| proof.source.to_string()),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::exit::ExitCode;
    use super::*;
    use haul::{Mode, NoValidator, StreamReason, Validator, Writing};
    use serde_json::{Value, json};

    const URL: &str = "http://h/x?[hidden]";

    fn value(line: &Line<'_>) -> Value {
        serde_json::from_str(&output::json(line)).unwrap()
    }

    fn started(length: Option<u64>, validator: Option<Validator>, mode: Mode) -> Event {
        let (segment_size, segments) = if mode == Mode::Ranges { (256 << 10, 4) } else { (0, 0) };
        Event::Started { length, segment_size, segments, resumed: 7, jobs: 8, validator, mode, path: None }
    }

    #[test]
    fn events_have_the_contracts_fields() {
        let tag = Some(Validator::EntityTag("\"v1\"".into()));
        let stream = Mode::Stream(StreamReason::NoValidator(NoValidator::NeitherSent));
        let wait = Duration::from_millis(1500);
        for (event, expected) in [
            (
                started(Some(1 << 20), tag, Mode::Ranges),
                json!({"event": "start", "url": URL, "length": 1 << 20, "segment_size": 256 << 10, "segments": 4,
                       "resumed_bytes": 7, "jobs": 8, "validator": "ETag \"v1\""}),
            ),
            (
                started(None, None, stream),
                json!({"event": "start", "url": URL, "length": null, "segment_size": 0, "segments": 0,
                       "resumed_bytes": 7, "jobs": 8, "validator": null}),
            ),
            (
                Event::Retry { segment: Some(3), reason: "connection reset".into(), wait },
                json!({"event": "retry", "url": URL, "segment": 3, "reason": "connection reset", "wait_ms": 1500}),
            ),
            (
                Event::Restarted { reason: "the object has changed".into() },
                json!({"event": "restart", "url": URL, "reason": "the object has changed"}),
            ),
        ] {
            assert_eq!(value(&line_of(URL, &event).unwrap()), expected);
        }
        assert_eq!(line_of(URL, &Event::Note { message: "for people".into() }), None);
    }

    #[test]
    fn progress_has_the_contracts_fields() {
        let progress =
            Progress { in_place: 5, received: 9, total: Some(10), rate: 2.6, ..Progress::default() };
        assert_eq!(
            value(&line_of_progress(URL, &progress)),
            json!({"event": "progress", "url": URL, "bytes": 5, "total": 10, "rate": 3, "connections": 0})
        );
    }

    #[test]
    fn done_has_the_contracts_fields() {
        let report = Report {
            outcome: Outcome::Downloaded,
            path: Some("/tmp/x".into()),
            length: 10,
            received: 12,
            resumed: 0,
            requests: 3,
            retries: 1,
            restarts: 0,
            elapsed: Duration::from_millis(1234),
            mode: Mode::Ranges,
            writing: Writing::Mapped,
            validator: None,
            proof: None,
        };
        assert_eq!(
            value(&line_of_report(URL, &report)),
            json!({"event": "done", "url": URL, "outcome": "downloaded", "path": "/tmp/x", "bytes": 10, "bytes_fetched": 12, "requests": 3,
                   "retries": 1, "digest_source": null, "elapsed_ms": 1234})
        );
    }

    #[test]
    fn error_has_the_contracts_fields() {
        let code = ExitCode::Network;
        let line = Line::Error { url: URL, code: code.number(), kind: code.word(), message: "no answer" };
        assert_eq!(
            value(&line),
            json!({"event": "error", "url": URL, "code": 3, "kind": "network", "message": "no answer"})
        );
    }
}
