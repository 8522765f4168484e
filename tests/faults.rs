//! Ranged answers that go wrong once, and always: the file is right, or there is none.

use std::time::{Duration, SystemTime};

use haul::{Finished, MIB, PATIENCE, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

/// The probe takes the first 8 MiB; the other three workers have requests of 2 MiB each.
const OBJECT: Content = Content::new(1, 24 * MIB + 12_345);
/// In the span after the probe's.
const OFFSET: u64 = 10 * MIB + 5;

fn run(server: &Server, args: &[&str]) -> Finished {
    TestEnv::new(&[OBJECT])
        .run(&[&["-j", "4", "-s", "64K", "--json", "--no-sync"], args, &[&server.url("/f")]].concat())
}

/// The first request for the offset meets the fault; it heals, in the number of retries that the fault costs.
fn heals(fault: Fault, retries: u64) {
    let server = serve(Resource::new(OBJECT).fault(When::NthContaining(0, OFFSET), fault));
    let said = run(&server, &[]).expect(0);
    assert_eq!(said.event("done")["retries"], retries, "{said}");
    assert_ne!(said.all("start").last().expect("it starts")["segments"], 0, "ranges are given up: {said}");
    assert!(server.requests() < 60, "{}", server.requests());
}

macro_rules! once {
    ($($name:ident: $fault:expr, $retries:expr;)*) => {
        $(#[test] fn $name() { heals($fault, $retries); })*
    };
}

once! {
    h10_a_200_with_content_range_is_asked_again: Fault::WholeWithContentRange, 1;
    h10_a_part_as_200_is_asked_again: Fault::PartAs200, 1;
    h11_a_206_without_content_range_is_asked_again: Fault::NoContentRange, 1;
    h11_a_range_that_is_shifted_is_asked_again: Fault::Shift(1), 1;
    h11_a_range_that_is_shifted_back_is_asked_again: Fault::Shift(-65_536), 1;
    h11_two_content_ranges_are_asked_again: Fault::TwoContentRanges, 1;
    h11_a_content_range_of_nonsense_is_asked_again: Fault::ContentRange("bytes 9-1/4".to_owned()), 1;
    h11_a_content_range_that_overflows_is_asked_again:
        Fault::ContentRange("bytes 10485760-18446744073709551616/18446744073709551617".to_owned()), 1;
    h12_an_unknown_total_is_taken: Fault::UnknownTotal, 0;
    h13_a_short_answer_is_legal: Fault::Short(100_000), 0;
    h13_a_short_answer_of_one_byte_is_legal: Fault::Short(1), 0;
    h13_a_long_answer_is_cut: Fault::Long(3_000_000), 0;
    h14_multipart_is_asked_again: Fault::Multipart, 1;
    h15_a_length_that_is_too_long_is_asked_again: Fault::LengthLie(10), 1;
    h15_a_length_that_is_too_short_is_asked_again: Fault::LengthLie(-10), 1;
    h16_a_416_inside_the_object_is_asked_again: Fault::Status(416), 1;
    h17_a_412_while_the_object_is_the_same_is_asked_again: Fault::Status(412), 1;
    h18_a_304_that_nobody_asked_for_is_asked_again: Fault::Status(304), 1;
    h21_a_500_is_asked_again: Fault::Status(500), 1;
    h21_a_408_is_asked_again: Fault::Status(408), 1;
    h21_a_421_is_asked_again: Fault::Status(421), 1;
    h20_a_503_is_asked_again: Fault::Status(503), 1;
    h20_a_429_is_asked_again: Fault::Status(429), 1;
    h22_a_403_in_mid_run_is_asked_again: Fault::Status(403), 1;
    h24_a_404_in_mid_run_is_asked_again: Fault::Status(404), 1;
    h01_another_etag_on_one_answer_is_asked_again: Fault::Etag("\"other\"".to_owned()), 1;
    h01_no_etag_on_one_answer_is_asked_again: Fault::Etag(String::new()), 1;
    h01_a_total_that_differs_once_is_asked_again: Fault::Total(OBJECT.len + 1), 1;
    h40_an_encoding_that_comes_late_is_asked_again: Fault::Encoding("gzip"), 1;
    h42_length_and_chunked_at_once_are_no_answer: Fault::LengthAndChunked, 1;
    h43_cut_before_the_first_byte: Fault::CutAfter(0), 1;
    h43_cut_after_the_first_byte: Fault::CutAfter(1), 1;
    h43_cut_before_a_segments_end: Fault::CutAfter(65_535), 1;
    h43_cut_at_a_segments_end: Fault::CutAfter(65_536), 1;
    h43_cut_after_a_segments_end: Fault::CutAfter(65_537), 1;
    h43_cut_a_byte_before_the_end: Fault::CutAfter(2 * MIB - 1), 1;
    h43_closed_before_the_head: Fault::CloseBeforeHead, 1;
    h43_a_head_that_is_none: Fault::Head("HTTP/9 nonsense\r\n\r\n".to_owned()), 1;
    h45_bytes_after_the_body_are_not_ours: Fault::Tail(1000), 0;
    h48_reset_in_the_body: Fault::ResetAfter(100_000), 1;
    h49_interim_answers_are_passed_over: Fault::Interim(5), 0;
}

/// Ranges go wrong from the second GET on: they are given up for one stream, in bounded requests.
#[test]
fn h10_h11_h14_ranges_that_are_always_wrong_are_given_up_for_one_stream() {
    at_once(
        [
            Fault::IgnoreRange,
            Fault::WholeWithContentRange,
            Fault::NoContentRange,
            Fault::Shift(1),
            Fault::TwoContentRanges,
            Fault::Multipart,
            Fault::LengthLie(-1),
            Fault::Encoding("gzip"),
        ],
        |fault| {
            let server = serve(Resource::new(OBJECT).fault(When::From(1), fault.clone()));
            let said = run(&server, &[]);
            // Nothing is right any more where a whole answer lies as well.
            let lies = matches!(fault, Fault::LengthLie(_));
            assert_eq!(said.code, if lies { 3 } else { 0 }, "{fault:?}: {said}");
            assert!(server.requests() <= 24, "{fault:?}: {}", server.requests());
        },
    );
}

#[test]
fn h10_a_server_that_ignores_a_range_now_and_then_is_right_in_the_end() {
    at_once([When::Nth(2), When::Every(2), When::Random { seed: 5, percent: 30 }], |when| {
        run(&serve(Resource::new(OBJECT).fault(when, Fault::IgnoreRange)), &[]).expect(0);
    });
}

#[test]
fn h11_a_probe_that_is_wrong_is_asked_again_or_given_up() {
    let faults =
        [Fault::NoContentRange, Fault::Shift(1), Fault::Multipart, Fault::UnknownTotal, Fault::LengthLie(1)];
    at_once(faults, |fault| {
        run(&serve(Resource::new(OBJECT).fault(When::Nth(0), fault.clone())), &[]).expect(0);
        let always = serve(Resource::new(OBJECT).fault(When::Before(3), fault));
        run(&always, &[]).expect(0);
    });
}

#[test]
fn h12_h13_answers_that_are_always_short_or_long_or_of_unknown_total_do() {
    let faults =
        [Fault::Short(400_000), Fault::Long(1), Fault::Long(OBJECT.len), Fault::Tail(10), Fault::Interim(2)];
    at_once(faults, |fault| {
        let server = serve(Resource::new(OBJECT).fault(When::Always, fault.clone()));
        let said = run(&server, &[]).expect(0);
        assert_eq!(said.event("done")["retries"], 0, "{fault:?}");
        assert!(server.requests() < 120, "{fault:?}: {}", server.requests());
    });
    run(&serve(Resource::new(OBJECT).fault(When::From(1), Fault::UnknownTotal)), &[]).expect(0);
}

#[test]
fn h25_h43_answers_that_are_always_cut_make_progress() {
    let server = serve(Resource::new(OBJECT).fault(When::Always, Fault::CutAfter(3 * MIB)));
    run(&server, &["--retries", "1"]).expect(0);
    assert!(server.requests() < 40, "{}", server.requests());
}

#[test]
fn h16_a_416_that_stays_inside_the_object_is_3() {
    let server = serve(Resource::new(OBJECT).fault(When::Containing(20 * MIB), Fault::Status(416)));
    run(&server, &["--retries", "2"]).expect(3);
    assert!(server.requests() < 40, "{}", server.requests());
}

#[test]
fn h01_a_length_that_is_always_one_too_long_never_makes_a_file() {
    let server = serve(Resource::new(OBJECT).fault(When::Always, Fault::Total(OBJECT.len + 1)));
    run(&server, &["--retries", "1"]).expect(3);
    assert!(server.requests() < 60, "{}", server.requests());
}

#[test]
fn h44_a_server_that_falls_silent_is_left_for_another_connection() {
    // Further than the last of the faults.
    let beyond = OFFSET + 200_000;
    at_once([Fault::Mute, Fault::StallAfter(0), Fault::StallAfter(100_000)], |fault| {
        let server = serve(Resource::new(OBJECT).fault(When::NthContaining(0, OFFSET), fault));
        let said = run(&server, &["--timeout", "1s", "--connect-timeout", "1s"]).expect(0);
        assert_eq!(
            said.event("retry")["reason"].as_str().map(|reason| reason.contains("not a byte")),
            Some(true)
        );
        let log = server.log();
        let asks =
            |range: Option<(u64, u64)>| range.is_some_and(|(first, last)| first <= beyond && beyond <= last);
        let asked: Vec<_> = log.iter().filter(|seen| asks(seen.range)).map(|seen| seen.connection).collect();
        assert!(asked.len() >= 2 && asked[0] != asked[1], "{asked:?}");
    });
}

#[test]
fn h44_a_server_that_is_silent_from_the_start_is_3() {
    let server = serve(Resource::new(OBJECT).fault(When::Always, Fault::Mute));
    let said = run(&server, &["--timeout", "1s", "--connect-timeout", "1s", "--retries", "1"]).expect(3);
    assert!(said.stderr.contains("not a byte"), "{said}");
    assert_eq!(server.requests(), 2);
}

#[test]
fn h43_connections_that_are_all_cut_at_once_are_made_anew() {
    let server = serve(Resource::new(OBJECT).rate(8 * MIB));
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&["-j", "4", "-s", "64K", "--json", &server.url("/f")]);
    for part in 1..=2 {
        assert!(server.wait_for_body_bytes(part * 6 * MIB, PATIENCE));
        server.disconnect();
    }
    running.wait().expect(0);
}

#[test]
fn h21_a_storm_of_errors_that_ends_is_weathered() {
    at_once([500, 502, 503, 504, 429], |status| {
        let storm = (1..=4).fold(Resource::new(OBJECT), |resource, nth| {
            resource.fault(When::Nth(nth), Fault::Status(status))
        });
        let said = run(&serve(storm), &[]);
        assert_eq!(said.code, 0, "{status}: {said}");
    });
    let random = Resource::new(OBJECT).fault(When::Random { seed: 3, percent: 40 }, Fault::Status(500));
    run(&serve(random), &[]).expect(0);
}

fn busy(status: u16, retry_after: &str) -> Fault {
    Fault::StatusWith(status, vec![("Retry-After".to_owned(), retry_after.to_owned())])
}

#[test]
fn h48_who_broke_off_after_many_bytes_is_asked_again_sooner_than_who_brought_none() {
    for (bytes, waits) in [(65_536, 15..=31), (0, 125..=250)] {
        let fault = Fault::CutAfter(bytes);
        let server = serve(Resource::new(OBJECT).fault(When::NthContaining(0, OFFSET), fault));
        let said = run(&server, &[]).expect(0);
        let wait = said.event("retry")["wait_ms"].as_u64().expect("a number");
        assert!(waits.contains(&wait), "{bytes} bytes: {wait} ms");
    }
}

#[test]
fn h20_retry_after_is_obeyed_in_seconds_and_as_a_date() {
    let date = support::date::format(SystemTime::now() + Duration::from_secs(6));
    let cases = [(503, "1", 1000), (429, "2", 2000), (503, date.as_str(), 1000)];
    at_once(cases.map(|case| [(case, 0), (case, 1)]).concat(), |((status, value, least), at)| {
        let server = serve(Resource::new(OBJECT).fault(When::Nth(at), busy(status, value)));
        let said = run(&server, &[]).expect(0);
        let wait = said.event("retry")["wait_ms"].as_u64().unwrap();
        assert!(wait >= least, "{status} {value}: {said}");
    });
}

#[test]
fn h20_retry_after_that_is_over_or_garbage_is_no_reason_to_wait() {
    at_once(["Sun, 06 Nov 1994 08:49:37 GMT", "-5", "soon"], |value| {
        let server = serve(Resource::new(OBJECT).fault(When::Nth(1), busy(503, value)));
        let said = run(&server, &[]).expect(0);
        assert!(said.event("retry")["wait_ms"].as_u64().unwrap() < 1000, "{value}: {said}");
    });
}

#[test]
fn h20_a_retry_after_beyond_max_wait_ends_the_run_at_once_and_says_when_to_come_back() {
    at_once([0, 1], |at| {
        let server = serve(Resource::new(OBJECT).fault(When::Nth(at), busy(503, "3600")));
        let said = run(&server, &["--max-wait", "1m"]).expect(3);
        assert!(said.stderr.contains("3600 s") && said.all("retry").is_empty(), "{said}");
    });
    let server = serve(Resource::new(OBJECT).fault(When::Nth(0), busy(503, "99999999999999999999")));
    run(&server, &[]).expect(3).says("does not want to be asked again");
}

#[test]
fn h23_a_signature_that_does_not_cover_if_match_is_met_without_it() {
    let server = serve(Resource::new(OBJECT).refuse_header("If-Match", 403));
    run(&server, &[]).expect(0);
    assert!(server.requests() < 40, "{}", server.requests());
}

#[test]
fn h21_errors_that_do_not_end_are_3_and_the_same_command_fetches_only_what_is_missing() {
    let broken = Resource::new(OBJECT).rate(8 * MIB).fault(When::AfterBytes(6 * MIB), Fault::Status(500));
    let server = serve(broken.fault(When::From(4), Fault::CutAfter(MIB)));
    let env = TestEnv::new(&[OBJECT]);
    let args = ["-j", "4", "-s", "64K", "--json", "--retries", "2", &server.url("/f")];
    env.run(&args).expect(3).says("resumes");
    assert!(server.requests() < 40, "{}", server.requests());
    env.assert_partial();
    assert!(server.wait_until_idle(PATIENCE));
    let status = env.status();
    server.replace("/f", Resource::new(OBJECT));
    let before = server.log().len();
    let said = env.run(&args).expect(0);
    assert_eq!(said.event("start")["resumed_bytes"], status.bytes());
    status.assert_only_missing(&server.log()[before..]);
}

#[test]
fn h24_a_404_that_stays_in_mid_run_is_4_and_keeps_what_is_there() {
    at_once([401, 403, 404, 410], |status| {
        let server = serve(Resource::new(OBJECT).fault(When::AfterBytes(9 * MIB), Fault::Status(status)));
        let env = TestEnv::new(&[OBJECT]);
        env.run(&["-j", "2", "-s", "64K", &server.url("/f")]).expect(4).says("fresh one");
        env.assert_partial();
        assert!(server.requests() < 20, "{status}: {}", server.requests());
    });
}
