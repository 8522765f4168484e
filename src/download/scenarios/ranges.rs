//! H10–H18: ranged answers, which are checked before a byte of them is used.

use super::case::{Case, Expected, Style};
use super::scenarios;
use super::support::{Fault, When};
use super::world::SEGMENT;
use crate::error::ErrorKind;

scenarios! {
    /// The whole object, whatever is asked for.
    h10_ignore_range(case) {
        case.fault(When::Always, Fault::IgnoreRange);
        case.expect(Expected::Streamed);
    }
    /// The whole object to a later request.
    h10_ignore_second(case) {
        let when = case.later();
        case.fault(when, Fault::IgnoreRange);
    }
    /// The whole object now and then, and another one by then.
    h10_ignore_and_flip(case) {
        let when = case.sometimes(40);
        case.fault(when, Fault::IgnoreRange);
        case.flips(2);
    }
    h10_200_with_cr(case) {
        let fault = case.dice.pick(&[Fault::WholeWithContentRange, Fault::PartAs200]);
        malformed(case, fault);
    }
    h11_cr_missing(case) {
        malformed(case, Fault::NoContentRange);
    }
    /// Other bytes than asked for, and it says so.
    h11_cr_shift(case) {
        let by = case.dice.number(1..=SEGMENT).cast_signed();
        let by = case.dice.pick(&[by, -by, 1, -1]);
        malformed(case, Fault::Shift(by));
    }
    h11_cr_dup(case) {
        malformed(case, Fault::TwoContentRanges);
    }
    h11_cr_overflow(case) {
        let raw = [
            "bytes 0-18446744073709551615/18446744073709551616",
            "bytes 18446744073709551615-18446744073709551615/*",
            "bytes 0-9223372036854775807/9223372036854775808",
            "bytes 0--1/5",
            "bytes 5-4/10",
            "bytes 0-9/9",
            "bytes=0-9/10",
            "items 0-9/10",
            "bytes +0-9/10",
            "bytes 0-9",
            "",
        ];
        let raw = case.dice.pick(&raw);
        malformed(case, Fault::ContentRange(raw.to_owned()));
    }
    /// A total that is not said.
    h12_cr_star(case) {
        let when = case.whenever();
        case.fault(when, Fault::UnknownTotal);
    }
    /// A total that is wrong: two lengths for one version.
    h12_cr_total(case) {
        let (when, more) = (case.once(), case.dice.number(1..=SEGMENT));
        let total = case.length + more;
        case.fault(when, Fault::Total(total));
        case.expect(Expected::Either);
    }
    /// Less than asked for, which is legal.
    h13_short(case) {
        let (when, count) = (case.whenever(), case.dice.number(3000..=SEGMENT));
        case.most_requests = 250;
        case.fault(when, Fault::Short(count));
        case.expect(Expected::Ranged);
    }
    /// A byte of each range.
    h13_short_of_a_byte(case) {
        let when = case.once();
        case.fault(when, Fault::Short(1));
        case.expect(Expected::Ranged);
    }
    /// More than asked for.
    h13_long(case) {
        let (when, count) = (case.whenever(), case.dice.number(1..=3 * SEGMENT));
        case.fault(when, Fault::Long(count));
        case.expect(Expected::Ranged);
    }
    /// More than asked for, from before where it was.
    h13_overlap(case) {
        let count = case.dice.number(1..=SEGMENT);
        malformed(case, Fault::Early(count));
    }
    h14_multipart(case) {
        malformed(case, Fault::Multipart);
    }
    /// Content-Length and Content-Range disagree.
    h15_cl_lie(case) {
        let by = case.dice.number(1..=5000).cast_signed();
        let by = case.dice.pick(&[by, -by, 1, -1]);
        malformed(case, Fault::PartLengthLie(by));
    }
    /// 416 for bytes that are there.
    h16_416_inside(case) {
        unsatisfiable(case, When::Nth(0));
    }
    /// 416 because the object became shorter.
    h16_416_shrunk(case) {
        case.grows = true;
        case.style = case.dice.pick(&[Style::Strong, Style::Dated]);
        case.fault(When::Always, Fault::IgnorePreconditions);
        case.flips(2);
    }
    /// 416 to everything but the first.
    h16_416_always(case) {
        unsatisfiable(case, When::From(1));
        case.expect(Expected::Fails(ErrorKind::Refused));
    }
    /// 412 though nothing has changed.
    h17_412_same(case) {
        let when = case.later();
        case.fault(when, Fault::Status(412));
    }
    /// If-Match is refused whatever it says.
    h17_412_always(case) {
        case.serve(|resource| resource.refuse_header("If-Match", 412).fault(When::Nth(1), Fault::CutAfter(0)));
        case.length = case.length.max(2 * SEGMENT + 1);
        case.expect(Expected::Whole);
    }
    /// 412 because it has changed, and to something else than what comes then.
    h17_412_changed(case) {
        case.flips(2);
        let when = case.sometimes(30);
        case.fault(when, Fault::Status(412));
        case.expect(Expected::Either);
    }
    /// Not modified, though nobody asked.
    h18_304(case) {
        let when = [case.once(), case.later(), case.sometimes(30)];
        let when = case.dice.pick(&when);
        case.fault(when, Fault::Status(304));
    }
}

/// Now and then it is asked for again; always, it is no way to get an object.
fn malformed(case: &mut Case, fault: Fault) {
    let when = case.whenever();
    case.fault(when, fault);
    if when == When::Always {
        case.expect(Expected::Streamed);
    }
}

fn unsatisfiable(case: &mut Case, fallback: When) {
    let when = if fallback == When::Nth(0) { case.once() } else { fallback };
    let total = case.dice.pick(&[Some(case.length), Some(case.length), Some(1), None]);
    let range = total.map(|total| ("Content-Range".to_owned(), format!("bytes */{total}")));
    case.fault(when, Fault::StatusWith(416, range.into_iter().collect()));
}
