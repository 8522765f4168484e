//! H20–H25: servers that say no, or not now.

use std::time::{Duration, SystemTime};

use super::case::{Case, Expected, http_date};
use super::scenarios;
use super::support::{Fault, When};
use super::world::modified;
use crate::error::ErrorKind;

scenarios! {
    /// Retry-After in seconds, kept.
    h20_ra_secs(case) {
        let seconds = case.dice.pick(&[0, 0, 1]);
        let when = case.once();
        busy(case, when, &seconds.to_string(), None);
        waits(case, Duration::from_secs(seconds));
    }
    /// Retry-After as a date.
    h20_ra_date(case) {
        let when = case.once();
        let ahead = case.dice.pick(&[-5_i64, 0, 2]);
        let until = SystemTime::now() + Duration::from_secs(10 + ahead.unsigned_abs()) - Duration::from_secs(10);
        let until = if ahead < 0 { modified() } else { until };
        busy(case, when, &http_date(until), None);
        waits(case, Duration::from_secs(u64::from(ahead > 0)));
    }
    /// Retry-After as a date of a clock that is years off: the answer's own Date says what it means.
    h20_ra_skew(case) {
        let when = case.once();
        let now = if case.dice.chance(50) { modified() } else { modified() + Duration::from_secs(3_000_000_000) };
        let ahead = case.dice.pick(&[0, 1]);
        busy(case, when, &http_date(now + Duration::from_secs(ahead)), Some(now));
        waits(case, Duration::from_secs(ahead));
    }
    /// Longer than anybody waits.
    h20_ra_huge(case) {
        let when = case.dice.pick(&[When::Nth(0), When::Nth(1)]);
        let long = case.dice.pick(&["6", "3600", "99999999999999999999"]);
        busy(case, when, long, None);
        case.expect(Expected::Fails(ErrorKind::Network));
        case.most_requests = 12;
    }
    /// What cannot be read is no reason to wait.
    h20_ra_garbage(case) {
        let when = case.once();
        let garbage = case.dice.pick(&["soon", "-1", "1.5", "", "Sun, 06 Nov 1994"]);
        busy(case, when, garbage, None);
    }
    /// Errors in a row that end.
    h21_5xx_storm(case) {
        let (first, count) = (case.dice.number(0..=3), case.dice.number(1..=4));
        for nth in first..first + count {
            let status = storm(case);
            case.fault(When::Nth(nth), Fault::Status(status));
        }
    }
    /// Errors all the time.
    h21_5xx_weather(case) {
        let (when, status) = (case.sometimes(35), storm(case));
        case.fault(when, Fault::Status(status));
    }
    /// Errors that do not end.
    h21_5xx_forever(case) {
        let (from, status) = (case.dice.number(0..=1), storm(case));
        case.fault(When::From(from), Fault::Status(status));
        case.expect(Expected::Fails(ErrorKind::Network));
    }
    /// What will not be otherwise next time.
    h21_501(case) {
        let status = case.dice.pick(&[501, 505, 400, 405, 451]);
        let from = case.dice.number(0..=1);
        case.fault(When::From(from), Fault::Status(status));
        case.expect(Expected::Fails(ErrorKind::Refused));
        case.most_requests = 12;
    }
    /// The URL expires in mid-run.
    h22_expire_mid(case) {
        let status = case.dice.pick(&[401, 403]);
        if case.dice.chance(50) {
            case.fault(When::From(1), Fault::Status(status));
            case.expect(Expected::Fails(ErrorKind::Refused));
        } else {
            // All may have been asked for by then.
            let half = case.length / 2;
            case.fault(When::AfterBytes(half), Fault::Status(status));
            case.expect(Expected::Either);
        }
        case.most_requests = 50;
    }
    /// A signature that does not cover If-Match.
    h23_signed_headers(case) {
        case.serve(|resource| resource.refuse_header("If-Match", 403));
        let when = case.later();
        case.fault(when, Fault::CutAfter(100));
        case.expect(Expected::Ranged);
    }
    /// Gone for a moment.
    h24_404_mid(case) {
        let (status, nth) = (case.dice.pick(&[401, 403, 404, 410]), case.dice.number(1..=4));
        case.fault(When::Nth(nth), Fault::Status(status));
        if case.dice.chance(50) {
            case.fault(When::Nth(nth + 1), Fault::Status(status));
        }
    }
    /// Gone for good.
    h24_404_forever(case) {
        let status = case.dice.pick(&[404, 410]);
        case.fault(When::From(1), Fault::Status(status));
        case.expect(Expected::Fails(ErrorKind::Refused));
        case.most_requests = 50;
    }
    /// Up, down, up, down, with a little of the object each time.
    h25_flap(case) {
        let count = case.dice.number(4000..=40_000);
        case.fault(When::Every(2), Fault::CloseBeforeHead);
        case.fault(When::Always, Fault::CutAfter(count));
        (case.most_requests, case.retries) = (400, 30);
    }
    /// Nothing new ever comes: bounded.
    h25_no_progress(case) {
        case.fault(When::From(1), Fault::CutAfter(0));
        case.expect(Expected::Fails(ErrorKind::Network));
    }
}

/// What passes.
fn storm(case: &mut Case) -> u16 {
    case.dice.pick(&[408, 421, 425, 429, 500, 502, 503, 504, 511, 520])
}

fn busy(case: &mut Case, when: When, retry_after: &str, now: Option<SystemTime>) {
    let status = case.dice.pick(&[429, 503]);
    let mut headers = vec![("Retry-After".to_owned(), retry_after.to_owned())];
    headers.extend(now.map(|now| ("Date".to_owned(), http_date(now))));
    case.fault(when, Fault::StatusWith(status, headers));
}

/// Who is told to wait so long does, where it was told anything.
fn waits(case: &mut Case, least: Duration) {
    case.check(move |outcome| {
        let told = outcome.log.iter().any(|seen| matches!(seen.status, 429 | 503));
        let kept = !told || outcome.elapsed >= least;
        if kept { Ok(()) } else { Err(format!("it waited less than {least:?}")) }
    });
}
