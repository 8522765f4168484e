//! Which entries of a list are fetched here, where several machines share it (`--shard K/N`). Pure.
//!
//! An entry belongs to one shard for ever: the first eight bytes of the SHA-256 of its URL, as the list has it, as a
//! big-endian number modulo N. This is promised in docs/fleet.md and never changes.

use std::num::NonZeroU64;

use aws_lc_rs::digest::{SHA256, digest};

const SHARD: &str = "write K/N, K from 0 to N-1, such as 3/16";

/// One of N equal parts of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u64,
    count: NonZeroU64,
}

impl Shard {
    /// `K/N`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // `parse` alone takes a sign as well.
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let (index, count) = text.split_once('/').ok_or(SHARD)?;
        let (index, count) = (number(index).ok_or(SHARD)?, number(count).ok_or(SHARD)?);
        let count = NonZeroU64::new(count).filter(|count| index < count.get()).ok_or(SHARD)?;
        Ok(Self { index, count })
    }

    /// Whether the entry with that URL is in it.
    pub(crate) fn has(self, url: &str) -> bool {
        let digest = digest(&SHA256, url.as_bytes());
        let number = digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % self.count == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(text: &str) -> Shard {
        Shard::parse(text).unwrap()
    }

    #[test]
    fn an_entry_is_in_the_same_shard_in_all_versions() {
        // By `printf %s URL | sha256sum | cut -c-16`, taken as a number, modulo 16 and 1000.
        for (url, of_16, of_1000) in [
            ("https://example.org/a.img", 1, 713),
            ("https://example.org/b.img?sig=x%20y", 13, 413),
            ("http://h/ä", 8, 400),
            ("", 4, 652),
        ] {
            for (count, expected) in [(16, of_16), (1000, of_1000)] {
                let of = |index: &u64| shard(&format!("{index}/{count}")).has(url);
                assert_eq!((0..count).filter(of).collect::<Vec<_>>(), [expected], "{url} of {count}");
            }
        }
    }

    #[test]
    fn each_url_is_in_one_shard_and_they_are_about_equal() {
        let urls: Vec<_> = (0..10_000).map(|n| format!("https://example.org/data/{n:05}.bin")).collect();
        let sizes: Vec<_> = (0..10)
            .map(|index| shard(&format!("{index}/10")))
            .map(|shard| urls.iter().filter(|url| shard.has(url)).count())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), urls.len());
        assert!(sizes.iter().all(|size| (900..1100).contains(size)), "{sizes:?}");
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in [
            "",
            "3",
            "/",
            "3/",
            "/4",
            "4/4",
            "0/0",
            "-1/4",
            "+1/4",
            "1/2/3",
            "1 / 4",
            "0/18446744073709551616",
        ] {
            assert_eq!(Shard::parse(text), Err(SHARD.into()), "{text}");
        }
        assert!(shard("0/1").has("anything"));
    }
}
