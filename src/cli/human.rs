//! Numbers for people: sizes, rates, times. Pure.

use std::time::Duration;

/// Bytes in the largest unit that leaves a number of at least 1: `412.3 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut shift = 10;
    let mut unit = 0;
    // Rounded before it is compared: 1023.96 KiB is 1.0 MiB.
    while tenths(count, shift) >= 10_240 && unit + 1 < UNITS.len() {
        shift += 10;
        unit += 1;
    }
    let tenths = tenths(count, shift);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `count / 2^shift`, rounded, in tenths.
fn tenths(count: u64, shift: u32) -> u128 {
    (u128::from(count) * 10 + (1 << (shift - 1))) >> shift
}

/// Bytes per second: `52.1 MiB/s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", bytes(whole(per_second)))
}

/// The nearest whole number; 0 for what is no number or below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and NaN becomes 0"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Bytes per second over a time; `None` where the time is too short to tell.
pub(crate) fn mean_rate(bytes: u64, time: Duration) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    (time >= Duration::from_millis(1)).then(|| bytes as f64 / time.as_secs_f64())
}

/// A time that something took: `12.3 s`, `4 min 5 s`, `2 h 3 min`, `3 d 4 h`.
pub(crate) fn duration(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    in_two_units((tenths + 5) / 10)
}

/// A time that something will take, or took long ago: as [`duration`], in whole seconds, rounded up.
pub(crate) fn rough_duration(time: Duration) -> String {
    in_two_units(time.as_millis().div_ceil(1000))
}

fn in_two_units(seconds: u128) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// How long ago something was, in words: `3 minutes ago`.
pub(crate) fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0 => return "just now".into(),
        1..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{} ago", count(number, unit))
}

/// A number of things: `1 connection`, `8 connections`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// How much of `total` is there, in whole per cent, rounded down: 100 is everything.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    let percent = (u128::from(done) * 100).checked_div(u128::from(total)).unwrap_or(100);
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// A name of at most `width` characters: what is too long loses its middle, since names differ at their ends.
pub(crate) fn shortened(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let kept = width.saturating_sub(1);
    let head = kept.div_ceil(2);
    let tail = name.chars().skip(length - (kept - head));
    name.chars().take(head).chain(['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (432_327_885, "412.3 MiB"),
            (1 << 30, "1.0 GiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), expected, "{count}");
        }
    }

    #[test]
    fn rates_survive_what_is_no_number() {
        for (per_second, expected) in [
            (54_630_810.0, "52.1 MiB/s"),
            (0.4, "0 B/s"),
            (-5.0, "0 B/s"),
            (f64::NAN, "0 B/s"),
            (f64::INFINITY, "16.0 EiB/s"),
        ] {
            assert_eq!(rate(per_second), expected, "{per_second}");
        }
        assert_eq!(mean_rate(1000, Duration::from_secs(2)), Some(500.0));
        assert_eq!(mean_rate(1000, Duration::ZERO), None);
    }

    #[test]
    fn durations_have_at_most_two_units() {
        for (milliseconds, exact, rough) in [
            (0, "0.0 s", "0 s"),
            (12_300, "12.3 s", "13 s"),
            (12_349, "12.3 s", "13 s"),
            (59_940, "59.9 s", "1 min 0 s"),
            (59_960, "1 min 0 s", "1 min 0 s"),
            (245_000, "4 min 5 s", "4 min 5 s"),
            (3_599_970, "1 h 0 min", "1 h 0 min"),
            (7_380_000, "2 h 3 min", "2 h 3 min"),
            (273_600_000, "3 d 4 h", "3 d 4 h"),
        ] {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(
                (duration(time).as_str(), rough_duration(time).as_str()),
                (exact, rough),
                "{milliseconds}"
            );
        }
    }

    #[test]
    fn ages_are_in_words() {
        for (seconds, expected) in [
            (0, "just now"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (180, "3 minutes ago"),
            (7200, "2 hours ago"),
            (86_400, "1 day ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn only_everything_is_100_percent() {
        assert_eq!(percent(999, 1000), 99);
        assert_eq!(percent(1000, 1000), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
        assert_eq!(percent(0, 0), 100);
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("disk.img", 8), "disk.img");
        assert_eq!(shortened("disk-image.tar.gz", 9), "disk…r.gz");
        assert_eq!(shortened("äöüäöü", 4), "äö…ü");
        assert_eq!(shortened("ab", 1), "…");
    }
}
