//! Two scenarios at once.

use super::case::{Case, Expected, Scenario};
use super::dice::Dice;
use super::run::{all_seeds, attempt};
use super::{framing, ranges, redirects, statuses, validators};

/// Pairs where nobody asks for more.
const PAIRS: u64 = 1000;

fn all() -> Vec<Scenario> {
    [validators::ALL, ranges::ALL, statuses::ALL, redirects::ALL, framing::ALL].concat()
}

#[test]
fn random_pairs() {
    let all = all();
    all_seeds("random_pairs", PAIRS, |seed| {
        let mut dice = Dice::new("random_pairs", seed);
        let (one, two) = (dice.pick(&all), dice.pick(&all));
        let mut case = Case::new(dice, seed);
        (one.twist)(&mut case);
        (two.twist)(&mut case);
        case.checks.clear();
        case.expect(Expected::Either);
        case.most_requests = 1500;
        attempt(case).map_err(|why| format!("{} and {}: {why}", one.name, two.name))
    });
}

/// Every scenario that the list of hazards names is here, or it says why not.
#[test]
fn every_named_scenario_is_there() {
    let all = all();
    let elsewhere = ELSEWHERE.map(|(name, _)| name);
    for (hazard, names) in NAMED {
        for name in names.iter().filter(|name| !elsewhere.contains(name)) {
            let full = format!("{hazard}_{name}");
            assert!(all.iter().any(|scenario| scenario.name.starts_with(&full)), "{full} is missing");
        }
    }
}

/// What is not tried here, and where it is.
const ELSEWHERE: [(&str, &str); 3] = [
    ("downgrade", "needs TLS: tests/secrets.rs"),
    ("no_close_notify", "needs TLS: tests/tls_ends.rs"),
    ("goaway", "HTTP/2 is not spoken"),
];

const NAMED: [(&str, &[&str]); 38] = [
    ("h01", &["etag_flip", "ifmatch_ignored"]),
    ("h02", &["weak_same", "weak_flip"]),
    ("h03", &["lm_same_second", "lm_rollback"]),
    ("h04", &["nginx_same_second"]),
    ("h05", &["noval_flip"]),
    ("h06", &["digest_bad"]),
    ("h07", &["etag_per_node"]),
    ("h10", &["ignore_range", "ignore_second", "200_with_cr"]),
    ("h11", &["cr_missing", "cr_shift", "cr_dup", "cr_overflow"]),
    ("h12", &["cr_star"]),
    ("h13", &["short", "long", "overlap"]),
    ("h14", &["multipart"]),
    ("h15", &["cl_lie"]),
    ("h16", &["416_inside"]),
    ("h17", &["412_same", "412_changed"]),
    ("h18", &["304"]),
    ("h20", &["ra_secs", "ra_date", "ra_skew", "ra_huge"]),
    ("h21", &["5xx_storm"]),
    ("h22", &["expire_mid"]),
    ("h23", &["signed_headers"]),
    ("h24", &["404_mid"]),
    ("h25", &["flap"]),
    ("h30", &["loop", "downgrade", "to_file"]),
    ("h31", &["redir_cross", "redir_pinned", "redir_port"]),
    ("h32", &["redir_moves", "node_etag"]),
    ("h33", &["head_403", "head_lie"]),
    ("h34", &["ar_lies"]),
    ("h35", &["zero", "one", "huge"]),
    ("h40", &["gz_range", "gz_late"]),
    ("h41", &["vary", "proxy_stale_partial"]),
    ("h42", &["chunked", "chunk_cut", "te_cl"]),
    ("h43", &["cut_at_k"]),
    ("h44", &["drip", "mute"]),
    ("h45", &["tail"]),
    ("h46", &["no_close_notify"]),
    ("h47", &["cap"]),
    ("h48", &["goaway", "rst"]),
    ("h49", &["v6_blackhole", "portal"]),
];
