//! Which way of writing is cheaper here: tried on the first windows of a download. Pure: times are handed in.
//!
//! It depends on kernel and file system. Where a map pays a fault and a zeroed page for each 4 KiB, positioned
//! writes of large folios cost half; where writers queue for the inode's lock, maps do.

use std::time::Duration;

use super::part::Writing;

/// How many windows are written each way before the cheaper one is taken.
const WINDOWS: u32 = 6;

/// The costs seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trial {
    mapped: Cost,
    positioned: Cost,
}

/// The least cost of a window in seconds per byte: what disturbs a measurement only ever adds to it.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    windows: u32,
    least: Option<f64>,
}

impl Trial {
    /// How the next window is written: by turns, and then the cheaper way.
    pub(crate) fn writing(&self) -> Writing {
        match (self.mapped, self.positioned) {
            (mapped, positioned) if mapped.windows.min(positioned.windows) < WINDOWS => {
                if mapped.windows <= positioned.windows { Writing::Mapped } else { Writing::Positioned }
            }
            (Cost { least: Some(mapped), .. }, Cost { least: Some(positioned), .. })
                if positioned < mapped =>
            {
                Writing::Positioned
            }
            _ => Writing::Mapped,
        }
    }

    /// A window of that many bytes was written in that time.
    pub(crate) fn note(&mut self, writing: Writing, bytes: u64, took: Duration) {
        let cost = match writing {
            Writing::Mapped => &mut self.mapped,
            Writing::Positioned => &mut self.positioned,
        };
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let per_byte = took.as_secs_f64() / bytes.max(1) as f64;
        cost.windows = cost.windows.saturating_add(1);
        // Once the way is chosen nothing shakes it, nor do windows that other workers began before that.
        if cost.windows <= WINDOWS {
            cost.least = Some(cost.least.map_or(per_byte, |least| least.min(per_byte)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a trial in which a window of 1 MiB costs so much, and gives what was used for each.
    fn run(mapped: u64, positioned: u64, disturbance: impl Fn(u64) -> u64) -> Vec<Writing> {
        let mut trial = Trial::default();
        let mut used = Vec::new();
        for window in 0..30 {
            let writing = trial.writing();
            let cost = if writing == Writing::Mapped { mapped } else { positioned };
            trial.note(writing, 1 << 20, Duration::from_micros(cost + disturbance(window)));
            used.push(writing);
        }
        used
    }

    #[test]
    fn both_are_tried_equally_often_and_the_cheaper_one_is_taken() {
        for (mapped, positioned, cheaper) in
            [(300, 200, Writing::Positioned), (200, 300, Writing::Mapped), (200, 200, Writing::Mapped)]
        {
            let used = run(mapped, positioned, |_| 0);
            let (tried, rest) = used.split_at(12);
            assert!(tried.chunks(2).all(|turn| turn == [Writing::Mapped, Writing::Positioned]), "{tried:?}");
            assert!(rest.iter().all(|writing| *writing == cheaper), "{mapped} {positioned}");
        }
    }

    #[test]
    fn a_disturbed_window_does_not_decide() {
        let used = run(300, 200, |window| if window == 3 { 100_000 } else { 0 });
        assert_eq!(used.last(), Some(&Writing::Positioned));
    }

    #[test]
    fn the_one_quiet_window_decides_whichever_it_is() {
        for quiet in 0..u64::from(WINDOWS) {
            let disturbed =
                |way: u64| move |window: u64| u64::from(window % 2 == way && window / 2 != quiet) * 500;
            assert_eq!(run(100, 200, disturbed(0)).last(), Some(&Writing::Mapped), "{quiet}");
            assert_eq!(run(200, 100, disturbed(1)).last(), Some(&Writing::Positioned), "{quiet}");
        }
    }

    /// A trial whose windows are of so many bytes and took so many microseconds.
    fn tried(mapped: (u64, u64), positioned: (u64, u64)) -> Trial {
        let mut trial = Trial::default();
        for _ in 0..WINDOWS {
            trial.note(Writing::Mapped, mapped.0, Duration::from_micros(mapped.1));
            trial.note(Writing::Positioned, positioned.0, Duration::from_micros(positioned.1));
        }
        trial
    }

    #[test]
    fn what_counts_is_the_time_for_a_byte() {
        assert_eq!(tried((8 << 20, 1600), (1 << 20, 300)).writing(), Writing::Mapped);
        assert_eq!(tried((8 << 20, 1600), (1 << 20, 100)).writing(), Writing::Positioned);
        assert_eq!(tried((1 << 20, 300), (8 << 20, 1600)).writing(), Writing::Positioned);
        assert_eq!(tried((0, 1), (1, 1)).writing(), Writing::Mapped, "no bytes cost as much as one");
    }

    #[test]
    fn a_window_that_was_still_being_written_does_not_shake_the_choice() {
        let mut trial = tried((1, 300), (1, 200));
        trial.note(Writing::Mapped, 1, Duration::ZERO);
        assert_eq!(trial.writing(), Writing::Positioned);
        let mut trial = tried((1, 200), (1, 300));
        trial.note(Writing::Positioned, 1, Duration::ZERO);
        assert_eq!(trial.writing(), Writing::Mapped);
    }
}
