//! What many downloads came to: one exit code, and the summary at the end. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use haul::{Outcome, Report};
use serde::Serialize;

use super::exit::{ExitCode, Failure};
use super::human::{self, count};

/// So many failures the summary has one by one.
const SHOWN: usize = 10;

/// How many downloads ended how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Numbers {
    downloads: usize,
    done: usize,
    existed: usize,
    failed: usize,
    stopped: usize,
    bytes_fetched: u64,
}

/// Counts how downloads ended. They may end in any order.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: usize,
    /// The target was there.
    existed: usize,
    failed: usize,
    /// A signal came first.
    stopped: usize,
    /// Body bytes.
    received: u64,
    /// Of failures, the first in the order of the list.
    first: Option<(usize, ExitCode)>,
    /// The first of them, by their places in the order.
    failures: BTreeMap<usize, String>,
}

impl Tally {
    /// The `index`-th download ended so.
    pub(crate) fn note(&mut self, index: usize, ended: &Result<Report, Failure>) {
        match ended {
            Ok(report) => {
                self.received += report.received;
                *(match report.outcome {
                    Outcome::Downloaded | Outcome::Piped => &mut self.done,
                    Outcome::Existed | Outcome::NotModified => &mut self.existed,
                }) += 1;
            }
            Err(failure) => self.note_failure(index, failure),
        }
    }

    fn note_failure(&mut self, index: usize, failure: &Failure) {
        if failure.code.is_signal() {
            self.stopped += 1;
            return;
        }
        self.failed += 1;
        if self.first.is_none_or(|(first, _)| index < first) {
            self.first = Some((index, failure.code));
        }
        self.failures.insert(index, failure.message.clone());
        if self.failures.len() > SHOWN {
            self.failures.pop_last();
        }
    }

    /// That of the first in the order of the list that failed.
    pub(crate) fn exit_code(&self) -> ExitCode {
        self.first.map_or(ExitCode::Success, |(_, code)| code)
    }

    /// Whether a signal came before the end of any.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.stopped > 0
    }

    pub(crate) fn ended(&self) -> usize {
        self.done + self.existed + self.failed + self.stopped
    }

    /// The same for programs.
    pub(crate) fn numbers(&self) -> Numbers {
        let Self { done, existed, failed, stopped, received, .. } = *self;
        Numbers { downloads: self.ended(), done, existed, failed, stopped, bytes_fetched: received }
    }

    /// In lines: the numbers, the failures in the order of the list, and the way on. `skips`: what exists is left.
    pub(crate) fn summary(&self, elapsed: Duration, skips: bool) -> Vec<String> {
        let mut lines = vec![format!(
            "{}: {}; {}",
            count(self.ended() as u64, "download"),
            self.outcomes(),
            self.account(elapsed)
        )];
        lines.extend(self.failures.values().map(|failure| format!("  failed: {failure}")));
        let more = self.failed - self.failures.len();
        if more > 0 {
            lines.push(format!("  and {more} more"));
        }
        if self.failed + self.stopped > 0 {
            let option = if skips { "" } else { " with --skip-existing" };
            lines.push(format!("the same command{option} fetches what is missing"));
        }
        lines
    }

    fn outcomes(&self) -> String {
        let all = [
            (self.done, "done"),
            (self.existed, "there already"),
            (self.failed, "failed"),
            (self.stopped, "stopped"),
        ];
        let said =
            all.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
        let said: Vec<_> = said.collect();
        if said.is_empty() { "nothing to do".to_owned() } else { said.join(", ") }
    }

    fn account(&self, elapsed: Duration) -> String {
        let rate = human::mean_rate(self.received, elapsed).map(|rate| format!(", {}", human::rate(rate)));
        let (received, time) = (human::bytes(self.received), human::duration(elapsed));
        format!("{received} in {time}{}", rate.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haul::{Mode, Writing};

    fn report(outcome: Outcome) -> Report {
        Report {
            outcome,
            path: None,
            length: 10 << 20,
            received: 5 << 20,
            resumed: 5 << 20,
            requests: 1,
            retries: 0,
            restarts: 0,
            elapsed: Duration::ZERO,
            mode: Mode::Ranges,
            writing: Writing::Mapped,
            validator: None,
            proof: None,
        }
    }

    fn tally(ended: impl IntoIterator<Item = (usize, Result<Report, Failure>)>) -> Tally {
        let mut tally = Tally::default();
        ended.into_iter().for_each(|(index, ended)| tally.note(index, &ended));
        tally
    }

    const ELAPSED: Duration = Duration::from_secs(2);

    #[test]
    fn the_exit_code_is_that_of_the_first_in_order_that_failed() {
        let all = tally([
            (7, Err(Failure::new(ExitCode::Local, "h"))),
            (2, Err(Failure::new(ExitCode::Refused, "c"))),
            (0, Ok(report(Outcome::Downloaded))),
            (5, Err(Failure::new(ExitCode::Network, "f"))),
            (1, Err(Failure::new(ExitCode::Interrupted, "b"))),
        ]);
        assert_eq!(all.exit_code(), ExitCode::Refused);
        assert!(all.is_cut_short());
        assert_eq!(tally([(0, Ok(report(Outcome::NotModified)))]).exit_code(), ExitCode::Success);
    }

    #[test]
    fn the_summary_has_the_failures_in_order_and_the_way_on() {
        let all = tally([
            (2, Err(Failure::new(ExitCode::Refused, "c: gone"))),
            (0, Ok(report(Outcome::Downloaded))),
            (1, Err(Failure::new(ExitCode::Local, "b: exists"))),
            (3, Ok(report(Outcome::Existed))),
            (4, Err(Failure::new(ExitCode::Interrupted, "stopped"))),
        ]);
        assert_eq!(
            all.summary(ELAPSED, false),
            [
                "5 downloads: 1 done, 1 there already, 2 failed, 1 stopped; 10.0 MiB in 2.0 s, 5.0 MiB/s",
                "  failed: b: exists",
                "  failed: c: gone",
                "the same command with --skip-existing fetches what is missing",
            ]
        );
        assert!(all.summary(ELAPSED, true).last().unwrap().starts_with("the same command fetches"));
        let well = tally([(0, Ok(report(Outcome::Downloaded)))]).summary(ELAPSED, false);
        assert_eq!(well, ["1 download: 1 done; 5.0 MiB in 2.0 s, 2.5 MiB/s"]);
        assert_eq!(tally([]).summary(ELAPSED, false), ["0 downloads: nothing to do; 0 B in 2.0 s, 0 B/s"]);
    }

    #[test]
    fn a_thousand_failures_are_not_a_thousand_lines() {
        let all = tally(
            (0..1000).rev().map(|index| (index, Err(Failure::new(ExitCode::Refused, index.to_string())))),
        );
        let summary = all.summary(ELAPSED, true);
        assert_eq!(
            summary[1..=SHOWN],
            (0..SHOWN).map(|index| format!("  failed: {index}")).collect::<Vec<_>>()
        );
        assert_eq!(summary[SHOWN + 1..], ["  and 990 more", "the same command fetches what is missing"]);
    }
}
