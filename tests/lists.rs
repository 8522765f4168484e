//! Lists of downloads: what they say, how they end, and that they go on where they stopped.

use std::io::Write;
use std::process::Stdio;

use haul::{Finished, KIB, MIB, PATIENCE, Running, SEGMENT, TestEnv};
use rustix::process::Signal;
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

/// The `n`-th object.
fn object(n: u64) -> Content {
    Content::new(n, 3 * KIB + n)
}

fn env() -> TestEnv {
    TestEnv::new(&[])
}

/// Serves objects under `/0`, `/1`…
fn serve(count: u64) -> Server {
    let paths: Vec<_> = (0..count).map(|n| format!("/{n}")).collect();
    Server::start(paths.iter().zip(0..).map(|(path, n)| (path.as_str(), Resource::new(object(n)))))
}

fn lines(server: &Server, paths: impl IntoIterator<Item = u64>) -> String {
    paths.into_iter().map(|n| server.url(&format!("/{n}\n"))).collect()
}

/// Runs it with this on its stdin.
fn piped(env: &TestEnv, args: &[&str], stdin: &str) -> Finished {
    let mut command = env.command(args);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    command.stdin(reader).stdout(Stdio::piped());
    let running = Running::of(env, command, args, false);
    writer.write_all(stdin.as_bytes()).expect("haul reads it");
    drop(writer);
    running.wait()
}

/// The last parts of the paths that were asked for, in the order of the requests.
fn asked(server: &Server) -> Vec<String> {
    server.log().iter().map(|seen| seen.path.trim_start_matches('/').to_owned()).collect()
}

#[test]
fn urls_and_the_entries_of_a_list_are_fetched_in_order_with_their_options() {
    let server = serve(5);
    let env = env();
    let url = |n: u64| server.url(&format!("/{n}"));
    let list = format!(
        "# comment\n{}\n  out=sub/one.bin\n  header=X-Key: of 1\n\n{{\"url\": \"{}\", \"out\": \"two.bin\", \"dir\": \"other\", \"headers\": {{\"X-Key\": \"of 2\"}}}}\n{}\n dir=other\n{}\n out={}\n",
        url(1),
        url(2),
        url(3),
        url(4),
        env.path("absolute").display(),
    );
    env.write("list", list.as_bytes());
    let args = ["-i", "list", "-d", "here", "--parallel-downloads", "1", "-H", "X-All: yes", &url(0)];
    env.ask(&args).expect(0).says("5 downloads: 5 done");
    assert_eq!(asked(&server), ["0", "1", "2", "3", "4"]);
    for (name, n) in
        [("here/0", 0), ("here/sub/one.bin", 1), ("other/two.bin", 2), ("other/3", 3), ("absolute", 4)]
    {
        env.assert_whole(name, &object(n));
    }
    let log = server.log();
    let keys: Vec<_> = log.iter().map(|seen| (seen.header("X-Key"), seen.header("X-All"))).collect();
    assert_eq!(keys[..3], [(None, Some("yes")), (Some("of 1"), Some("yes")), (Some("of 2"), Some("yes"))]);
}

#[test]
fn what_one_download_leaves_open_the_next_goes_on_with() {
    let server = serve(40);
    let env = env();
    env.write("list", lines(&server, 0..40).as_bytes());
    env.ask(&["-i", "list", "--parallel-downloads", "1"]).expect(0);
    assert_eq!(server.requests(), 40);
    // One that comes back a moment after it is asked for has been replaced meanwhile, and some are made in advance.
    assert!(server.connections() <= 10, "{}", server.connections());
}

#[test]
fn a_list_comes_through_stdin_and_a_line_that_is_wrong_there_is_one_failure() {
    let server = serve(2);
    let env = env();
    let list = format!(
        "{}{}\n split=4\nnonsense\n{}",
        server.url("/0\n"),
        server.url("/7"),
        server.url("/1\n split=2")
    );
    let said = piped(&env, &["-i", "-"], &list).expect(4);
    let said = said.says_once("stdin:3: haul has no option 'split'").says("stdin:4: 'nonsense' is not a URL");
    said.says("4 downloads: 2 done, 2 failed");
    assert_eq!(env.names(), ["0", "1"]);
}

#[test]
fn a_file_with_a_line_that_is_wrong_is_found_before_anything_is_fetched() {
    let server = serve(1);
    let env = env();
    let mut list = lines(&server, std::iter::repeat_n(0, 9_998));
    for (line, why) in [
        ("ftp://h/x", "list:9999: 'ftp://h/x' is not an http or https URL"),
        ("http://h/x\n  checksum=nonsense", "list:9999: "),
        (" out=", "list:9999: the line has no value"),
        ("{\"out\": \"x\"}", "list:9999: the line is no JSON object"),
    ] {
        env.write("list", format!("{list}{line}\nhttp://h/after\n").as_bytes());
        env.ask(&["-i", "list"]).expect(2).says_once(why);
    }
    list.clear();
    assert_eq!((server.requests(), env.names()), (0, vec!["list".to_owned()]));
    env.ask(&["-i", "missing"]).expect(7).says_once("missing: cannot read the list");
}

#[test]
fn the_exit_code_is_that_of_the_first_that_failed_and_the_others_are_fetched() {
    let server = Server::start([
        (
            "/slow",
            Resource::new(object(0))
                .latency(std::time::Duration::from_millis(300))
                .fault(When::Always, Fault::Status(403)),
        ),
        ("/good", Resource::new(object(1))),
        ("/taken", Resource::new(object(2))),
    ]);
    for at_once in ["1", "8"] {
        let env = env();
        env.write("taken", b"");
        env.write(
            "list",
            ["/slow\n", "/taken\n", "/good\n", "/missing\n"].map(|path| server.url(path)).concat().as_bytes(),
        );
        let said = env.ask(&["-i", "list", "--parallel-downloads", at_once]).expect(4);
        let said = said.says("4 downloads: 1 done, 3 failed").says("with --skip-existing");
        let failed: Vec<_> = said.stderr.lines().filter(|line| line.starts_with("  failed: ")).collect();
        let words = ["/slow", "taken", "/missing"];
        assert!(
            failed.len() == 3 && failed.iter().zip(words).all(|(line, word)| line.contains(word)),
            "{said}"
        );
        env.assert_whole("good", &object(1));
        let skipped = env.ask(&["-i", "list", "--skip-existing", "--json"]).expect(4);
        let summary = skipped.event("summary");
        assert_eq!((&summary["existed"], &summary["failed"]), (&2.into(), &2.into()), "{summary}");
    }
}

#[test]
fn a_list_that_was_killed_goes_on_where_it_was() {
    let big = Content::new(1, 16 * MIB + 5);
    let server = Server::start([
        ("/0", Resource::new(object(0))),
        ("/big", Resource::new(big).rate(MIB)),
        ("/2", Resource::new(object(2))),
    ]);
    let env = env();
    env.write("list", ["/0\n", "/big\n", "/2\n"].map(|path| server.url(path)).concat().as_bytes());
    let args =
        ["-i", "list", "--skip-existing", "-j", "4", "-s", "64K", "--json", "--parallel-downloads", "1"];
    let mut command = env.command(&args);
    command.stdout(Stdio::piped());
    let running = Running::of(&env, command, &args, false);
    running.wait_for_bytes(16 * SEGMENT);
    running.kill9();
    assert!(server.wait_until_idle(PATIENCE));
    assert_eq!(env.names(), ["0", "big.part", "big.part.ckpt", "list"]);
    server.replace("/big", Resource::new(big));
    let said = env.ask(&args).expect(0);
    let resumed =
        said.all("start").iter().find_map(|event| event["resumed_bytes"].as_u64().filter(|bytes| *bytes > 0));
    assert!(resumed.is_some_and(|bytes| bytes >= 15 * SEGMENT), "{said}");
    assert_eq!(said.event("summary")["existed"], 1);
    env.assert_whole("big", &big);
    assert_eq!(env.names(), ["0", "2", "big", "list"]);
}

#[test]
fn shards_have_the_whole_list_between_them_each_in_its_order() {
    let server = serve(60);
    let env = env();
    env.write("list", lines(&server, 0..60).as_bytes());
    let mut fetched = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let shard = ["-i", "list", "--shard", shard, "--parallel-downloads", "1"];
        let before = asked(&server).len();
        env.ask(&shard).expect(0).says(" done");
        let asked = asked(&server).split_off(before);
        let numbers: Vec<u64> = asked.iter().map(|name| name.parse().unwrap()).collect();
        assert!(numbers.is_sorted() && (5..40).contains(&numbers.len()), "{numbers:?}");
        fetched.extend(numbers);
        let again = env.ask(&[&shard[..], &["--skip-existing", "--json"]].concat()).expect(0);
        assert_eq!(again.event("summary")["existed"], asked.len());
    }
    fetched.sort_unstable();
    assert!(fetched.into_iter().eq(0..60));
}

#[test]
fn what_comes_at_once_takes_one_request_and_a_list_of_it_no_more_at_once_than_was_said() {
    let latency = std::time::Duration::from_millis(100);
    for (how, most) in
        [(["--per-host", "4"], 4..=4), (["--parallel-downloads", "3"], 3..=3), (["-j", "8"], 5..=64)]
    {
        let env = env();
        let paths: Vec<_> = (0..48).map(|n| format!("/{n}")).collect();
        let slow = |(path, n): (&'static str, u64)| (path, Resource::new(object(n)).latency(latency));
        let paths: Vec<&'static str> = paths.into_iter().map(|path| &*path.leak()).collect();
        let server = Server::start(paths.into_iter().zip(0..).map(slow));
        env.write("list", lines(&server, 0..48).as_bytes());
        env.ask(&[&["-i", "list"], &how[..]].concat()).expect(0).says("48 done");
        assert_eq!(server.requests(), 48);
        assert!(most.contains(&server.peak_concurrent()), "{how:?}: {}", server.peak_concurrent());
        (0..48).for_each(|n| env.assert_whole(&n.to_string(), &object(n)));
    }
}

#[test]
fn what_would_come_at_once_and_is_killed_is_fetched_again() {
    let content = Content::new(7, 200 * KIB);
    let server =
        Server::start([("/f", Resource::new(content).fault(When::Nth(0), Fault::StallAfter(100 * KIB)))]);
    let env = TestEnv::new(&[content]);
    let running = env.spawn(&[&server.url("/f")]);
    assert!(server.wait_for_body_bytes(100 * KIB, PATIENCE));
    running.kill9();
    env.run(&[&server.url("/f")]).expect(0);
    env.assert_whole("f", &content);
    assert_eq!(env.names(), ["f"]);
}

#[test]
fn a_line_that_is_wrong_is_found_by_every_shard() {
    let env = env();
    env.write("list", b"http://h/0\nhttp://h/1\nnonsense\n");
    for shard in ["0/2", "1/2"] {
        env.ask(&["-i", "list", "--shard", shard]).expect(2).says_once("list:3:");
    }
}

#[test]
fn h67_a_signal_ends_the_list_and_the_summary_says_how_to_go_on() {
    let server = Server::start([("/0", Resource::new(object(0)).fault(When::Always, Fault::Mute))]);
    let env = env();
    env.write("list", lines(&server, [0, 0, 0]).as_bytes());
    let mut command = env.command(&["-i", "list"]);
    command.stdout(Stdio::piped());
    let running = Running::of(&env, command, &["-i", "list"], false);
    assert!(server.wait_for_requests(1, PATIENCE));
    running.signal(Signal::TERM);
    running.wait().expect(143).says("the same command with --skip-existing fetches what is missing");
}

#[test]
fn h67_a_signal_is_heard_while_nobody_writes_the_list() {
    let server = serve(1);
    let env = env();
    let mut command = env.command(&["-i", "-", "--json"]);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    command.stdin(reader).stdout(Stdio::piped());
    let running = Running::of(&env, command, &["-i", "-"], false);
    // An object says all there is of it, so nothing more is waited for.
    writer.write_all(format!("{{\"url\": \"{}\"}}\nhttp://", server.url("/0")).as_bytes()).unwrap();
    running.wait_for_event("done");
    running.signal(Signal::INT);
    running.wait().expect(130);
    drop(writer);
}

#[test]
fn h74_secrets_in_a_list_are_not_shown() {
    let server = Server::start([("/f", Resource::new(object(0)).fault(When::Always, Fault::Status(404)))]);
    let url = server.url("/f").replace("://", "://canary:canary@");
    for bad in [
        "",
        "http://canary:canary@h:port/\n",
        "h/x?canary\n",
        "{\"url\": \"canary\n",
        "http://h/\n header=canary\n",
    ] {
        let list = format!("{url}?canary\n header=X-Key: canary\n{bad}");
        for how in [&["-v"][..], &["--json"]] {
            let said = piped(&env(), &[&["-i", "-"], how].concat(), &list);
            assert!(
                said.code != 0 && !format!("{}{}", said.stdout, said.stderr).contains("canary"),
                "{said}"
            );
            let env = env();
            env.write("list", list.as_bytes());
            let said = env.ask(&[&["-i", "list"], how].concat());
            assert!(
                said.code != 0 && !format!("{}{}", said.stdout, said.stderr).contains("canary"),
                "{said}"
            );
        }
    }
}
