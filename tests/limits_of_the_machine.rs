//! What this machine does not give: room, and a part file that stays as it is.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use haul::{KIB, MIB, PATIENCE, TestEnv, at_once, poll, serve};
use rustix::process::Signal;
use support::{Content, Resource, Server};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 4 * MIB + 12_345);

/// The part file is cut while haul stands still in the midst of a mapped window, and bytes for that window wait to
/// be read: whichever looks first, the next copy into the map or the next look at the length.
#[test]
fn h53_a_part_file_that_is_truncated_while_it_is_mapped_is_an_error_and_not_the_end_of_the_process() {
    at_once(0..8_u64, |case| {
        // So slow that the buffers between the two have room for what comes while haul stands still.
        let server = serve(Resource::new(OBJECT).rate(32 * KIB));
        let env = TestEnv::new(&[OBJECT]);
        let args = ["-j", "1", "-s", "1M", &server.url("/f")];
        let running = env.spawn(&args);
        wait_until_written(&env, 32 * KIB);
        running.signal(Signal::STOP);
        let part = OpenOptions::new().write(true).open(env.path("f.part")).unwrap();
        part.set_len(case * 4 * KIB).unwrap();
        assert!(server.wait_for_body_bytes(server.body_bytes() + KIB, PATIENCE));
        running.signal(Signal::CONT);
        running.wait().expect(7).says_once("somebody else changed the part file");
        env.assert_partial();
        assert_eq!(env.status().bytes(), 0);

        server.replace("/f", Resource::new(OBJECT));
        env.run(&args).expect(0).says("everything is fetched again");
    });
}

/// Waits until the bytes before `end` are in the part file. Nothing tells of a write through a map.
fn wait_until_written(env: &TestEnv, end: u64) {
    let from = end - 16;
    let read = |found: &mut [u8]| File::open(env.path("f.part"))?.read_exact_at(found, from);
    poll(&format!("{end} bytes are in the part file"), || {
        let mut found = [0; 16];
        read(&mut found).is_ok() && found[..] == OBJECT.slice(from, end)
    });
}

/// haul under a limit of so many KiB on the length of a file. `ulimit` counts blocks of 512 bytes (POSIX).
fn limited(env: TestEnv, kib: u64) -> TestEnv {
    env.through(&["/bin/sh", "-c", &format!("ulimit -f {} && exec \"$0\" \"$@\"", kib * 2)])
}

#[test]
fn h54_a_limit_on_the_length_of_files_is_an_error_that_names_it() {
    let server = Server::start([
        ("/f", Resource::new(OBJECT)),
        ("/endless/f", Resource::new(OBJECT).chunked().no_ranges().no_etag()),
    ]);
    let env = limited(TestEnv::new(&[OBJECT]), 1024);
    env.run(&[&server.url("/f")]).expect(7).says_once("ulimit -f");
    assert!(env.names().is_empty(), "it is known before a byte is kept: {:?}", env.names());
    env.run(&[&server.url("/endless/f")]).expect(7).says_once("ulimit -f");
    limited(TestEnv::new(&[OBJECT]), 64 * 1024).run(&[&server.url("/f")]).expect(0);
}

#[test]
fn h61_a_name_that_is_too_long_is_said_before_anything_is_asked_for() {
    let server = serve(Resource::new(OBJECT));
    // The target itself would fit; the checkpoint beside it does not.
    let env = TestEnv::new(&[]).target("x");
    env.run(&["-o", &"x".repeat(250), &server.url("/f")]).expect(7).says_once("too long");
    assert_eq!((server.requests(), env.names().len()), (0, 0));
}
