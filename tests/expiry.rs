//! URLs that expire in mid-run, and where fresh ones come from.

use std::thread;

use haul::{MIB, PATIENCE, SEGMENT, TestEnv, at_once};
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 12 * MIB + 5);
const NEW: Content = Content::new(2, 12 * MIB + 5);
const SECRET: &str = "hunter2canary";
/// A URL is good for so many bytes.
const GOOD_FOR: u64 = MIB;

/// Bytes of an answer at the most.
const ANSWER: u64 = 4 * SEGMENT;

/// Many requests, since each has a short answer.
fn short(content: Content) -> Resource {
    Resource::new(content).fault(When::Always, Fault::Short(ANSWER))
}

fn signed(number: u64) -> String {
    format!("/node?sig={SECRET}{number}")
}

fn gone() -> Resource {
    Resource::new(OBJECT).fault(When::Always, Fault::Status(403))
}

/// Under `/f` a redirect to a URL that expires again and again, for as long as `during` runs. How often it did.
fn expiring(server: &Server, resource: impl Fn(u64) -> Resource + Send + Sync, during: impl FnOnce()) -> u64 {
    let issue = |number: u64| {
        server.replace(&signed(number), resource(number));
        server.replace("/f", Resource::redirecting(302, &signed(number)));
    };
    issue(0);
    let end = OBJECT.len / GOOD_FOR;
    thread::scope(|scope| {
        let expiry = scope.spawn(|| {
            (1..=end).for_each(|number| {
                assert!(server.wait_for_body_bytes(number * GOOD_FOR, PATIENCE));
                issue(number);
                server.replace(&signed(number - 1), gone());
            });
        });
        during();
        expiry.join().expect("every URL expires");
    });
    end
}

fn looks(server: &Server) -> u64 {
    server.log().iter().filter(|seen| seen.path == "/f").count() as u64
}

#[test]
fn h22_h32_a_redirect_to_urls_that_expire_costs_no_byte_twice() {
    at_once(["1", "4", "16"], |jobs| {
        let server = Server::start([("/none", gone())]);
        let env = TestEnv::new(&[OBJECT]);
        let times = expiring(
            &server,
            |_| short(OBJECT),
            || {
                let said = env.run(&["-j", jobs, "-s", "64K", "--no-sync", "--json", &server.url("/f")]);
                assert_eq!(said.code, 0, "{jobs} jobs: {said}");
                assert!(said.all("restart").is_empty() && !said.stdout.contains(SECRET), "{said}");
                let fetched = said.event("done")["bytes_fetched"].as_u64().expect("a number");
                let in_flight = jobs.parse::<u64>().expect("a number") * ANSWER;
                assert!(fetched - OBJECT.len <= in_flight, "what was in flight when leases ended: {said}");
            },
        );
        let looked = looks(&server);
        assert!(looked > 4, "{jobs} jobs: more than would be allowed in vain: {looked}");
        assert!(looked <= times + 2, "{jobs} jobs: one for everyone: {looked} of {times}");
    });
}

#[test]
fn h32_what_a_fresh_url_leads_to_has_to_be_the_same_object() {
    let server = Server::start([("/none", gone())]);
    let env = TestEnv::new(&[OBJECT, NEW]);
    let became = |number| short(if number < 3 { OBJECT } else { NEW });
    expiring(&server, became, || {
        let said = env.run(&["-j", "4", "-s", "64K", "--no-sync", "--json", &server.url("/f")]).expect(0);
        assert_eq!(said.all("restart").len(), 1, "{said}");
        env.assert_whole("f", &NEW);
    });
}

#[test]
fn h22_a_url_that_stays_refused_is_4_after_a_few_looks_and_what_is_there_is_kept() {
    // Looks, which have no pin, are answered; ranges are not.
    let refusing = Resource::new(OBJECT).refuse_header("If-Match", 404);
    let server = Server::start([("/f", Resource::redirecting(302, "/node")), ("/node", refusing)]);
    let env = TestEnv::new(&[OBJECT]);
    env.run(&["-j", "4", "-s", "64K", "--no-sync", &server.url("/f")]).expect(4).says("404");
    assert!(
        looks(&server) <= 8,
        "the first, three for a row, and those of the last refusal: {}",
        looks(&server)
    );
    env.assert_partial();
}

/// A command that prints the next signed URL each time, and counts in a file.
struct Signer(tempfile::NamedTempFile);

impl Signer {
    fn new() -> Self {
        Self(tempfile::NamedTempFile::new().expect("a file can be made"))
    }

    fn command(&self, server: &Server) -> String {
        let (url, count) = (server.url(&format!("/node?sig={SECRET}")), self.0.path().display().to_string());
        format!("echo signing >&2; echo >>{count}; echo \"{url}$(wc -l <{count})\"")
    }

    fn asked(&self) -> usize {
        std::fs::metadata(self.0.path()).expect("it is there").len().try_into().expect("a few")
    }
}

/// Each URL of these is good for six requests.
fn signing_server() -> Server {
    let good = || {
        Resource::new(OBJECT)
            .fault(When::From(6), Fault::Status(403))
            .fault(When::Always, Fault::Short(ANSWER))
    };
    (1..60)
        .fold(Server::builder().resource("/f", gone()), |server, number| {
            server.resource(&signed(number), good())
        })
        .start()
}

#[test]
fn a_command_gives_fresh_urls_when_the_one_at_hand_is_refused() {
    at_once([true, false], |given| {
        let (server, signer, env) = (signing_server(), Signer::new(), TestEnv::new(&[OBJECT]));
        let (command, url) = (signer.command(&server), server.url("/f"));
        let args =
            ["-v", "--json", "-j", "2", "-s", "64K", "--no-sync", "-o", "f", "--url-command", &command, &url];
        let said = env.run(&args[..args.len() - usize::from(!given)]);
        assert_eq!(said.code, 0, "{said}");
        let said = said.says("signing");
        assert!(!said.stdout.contains(SECRET) && !said.stderr.contains(SECRET), "{said}");
        let number = signer.asked();
        assert!((8..16).contains(&number), "once for each URL that expired: {number}");
        assert_eq!(server.log().iter().filter(|seen| seen.path == "/f").count(), usize::from(given));
        let fetched = said.event("done")["bytes_fetched"].as_u64().expect("a number");
        assert!(fetched - OBJECT.len <= 2 * ANSWER, "{said}");
    });
}

#[test]
fn a_command_that_fails_is_7_and_the_next_url_resumes() {
    let (server, signer, env) = (signing_server(), Signer::new(), TestEnv::new(&[OBJECT]));
    let command =
        format!("test $(wc -l <{}) -lt 3 || exit 3; {}", signer.0.path().display(), signer.command(&server));
    let args = ["-j", "2", "-s", "64K", "--no-sync", "-o", "f", "--url-command", &command];
    env.run(&args).expect(7).says_once("the URL command failed: exit status: 3");
    env.assert_partial();
    server.replace(&signed(9), Resource::new(OBJECT));
    let said = env.run(&["--json", "-o", "f", &server.url(&signed(9))]).expect(0);
    assert!(said.event("done")["bytes_fetched"].as_u64().is_some_and(|bytes| bytes < OBJECT.len), "{said}");
}

#[test]
fn a_command_that_prints_no_url_is_7_and_what_it_prints_is_not_shown() {
    for (command, why) in [
        ("true", "printed nothing"),
        (&*format!("echo {SECRET}"), "is no http"),
        ("exit 3", "exit status: 3"),
    ] {
        let server = Server::start([("/f", gone())]);
        let said = TestEnv::new(&[]).run(&["--url-command", command, &server.url("/f")]).expect(7).says(why);
        assert!(!said.stderr.contains(SECRET), "{said}");
    }
}
