//! What the file is called, and what may have that name before.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

use haul::{MIB, TestEnv, serve};
use rustix::fs::{CWD, Mode, mkfifoat};
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, MIB + 77);
const NOTHING: [&str; 0] = [];

fn proposing(disposition: &str) -> Server {
    Server::start([("/url-name", Resource::new(OBJECT).header("Content-Disposition", disposition))])
}

#[test]
fn the_server_names_the_file() {
    for (disposition, name) in [
        ("attachment; filename=\"disk image.iso\"", "disk image.iso"),
        ("attachment; filename=plain.iso; size=3", "plain.iso"),
        ("attachment; filename=\"x\"; filename*=UTF-8''na%C3%AFve.txt", "na\u{ef}ve.txt"),
        ("inline", "url-name"),
    ] {
        let server = proposing(disposition);
        let env = TestEnv::new(&[OBJECT]).target(name);
        env.run(&[&server.url("/url-name")]).expect(0);
        assert_eq!(env.names(), [name], "{disposition}");
    }
}

#[test]
fn h60_h76_the_server_names_one_visible_file_in_the_folder() {
    for (proposed, name) in [
        ("../../../tmp/evil", "evil"),
        ("/etc/passwd", "passwd"),
        ("..\\\\..\\\\boot.ini", "boot.ini"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("..", "url-name"),
        (".", "url-name"),
        ("", "url-name"),
        ("/", "url-name"),
    ] {
        let server = proposing(&format!("attachment; filename=\"{proposed}\""));
        let env = TestEnv::new(&[OBJECT]).target(&format!("in/{name}"));
        env.run(&["-d", "in", &server.url("/url-name")]).expect(0);
        assert_eq!(env.names(), ["in"], "{proposed}");
        assert_eq!(fs::read_dir(env.path("in")).unwrap().count(), 1, "{proposed}");
    }
}

#[test]
fn h60_h79_a_name_of_any_bytes_becomes_one_that_is_harmless() {
    let long = "x".repeat(400);
    for proposed in ["%1B%5D0;pwned%07.txt", "a%00b", "a%0Ab%0D", "%E2%80%AEgpj.exe", "%2e%2e%2fup", &long] {
        let server = proposing(&format!("attachment; filename*=UTF-8''{proposed}"));
        let env = TestEnv::new(&[OBJECT]);
        let said = env.ask(&["-v", &server.url("/url-name")]).expect(0);
        let names = env.names();
        let [name] = names.as_slice() else { panic!("{names:?}") };
        let harmless = |c: char| !c.is_control() && !"/\\\u{202e}".contains(c);
        assert!(name.chars().all(harmless) && !name.starts_with(['.', '-']), "{name:?}");
        assert!(
            said.stderr.chars().all(|c| c == '\n' || harmless(c) || "/\\".contains(c)),
            "{:?}",
            said.stderr
        );
        env.assert_whole(name, &OBJECT);
    }
}

#[test]
fn without_a_name_in_the_url_it_is_index_html() {
    let server = Server::start([("/", Resource::new(OBJECT)), ("/a%20b.iso", Resource::new(OBJECT))]);
    let env = TestEnv::new(&[OBJECT]).target("index.html");
    env.run(&[&server.url("/")]).expect(0);
    let env = TestEnv::new(&[OBJECT]).target("a b.iso");
    env.run(&[&server.url("/a%20b.iso?sig=1#part")]).expect(0);
}

#[test]
fn the_users_name_and_folder_come_first() {
    let server =
        Server::start([("/f", Resource::new(OBJECT).header("Content-Disposition", "x; filename=y"))]);
    let url = server.url("/f");
    let env = TestEnv::new(&[OBJECT]).target("deep/er/mine");
    env.run(&["-d", "deep", "-o", "er/mine", &url]).expect(0);
    let env = TestEnv::new(&[OBJECT]).target("mine");
    let absolute = env.path("mine");
    env.run(&["-d", "elsewhere", "-o", absolute.to_str().unwrap(), &url]).expect(0);
    let env = TestEnv::new(&[OBJECT]).target("new/y");
    env.run(&["-d", "new", &url]).expect(0);
}

#[test]
fn what_is_no_files_name_is_refused_before_anything_is_asked() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[]);
    env.write("file", b"x");
    for args in [["-o", "folder/"], ["-o", "a/.."], ["-d", "file"]] {
        let said = env.run(&[&args[..], &[&server.url("/f")]].concat());
        assert_eq!(said.code, 7, "{said}");
    }
    assert_eq!(server.requests(), 0);
    assert_eq!(env.names(), ["file"]);
}

#[test]
fn h58_a_file_that_exists_is_refused_replaced_or_skipped() {
    let server = serve(Resource::new(OBJECT));
    let url = server.url("/f");
    let env = TestEnv::new(&[OBJECT]);
    env.write("f", b"precious");
    env.run(&["-o", "f", &url]).expect(7).says("--force");
    env.ask(&["-o", "f", "--skip-existing", &url]).expect(0);
    assert_eq!(env.read("f"), b"precious");
    assert_eq!(server.requests(), 1, "a digest would have told whether it is right already");
    env.run(&["--force", &url]).expect(0);
    assert_eq!(env.names(), ["f"]);
}

#[test]
fn h58_a_file_of_the_name_that_the_server_proposes_is_never_overwritten() {
    let server = proposing("attachment; filename=precious");
    let env = TestEnv::new(&[OBJECT]).target("precious");
    env.write("precious", b"precious");
    env.run(&[&server.url("/url-name")]).expect(7);
    assert_eq!(env.names(), ["precious"]);
}

#[test]
fn h58_forced_the_old_file_stays_until_the_new_one_is_whole() {
    let broken = Resource::new(OBJECT).fault(When::Always, Fault::CutAfter(1000));
    let server = Server::start([("/gone/f", Resource::redirecting(302, "/nowhere")), ("/f", broken)]);
    let env = TestEnv::new(&[OBJECT]);
    env.write("f", b"precious");
    env.run(&["--force", &server.url("/gone/f")]).expect(4);
    server.replace("/f", Resource::new(OBJECT).fault(When::Always, Fault::Status(500)));
    env.run(&["--force", "--retries", "1", &server.url("/f")]).expect(3);
    assert_eq!(env.names(), ["f"]);
}

#[test]
fn h58_what_is_no_regular_file_is_never_replaced() {
    let server = serve(Resource::new(OBJECT));
    let url = server.url("/f");
    for kind in ["folder", "fifo", "symlink", "dangling symlink"] {
        let env = TestEnv::new(&[]);
        let path = env.path("f");
        env.write("victim", b"precious");
        match kind {
            "folder" => fs::create_dir(&path).unwrap(),
            "fifo" => mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap(),
            "symlink" => symlink("victim", &path).unwrap(),
            _ => symlink("nothing", &path).unwrap(),
        }
        for args in [vec![], vec!["--force"], vec!["--skip-existing"], vec!["--restart"]] {
            let said = env.run(&[&args[..], &["-o", "f", &url]].concat());
            assert_eq!(said.code, 7, "{kind}: {said}");
            assert_eq!(env.names(), ["f", "victim"]);
            assert_eq!(env.read("victim"), b"precious");
        }
        assert_eq!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo(), kind == "fifo");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn h61_h78_a_file_has_the_usual_mode_and_its_checkpoint_is_private() {
    let slow = Resource::new(Content::new(1, 16 * MIB)).rate(2 * MIB);
    let server = Server::start([("/f", Resource::new(OBJECT)), ("/slow", slow)]);
    let env = TestEnv::new(&[OBJECT]);
    env.run(&[&server.url("/f")]).expect(0);
    env.write("usual", b"");
    let mode = |name: &str| fs::metadata(env.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("f"), mode("usual"));
    let running = env.spawn(&["-o", "slow", "-s", "64K", "--json", &server.url("/slow")]);
    running.wait_for_event("start");
    assert_eq!((mode("slow.part"), mode("slow.part.ckpt")), (0o600, 0o600));
}

#[test]
fn h77_links_where_part_file_and_checkpoint_go_are_not_followed() {
    let server = serve(Resource::new(OBJECT));
    for name in ["f.part", "f.part.ckpt"] {
        let env = TestEnv::new(&[]);
        env.write("victim", b"precious");
        symlink("victim", env.path(name)).unwrap();
        env.run(&[&server.url("/f")]).expect(7);
        assert_eq!(env.read("victim"), b"precious");
        assert_eq!(env.names(), [name, "victim"]);
    }
}

#[test]
fn h77_links_that_dangle_make_no_file_where_they_point() {
    let server = serve(Resource::new(OBJECT));
    let url = server.url("/f");
    for name in ["f", "f.part", "f.part.ckpt"] {
        for args in [&[][..], &["--restart"], &["--force"], &["--force", "--restart"]] {
            let env = TestEnv::new(&[OBJECT]);
            symlink("bait", env.path(name)).unwrap();
            let said = env.run(&[args, &["-o", "f", &url]].concat());
            // Only --restart may replace a part file that is nobody's, and that removes the link itself.
            let replaced = name == "f.part" && args.contains(&"--restart");
            assert_eq!(said.code, if replaced { 0 } else { 7 }, "{name}: {said}");
            assert!(fs::symlink_metadata(env.path("bait")).is_err(), "{name}: {said}");
            assert_eq!(env.names(), [if replaced { "f" } else { name }]);
        }
    }
}

#[test]
fn h77_a_checkpoint_with_a_second_name_is_not_ours() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[]);
    env.write("precious", b"precious");
    fs::hard_link(env.path("precious"), env.path("f.part.ckpt")).unwrap();
    for args in [&[][..], &["--restart"], &["--force"]] {
        env.run(&[args, &[&server.url("/f")]].concat()).expect(7);
        env.ask(&["cancel", "f"]).expect(7);
        assert_eq!(env.read("precious"), b"precious");
        assert_eq!(env.names(), ["f.part.ckpt", "precious"]);
    }
}

#[test]
fn a_failure_before_the_first_byte_leaves_nothing() {
    let mute = Resource::new(OBJECT).fault(When::Always, Fault::CutAfter(0));
    let server = Server::start([
        ("/f", Resource::new(OBJECT).fault(When::Always, Fault::Status(503))),
        ("/cut/f", mute),
    ]);
    for path in ["/f", "/cut/f"] {
        let env = TestEnv::new(&[]);
        env.run(&["--retries", "1", "-s", "64K", &server.url(path)]).expect(3);
        assert_eq!(env.names(), NOTHING, "{path}");
    }
}
