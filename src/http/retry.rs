//! What went wrong with a request, and what to do about it. Pure: the clock and the dice are handed in.

use std::fmt;
use std::time::Duration;

use super::headers::RangeFault;
use super::redirect::RedirectFault;
use crate::error::ErrorKind;

/// What went wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection: name resolution, refusal, time-out.
    Connect(String),
    /// A certificate that is not trusted, or no TLS at all.
    Untrusted(String),
    /// Not a byte for this long.
    Silent(Duration),
    /// Under 1 KiB/s for 30 s (H44).
    Drip,
    /// The connection ended before the answer did (H43).
    Cut(String),
    /// More of a head than any honest answer has (H81).
    Oversized,
    /// A status that is no answer to the question.
    Status { code: u16, retry_after: Option<Duration> },
    /// A redirect that is not followed.
    Redirect(RedirectFault),
    /// The whole object where a range was asked for (H10).
    Whole,
    /// A 206 that is not the range asked for (H11–H15).
    NotTheRange(RangeFault),
    /// Another Content-Encoding than the object's (H40).
    Encoded(String),
    /// Another version of the object: what differs.
    Changed(&'static str),
    /// 412 (H17).
    PreconditionFailed,
    /// 416, and the length that it states (H16).
    Unsatisfiable { total: Option<u64> },
}

impl Fault {
    /// Whether the server says that it is asked too much.
    pub(crate) fn is_throttle(&self) -> bool {
        matches!(self, Self::Status { code: 429 | 503, .. })
    }

    /// Whether the URL may have expired: another one of the same object may do.
    pub(crate) fn may_be_expiry(&self) -> bool {
        matches!(self, Self::Status { code: 401 | 403 | 404 | 410, .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "no connection ({why})"),
            Self::Untrusted(why) => write!(f, "the server is not trusted ({why})"),
            Self::Silent(time) => write!(f, "not a byte for {time:?}"),
            Self::Drip => f.write_str("less than 1 KiB/s for 30 s"),
            Self::Cut(why) => write!(f, "the connection ended early ({why})"),
            Self::Oversized => f.write_str("the head of the answer has more than 100 fields or 64 KiB"),
            Self::Status { code, .. } => write!(f, "the server answered {}", Status(*code)),
            Self::Redirect(fault) => fault.fmt(f),
            Self::Whole => f.write_str("the server sent the whole object where a range was asked for"),
            Self::NotTheRange(fault) => fault.fmt(f),
            Self::Encoded(encoding) => write!(f, "the server switched to Content-Encoding {encoding}"),
            Self::Changed(what) => write!(f, "the object has another {what} now"),
            Self::PreconditionFailed => f.write_str("the server says that the object has changed (412)"),
            Self::Unsatisfiable { .. } => {
                f.write_str("the server says that the range is outside the object (416)")
            }
        }
    }
}

/// A status code with its reason phrase.
struct Status(u16);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phrase = reqwest::StatusCode::from_u16(self.0).ok().and_then(|status| status.canonical_reason());
        write!(f, "{}", self.0)?;
        phrase.iter().try_for_each(|phrase| write!(f, " {phrase}"))
    }
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Ask again for the same bytes on another connection, after a backoff.
    Retry,
    /// The origin wants less of us: everyone pauses, fewer go on.
    Throttle(Option<Duration>),
    /// Look at the object again from the original URL: it may have moved, expired or changed.
    Probe,
    /// Ranges are not to be had here: one stream.
    Degrade,
    /// No use asking again.
    Stop(ErrorKind),
}

/// Where in a download the request stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is known yet: a refusal is final.
    Probing,
    /// The object was there a moment ago: a refusal may be an expired URL.
    Fetching,
}

/// A malformed ranged answer is asked for again this often before ranges are given up.
const MALFORMED_RETRIES: u32 = 2;

/// The verdict on a fault, after `failures` earlier ones of the same request without a byte in between.
pub(crate) fn verdict(fault: &Fault, stage: Stage, failures: u32) -> Verdict {
    match fault {
        Fault::Connect(_) | Fault::Silent(_) | Fault::Drip | Fault::Cut(_) | Fault::Oversized => {
            Verdict::Retry
        }
        Fault::Untrusted(_) => Verdict::Stop(ErrorKind::Refused),
        Fault::Redirect(_) => Verdict::Stop(ErrorKind::Refused),
        Fault::Whole => Verdict::Degrade,
        Fault::NotTheRange(_) | Fault::Encoded(_) if failures < MALFORMED_RETRIES => Verdict::Retry,
        Fault::NotTheRange(_) | Fault::Encoded(_) => Verdict::Degrade,
        Fault::Changed(_) | Fault::PreconditionFailed | Fault::Unsatisfiable { .. } => Verdict::Probe,
        Fault::Status { code, retry_after } => on_status(*code, *retry_after, stage),
    }
}

fn on_status(code: u16, retry_after: Option<Duration>, stage: Stage) -> Verdict {
    match (code, stage) {
        (429 | 503, _) => Verdict::Throttle(retry_after),
        (401 | 403 | 404 | 410, Stage::Fetching) => Verdict::Probe,
        (501 | 505, _) => Verdict::Stop(ErrorKind::Refused),
        // 421 wants another connection, which a retry always is; a 304 was not asked for.
        (304 | 408 | 421 | 425 | 500..=599, _) => Verdict::Retry,
        (300..=499, _) => Verdict::Stop(ErrorKind::Refused),
        // 1xx and 2xx that carry no object: a captive portal, a broken cache.
        _ => Verdict::Retry,
    }
}

/// With fewer bytes than these an answer is as good as none: else a server that gives a byte an answer would never
/// be done with.
pub(crate) const LEAST_PROGRESS: u64 = 1 << 10;

/// Whether a request that failed had brought enough for its failure to be the first in a row (H25). What drips
/// brings little for its time, however much it comes to (H44).
pub(crate) fn is_progress(brought: u64, fault: &Fault) -> bool {
    brought >= LEAST_PROGRESS && *fault != Fault::Drip
}

/// How long to wait before a request is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The wait after so many requests in a row `in_vain`: doubling from the first to the longest, the upper half of it
    /// by `dice` in `0.0..1.0`, so that workers that fail together do not return together. After none, which is when
    /// one broke off that had brought bytes, an eighth of the first.
    pub(crate) fn after(self, in_vain: u32, dice: f64) -> Duration {
        let wait = match in_vain.checked_sub(1) {
            None => self.first / 8,
            Some(doublings) => {
                self.first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.longest)
            }
        };
        wait.mul_f64(dice.clamp(0.0, 1.0).midpoint(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REFUSED: Verdict = Verdict::Stop(ErrorKind::Refused);

    #[test]
    fn the_table_of_faults() {
        let wait = Duration::from_secs(3);
        for (fault, probing, fetching) in [
            (Fault::Connect(String::new()), Verdict::Retry, Verdict::Retry),
            (Fault::Untrusted(String::new()), REFUSED, REFUSED),
            (Fault::Silent(wait), Verdict::Retry, Verdict::Retry),
            (Fault::Drip, Verdict::Retry, Verdict::Retry),
            (Fault::Oversized, Verdict::Retry, Verdict::Retry),
            (Fault::Cut(String::new()), Verdict::Retry, Verdict::Retry),
            (Fault::Redirect(RedirectFault::Loop), REFUSED, REFUSED),
            (Fault::Whole, Verdict::Degrade, Verdict::Degrade),
            (Fault::Changed("ETag"), Verdict::Probe, Verdict::Probe),
            (Fault::PreconditionFailed, Verdict::Probe, Verdict::Probe),
            (Fault::Unsatisfiable { total: None }, Verdict::Probe, Verdict::Probe),
        ] {
            assert_eq!(verdict(&fault, Stage::Probing, 0), probing, "{fault}");
            assert_eq!(verdict(&fault, Stage::Fetching, 0), fetching, "{fault}");
        }
    }

    #[test]
    fn the_table_of_statuses() {
        for (codes, probing, fetching) in [
            (&[429, 503][..], Verdict::Throttle(None), Verdict::Throttle(None)),
            (&[401, 403, 404, 410], REFUSED, Verdict::Probe),
            (&[400, 402, 405, 406, 409, 411, 414, 418, 422, 431, 451, 501, 505], REFUSED, REFUSED),
            (&[304, 408, 421, 425, 500, 502, 504, 507, 511, 599, 204, 207], Verdict::Retry, Verdict::Retry),
        ] {
            for code in codes {
                let fault = Fault::Status { code: *code, retry_after: None };
                assert_eq!(verdict(&fault, Stage::Probing, 0), probing, "{code}");
                assert_eq!(verdict(&fault, Stage::Fetching, 0), fetching, "{code}");
            }
        }
    }

    #[test]
    fn h11_a_malformed_range_is_asked_for_twice_more() {
        for fault in [Fault::NotTheRange(RangeFault::OtherStart), Fault::Encoded("gzip".into())] {
            assert_eq!(verdict(&fault, Stage::Fetching, 0), Verdict::Retry);
            assert_eq!(verdict(&fault, Stage::Fetching, 1), Verdict::Retry);
            assert_eq!(verdict(&fault, Stage::Fetching, 2), Verdict::Degrade);
        }
    }

    #[test]
    fn h25_h44_a_few_bytes_are_no_progress_and_a_drip_is_none() {
        let cut = Fault::Cut(String::new());
        assert!(!is_progress(0, &cut) && !is_progress(LEAST_PROGRESS - 1, &cut));
        assert!(is_progress(LEAST_PROGRESS, &cut));
        assert!(!is_progress(1 << 30, &Fault::Drip));
    }

    proptest! {
        #[test]
        fn h25_backoff_doubles_within_bounds(failures in 1..1000_u32, dice in 0.0..1.0_f64) {
            let backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(10) };
            let wait = backoff.after(failures, dice);
            prop_assert!(wait >= backoff.first / 2 && wait <= backoff.longest);
            prop_assert!(backoff.after(failures + 1, dice) >= wait);
            let broke_off = backoff.after(0, dice);
            prop_assert!(broke_off >= backoff.first / 16 && broke_off <= backoff.first / 8);
        }
    }
}
