//! H40–H49, H68: how bytes are wrapped, and how they stop coming.

use std::time::Duration;

use super::case::{Case, Expected, Style, http_date};
use super::scenarios;
use super::support::{Content, Excess, Fault, Resource, Seen, When};
use super::world::{SEGMENT, modified};
use crate::error::ErrorKind;

scenarios! {
    /// Encoded from the first answer on: saved as it is.
    h40_gz_range(case) {
        case.coded = true;
        case.fault(When::Always, Fault::Coded("gzip"));
        case.check(|_| Ok(()));
    }
    /// Encoded from some answer on: other bytes, which are not mixed in.
    h40_gz_late(case) {
        case.coded = true;
        let from = case.dice.number(1..=4);
        let when = [case.later(), When::From(from), case.sometimes(40)];
        let when = case.dice.pick(&when);
        case.fault(when, Fault::Coded("gzip"));
    }
    /// One request is like the other but for its range, so that Vary finds nothing to vary by.
    h41_vary(case) {
        case.serve(|resource| resource.header("Vary", "*").require_header("Accept-Encoding", "identity"));
        let when = case.once();
        case.fault(when, Fault::CutAfter(10));
        case.expect(Expected::Ranged);
        case.check(|outcome| same_requests(&outcome.log));
    }
    /// A cache that answers some requests with what the object was.
    h41_proxy_stale_partial(case) {
        case.style = case.dice.pick(&[Style::Strong, Style::Strong, Style::Dated, Style::DatedBack, Style::Weak]);
        case.flips(1);
        let when = [case.later(), case.sometimes(50), When::Every(2)];
        let when = case.dice.pick(&when);
        case.fault(when, Fault::Stale);
    }
    /// No length: whole at the last chunk only.
    h42_chunked(case) {
        case.serve(|resource| resource.chunked().no_ranges());
        let (when, at) = (case.dice.pick(&[When::Nth(0), When::Before(3)]), case.offset());
        case.fault(when, Fault::CutAfter(at));
        case.expect(Expected::Streamed);
    }
    /// The last chunk never comes.
    h42_chunk_cut(case) {
        case.serve(|resource| resource.chunked().no_ranges());
        let length = case.length;
        case.fault(When::Always, Fault::CutAfter(length));
        case.expect(Expected::Fails(ErrorKind::Network));
    }
    /// Two lengths for one body.
    h42_te_cl(case) {
        let when = [case.once(), case.sometimes(40)];
        let when = case.dice.pick(&when);
        case.fault(when, Fault::LengthAndChunked);
    }
    h42_te_cl_always(case) {
        case.fault(When::Always, Fault::LengthAndChunked);
        case.expect(Expected::Fails(ErrorKind::Network));
        case.most_requests = 12;
    }
    /// Cut after k bytes, for every sort of k.
    h43_cut_at_k(case) {
        let k = case.offset();
        let segments = k / SEGMENT * SEGMENT;
        let k = case.dice.pick(&[0, 1, k, k, segments, segments.saturating_sub(1), segments + 1, SEGMENT]);
        let when = if k > 3000 { case.whenever() } else { case.once() };
        case.most_requests = 400;
        case.fault(when, Fault::CutAfter(k));
        case.expect(Expected::Ranged);
    }
    /// A stream that is cut, at any k, starts over.
    h43_cut_stream(case) {
        case.serve(Resource::no_ranges);
        let (k, times) = (case.offset(), case.dice.number(1..=5));
        case.fault(When::Before(times), Fault::CutAfter(k));
        case.expect(Expected::Streamed);
    }
    /// A trickle that would take for ever.
    h44_drip(case) {
        let (when, at) = (case.once(), case.dice.number(0..=SEGMENT / 2));
        let rate = case.dice.number(20..=500);
        case.fault(when, Fault::DripAfter(at, rate));
        case.expect(Expected::Ranged);
    }
    /// Silence, before the head or after some bytes.
    h44_mute(case) {
        case.timeout = Duration::from_millis(400);
        let (when, at) = (case.once(), case.offset());
        let fault = case.dice.pick(&[Fault::Mute, Fault::StallAfter(0), Fault::StallAfter(at)]);
        case.fault(when, fault);
        case.expect(Expected::Ranged);
    }
    h44_mute_forever(case) {
        case.timeout = Duration::from_millis(100);
        case.retries = 2;
        let from = case.dice.number(0..=1);
        case.fault(When::From(from), Fault::Mute);
        case.expect(Expected::Fails(ErrorKind::Network));
    }
    /// Bytes after the body.
    h45_tail(case) {
        let (when, count) = (case.whenever(), case.dice.number(1..=100_000));
        case.fault(when, Fault::Tail(count));
        case.expect(Expected::Ranged);
    }
    /// No more than N connections, for every N from 1 to 32.
    h47_cap(case) {
        let most = case.seed % 32 + 1;
        let excess = case.dice.pick(&[Excess::Close, Excess::Status(503), Excess::Status(429)]);
        cap(case, most, excess);
    }
    /// Reset, at any k.
    h48_rst(case) {
        let (when, k) = (case.once(), case.offset());
        let sometimes = case.sometimes(30);
        let when = case.dice.pick(&[when, sometimes]);
        case.fault(when, Fault::ResetAfter(k));
        case.expect(Expected::Ranged);
    }
    /// Closed before a byte.
    h48_closed(case) {
        let when = [case.once(), case.sometimes(40)];
        let when = case.dice.pick(&when);
        case.fault(when, Fault::CloseBeforeHead);
        case.expect(Expected::Ranged);
    }
    /// Early hints before the answer.
    h49_interim(case) {
        let (when, count) = (case.whenever(), case.dice.pick(&[1, 2, 31, 32]));
        case.fault(when, Fault::Interim(count));
        case.expect(Expected::Ranged);
    }
    /// A captive portal gets between, for a moment or for good.
    h49_portal(case) {
        let page = Content::new(99, 500);
        let to = vec![("Location".to_owned(), "/portal".to_owned())];
        let fault = [Fault::Page(page), Fault::Page(page), Fault::Status(511), Fault::StatusWith(302, to)];
        let (fault, nth, stays) = (case.dice.pick(&fault), case.dice.number(1..=3), case.dice.chance(50));
        case.pages.push(page);
        case.other("/portal", move |_| Resource::new(page).no_etag().no_last_modified());
        case.fault(if stays { When::From(nth) } else { When::Nth(nth) }, fault);
        case.expect(if stays { Expected::Either } else { Expected::Whole });
        case.check(|outcome| match &outcome.result {
            Ok(report) if report.length == 500 => Err("that is the portal's page".to_owned()),
            _ => Ok(()),
        });
    }
    /// IPv6 leads nowhere.
    h49_v6_blackhole(case) {
        case.host = "dead6.test";
        let when = case.once();
        case.fault(when, Fault::CutAfter(0));
        case.expect(Expected::Ranged);
    }
    /// Clocks that are years off.
    h68_clock(case) {
        let years = Duration::from_secs(86_400 * 365 * case.dice.number(1..=60));
        let date = if case.dice.chance(50) { modified() + years } else { modified() - years };
        case.serve(|resource| resource.header("Date", &http_date(date)));
        case.style = case.dice.pick(&[Style::Strong, Style::Dated, Style::Weak]);
        case.flips(1);
    }
}

/// Everything is fetched where no more connections are taken than that.
fn cap(case: &mut Case, most: u64, excess: Excess) {
    case.jobs = case.dice.pick(&[1, 8, 16, 32]);
    case.limit = Some((usize::try_from(most).expect("small"), excess));
    case.retries = 30;
    case.most_requests = 1000;
    case.struck_anyway = true;
}

/// But for Range, and the pin, which the first cannot have.
fn same_requests(log: &[Seen]) -> Result<(), String> {
    let rest = |seen: &Seen| -> Vec<_> {
        let ours = ["range", "if-match", "if-unmodified-since"];
        seen.headers
            .iter()
            .filter(|(name, _)| !ours.contains(&name.to_ascii_lowercase().as_str()))
            .cloned()
            .collect()
    };
    let all: Vec<_> = log.iter().map(rest).collect();
    // Only the first knows no tag, and one that got no byte is asked again as it was.
    let mut pins: Vec<_> = log.iter().skip(1).map(|seen| seen.header("If-Match")).collect();
    pins.dedup();
    if all.windows(2).all(|two| two[0] == two[1]) && pins.len() <= 1 && pins != [None] {
        Ok(())
    } else {
        Err(format!("its requests differ: {all:?} {pins:?}"))
    }
}
