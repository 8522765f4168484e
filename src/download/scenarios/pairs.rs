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
        let mut case = Case::new(dice);
        (one.twist)(&mut case);
        (two.twist)(&mut case);
        case.checks.clear();
        case.expect(Expected::Either);
        case.most_requests = 1500;
        attempt(case).map_err(|why| format!("{} and {}: {why}", one.name, two.name))
    });
}
