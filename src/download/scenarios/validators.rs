//! H01–H07: what proves that two answers are of one version.

use super::case::{Case, Expected, Style};
use super::scenarios;
use super::support::{Fault, Seen, When};
use crate::download::request::OnChange;
use crate::error::ErrorKind;

scenarios! {
    /// Replaced in mid-run, as long as before: If-Match finds it.
    h01_etag_flip(case) {
        case.flips(3);
    }
    /// Replaced by something shorter or longer.
    h01_length_flip(case) {
        case.grows = true;
        case.flips(2);
    }
    /// Nobody looks at If-Match: the answers' own ETag finds it.
    h01_ifmatch_ignored(case) {
        case.fault(When::Always, Fault::IgnorePreconditions);
        case.flips(3);
    }
    /// Who asked to fail is failed, unless the old version came whole.
    h01_on_change_fail(case) {
        case.on_change = OnChange::Fail;
        case.flips(1);
        case.expect(Expected::Either);
        case.check(|outcome| match &outcome.result {
            Err(error) if error.kind() != ErrorKind::Changed => Err("that is no change".to_owned()),
            _ => Ok(()),
        });
    }
    /// A weak tag beside an old date: the date is sent, the tag only compared.
    h02_weak_same(case) {
        case.style = Style::Weak;
        let when = case.later();
        case.fault(when, Fault::CutAfter(1000));
        case.expect(Expected::Ranged);
        case.check(|outcome| no_request(&outcome.log, |seen| {
            ["If-Match", "If-Range"].iter().any(|name| seen.header(name).is_some_and(|value| value.contains("W/")))
        }));
    }
    /// Only the weak tag tells of the other version.
    h02_weak_flip(case) {
        case.style = Style::Weak;
        case.flips(3);
    }
    /// Two versions of one second, no tag: nothing is proved, so nothing is combined.
    h03_lm_same_second(case) {
        case.style = Style::SameSecond;
        case.flips(2);
        case.struck_anyway = true;
        case.expect(Expected::Streamed);
    }
    /// A date that is too fresh for the first answer and old enough for the next.
    h03_lm_ages(case) {
        case.style = Style::Dated;
        let fresh = Style::SameSecond.date().expect("it has one");
        case.fault(When::Nth(0), Fault::Header("Date".to_owned(), fresh));
        case.expect(Expected::Ranged);
    }
    /// The object goes back to an older one: If-Unmodified-Since lets it pass.
    h03_lm_rollback(case) {
        case.style = Style::DatedBack;
        case.flips(3);
    }
    /// A later date, which If-Unmodified-Since finds.
    h03_lm_flip(case) {
        case.style = Style::Dated;
        case.flips(3);
    }
    /// An ETag made of seconds, of an object as young as its answers: at the end it is looked at once more.
    h04_nginx_same_second(case) {
        young_tag(case);
    }
    /// Nothing tells the versions apart, and the stream is cut.
    h05_noval_flip(case) {
        case.style = Style::Bare;
        case.flips(2);
        let (when, at) = (case.once(), case.offset());
        case.fault(when, Fault::CutAfter(at));
        case.expect(Expected::Streamed);
    }
    /// Other bytes, which nothing but a checksum tells.
    h06_digest_bad(case) {
        if case.dice.chance(50) {
            case.checksum = true;
            let offset = case.offset();
            case.fault(When::Containing(offset), Fault::WrongBytes);
        } else {
            let zeros = format!("sha-256=:{}=:", "A".repeat(43));
            case.serve(|resource| resource.header("Repr-Digest", &zeros));
            case.struck_anyway = true;
        }
        case.expect(Expected::Fails(ErrorKind::Corrupt));
    }
    /// The right checksum, and an object that changes, which nothing else tells.
    h06_digest_flip(case) {
        case.checksum = true;
        case.style = case.dice.pick(&[Style::Strong, Style::Bare, Style::SameSecond]);
        case.flips(2);
        let (when, at) = (case.once(), case.offset());
        case.fault(when, Fault::CutAfter(at));
        case.expect(Expected::Either);
        case.check(|outcome| match &outcome.result {
            Err(error) if error.kind() != ErrorKind::Corrupt => Err("that is no wrong checksum".to_owned()),
            _ => Ok(()),
        });
    }
    /// Each node has a tag of its own, and so has each answer at times.
    h07_etag_per_node(case) {
        let when = [When::Every(2), When::Every(3), When::From(1), case.sometimes(60)];
        let when = case.dice.pick(&when);
        case.tags = true;
        case.fault(when, Fault::Node("another"));
    }
    /// The tag depends on where one looks.
    h07_etag_per_offset(case) {
        let half = case.length / 2;
        case.tags = true;
        case.fault(When::Containing(half), Fault::Node("another"));
    }
}

fn no_request(log: &[Seen], bad: impl Fn(&Seen) -> bool) -> Result<(), String> {
    log.iter().find(|seen| bad(seen)).map_or(Ok(()), |seen| Err(format!("it sent {:?}", seen.headers)))
}

/// Replaced after the last ranged answer, too late for any of them to tell.
fn young_tag(case: &mut Case) {
    let date = Style::SameSecond.date().expect("it has one");
    case.serve(|resource| resource.header("Date", &date));
    let end = case.length;
    case.flips.push(When::AfterBytes(end));
    case.check(|outcome| {
        let last = outcome.log.iter().filter(|seen| seen.range == Some((0, 0))).count();
        if last > 0 || outcome.result.is_err() { Ok(()) } else { Err("nobody looked at the end".to_owned()) }
    });
}
