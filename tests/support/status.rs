//! What `haul status` says of a partial download.

use serde_json::Value;

use super::SEGMENT;
use crate::support::Seen;

/// What a partial download holds, by `haul status --json`.
#[derive(Debug)]
pub struct Status(pub Value);

impl Status {
    pub fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    /// Bytes in place.
    pub fn bytes(&self) -> u64 {
        self.number("bytes")
    }

    /// The missing ranges, half-open.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        let ranges = self.0["missing"].as_array().expect("missing is a list");
        let bound = |range: &Value, name: &str| range[name].as_u64().expect("a bound is a number");
        ranges.iter().map(|range| (bound(range, "start"), bound(range, "end"))).collect()
    }

    /// Where a complete segment begins.
    pub fn complete(&self) -> u64 {
        let missing = self.missing();
        let is_missing = |at: &u64| missing.iter().any(|(start, end)| (start..end).contains(&at));
        let mut starts = (0..self.number("length")).step_by(usize::try_from(SEGMENT).expect("small"));
        starts.find(|at| !is_missing(at)).expect("a segment is complete")
    }

    /// Every range that was asked for is missing here: nothing that is complete is fetched again.
    pub fn assert_only_missing(&self, asked: &[Seen]) {
        let missing = self.missing();
        for (first, last) in asked.iter().filter_map(|seen| seen.range) {
            assert!(
                missing.iter().any(|(start, end)| (start..end).contains(&&first) && last < *end),
                "{first}-{last} was asked for, and missing was {missing:?}"
            );
        }
    }
}
