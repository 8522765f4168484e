//! What each command does; the questions `info` and `status`, and `cancel`.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use haul::{ByteRange, Offer, Partial, Proof};
use serde::Serialize;

use super::args::{Cli, Command, DownloadArgs};
use super::command_args::{AnswerArgs, CancelArgs, InfoArgs, RepairArgs, StatusArgs};
use super::config::{Environment, Invocation, PerHost, Refusal};
use super::exit::{ExitCode, Failure, refuse};
use super::requests::described;
use super::resolve::{Surroundings, resolve, resolve_repair};
use super::{human, manual, messages, output, run, tune, url_command, verify};

/// How many missing ranges a person is shown.
const SHOWN: usize = 10;

/// Does what these words ask, the first of which is the program, and says why if it cannot.
pub(crate) fn main(typed: &[OsString]) -> ExitCode {
    match Invocation::read(typed, &Environment::detect()) {
        Ok(invocation) => execute(invocation),
        Err(Refusal::Typed(error)) => refuse(&error),
        Err(Refusal::Failed(failure)) => {
            failure.report(false);
            failure.code
        }
    }
}

fn execute(Invocation { cli, hosts, shown, warnings }: Invocation) -> ExitCode {
    let Cli { command, download: general } = cli;
    let (verbose, quiet) = (general.feedback.verbose, general.feedback.quiet);
    warnings.iter().filter(|_| !quiet).for_each(|warning| output::stderr(warning));
    let (ended, verbose) = match command {
        _ if shown.is_some() => (print(shown.into_iter().flatten()), verbose),
        None => (download(PerHost { general, hosts }), verbose),
        Some(Command::Info(arguments)) => (info(&arguments), arguments.answer.verbose),
        Some(Command::Status(arguments)) => (status(&arguments), arguments.answer.verbose),
        Some(Command::Tune(arguments)) => (tune::tune(&arguments), arguments.answer.verbose),
        Some(Command::Cancel(arguments)) => (cancel(&arguments), arguments.verbose),
        Some(Command::Completions { shell }) => (document(&manual::completions(shell)), verbose),
        Some(Command::Man { list: true, .. }) => (print(manual::commands()), verbose),
        Some(Command::Man { command, .. }) => {
            (manual::page(command.as_deref()).and_then(|page| document(&page)), verbose)
        }
        Some(Command::Verify(arguments)) => (verify::verify(&arguments), arguments.answer.verbose),
        Some(Command::Repair(arguments)) => (repair(&arguments), arguments.feedback.verbose),
    };
    ended.unwrap_or_else(|failure| {
        failure.report(verbose);
        failure.code
    })
}

fn download(mut arguments: PerHost<DownloadArgs>) -> Result<ExitCode, Failure> {
    let general = &mut arguments.general;
    if let Some(command) = &general.resume.url_command
        && general.urls.is_empty()
        && general.many.input_file.is_none()
    {
        general.urls.push(url_command::first_url(command)?);
    }
    run::download(resolve(arguments, Surroundings::detect())?)
}

fn repair(arguments: &RepairArgs) -> Result<ExitCode, Failure> {
    run::download(resolve_repair(arguments, Surroundings::detect())?)
}

fn info(arguments: &InfoArgs) -> Result<ExitCode, Failure> {
    let download = described(&arguments.url, &arguments.request)?.build()?;
    let offer = run::run_to_end(async { Ok(download.inspect().await?) })?;
    answer(&arguments.answer, &OfferJson::new(&download.url(), &offer), || describe_offer(&offer))
}

fn status(arguments: &StatusArgs) -> Result<ExitCode, Failure> {
    let partial = Partial::open(&arguments.file)?;
    let age = SystemTime::now().duration_since(partial.saved_at).unwrap_or_default();
    answer(&arguments.answer, &PartialJson::new(&partial, age), || describe_partial(&partial, age))
}

fn cancel(arguments: &CancelArgs) -> Result<ExitCode, Failure> {
    Partial::remove(&arguments.file)?;
    print([format!("{}: the partial download is removed", messages::label(&arguments.file))])
}

fn document(text: &[u8]) -> Result<ExitCode, Failure> {
    output::document(text).map_err(|error| Failure::io("stdout", "write the text", &error))?;
    Ok(ExitCode::Success)
}

/// Prints an answer: to a program as JSON, to a person in lines of a name and what it is.
pub(super) fn answer<T: Serialize>(
    arguments: &AnswerArgs,
    json: &T,
    lines: impl FnOnce() -> Vec<(&'static str, String)>,
) -> Result<ExitCode, Failure> {
    if arguments.json {
        return print([output::json(json)]);
    }
    print(lines().iter().map(|(name, what)| format!("{name:<10} {what}").trim_end().to_owned()))
}

fn print(lines: impl IntoIterator<Item = String>) -> Result<ExitCode, Failure> {
    for line in lines {
        output::stdout(&line).map_err(|error| Failure::io("stdout", "write the answer", &error))?;
    }
    Ok(ExitCode::Success)
}

/// `info --json`.
#[derive(Debug, Serialize)]
struct OfferJson<'a> {
    url: &'a str,
    final_url: &'a str,
    name: &'a str,
    /// `null` where the server does not say.
    length: Option<u64>,
    ranges: bool,
    validator: Option<String>,
    resumable: bool,
    /// Why not.
    reason: Option<String>,
    encoding: Option<&'a str>,
    digests: Vec<DigestJson<'a>>,
    /// `null`: nothing says what the bytes have to come to.
    proof: Option<ProofJson>,
}

#[derive(Debug, Serialize)]
struct DigestJson<'a> {
    header: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
struct ProofJson {
    digest: String,
    source: String,
}

impl<'a> OfferJson<'a> {
    fn new(url: &'a str, offer: &'a Offer) -> Self {
        Self {
            url,
            final_url: &offer.final_url,
            name: &offer.file_name,
            length: offer.length,
            ranges: offer.ranges,
            validator: offer.validator.as_ref().ok().map(ToString::to_string),
            resumable: offer.resume().is_ok(),
            reason: offer.resume().err().map(|why| why.to_string()),
            encoding: offer.encoding.as_deref(),
            digests: offer.digests.iter().map(|(header, value)| DigestJson { header, value }).collect(),
            proof: offer.proof.as_ref().map(|Proof { checksum, source }| ProofJson {
                digest: checksum.to_string(),
                source: source.to_string(),
            }),
        }
    }
}

fn describe_offer(offer: &Offer) -> Vec<(&'static str, String)> {
    let size = offer.length.map_or_else(|| "unknown".into(), exact_size);
    let validator = offer.validator.as_ref().map_or_else(|why| format!("none: {why}"), ToString::to_string);
    let resume = match offer.resume() {
        Ok(_) => "possible".into(),
        Err(why) => format!("not possible: {why}"),
    };
    let mut lines = vec![
        ("url:", offer.final_url.clone()),
        ("name:", offer.file_name.clone()),
        ("size:", size),
        ("ranges:", if offer.ranges { "yes" } else { "no" }.into()),
        ("validator:", validator),
        ("resume:", resume),
    ];
    lines.extend(offer.encoding.iter().map(|encoding| ("encoding:", format!("{encoding}; saved as it is"))));
    lines.extend(offer.digests.iter().map(|(header, value)| ("digest:", format!("{header}: {value}"))));
    lines.push(("proof:", offer.proof.as_ref().map_or_else(|| NO_PROOF.into(), proof)));
    lines
}

const NO_PROOF: &str = "none: no digest of the whole object is sent";

fn proof(Proof { checksum, source }: &Proof) -> String {
    format!("{}, by {source}", checksum.algorithm())
}

/// `1.0 GiB (1073741824 bytes)`.
pub(super) fn exact_size(bytes: u64) -> String {
    let exact = human::count(bytes, "byte");
    if bytes < 1024 { exact } else { format!("{} ({exact})", human::bytes(bytes)) }
}

/// `status --json`. Ranges are half-open, in bytes of the target.
#[derive(Debug, Serialize)]
struct PartialJson<'a> {
    target: String,
    source: &'a str,
    length: u64,
    /// Of the object; `null` where it is all of it, or not known.
    range: Option<RangeJson>,
    /// `null` where it is not known.
    object_length: Option<u64>,
    bytes: u64,
    percent: u64,
    segment_size: u64,
    segments: usize,
    missing: Vec<RangeJson>,
    validator: Option<String>,
    /// RFC 3339, UTC.
    saved_at: String,
    age_ms: u128,
    /// A process is downloading to it right now.
    active: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct RangeJson {
    start: u64,
    end: u64,
}

impl RangeJson {
    pub(super) fn all(ranges: &[ByteRange]) -> Vec<Self> {
        ranges.iter().map(|&ByteRange { start, end }| Self { start, end }).collect()
    }
}

impl<'a> PartialJson<'a> {
    fn new(partial: &'a Partial, age: Duration) -> Self {
        Self {
            target: partial.target.to_string_lossy().into_owned(),
            source: &partial.source,
            length: partial.length,
            range: part(partial).map(|ByteRange { start, end }| RangeJson { start, end }),
            object_length: Some(partial.object_length).filter(|length| *length > 0),
            bytes: partial.in_place,
            percent: human::percent(partial.in_place, partial.length),
            segment_size: partial.segment_size,
            segments: partial.segments,
            missing: RangeJson::all(&partial.missing),
            validator: partial.validator.as_ref().map(ToString::to_string),
            saved_at: humantime::format_rfc3339_seconds(partial.saved_at).to_string(),
            age_ms: age.as_millis(),
            active: partial.active,
        }
    }
}

/// The part of the object that it is of, where it is not all.
fn part(partial: &Partial) -> Option<ByteRange> {
    Some(partial.part).filter(|part| part.len() < partial.object_length && !part.is_empty())
}

fn describe_partial(partial: &Partial, age: Duration) -> Vec<(&'static str, String)> {
    let Partial { length, in_place, .. } = *partial;
    let percent = human::percent(in_place, length);
    let done = format!("{} of {} ({percent} %)", human::bytes(in_place), human::bytes(length));
    let state =
        if partial.active { "being downloaded right now" } else { "interrupted; the same command resumes" };
    let validator =
        partial.validator.as_ref().map_or_else(|| "none; it will start over".into(), ToString::to_string);
    let segments = human::count(partial.segments as u64, "segment");
    let mut lines = vec![
        ("target:", messages::label(&partial.target)),
        ("state:", state.into()),
        ("done:", done),
        ("segments:", format!("{segments} of {}", human::bytes(partial.segment_size))),
        ("validator:", validator),
        ("source:", partial.source.clone()),
        ("saved:", human::ago(age)),
    ];
    lines.extend(part(partial).map(|part| {
        let (last, all) = (part.end - 1, human::bytes(partial.object_length));
        ("part:", format!("{}-{last} of an object of {all}", part.start))
    }));
    lines.extend(describe_ranges(&partial.missing).into_iter().map(|line| ("missing:", line)));
    lines
}

/// Ranges as `--range` takes them, both ends included; the first ten.
pub(super) fn describe_ranges(ranges: &[ByteRange]) -> Vec<String> {
    let shown = ranges.iter().take(SHOWN).filter(|range| !range.is_empty());
    let mut lines: Vec<_> = shown
        .map(|range| format!("{}-{} ({})", range.start, range.end - 1, human::bytes(range.len())))
        .collect();
    match ranges.len() {
        0 => lines.push("nothing".into()),
        more if more > SHOWN => lines.push(format!("… and {} more", more - SHOWN)),
        _ => {}
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use haul::{NoValidator, Validator};
    use serde_json::json;

    fn offer() -> Offer {
        Offer {
            final_url: "https://cdn.example/x".into(),
            length: Some(1 << 30),
            ranges: true,
            validator: Ok(Validator::EntityTag("\"v1\"".into())),
            encoding: None,
            file_name: "x".into(),
            digests: vec![("Repr-Digest".into(), "sha-256=:AA==:".into())],
            proof: None,
        }
    }

    fn partial(missing: Vec<ByteRange>) -> Partial {
        Partial {
            target: "./x".into(),
            length: 1000,
            part: ByteRange { start: 50, end: 1050 },
            object_length: 2000,
            in_place: 400,
            segment_size: 65_536,
            segments: 1,
            missing,
            validator: None,
            source: "http://h/x".into(),
            saved_at: SystemTime::UNIX_EPOCH,
            active: false,
        }
    }

    #[test]
    fn info_says_whether_and_why_not() {
        let lines = describe_offer(&offer());
        assert!(lines.contains(&("size:", "1.0 GiB (1073741824 bytes)".into())), "{lines:?}");
        assert!(lines.contains(&("resume:", "possible".into())), "{lines:?}");
        assert!(lines.contains(&("digest:", "Repr-Digest: sha-256=:AA==:".into())), "{lines:?}");

        assert!(lines.contains(&("proof:", NO_PROOF.into())), "{lines:?}");
        let checksum = "crc32c:e3069283".parse().unwrap();
        let source = haul::ProofSource::Header("x-goog-hash".into());
        let lines = describe_offer(&Offer { proof: Some(Proof { checksum, source }), ..offer() });
        assert!(lines.contains(&("proof:", "crc32c, by x-goog-hash".into())), "{lines:?}");

        let lines = describe_offer(&Offer { validator: Err(NoValidator::NeitherSent), ..offer() });
        let why = "not possible: the server sends neither ETag nor Last-Modified";
        assert!(lines.contains(&("resume:", why.into())), "{lines:?}");
    }

    #[test]
    fn info_has_its_fields_in_json() {
        let said = serde_json::to_value(OfferJson::new("https://h/x", &offer())).unwrap();
        assert_eq!(
            said,
            json!({"url": "https://h/x", "final_url": "https://cdn.example/x", "name": "x", "length": 1 << 30,
                   "ranges": true, "validator": "ETag \"v1\"", "resumable": true, "reason": null, "encoding": null,
                   "digests": [{"header": "Repr-Digest", "value": "sha-256=:AA==:"}], "proof": null})
        );
        let offer = Offer { ranges: false, length: None, ..offer() };
        let said = serde_json::to_value(OfferJson::new("https://h/x", &offer)).unwrap();
        assert_eq!((&said["resumable"], &said["length"]), (&json!(false), &json!(null)));
        assert_eq!(said["reason"], json!("the server does not say how long the object is"));
    }

    #[test]
    fn status_has_its_fields_in_json() {
        let partial = partial(vec![ByteRange { start: 400, end: 1000 }]);
        let said = serde_json::to_value(PartialJson::new(&partial, Duration::from_secs(3))).unwrap();
        assert_eq!(
            said,
            json!({"target": "./x", "source": "http://h/x", "length": 1000,
                   "range": {"start": 50, "end": 1050}, "object_length": 2000, "bytes": 400, "percent": 40,
                   "segment_size": 65_536, "segments": 1, "missing": [{"start": 400, "end": 1000}], "validator": null,
                   "saved_at": "1970-01-01T00:00:00Z", "age_ms": 3000, "active": false})
        );
    }

    #[test]
    fn status_shows_ten_ranges_and_how_many_more() {
        let range = |at: u64| ByteRange { start: at * 10, end: at * 10 + 5 };
        for (count, shown, last) in
            [(0, 1, "nothing"), (1, 1, "0-4 (5 B)"), (10, 10, "90-94 (5 B)"), (13, 11, "… and 3 more")]
        {
            let lines = describe_ranges(&(0..count).map(range).collect::<Vec<_>>());
            assert_eq!((lines.len(), lines.last().map(String::as_str)), (shown, Some(last)), "{count}");
        }
        let lines = describe_partial(&partial(vec![range(0)]), Duration::from_secs(180));
        assert!(lines.contains(&("done:", "400 B of 1000 B (40 %)".into())), "{lines:?}");
        assert!(lines.contains(&("saved:", "3 minutes ago".into())), "{lines:?}");
        assert!(lines.contains(&("target:", "x".into())), "{lines:?}");
        assert!(lines.contains(&("part:", "50-1049 of an object of 2.0 KiB".into())), "{lines:?}");
        let all = Partial { part: ByteRange { start: 0, end: 2000 }, ..partial(vec![]) };
        assert!(!describe_partial(&all, Duration::ZERO).iter().any(|(name, _)| *name == "part:"));
    }
}
