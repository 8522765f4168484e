//! The wall clock jumps by years while haul works, and nothing comes of it (H68).
//!
//! Needs libfaketime, which tells the command another time than the machine's.

#![cfg(feature = "real-servers")]
#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs;
use std::path::Path;

use haul::{MIB, SEGMENT, TestEnv, at_once, serve};
use support::{Content, Resource};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 8 * MIB + 12_345);
/// Where Debian's package puts it.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn h68_a_clock_that_jumps_by_years_decides_nothing() {
    assert!(Path::new(LIBRARY).exists(), "libfaketime is missing: on Debian, apt-get install libfaketime");
    at_once([["+0", "+3650d", "-3650d"], ["-3650d", "+3650d", "+0"]], |[first, then, last]| {
        let server = serve(Resource::new(OBJECT).rate(2 * MIB));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let clock = folder.path().join("clock");
        let tell = |time: &str| fs::write(&clock, time).expect("a file of the test's own");
        tell(first);
        let env = TestEnv::new(&[OBJECT]).through(&[
            "env",
            &format!("LD_PRELOAD={LIBRARY}"),
            &format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
            "FAKETIME_NO_CACHE=1",
            "DONT_FAKE_MONOTONIC=1",
        ]);
        let running = env.spawn(&["-j", "2", "-s", "64K", "--json", &server.url("/f")]);
        running.wait_for_bytes(8 * SEGMENT);
        tell(then);
        running.wait_for_bytes(48 * SEGMENT);
        tell(last);
        let said = running.wait().expect(0);
        assert_eq!(said.event("done")["retries"], 0, "{said}");
    });
}
