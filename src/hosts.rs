//! What was learned of hosts, as the text of a small file: one line a host, the newest last. Pure.
//!
//! ```text
//! https://example.org:443 jobs=32 served=40 at=1789000000
//! ```
//!
//! Host and port, how many jobs paid, how many were served when more were refused, and when that was (Unix seconds).
//! No path, no query, no user: nothing of what was fetched. A line that cannot be read is as good as none.

use crate::tuner::Learned;

/// More are not remembered: the oldest go.
const MOST: usize = 256;
/// In bytes. A longer file is not ours.
pub(crate) const LONGEST: u64 = 128 << 10;
/// Scheme, name and port; a name has at most 253 characters.
const LONGEST_HOST: usize = 300;
const MOST_JOBS: usize = 256;
const DAY: u64 = 24 * 60 * 60;
/// Networks change, and so do servers.
const MONTH: u64 = 30 * DAY;
const HEADING: &str = "# How many jobs hosts took from haul. This file may be removed.\n";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: String,
    learned: Learned,
    at: u64,
}

/// What was learned of hosts. Moments are in Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// The oldest first.
    entries: Vec<Entry>,
}

impl Hosts {
    /// Reads what can be read.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        let mut hosts = Self::default();
        for entry in lines.filter_map(|line| Entry::parse(std::str::from_utf8(line).ok()?)) {
            hosts.put(entry);
        }
        hosts
    }

    pub(crate) fn format(&self) -> String {
        std::iter::once(HEADING.to_owned()).chain(self.entries.iter().map(Entry::format)).collect()
    }

    /// What is known of a host, named as `scheme://name:port`, and not too old to be of use.
    pub(crate) fn recall(&self, host: &str, now: u64) -> Option<Learned> {
        let entry = self.entries.iter().find(|entry| entry.host == host)?;
        entry.is_fresh(now).then_some(entry.learned)
    }

    /// Takes note. Whether there was anything new in it.
    pub(crate) fn learn(&mut self, host: &str, learned: Learned, now: u64) -> bool {
        let known = self.entries.iter().find(|entry| entry.host == host);
        if known.is_some_and(|known| known.learned == learned && known.at.abs_diff(now) < DAY) {
            return false;
        }
        let entry = Entry { host: host.to_owned(), learned, at: now };
        // What could not be read again is not written.
        let sane = Entry::parse(entry.format().trim_end()).is_some_and(|read| read == entry);
        if sane {
            self.entries.retain(|entry| entry.is_fresh(now));
            self.put(entry);
        }
        sane
    }

    fn put(&mut self, entry: Entry) {
        self.entries.retain(|other| other.host != entry.host);
        let place = self.entries.partition_point(|other| other.at <= entry.at);
        self.entries.insert(place, entry);
        if self.entries.len() > MOST {
            self.entries.remove(0);
        }
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let host = words.next().filter(|host| is_host(host))?.to_owned();
        let jobs = jobs_of(words.next()?.strip_prefix("jobs=")?)?;
        let mut last = words.next()?;
        let mut served = None;
        if let Some(text) = last.strip_prefix("served=") {
            served = Some(jobs_of(text)?);
            last = words.next()?;
        }
        let at = number(last.strip_prefix("at=")?)?;
        let entry = Self { host, learned: Learned { jobs, served }, at };
        words.next().is_none().then_some(entry)
    }

    fn format(&self) -> String {
        let Self { host, learned: Learned { jobs, served }, at } = self;
        let served = served.map(|served| format!(" served={served}")).unwrap_or_default();
        format!("{host} jobs={jobs}{served} at={at}\n")
    }

    /// An entry of tomorrow is of a clock that was wrong.
    fn is_fresh(&self, now: u64) -> bool {
        (now.saturating_sub(MONTH)..=now.saturating_add(DAY)).contains(&self.at)
    }
}

/// `scheme://name:port`, and nothing that could be a secret or break a line.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let named = name.and_then(|name| name.rsplit_once(':')).is_some_and(|(name, port)| {
        !name.is_empty() && number(port).is_some_and(|port| u16::try_from(port).is_ok())
    });
    let plain = |c: char| c.is_ascii_graphic() && !"/?#@\\".contains(c);
    named && text.len() <= LONGEST_HOST && name.is_some_and(|name| name.chars().all(plain))
}

fn jobs_of(text: &str) -> Option<usize> {
    let jobs = usize::try_from(number(text)?).ok()?;
    (1..=MOST_JOBS).contains(&jobs).then_some(jobs)
}

/// Digits, as they would be written.
fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_789_000_000;
    const HOST: &str = "https://example.org:443";

    fn learned(jobs: usize, served: Option<usize>) -> Learned {
        Learned { jobs, served }
    }

    #[test]
    fn a_line_says_all_there_is() {
        let mut hosts = Hosts::default();
        assert!(hosts.learn(HOST, learned(32, Some(40)), NOW));
        assert!(hosts.learn("http://[::1]:8080", learned(8, None), NOW + 1));
        let text = "https://example.org:443 jobs=32 served=40 at=1789000000\nhttp://[::1]:8080 jobs=8 at=1789000001\n";
        assert_eq!(hosts.format(), format!("{HEADING}{text}"));
        assert_eq!(Hosts::parse(hosts.format().as_bytes()), hosts);
        assert_eq!(hosts.recall(HOST, NOW), Some(learned(32, Some(40))));
        assert_eq!(hosts.recall("http://example.org:443", NOW), None);
    }

    #[test]
    fn what_is_no_line_of_ours_is_not_there() {
        for line in [
            "",
            "# https://h:1 jobs=1 at=1",
            "https://h:1 jobs=0 at=1",
            "https://h:1 jobs=257 at=1",
            "https://h:1 jobs=+1 at=1",
            "https://h:1 jobs=1 served=0 at=1",
            "https://h:1 jobs=1 served= at=1",
            "https://h:1 jobs=1",
            "https://h:1 jobs=1 at=1 more",
            "https://h:1  jobs=1 at=1",
            "https://h:1 jobs=1 at=1\r",
            "https://h jobs=1 at=1",
            "https://h:65536 jobs=1 at=1",
            "https://:1 jobs=1 at=1",
            "ftp://h:1 jobs=1 at=1",
            "https://u:p@h:1 jobs=1 at=1",
            "https://h:1/path:1 jobs=1 at=1",
        ] {
            assert_eq!(Hosts::parse(line.as_bytes()), Hosts::default(), "{line}");
        }
        let both = b"\xff\xfe\0 jobs=1 at=1\nhttps://h:1 jobs=7 at=1789000000\nhttps://h:1 jobs=";
        assert_eq!(Hosts::parse(both).recall("https://h:1", NOW), Some(learned(7, None)));
    }

    #[test]
    fn what_would_not_be_read_again_is_not_learned() {
        let mut hosts = Hosts::default();
        for host in [
            "https://u@h:1",
            "https://a b:1",
            "https://h:1\nhttps://i:2",
            "",
            &format!("http://{}:1", "x".repeat(300)),
        ] {
            assert!(!hosts.learn(host, learned(1, None), NOW), "{host}");
        }
        assert!(!hosts.learn(HOST, learned(0, None), NOW));
        assert_eq!(hosts, Hosts::default());
    }

    #[test]
    fn what_is_known_is_not_written_again_for_a_day() {
        let mut hosts = Hosts::default();
        assert!(hosts.learn(HOST, learned(8, None), NOW));
        assert!(!hosts.learn(HOST, learned(8, None), NOW + DAY - 1));
        assert!(hosts.learn(HOST, learned(8, Some(8)), NOW + 1), "something new");
        assert!(hosts.learn(HOST, learned(8, Some(8)), NOW + DAY + 1));
        assert_eq!(hosts.entries.len(), 1);
    }

    #[test]
    fn a_month_later_a_host_is_new_again() {
        let mut hosts = Hosts::default();
        hosts.learn(HOST, learned(8, None), NOW);
        assert!(hosts.recall(HOST, NOW + MONTH).is_some());
        assert_eq!(hosts.recall(HOST, NOW + MONTH + 1), None);
        assert!(hosts.recall(HOST, NOW - DAY).is_some(), "a clock may be a little off");
        assert_eq!(hosts.recall(HOST, NOW - DAY - 1), None);
        hosts.learn("http://h:1", learned(1, None), NOW + MONTH + 1);
        assert_eq!(hosts.entries.len(), 1, "it is not kept either");
    }

    #[test]
    fn of_too_many_hosts_the_oldest_go() {
        let mut hosts = Hosts::default();
        for number in 0..300 {
            hosts.learn(&format!("http://h{number}:80"), learned(1, None), NOW + number);
        }
        let text = hosts.format();
        let hosts = Hosts::parse(text.as_bytes());
        assert_eq!(hosts.entries.len(), MOST);
        assert_eq!(hosts.recall("http://h43:80", NOW + 300), None);
        assert!(hosts.recall("http://h44:80", NOW + 300).is_some());
    }

    #[test]
    fn the_longest_file_can_be_read_again() {
        let mut hosts = Hosts::default();
        for number in 0..MOST {
            let host =
                format!("https://{number:0>width$}:65535", width = LONGEST_HOST - "https://:65535".len());
            assert!(hosts.learn(&host, learned(256, Some(256)), NOW));
        }
        assert!((hosts.format().len() as u64) < LONGEST);
        assert_eq!(Hosts::parse(hosts.format().as_bytes()), hosts);
    }

    /// One that may be ours, a text, or neither.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let text = |pattern| prop::string::string_regex(pattern).unwrap().prop_map(String::into_bytes);
        prop_oneof![
            text("https?://[a-z]{1,2}:[0-9]{1,5} jobs=[0-9]{1,3}( served=[0-9]{1,3})? at=[0-9]{1,20}"),
            text("\\PC{0,40}"),
            prop::collection::vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        /// Whatever is in the file: what is read of it is sane, and written it is read the same.
        #[test]
        fn any_file_is_read_as_what_it_is_worth(
            lines in prop::collection::vec(line(), 0..40),
            now in any::<u64>(),
        ) {
            let hosts = Hosts::parse(&lines.join(&b'\n'));
            prop_assert!(hosts.entries.is_sorted_by_key(|entry| entry.at));
            prop_assert_eq!(&Hosts::parse(hosts.format().as_bytes()), &hosts);
            for entry in &hosts.entries {
                prop_assert!((1..=MOST_JOBS).contains(&entry.learned.jobs));
                let known = hosts.recall(&entry.host, now);
                prop_assert!(known.is_none_or(|known| known == entry.learned));
            }
        }
    }
}
