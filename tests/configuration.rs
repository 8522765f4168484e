//! Options that need not be typed: the configuration file, its tables of hosts, and variables.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use haul::{Finished, KIB, Running, TestEnv, serve};
use support::{Content, Resource, Server};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 70 * KIB + 5);

/// In a folder with `haul/config.toml`, which is where haul looks for it.
fn configured(text: &str) -> TestEnv {
    let env = TestEnv::new(&[OBJECT]);
    fs::create_dir(env.path("haul")).expect("a folder");
    env.write("haul/config.toml", text.as_bytes());
    fs::set_permissions(env.path("haul/config.toml"), fs::Permissions::from_mode(0o600))
        .expect("the mode is set");
    env
}

fn run(env: &TestEnv, variables: &[(&str, &str)], args: &[&str]) -> Finished {
    let mut command = env.command(args);
    command.env("XDG_CONFIG_HOME", env.path("")).stdout(Stdio::piped()).envs(variables.iter().copied());
    let finished = Running::of(env, command, args, !args.contains(&"--show-config")).wait();
    if env.path("f").exists() {
        env.remove("f");
    }
    finished
}

/// The values of a header in the last request.
fn last(server: &Server, name: &str) -> Vec<String> {
    let log = server.log();
    let headers = &log.last().expect("it was asked").headers;
    headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.clone())
        .collect()
}

#[test]
fn the_nearest_of_four_counts() {
    let server = serve(Resource::new(OBJECT));
    let url = server.url("/f");
    let text =
        "user-agent = 'file'\nheader = ['X-A: file', 'X-B: file']\n[host.'127.0.0.1']\nuser-agent = 'host'\n";
    let (env, variable) = (configured(text), [("HAUL_USER_AGENT", "variable")]);
    let asked = |variables, args: &[&str]| {
        run(&env, variables, &[args, &[&url]].concat()).expect(0);
        [last(&server, "User-Agent"), last(&server, "X-A"), last(&server, "X-B")]
            .map(|values| values.join("+"))
    };
    assert_eq!(asked(&[], &[]), ["host", "file", "file"]);
    assert_eq!(asked(&variable, &["-H", "X-A: typed"]), ["variable", "typed", "file"]);
    assert_eq!(asked(&variable, &["-A", "typed"]), ["typed", "file", "file"]);
    assert_eq!(asked(&variable, &["--no-config"]), ["variable", "", ""]);
    env.write("other.toml", b"user-agent = 'other'");
    assert_eq!(asked(&[], &["--config", "other.toml"]), ["other", "", ""]);
    assert_eq!(asked(&[("HAUL_CONFIG", "other.toml")], &[]), ["other", "", ""]);
    run(&env, &[], &["--config", "missing.toml", &url]).expect(7).says("missing.toml");
}

#[test]
fn h31_a_hosts_table_is_of_that_host_in_a_list_too() {
    let (one, other) = (serve(Resource::new(OBJECT)), serve(Resource::new(OBJECT)));
    let address = |server: &Server| server.url("").trim_start_matches("http://").to_owned();
    let text = format!("[host.'{}']\nheader = 'X-Key: canary'\njobs = 1\n", address(&one));
    let env = configured(&text).target("one");
    env.write("list", format!("{}\n out=one\n{}\n out=other\n", one.url("/f"), other.url("/f")).as_bytes());
    run(&env, &[], &["-i", "list"]).expect(0);
    assert_eq!((last(&one, "X-Key"), last(&other, "X-Key")), (vec!["canary".to_owned()], vec![]));
    let info = run(&env, &[], &["info", &one.url("/f"), "--show-config"]).expect(0);
    assert!(info.stdout.contains("X-Key: [hidden]") && !info.stdout.contains("jobs"), "{info}");
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    for (text, said) in [
        (
            "jobs = 4\njbos = 8\n",
            "config.toml:2: 'jbos' is nothing that can be configured; perhaps 'jobs' is meant",
        ),
        ("output = 'x'", "config.toml:1: 'output' belongs on a command line"),
        ("jobs = 'many'", "config.toml:1: invalid value 'many' for '--jobs"),
        ("quiet = true\nverbose = true", "contradict each other"),
        ("key = '/k'", "config.toml: "),
    ] {
        run(&configured(text), &[], &["http://127.0.0.1:1/f"]).expect(2).says_once(said);
    }
    let env = configured("");
    run(&env, &[("HAUL_JOBS", "many")], &["http://127.0.0.1:1/f"])
        .expect(2)
        .says_once("HAUL_JOBS: invalid value");
    let slip = run(&env, &[("HAUL_JBOS", "4")], &["--retries", "0", "http://127.0.0.1:1/f"]).expect(3);
    slip.says_once("perhaps HAUL_JOBS");
    run(&configured("jbos = 1"), &[], &["status", "f"]).expect(7).says("f");
}

#[test]
fn h74_a_configuration_is_shown_without_its_secrets() {
    let env = configured("user = 'me:canary'\njobs = 4\n[host.h]\njobs = 2\nproxy = 'http://me:canary@p'\n");
    let show =
        |args: &[&str]| run(&env, &[("HAUL_RETRIES", "3")], &[args, &["--show-config"]].concat()).expect(0);
    for (shown, line) in [
        (show(&[]), "jobs = 4 # line 2"),
        (show(&[]), "user = \"[hidden]\" # line 1"),
        (show(&[]), "retries = 3 # HAUL_RETRIES"),
        (show(&[]), "timeout = \"15s\" # default"),
        (show(&["-j", "9", "http://h/x?canary"]), "jobs = 9 # command line"),
        (show(&["http://h/x?canary"]), "jobs = 2 # line 4, of h"),
        (show(&["http://h/x?canary"]), "proxy = \"[hidden]\" # line 5, of h"),
    ] {
        let lines = shown.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(lines.collect::<Vec<_>>().contains(&line.to_owned()), "{line}: {}", shown.stdout);
        assert!(!shown.stdout.contains("canary") && shown.stderr.is_empty(), "{shown}");
    }
}

#[test]
fn secrets_that_others_can_read_are_warned_of() {
    let server = serve(Resource::new(OBJECT));
    let env = configured("header = 'X-Api-Key: canary'");
    let asked = |mode, args: &[&str]| {
        fs::set_permissions(env.path("haul/config.toml"), fs::Permissions::from_mode(mode)).unwrap();
        run(&env, &[], &[args, &[&server.url("/f")]].concat()).expect(0)
    };
    assert!(!asked(0o600, &[]).stderr.contains("chmod"));
    assert!(!asked(0o644, &["-q"]).stderr.contains("chmod"));
    asked(0o640, &[]).says_once("others can read it: chmod 600");
}
