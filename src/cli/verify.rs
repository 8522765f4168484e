//! `haul verify`: is a file still what it has to be?

use std::time::Duration;

use haul::{Against, Comparison, Verified, Verify};
use indicatif::ProgressBar;
use serde::Serialize;

use super::command_args::VerifyArgs;
use super::commands::{RangeJson, answer, describe_ranges, exact_size};
use super::exit::{ExitCode, Failure};
use super::resolve::Surroundings;
use super::{human, messages, run};

/// How often the line that says how far it is turns its spinner.
const TICK: Duration = Duration::from_millis(100);

/// Reads, answers, and says with its exit code whether it is right.
pub(crate) fn verify(arguments: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut verify = arguments.checksum.iter().fold(Verify::new(&arguments.file), Verify::checksum);
    if let Some(list) = &arguments.checksum_file {
        verify = verify.checksum_file(&list.0);
    }
    let verified = run::run_to_end(read(verify, Surroundings::detect()))?;
    answer(&arguments.answer, &VerifiedJson::new(&verified), || describe(&verified))?;
    match verdict(&verified) {
        None => Ok(ExitCode::Success),
        Some(wrong) => {
            Err(Failure::new(ExitCode::Corrupt, format!("{}: {wrong}", messages::label(&verified.path))))
        }
    }
}

async fn read(verify: Verify, surroundings: Surroundings) -> Result<Verified, Failure> {
    let spinner = if surroundings.terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message("reading");
    spinner.enable_steady_tick(TICK);
    let far = |read, all| {
        let percent = human::percent(read, all);
        spinner.set_message(format!("{} of {} ({percent} %)", human::bytes(read), human::bytes(all)));
    };
    let verified = verify.run(far).await;
    spinner.finish_and_clear();
    Ok(verified?)
}

/// What is wrong, and the way out.
fn verdict(verified: &Verified) -> Option<String> {
    let bytes: u64 = verified.damaged.iter().map(haul::ByteRange::len).sum();
    let bytes = human::bytes(bytes);
    Some(match verified.against {
        _ if verified.is_right() => return None,
        Against::Checkpoint => {
            format!("{bytes} of it are damaged; they are fetched again when the download goes on")
        }
        Against::Hashes if !verified.damaged.is_empty() => {
            format!("{bytes} of it are damaged; haul repair fetches them again")
        }
        _ => "is not what its checksum says; download it again with --force".to_owned(),
    })
}

fn against(verified: &Verified) -> &'static str {
    match verified.against {
        Against::Checksums => "checksums",
        Against::Hashes => "hashes",
        Against::Checkpoint => "checkpoint",
    }
}

/// `verify --json`. Ranges are half-open, in bytes of the file.
#[derive(Debug, Serialize)]
struct VerifiedJson {
    file: String,
    right: bool,
    against: &'static str,
    length: u64,
    /// Bytes that were compared.
    checked: u64,
    /// 0 where only the whole was compared.
    segment_size: u64,
    damaged: Vec<RangeJson>,
    /// Of a partial download.
    missing: Vec<RangeJson>,
    digests: Vec<ComparisonJson>,
}

#[derive(Debug, Serialize)]
struct ComparisonJson {
    expected: String,
    /// `null` where it was not computed, because segments are damaged.
    found: Option<String>,
    source: String,
    right: bool,
}

impl VerifiedJson {
    fn new(verified: &Verified) -> Self {
        let digest = |comparison: &Comparison| ComparisonJson {
            expected: comparison.proof.checksum.to_string(),
            found: comparison.found.as_ref().map(ToString::to_string),
            source: comparison.proof.source.to_string(),
            right: comparison.is_right(),
        };
        Self {
            file: verified.path.to_string_lossy().into_owned(),
            right: verified.is_right(),
            against: against(verified),
            length: verified.length,
            checked: verified.checked,
            segment_size: verified.segment_size,
            damaged: RangeJson::all(&verified.damaged),
            missing: RangeJson::all(&verified.missing),
            digests: verified.comparisons.iter().map(digest).collect(),
        }
    }
}

fn describe(verified: &Verified) -> Vec<(&'static str, String)> {
    let segments = match verified.segment_size {
        0 => String::new(),
        size => format!(", in segments of {}", human::bytes(size)),
    };
    let mut lines = vec![
        ("file:", messages::label(&verified.path)),
        ("size:", exact_size(verified.length)),
        ("checked:", format!("{} by {}{segments}", human::bytes(verified.checked), against(verified))),
    ];
    if verified.against != Against::Checksums {
        lines.extend(describe_ranges(&verified.damaged).into_iter().map(|line| ("damaged:", line)));
    }
    if verified.against == Against::Checkpoint {
        lines.extend(describe_ranges(&verified.missing).into_iter().map(|line| ("missing:", line)));
    }
    lines.extend(verified.comparisons.iter().map(|comparison| ("digest:", compared(comparison))));
    lines.push(("verdict:", if verified.is_right() { "right" } else { "wrong" }.to_owned()));
    lines
}

fn compared(comparison: &Comparison) -> String {
    let Comparison { proof, found } = comparison;
    let source = &proof.source;
    match found {
        _ if comparison.is_right() => format!("{} ({source}): right", proof.checksum.algorithm()),
        Some(found) => format!("{found}, not {} ({source})", proof.checksum),
        None => format!("{} ({source}): not computed", proof.checksum.algorithm()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haul::{ByteRange, Proof, ProofSource};
    use serde_json::json;

    fn verified(against: Against, damaged: Vec<ByteRange>, found: Option<&str>) -> Verified {
        let proof = Proof { checksum: "crc32c:00000001".parse().unwrap(), source: ProofSource::Given };
        let found = found.map(|text| text.parse().unwrap());
        Verified {
            path: "./x".into(),
            length: 131_072,
            against,
            checked: 131_072,
            segment_size: if against == Against::Checksums { 0 } else { 65_536 },
            damaged,
            missing: Vec::new(),
            comparisons: vec![Comparison { proof, found }],
        }
    }

    const SECOND: ByteRange = ByteRange { start: 65_536, end: 131_072 };

    #[test]
    fn verify_has_its_fields_in_json() {
        let said = serde_json::to_value(VerifiedJson::new(&verified(Against::Hashes, vec![SECOND], None)));
        assert_eq!(
            said.unwrap(),
            json!({"file": "./x", "right": false, "against": "hashes", "length": 131_072, "checked": 131_072,
                   "segment_size": 65_536, "damaged": [{"start": 65_536, "end": 131_072}], "missing": [],
                   "digests": [{"expected": "crc32c:00000001", "found": null, "source": "given", "right": false}]})
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_the_way_out() {
        let right = Some("crc32c:00000001");
        for (verified, said) in [
            (verified(Against::Hashes, vec![], right), None),
            (verified(Against::Hashes, vec![SECOND], None), Some("haul repair")),
            (verified(Against::Hashes, vec![], Some("crc32c:00000002")), Some("--force")),
            (verified(Against::Checksums, vec![], Some("crc32c:00000002")), Some("--force")),
            (verified(Against::Checkpoint, vec![SECOND], right), Some("goes on")),
        ] {
            let verdict = verdict(&verified);
            assert_eq!(verdict.is_some(), said.is_some(), "{verdict:?}");
            assert!(verdict.is_none_or(|verdict| said.is_some_and(|said| verdict.contains(said))));
        }
    }

    #[test]
    fn a_person_is_told_where_and_by_what() {
        let lines = describe(&verified(Against::Hashes, vec![SECOND], None));
        for line in [
            ("file:", "x"),
            ("checked:", "128.0 KiB by hashes, in segments of 64.0 KiB"),
            ("damaged:", "65536-131071 (64.0 KiB)"),
            ("digest:", "crc32c (given): not computed"),
            ("verdict:", "wrong"),
        ] {
            assert!(lines.contains(&(line.0, line.1.to_owned())), "{line:?} in {lines:?}");
        }
    }
}
