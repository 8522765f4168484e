//! The command against a real nginx. Needs one on PATH or in /usr/sbin: `just nginx`.

#![cfg(feature = "real-servers")]
#![expect(clippy::disallowed_methods, reason = "files of the tests' own")]

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use real::haul::{Running, haul, start};
use real::nginx::{Logged, Nginx};
use support::Content;
use tempfile::TempDir;

mod real;
mod support;

const MIB: u64 = 1 << 20;
const OBJECT: Content = Content::new(1, 64 * MIB);
const SMALL: Content = Content::new(2, 24 * MIB);

/// A folder for downloads, and the target's path in it.
fn target() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("f");
    (dir, path)
}

/// An nginx with one old file, `f`.
fn serving(content: Content) -> Nginx {
    let nginx = Nginx::start();
    nginx.put_old("f", content);
    nginx
}

#[test]
fn a_file_comes_whole_in_few_requests_each_pinned_to_its_version() {
    let nginx = serving(OBJECT);
    let (dir, path) = target();
    let ended = haul(dir.path(), &["--jobs", "8", &nginx.url("plain/f")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(OBJECT.difference(&path), None);

    let log = nginx.log();
    assert!(log.iter().all(|line| line.method == "GET" && line.status == 206), "{log:?}");
    assert!((8..=100).contains(&log.len()), "{} requests", log.len());
    // The first one asks what there is; there is nothing yet to pin it to.
    let pins: Vec<_> = log.iter().map(|line| line.if_match.as_str()).filter(|pin| !pin.is_empty()).collect();
    assert_eq!(pins.len(), log.len() - 1, "{log:?}");
    assert!(pins[0].starts_with('"') && pins.iter().all(|pin| *pin == pins[0]), "{pins:?}");
}

#[test]
fn a_file_replaced_during_the_download_comes_in_its_new_version() {
    let (nginx, _dir, path, running) = download_under_way(&["--json"]);
    let newer = Content::new(3, SMALL.len);
    nginx.put("f", newer, Duration::from_secs(3600));
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(newer.difference(&path), None);
    assert!(ended.stdout.contains(r#""event":"restart""#), "{ended:?}");
    assert!(nginx.log().iter().any(|line| line.status == 412), "the pin was tried");
}

#[test]
fn a_file_replaced_during_the_download_ends_it_with_5_where_that_is_wanted() {
    let (nginx, dir, path, running) = download_under_way(&["--on-change", "fail"]);
    nginx.put("f", Content::new(3, SMALL.len), Duration::from_secs(3600));
    let ended = running.wait();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(!path.exists(), "a file that is not whole has its name");
    assert!(dir.path().join("f.part").exists());
}

/// A download of `SMALL` as `f` that has begun and will go on for a second or more.
fn download_under_way(options: &[&str]) -> (Nginx, TempDir, PathBuf, Running) {
    let nginx = serving(SMALL);
    let (dir, path) = target();
    let url = nginx.url("slow/f");
    let running = start(dir.path(), &[options, &["--jobs", "4", "--segment-size", "256K", &url]].concat());
    wait_for(|| in_place(&dir) > 4 * MIB);
    (nginx, dir, path, running)
}

#[test]
fn after_a_sigkill_only_what_is_missing_is_asked_for() {
    let nginx = serving(OBJECT);
    let (dir, path) = target();
    let url = nginx.url("slow/f");
    let arguments = ["--json", "--jobs", "8", &url];
    let running = start(dir.path(), &arguments);
    wait_for(|| in_place(&dir) > OBJECT.len / 2);
    running.kill();
    let before = nginx.log().len();
    let missing = missing(&dir);
    let bytes: u64 = missing.iter().map(|(start, end)| end - start).sum();
    assert!((1..OBJECT.len / 2).contains(&bytes), "{bytes} bytes are missing");

    let ended = haul(dir.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(OBJECT.difference(&path), None);
    let asked: Vec<_> = nginx.log()[before..].iter().filter_map(Logged::asked).collect();
    // The first one asks what there is, from the first missing byte on, before it is known what is missing.
    let first = asked.iter().filter(|(start, _)| *start == missing[0].0).count();
    let beside = asked.iter().filter(|range| !missing.iter().any(|gap| within(**range, *gap))).count();
    assert!(first >= 1 && beside <= 1, "asked for {asked:?}, missing were {missing:?}");
    let done = ended.last_event();
    let fetched = done["bytes_fetched"].as_u64().expect("a count");
    assert!(fetched < bytes + 2 * MIB, "{fetched} bytes fetched for {bytes}: {done}");
}

fn within((start, end): (u64, u64), (low, high): (u64, u64)) -> bool {
    low <= start && end <= high
}

#[test]
fn gzip_for_others_is_none_for_haul() {
    let nginx = serving(SMALL);
    nginx.put_old("tiny", Content::new(4, 3));
    let encoded = nginx.head("gzip/tiny", "Accept-Encoding: gzip\r\n");
    assert!(encoded.contains("content-encoding: gzip"), "this location would compress: {encoded}");
    let (dir, path) = target();
    let ended = haul(dir.path(), &[&nginx.url("gzip/f")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(SMALL.difference(&path), None);
}

#[test]
fn without_ranges_it_is_one_stream() {
    let nginx = serving(SMALL);
    let (dir, path) = target();
    let ended = haul(dir.path(), &["--jobs", "8", &nginx.url("whole/f")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(SMALL.difference(&path), None);
    let log = nginx.log();
    assert_eq!(log.iter().map(|line| line.status).collect::<Vec<_>>(), [200], "{log:?}");
}

#[test]
fn without_etag_the_pin_is_last_modified() {
    let nginx = serving(SMALL);
    let (dir, path) = target();
    let ended = haul(dir.path(), &["--jobs", "4", &nginx.url("dated/f")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(SMALL.difference(&path), None);
    let log = nginx.log();
    assert!(log.iter().all(|line| line.status == 206 && line.if_match.is_empty()), "{log:?}");
    let pinned = log.iter().filter(|line| line.if_unmodified_since.ends_with(" GMT")).count();
    assert!(pinned >= 4 && pinned == log.len() - 1, "{log:?}");
}

#[test]
fn without_validators_it_is_one_stream_and_info_says_that_there_is_no_resume() {
    let nginx = serving(SMALL);
    let (dir, path) = target();
    let ended = haul(dir.path(), &["--jobs", "8", &nginx.url("bare/f")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(SMALL.difference(&path), None);
    // The first answer is a range; the stream is asked for anew.
    let streams = nginx.log().iter().filter(|line| line.status == 200).count();
    assert_eq!(streams, 1, "{:?}", nginx.log());

    let info = haul(dir.path(), &["info", &nginx.url("bare/f")]);
    assert_eq!(info.code, Some(0), "{info:?}");
    let told = info.stdout.lines().find(|line| line.starts_with("resume:")).unwrap_or_default();
    assert!(told.contains("not possible") && told.contains("neither ETag nor Last-Modified"), "{info:?}");
}

#[test]
fn what_is_not_there_is_refused_and_leaves_nothing() {
    let nginx = serving(SMALL);
    let (dir, _) = target();
    let ended = haul(dir.path(), &[&nginx.url("plain/g")]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("404"), "{ended:?}");
    assert!(!dir.path().join("g.part").exists() && !dir.path().join("g.part.ckpt").exists());
}

#[test]
fn a_server_that_takes_four_at_once_is_downloaded_from_with_eight() {
    let nginx = serving(SMALL);
    let (dir, path) = target();
    let ended = haul(dir.path(), &["--jobs", "8", &nginx.url("few/f")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(SMALL.difference(&path), None);
    assert!(nginx.log().iter().any(|line| line.status == 503), "the limit was met");
}

#[test]
fn user_and_password_of_the_url_open_the_door_and_are_not_shown() {
    let nginx = serving(SMALL);
    let (dir, path) = target();
    let ended = haul(dir.path(), &["-v", &nginx.url_as("user", "pass", "private/f")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(SMALL.difference(&path), None);
    assert!(nginx.log().iter().all(|line| line.user == "user"), "{:?}", nginx.log());
    assert!(!ended.stderr.contains("user:pass"), "{ended:?}");

    let ended = haul(dir.path(), &["-o", "g", &nginx.url_as("user", "wrong-one", "private/f")]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(!ended.stderr.contains("wrong-one"), "{ended:?}");
}

/// What the checkpoint of `f` claims, in bytes; 0 while there is none.
fn in_place(dir: &TempDir) -> u64 {
    status(dir).map_or(0, |status| status["bytes"].as_u64().expect("a count"))
}

/// What the checkpoint of `f` misses, half-open.
fn missing(dir: &TempDir) -> Vec<(u64, u64)> {
    let status = status(dir).expect("a partial download");
    let ranges = status["missing"].as_array().expect("a list");
    let bound = |range: &serde_json::Value, name| range[name].as_u64().expect("an offset");
    ranges.iter().map(|range| (bound(range, "start"), bound(range, "end"))).collect()
}

fn status(dir: &TempDir) -> Option<serde_json::Value> {
    // Beside the download, whose output is in files of this folder.
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("f");
    let ended = haul(elsewhere.path(), &["status", "--json", &file.display().to_string()]);
    (ended.code == Some(0)).then(|| ended.last_event())
}

fn wait_for(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !what() {
        assert!(Instant::now() < deadline, "the download does not get on");
        thread::sleep(Duration::from_millis(20));
    }
}
