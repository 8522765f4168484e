//! How connections are made: proxies, certificates, addresses, and who haul says that it is.

use std::process::Stdio;

use haul::{Finished, KIB, Running, TestEnv, serve};
use support::{Content, Resource, Server};
use tls::TlsServer;

#[path = "support/haul.rs"]
mod haul;
mod support;
mod tls;

const OBJECT: Content = Content::new(1, 700 * KIB + 5);

/// Whole answers to whatever is asked.
fn answer(_: &str) -> Vec<u8> {
    let body = OBJECT.bytes();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

fn run(args: &[&str]) -> Finished {
    run_in(&[], args)
}

/// With these variables in the environment.
fn run_in(variables: &[(&str, &str)], args: &[&str]) -> Finished {
    let env = TestEnv::new(&[OBJECT]);
    let mut command = env.command(args);
    command.args(["--retries", "0"]).stdout(Stdio::piped()).envs(variables.iter().copied());
    Running::of(&env, command, args, true).wait()
}

/// The address of nobody who listens.
fn nobody() -> String {
    let server = serve(Resource::new(OBJECT));
    server.url("")
}

#[test]
fn a_proxy_is_asked_in_place_of_the_host() {
    // A proxy is asked for the whole URL (RFC 9112 §3.2.2), and this one has it.
    let server = serve(Resource::new(OBJECT).require_header("Host", "nowhere.test"));
    let (proxy, url) = (server.url(""), "http://nowhere.test/f");
    run(&["-x", &proxy, url]).expect(0);
    run(&["-x", proxy.trim_start_matches("http://"), url]).expect(0);
    run_in(&[("http_proxy", &proxy)], &[url]).expect(0);
    run_in(&[("http_proxy", &nobody())], &["--proxy", &proxy, url]).expect(0);
    let asked = server.requests();
    run_in(&[("no_proxy", "nowhere.test")], &["-x", &proxy, url]).expect(3);
    assert_eq!(server.requests(), asked, "no_proxy names it");
}

#[test]
fn no_proxy_is_asked_where_none_is_wanted() {
    let server = serve(Resource::new(OBJECT));
    let variables = &[("http_proxy", &*nobody())];
    run_in(variables, &[&server.url("/f")]).expect(3);
    run_in(variables, &["--proxy", "none", &server.url("/f")]).expect(0);
}

#[test]
fn h74_a_proxys_password_is_not_shown() {
    let said = run(&["-v", "-x", "gopher://me:canary@127.0.0.1:1", "http://nowhere.test/f"]).expect(2);
    assert!(said.stderr.contains("--proxy") && !said.stderr.contains("canary"), "{said}");
    let proxy = nobody().replace("://", "://me:canary@");
    let said = run(&["-v", "-x", &proxy, "http://nowhere.test/f"]).expect(3);
    assert!(!said.stderr.contains("canary"), "{said}");
}

#[test]
fn h83_certificates_are_believed_by_those_who_say_so() {
    let (here, elsewhere) = (TlsServer::start(tls::HERE, answer), TlsServer::start(tls::ELSEWHERE, answer));
    run(&[&here.url("/f")]).expect(4).says("not trusted");
    run(&["--cacert", tls::AUTHORITY, &here.url("/f")]).expect(0);
    run(&["--cacert", tls::AUTHORITY, &elsewhere.url("/f")]).expect(4).says("not trusted");
    run(&["--cacert", tls::CLIENT, &here.url("/f")]).expect(4).says("not trusted");
    run(&["--cacert", tls::CLIENT_KEY, &here.url("/f")]).expect(2).says("no certificate");
    run(&["--cacert", "/nowhere", &here.url("/f")]).expect(7).says("/nowhere");
    run(&["-k", &elsewhere.url("/f")]).expect(0).says_once("certificates are not checked");
    let quiet = run(&["-k", "-q", &elsewhere.url("/f")]).expect(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_server_that_wants_a_certificate_is_shown_one() {
    let server = TlsServer::of_client(answer);
    let trusting = ["--cacert", tls::AUTHORITY, &server.url("/f")];
    let args = |more: &[&'static str]| [more, &trusting].concat();
    let refused = run(&args(&[]));
    assert!([3, 4].contains(&refused.code), "{refused}");
    run(&args(&["--cert", tls::CLIENT])).expect(2).says("with its key");
    run(&args(&["--cert", tls::CLIENT, "--key", tls::CLIENT_KEY])).expect(0);
}

#[test]
fn a_host_has_the_addresses_that_it_is_given() {
    let server = serve(Resource::new(OBJECT));
    let port = server.url("").rsplit(':').next().unwrap().to_owned();
    let (url, here) = (format!("http://nowhere.test:{port}/f"), format!("nowhere.test:{port}:127.0.0.1"));
    run(&["--resolve", &here, &url]).expect(0);
    run(&["-4", "--resolve", &here, &url]).expect(0);
    run(&["-6", "--resolve", &here, &url]).expect(3).says("no IPv6 address");
    run(&["--resolve", "nowhere.test:1:127.0.0.1", &url]).expect(3);
    run(&["--resolve", "nowhere.test", &url]).expect(2).says("HOST:PORT:ADDRESS");
}

#[test]
fn connections_come_from_the_interface_that_is_named() {
    let server = serve(Resource::new(OBJECT));
    run(&["--interface", "127.0.0.1", &server.url("/f")]).expect(0);
    run(&["--interface", "lo", &server.url("/f")]).expect(0);
    run(&["--interface", "no-such-card", &server.url("/f")]).expect(3);
}

#[test]
fn h31_servers_are_told_who_asks() {
    let login = ("Authorization", "Basic bWU6Y2FuYXJ5");
    for (args, (name, value)) in [
        (&["-A", "test/1"][..], ("User-Agent", "test/1")),
        (&["-e", "http://a.test/b"], ("Referer", "http://a.test/b")),
        (&["-u", "me:canary"], login),
        (&["-u", "@login"], login),
        (&["--bearer-file", "token"], ("Authorization", "Bearer canary")),
    ] {
        let origin = Server::start([("/f", Resource::new(OBJECT).require_header(name, value))]);
        let env = TestEnv::new(&[OBJECT]);
        env.write("login", b"me:canary\n");
        env.write("token", b"canary\n");
        env.run(&[args, &["-v", &origin.url("/f")]].concat()).expect(0);
        if name == "User-Agent" {
            continue;
        }
        // What proves who the user is, is for the origin that it was given for.
        let other = serve(Resource::new(OBJECT).refuse_header(name, 403));
        let away = Server::start([("/f", Resource::redirecting(302, &other.url("/f")))]);
        env.remove("f");
        env.run(&[args, &[&away.url("/f")]].concat()).expect(0);
    }
    run(&["-u", "me", "http://127.0.0.1:1/f"]).expect(2).says("NAME:PASSWORD");
    run(&["--bearer-file", "/nowhere", "http://127.0.0.1:1/f"]).expect(7).says("/nowhere");
}
