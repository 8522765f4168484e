//! H30–H35: where the object is, and what it is like.

use super::case::{Case, Expected, Scene, Style};
use super::scenarios;
use super::support::{Fault, Resource, Seen, When};
use super::world::SEGMENT;
use crate::error::ErrorKind;

scenarios! {
    /// Some hops, all of which are followed.
    h30_hops(case) {
        for _ in 0..case.dice.number(1..=10) {
            let (status, to) = (case.dice.pick(&[301, 302, 303, 307, 308]), case.path.clone());
            case.redirected(status, move |_| to);
        }
        let when = case.later();
        case.fault(when, Fault::CutAfter(0));
    }
    h30_loop(case) {
        let status = case.dice.pick(&[301, 302, 303, 307, 308]);
        let length = case.dice.number(1..=12);
        for hop in 0..length {
            let to = format!("/{}", (hop + 1) % length);
            case.other(&format!("/{hop}"), move |_| Resource::redirecting(status, &to));
        }
        case.path = "/0".to_owned();
        refused(case);
    }
    /// To a file, or to where no HTTP is.
    h30_to_file(case) {
        let to = ["file:///etc/passwd", "ftp://127.0.0.1/f", "data:,x", "javascript:1", "http://", "http:///", "//"];
        let to = case.dice.pick(&to);
        case.redirected(302, move |_| to.to_owned());
        refused(case);
    }
    /// To another host: no secret goes there, with no request.
    h31_redir_cross(case) {
        secrets(case);
        let to = case.path.clone();
        case.redirected(302, move |scene| format!("http://other.test:{}{to}", scene.here.port()));
        case.check(|outcome| keeps_secrets(&outcome.log, |seen| seen.header("Host").is_some_and(|host| host.contains("other"))));
    }
    /// The same host on another port is another origin, with every range.
    h31_redir_port(case) {
        secrets(case);
        case.elsewhere("/g", Scene::object);
        case.redirected(307, |scene| scene.url_there("/g"));
        case.check(|outcome| keeps_secrets(&outcome.log_there, |_| true));
    }
    /// There and back: what came back to its origin may be told again, what went by may not.
    h31_redir_pinned(case) {
        secrets(case);
        let to = case.path.clone();
        case.elsewhere("/back", move |scene| Resource::redirecting(302, &format!("http://{}{to}", scene.here)));
        case.redirected(302, |scene| scene.url_there("/back"));
        case.check(|outcome| keeps_secrets(&outcome.log_there, |_| true));
    }
    /// The redirect's target moves, and where it was is nothing any more.
    h32_redir_moves(case) {
        let (gone, moves) = (case.dice.pick(&[401, 403, 404, 410]), case.dice.number(1..=4));
        case.other("/a", move |scene| scene.object().fault(When::From(moves), Fault::Status(gone)));
        moved(case, |resource| resource);
    }
    /// The same, to a node with an ETag of its own.
    h32_node_etag(case) {
        let moves = case.dice.number(1..=4);
        case.other("/a", move |scene| scene.object().fault(When::From(moves), Fault::Status(403)));
        moved(case, |resource| resource.etag("\"other-node\""));
    }
    /// No HEAD is sent, so that nobody can refuse it.
    h33_head_403(case) {
        case.serve(|resource| resource.head_status(403));
        let when = case.once();
        case.fault(when, Fault::CutAfter(0));
        case.check(|outcome| {
            let head = outcome.log.iter().any(|seen| seen.method == "HEAD");
            if head { Err("it sent a HEAD".to_owned()) } else { Ok(()) }
        });
    }
    /// A HEAD that was asked for lies about the length.
    h33_head_lie(case) {
        let lie = case.dice.pick(&["0", "1", "100000000", "9223372036854775808"]);
        case.head = Some("/head".to_owned());
        case.other("/head", move |scene| scene.object().header("Content-Length", lie));
        let when = case.once();
        case.fault(when, Fault::CutAfter(0));
    }
    /// Accept-Ranges says the contrary of what is true.
    h34_ar_lies(case) {
        if case.dice.chance(50) {
            case.serve(|resource| resource.header("Accept-Ranges", "none"));
            let when = case.once();
            case.fault(when, Fault::CutAfter(0));
            case.expect(Expected::Ranged);
        } else {
            case.fault(When::Always, Fault::IgnoreRange);
            case.expect(Expected::Streamed);
        }
    }
    /// Nothing, said as 416, or as 200.
    h35_zero(case) {
        case.length = 0;
        let fault = case.dice.pick(&[Fault::IgnoreRange, Fault::CloseBeforeHead, Fault::Status(503)]);
        case.fault(When::Nth(0), fault);
    }
    h35_one(case) {
        case.length = 1;
        let fault = case.dice.pick(&[Fault::CutAfter(0), Fault::IgnoreRange, Fault::Short(1), Fault::ResetAfter(0)]);
        case.fault(When::Nth(0), fault);
    }
    /// Lengths that no disk has, or no number.
    h35_huge(case) {
        let total = case.dice.pick(&[1 << 62, i64::MAX.unsigned_abs(), 1 << 63, u64::MAX]);
        case.fault(When::Always, Fault::Total(total));
        case.expect(if total < 1 << 63 { Expected::Fails(ErrorKind::Local) } else { Expected::Streamed });
        case.most_requests = 12;
    }
    /// The same of a 200.
    h35_huge_stream(case) {
        let length = case.dice.pick(&[1 << 62, 1 << 63, u64::MAX]);
        case.serve(|resource| resource.no_ranges().header("Content-Length", &length.to_string()));
        case.fault(When::Always, Fault::CutAfter(1000));
        case.expect(Expected::Either);
        case.check(|outcome| if outcome.result.is_ok() { Err("how?".to_owned()) } else { Ok(()) });
        case.most_requests = 12;
    }
}

fn refused(case: &mut Case) {
    case.fault(When::Always, Fault::Mute);
    case.expect(Expected::Fails(ErrorKind::Refused));
    case.most_requests = 12;
    case.struck_anyway = true;
}

const SECRET: &str = "hunter2";

fn secrets(case: &mut Case) {
    case.userinfo = "me:hunter2@";
    case.headers.push(("X-Api-Key", SECRET));
    let when = case.later();
    case.fault(when, Fault::CutAfter(0));
    case.struck_anyway = true;
}

fn keeps_secrets(log: &[Seen], there: impl Fn(&Seen) -> bool) -> Result<(), String> {
    let secret =
        |seen: &&Seen| there(seen) && (seen.header("Authorization").or(seen.header("X-Api-Key")).is_some());
    match (log.iter().find(secret), log.iter().any(&there)) {
        (Some(seen), _) => Err(format!("it told {:?}", seen.headers)),
        (None, false) => Err("nobody went there".to_owned()),
        (None, true) => Ok(()),
    }
}

/// `/a` at first; then the redirect leads to `/b`.
fn moved(case: &mut Case, change: impl FnOnce(Resource) -> Resource + Send + 'static) {
    case.other("/b", move |scene| change(scene.object()));
    let from = case.dice.number(1..=2);
    case.other("/start", move |_| {
        let there = vec![("Location".to_owned(), "/b".to_owned())];
        Resource::redirecting(302, "/a").fault(When::From(from), Fault::StatusWith(302, there))
    });
    case.path = "/start".to_owned();
    case.style = Style::Strong;
    case.length = case.length.max(3 * SEGMENT);
}
