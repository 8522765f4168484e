//! What single values mean: sizes, durations, ranges. Pure.
//!
//! The errors are fragments that say what to write instead: clap puts the option and the value before them.

use std::net::IpAddr;
use std::time::Duration;

use haul::{ByteRange, Part};

const SIZE: &str = "write bytes, or a number with K, M, G or T (powers of 1024), such as 4M";
const DURATION: &str = "write seconds, or a time such as 1.5s, 500ms, 2m or 1h 30m, at most a year";
const RANGE: &str = "write A-B, A- or -N, in bytes counted from 0";

/// Longer than any download; what is longer overflows clocks.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Bytes: `4096`, `512k`, `4MiB`, `1.5G`. Units are powers of 1024; `MB` is refused, since it means two things.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let shift = binary_shift(unit.trim_start()).ok_or(SIZE)?;
    let (whole, fraction) = match number.split_once('.') {
        // Half a byte is nothing, and twelve digits after the point are more than any unit can tell apart.
        Some((_, fraction)) if fraction.is_empty() || fraction.len() > 12 || shift == 0 => {
            return Err(SIZE.into());
        }
        Some((whole, fraction)) => (whole, fraction),
        None => (number, "0"),
    };
    let whole = digits(whole).ok_or(SIZE)?;
    let parts = u128::from(digits(fraction).ok_or(SIZE)?) << shift;
    let bytes =
        (u128::from(whole) << shift) + parts / 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    u64::try_from(bytes).map_err(|_| "more than any file can hold".into())
}

fn binary_shift(unit: &str) -> Option<u32> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return None,
    })
}

/// `parse` alone takes a sign as well.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A time: humantime's notation, and plain or broken seconds, which humantime does not take.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).trim_end();
    let plain = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let time = if plain {
        seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    } else {
        humantime::parse_duration(text).ok()
    };
    time.filter(|time| *time <= LONGEST).ok_or_else(|| DURATION.into())
}

/// A time that something may take: zero would be no time at all.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a request needs more time than none".into()),
        time => Ok(time),
    }
}

/// How many requests run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// As many as pay.
    Auto,
    Fixed(usize),
}

/// `auto`, or a number; whether that will do is the library's to say.
pub(crate) fn jobs(text: &str) -> Result<Jobs, String> {
    match text {
        "auto" => Ok(Jobs::Auto),
        number => number.parse().map(Jobs::Fixed).map_err(|_| "give a number from 1 to 256, or auto".into()),
    }
}

/// A number of requests at once.
pub(crate) fn number_of_jobs(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "give a number from 1 to 256".into())
}

/// A host's addresses, as they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
}

/// `HOST:PORT:ADDRESS,…`, as curl has it; an address of IPv6 may stand in brackets.
pub(crate) fn resolved(text: &str) -> Result<Resolved, String> {
    let parse = || {
        let (host, rest) = text.split_once(':').filter(|(host, _)| !host.is_empty())?;
        let (port, addresses) = rest.split_once(':')?;
        let address = |text: &str| text.trim_matches(['[', ']']).parse().ok();
        let addresses = addresses.split(',').map(address).collect::<Option<_>>()?;
        Some(Resolved { host: host.to_owned(), port: port.parse().ok()?, addresses })
    };
    parse().ok_or_else(|| "give HOST:PORT:ADDRESS, as in example.org:443:192.0.2.1".into())
}

/// How many downloads run at once.
pub(crate) fn parallel_downloads(text: &str) -> Result<Jobs, String> {
    match jobs(text)? {
        Jobs::Fixed(number) if !(1..=256).contains(&number) => jobs(""),
        jobs => Ok(jobs),
    }
}

/// How many requests to one host run at once.
pub(crate) fn per_host(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=256).contains(number));
    number.ok_or_else(|| "give a number from 1 to 256".into())
}

/// A part of the object as HTTP writes it: `A-B` with both ends included, `A-`, `-N` (RFC 9110 §14.1.2).
pub(crate) fn part(text: &str) -> Result<Part, String> {
    let number = |text: &str| digits(text).ok_or(RANGE);
    match text.split_once('-').ok_or(RANGE)? {
        ("", last) => match number(last)? {
            0 => Err("the last 0 bytes are none".into()),
            count => Ok(Part::Last(count)),
        },
        (first, "") => Ok(Part::From(number(first)?)),
        (first, last) => {
            let (start, last) = (number(first)?, number(last)?);
            let end = last.checked_add(1).ok_or(RANGE)?;
            if start < end {
                Ok(Part::Span(ByteRange { start, end }))
            } else {
                Err("it ends before it begins".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7B", 7),
            ("512k", 512 << 10),
            ("512 KiB", 512 << 10),
            ("1M", 1 << 20),
            ("4MiB", 4 << 20),
            ("1.5G", 3 << 29),
            ("0.1K", 102),
            ("2tib", 2 << 40),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for text in [
            "",
            "M",
            "-1",
            "+1",
            "1.5",
            "1.M",
            ".5M",
            "1.2.3M",
            "MB",
            "1MB",
            "1Q",
            "1e3",
            "1.1234567890123M",
            "١",
        ] {
            assert_eq!(size(text), Err(SIZE.into()), "{text}");
        }
        assert!(size("16777216T").unwrap_err().contains("more than any file"));
        assert!(size("99999999999999999999").is_err());
    }

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        for (text, milliseconds) in [
            ("90", 90_000),
            ("1.5", 1500),
            ("1.5s", 1500),
            ("10 s", 10_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h 30m", 5_400_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn durations_that_are_none_are_refused() {
        for text in
            ["", "s", "-1", "inf", "nan", "1e3", "1.2.3", "10 parsecs", "2years", "99999999999999999999"]
        {
            assert_eq!(duration(text), Err(DURATION.into()), "{text}");
        }
        assert!(timeout("0s").is_err());
        assert!(timeout("1ms").is_ok());
    }

    #[test]
    fn ranges_include_both_ends() {
        let span = |start, end| Ok(Part::Span(ByteRange { start, end }));
        for (text, expected) in [
            ("0-0", span(0, 1)),
            ("100-199", span(100, 200)),
            ("100-", Ok(Part::From(100))),
            ("-100", Ok(Part::Last(100))),
        ] {
            assert_eq!(part(text), expected, "{text}");
        }
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        for text in [
            "",
            "-",
            "5",
            "9-3",
            "-0",
            "a-b",
            "1-2-3",
            "+1-2",
            "0-18446744073709551615",
            "bytes=0-1",
            "0-1,5-9",
        ] {
            assert!(part(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_comes_later_says_so() {
        assert_eq!((jobs("auto"), jobs("16")), (Ok(Jobs::Auto), Ok(Jobs::Fixed(16))));
        assert!(jobs("many").unwrap_err().contains("1 to 256, or auto"));
        assert!(number_of_jobs("auto").unwrap_err().contains("1 to 256"));
        let v6 = resolved("h:443:[::1],192.0.2.1").unwrap();
        assert_eq!((v6.host.as_str(), v6.port, v6.addresses.len()), ("h", 443, 2));
        assert!(
            ["h:443", "h:x:::1", ":443:::1", "h:443:h2", "h:443:"].iter().all(|text| resolved(text).is_err())
        );
        assert_eq!(
            (parallel_downloads("auto"), parallel_downloads("9")),
            (Ok(Jobs::Auto), Ok(Jobs::Fixed(9)))
        );
        assert!(["0", "257", "-1", "x"].into_iter().all(|text| parallel_downloads(text).is_err()));
        assert_eq!(per_host("256"), Ok(256));
        assert!(["0", "257", "-1", "x"].into_iter().all(|text| per_host(text).is_err()));
    }
}
