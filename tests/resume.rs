//! What a later run makes of what an earlier one left: the checkpoint's claims, and the object as it is now.

#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;

use haul::{Finished, MIB, PATIENCE, SEGMENT, Status, TestEnv, at_once, serve};
use rustix::process::Signal;
use support::{Content, Fault, Resource, Server, Version, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 16 * MIB + 12_345);
const OTHER: Content = Content::new(2, 16 * MIB + 12_345);

/// A download of `/f` that was interrupted, on a server that is fast from now on.
struct Left {
    server: Server,
    env: TestEnv,
    status: Status,
    /// Requests of the first run.
    before: usize,
}

impl Left {
    fn new(env: TestEnv, args: &[&str]) -> Self {
        Self::of(Resource::new(OBJECT), env, args)
    }

    fn of(resource: Resource, env: TestEnv, args: &[&str]) -> Self {
        let server = serve(resource.clone().rate(MIB));
        let running = env.spawn(&[&["-j", "4", "-s", "64K", "--json"], args, &[&server.url("/f")]].concat());
        running.wait_for_bytes(16 * SEGMENT);
        running.signal(Signal::INT);
        running.wait().expect(130);
        assert!(server.wait_until_idle(PATIENCE));
        server.replace("/f", resource);
        let status = env.status();
        let before = server.log().len();
        Self { server, env, status, before }
    }

    fn usual() -> Self {
        Self::new(TestEnv::new(&[OBJECT, OTHER]), &[])
    }

    fn run(&self, args: &[&str]) -> Finished {
        self.env.run(&[&["-j", "4", "-s", "64K", "--json"], args, &[&self.server.url("/f")]].concat())
    }

    /// How often the second run asked for this byte.
    fn asked_for(&self, at: u64) -> usize {
        let asks =
            |range: Option<(u64, u64)>| range.is_some_and(|(first, last)| (first..=last).contains(&at));
        self.server.log()[self.before..].iter().filter(|seen| asks(seen.range)).count()
    }

    /// The second run starts from nothing and the file is the object.
    fn assert_everything_again(&self, why: &str) {
        let said = self.run(&[]).expect(0).says_once(why);
        assert_eq!(said.event("start")["resumed_bytes"], 0);
        self.env.assert_whole("f", &OBJECT);
    }

    /// The second run fails and leaves both files as they are.
    fn assert_kept(&self, args: &[&str], code: i32) -> Finished {
        let files = || ["f.part", "f.part.ckpt"].map(|name| self.env.read(name));
        let before = files();
        let said = self.run(args).expect(code);
        assert!(files() == before, "they were touched: {said}");
        said
    }
}

#[test]
fn h65_a_damaged_segment_is_fetched_again_and_only_that() {
    let left = Left::usual();
    let at = left.status.complete();
    left.env.damage("f.part", at + 5);
    let said = left.run(&[]).expect(0).says_once("fetched again");
    left.env.assert_whole("f", &OBJECT);
    assert_eq!(left.asked_for(at + 5), 1);
    let fetched = said.event("done")["bytes_fetched"].as_u64().unwrap();
    assert!(fetched < OBJECT.len, "{said}");
}

#[test]
fn h51_zeros_where_segments_were_complete_are_all_found() {
    let left = Left::usual();
    let part = OpenOptions::new().write(true).open(left.env.path("f.part")).unwrap();
    part.set_len(0).unwrap();
    part.set_len(OBJECT.len).unwrap();
    left.run(&[]).expect(0);
    left.env.assert_whole("f", &OBJECT);
}

#[test]
fn h65_a_part_file_that_is_shorter_longer_gone_or_a_link_is_not_used() {
    at_once(["shorter", "longer", "gone", "a symlink", "a hard link"], |what| {
        let left = Left::usual();
        let (part, victim) = (left.env.path("f.part"), left.env.path("victim"));
        let resize = |len| OpenOptions::new().write(true).open(&part).unwrap().set_len(len).unwrap();
        fs::copy(&part, &victim).unwrap();
        match what {
            "shorter" => resize(OBJECT.len - 1),
            "longer" => resize(OBJECT.len + 1),
            _ => fs::remove_file(&part).unwrap(),
        }
        match what {
            "a symlink" => symlink("victim", &part).unwrap(),
            "a hard link" => fs::hard_link(&victim, &part).unwrap(),
            _ => {}
        }
        let precious = left.env.read("victim");
        left.assert_everything_again("the part file is gone or has another length");
        assert!(left.env.read("victim") == precious, "{what} was written through");
    });
}

#[test]
fn h69_a_copied_part_file_is_as_good_as_the_first() {
    let left = Left::usual();
    fs::copy(left.env.path("f.part"), left.env.path("copy")).unwrap();
    fs::rename(left.env.path("copy"), left.env.path("f.part")).unwrap();
    let said = left.run(&[]).expect(0);
    assert_eq!(said.event("start")["resumed_bytes"], left.status.bytes());
}

#[test]
fn a_part_file_without_a_checkpoint_is_nobodys_until_told() {
    let left = Left::usual();
    left.env.remove("f.part.ckpt");
    let part = left.env.read("f.part");
    left.run(&["-o", "f"]).expect(7).says("--restart");
    assert!(left.env.read("f.part") == part);
    left.run(&["--restart"]).expect(0);
}

#[test]
fn h63_a_checkpoint_that_cannot_be_read_is_said_once_and_everything_is_fetched_again() {
    let garbage = |len: usize| Content::new(99, len as u64).bytes();
    let damages: [fn(Vec<u8>) -> Vec<u8>; 5] = [
        |_| vec![],
        |bytes| bytes[..100].to_vec(),
        |bytes| vec![0; bytes.len()],
        |bytes| Content::new(99, bytes.len() as u64).bytes(),
        // Both frames' bodies.
        |mut bytes| {
            let half = bytes.len() / 2;
            (bytes[40], bytes[half + 40]) = (!bytes[40], !bytes[half + 40]);
            bytes
        },
    ];
    at_once(damages, |damage| {
        let left = Left::usual();
        left.env.write("f.part.ckpt", &damage(left.env.read("f.part.ckpt")));
        left.assert_everything_again("the checkpoint cannot be read");
    });
    let left = Left::usual();
    left.env.write("f.part.ckpt", &garbage(200_000));
    left.assert_everything_again("the checkpoint cannot be read");
}

#[test]
fn h51_one_torn_slot_leaves_the_other() {
    let left = Left::usual();
    let checkpoint = left.env.read("f.part.ckpt");
    let half = checkpoint.len() / 2;
    for slot in [0, half] {
        let mut torn = checkpoint.clone();
        torn[slot + 40] ^= 0xff;
        left.env.write("f.part.ckpt", &torn);
        left.env.ask(&["status", "f"]).expect(0);
    }
    left.run(&[]).expect(0);
    left.env.assert_whole("f", &OBJECT);
}

#[test]
fn h63_a_checkpoint_of_a_newer_haul_is_left_alone() {
    let left = Left::usual();
    let mut newer = left.env.read("f.part.ckpt");
    let half = newer.len() / 2;
    (newer[8], newer[half + 8]) = (9, 9);
    left.env.write("f.part.ckpt", &newer);
    let said = left.assert_kept(&[], 7);
    assert!(said.stderr.contains("newer"), "{said}");
    assert_eq!(left.asked_for(0), 0);
    left.run(&["--restart"]).expect(0);
}

#[test]
fn an_object_that_changed_between_runs_is_started_over() {
    let left = Left::usual();
    left.server.replace("/f", Resource::new(OTHER));
    let said = left.run(&[]).expect(0);
    assert!(said.event("restart")["reason"].is_string());
    left.env.assert_whole("f", &OTHER);
}

#[test]
fn an_object_that_changed_between_runs_is_5_for_who_asked_to_fail() {
    at_once([OTHER, Content::new(2, MIB), Content::new(3, 20 * MIB)], |object| {
        let left = Left::usual();
        left.server.replace("/f", Resource::new(object));
        left.assert_kept(&["--on-change", "fail"], 5);
        left.server.replace("/f", Resource::new(OBJECT));
        assert_eq!(left.run(&[]).expect(0).event("start")["resumed_bytes"], left.status.bytes());
    });
}

#[test]
fn an_object_that_became_shorter_longer_or_empty_is_started_over() {
    at_once(
        [Content::new(4, MIB), Content::new(4, 20 * MIB), Content::new(4, 1), Content::new(4, 0)],
        |object| {
            let left = Left::new(TestEnv::new(&[object]), &[]);
            left.server.replace("/f", Resource::new(object));
            left.run(&[]).expect(0);
        },
    );
}

#[test]
fn h03_a_date_that_went_back_is_a_change() {
    let left = Left::of(Resource::new(OBJECT).no_etag(), TestEnv::new(&[OTHER]), &[]);
    let older = Version::new(OTHER).last_modified.map(|time| time - std::time::Duration::from_secs(86_400));
    left.server.replace("/f", Resource::new(OTHER).no_etag().last_modified(older.unwrap()));
    assert_eq!(left.run(&[]).expect(0).all("restart").len(), 1);
}

#[test]
fn a_page_without_a_validator_between_runs_is_a_portal_and_costs_nothing() {
    at_once(
        [
            Resource::new(OTHER).no_etag().no_last_modified(),
            Resource::new(OTHER).no_etag().no_last_modified().no_ranges(),
            Resource::new(OBJECT).fault(When::Always, Fault::Status(200)),
        ],
        |portal| {
            let left = Left::usual();
            left.server.replace("/f", portal);
            left.assert_kept(&["--retries", "1"], 3);
            left.server.replace("/f", Resource::new(OBJECT));
            assert_eq!(left.run(&[]).expect(0).event("start")["resumed_bytes"], left.status.bytes());
        },
    );
}

#[test]
fn another_part_than_before_is_fetched_anew() {
    let left = Left::new(TestEnv::part(OBJECT, 5, 70_000), &[]);
    left.run(&["--range", "5-69999"]).expect(0).says_once("another part");
    let left = Left::new(TestEnv::part(OBJECT, 777, 15 * MIB), &["--range", "777-15728639"]);
    let said = left.run(&["--range", "777-15728639"]).expect(0);
    assert_eq!(said.event("start")["resumed_bytes"], left.status.bytes());
}

#[test]
fn another_segment_size_than_before_keeps_that_of_the_checkpoint() {
    let left = Left::usual();
    let start = left.run(&["-s", "1M"]).expect(2).stdout;
    assert_eq!(start, "", "an option that stands twice is a usage error");
    let url = left.server.url("/f");
    let start = left.env.run(&["-s", "1M", "--json", &url]).expect(0).event("start");
    assert_eq!(
        (&start["segment_size"], &start["resumed_bytes"]),
        (&SEGMENT.into(), &left.status.bytes().into())
    );
}

#[test]
fn h22_a_fresh_url_of_the_same_object_resumes_after_one_segment_has_proved_it() {
    let left = Left::usual();
    left.server.replace("/fresh/f", Resource::new(OBJECT));
    let url = left.server.url("/fresh/f?sig=2");
    let said = left.env.run(&["-j", "4", "--json", &url]).expect(0);
    let fetched = said.event("done")["bytes_fetched"].as_u64().unwrap();
    assert_eq!(said.event("start")["resumed_bytes"], left.status.bytes());
    assert!(fetched <= OBJECT.len - left.status.bytes() + SEGMENT + 8 * MIB, "{said}");
    left.env.assert_whole("f", &OBJECT);
}

#[test]
fn another_object_with_the_same_etag_and_length_at_another_url_is_not_mixed_in() {
    let left = Left::new(TestEnv::new(&[OTHER]), &[]);
    let same_tag = Version::new(OBJECT).etag.unwrap();
    left.server.replace("/other/f", Resource::new(OTHER).etag(&same_tag));
    left.env.run(&["-j", "4", &left.server.url("/other/f")]).expect(0);
}

#[test]
fn h33_a_head_that_tells_of_another_object_starts_over() {
    let left = Left::usual();
    left.server.replace("/f", Resource::new(OTHER));
    left.server.replace("/head", Resource::new(OTHER));
    let said = left.run(&["--head-url", &left.server.url("/head")]).expect(0);
    assert_eq!(said.all("restart").len(), 1);
    assert_eq!(left.server.log()[left.before].method, "HEAD");
    left.env.assert_whole("f", &OTHER);
}

#[test]
fn restart_ignores_what_is_there() {
    let left = Left::usual();
    let said = left.run(&["--restart"]).expect(0);
    assert_eq!(said.event("start")["resumed_bytes"], 0);
}

#[test]
fn status_says_what_a_partial_download_holds() {
    let Left { env, status, server, .. } = Left::usual();
    assert_eq!((status.number("length"), status.number("segment_size")), (OBJECT.len, SEGMENT));
    let missing: u64 = status.missing().iter().map(|(start, end)| end - start).sum();
    assert_eq!(status.bytes() + missing, OBJECT.len);
    assert_eq!(status.0["source"], server.url("/f"));
    assert_eq!(status.0["active"], false);
    let said = env.ask(&["status", "f.part"]).expect(0);
    assert!(said.stdout.contains("16.0 MiB"), "{said}");
    env.ask(&["status", "nothing"]).expect(7);
}
