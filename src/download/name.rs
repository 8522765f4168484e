//! Names: what a server proposes, made harmless, and what stands behind a target's. Pure.

use std::mem;

use icu_normalizer::ComposingNormalizerBorrowed as ComposingNormalizer;

use crate::url::{SafeUrl, is_hidden};

/// Behind the target's name: the part file.
pub(super) const PART: &str = ".part";
/// Behind the target's name: the checkpoint.
pub(super) const CHECKPOINT: &str = ".part.ckpt";
/// Behind the target's name: what is remembered of the finished file.
pub(super) const HASHES: &str = ".hashes";
/// Behind the target's name: the same before it has its name.
pub(super) const NEW_HASHES: &str = ".hashes~";
/// The longest name that a server may choose: with our longest suffix it fits the usual 255 bytes.
pub(crate) const LONGEST: usize = 255 - CHECKPOINT.len();

/// The name that a download without a given one has: what the server proposes, else the URL (H60).
pub(super) fn proposed(url: &SafeUrl, file_name: Option<&str>) -> String {
    let from_url = url.last_component();
    let proposals = [file_name, from_url.as_deref()];
    proposals.into_iter().flatten().find_map(safe).unwrap_or_else(|| "index.html".to_owned())
}

/// A server's proposal, made harmless: one visible component that is no option, no hidden file and no device.
pub(crate) fn safe(proposal: &str) -> Option<String> {
    let last = proposal.rsplit(['/', '\\']).next().unwrap_or_default();
    if is_plain(last) { Some(last.to_owned()) } else { sanitised(last) }
}

/// Most are like this, and making nothing of it takes its time: lists have thousands of names.
fn is_plain(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let ends = |part: &[u8]| [part.first(), part.last()].into_iter().flatten().all(u8::is_ascii_alphanumeric);
    let mut parts = name.as_bytes().split(|byte| *byte == b'.');
    // What has three or four letters may be a device.
    parts.clone().next().is_some_and(|stem| !(3..=4).contains(&stem.len()))
        && parts.all(|part| !part.is_empty() && part.iter().all(plain) && ends(part))
        && name.len() <= LONGEST
}

fn sanitised(last: &str) -> Option<String> {
    // The sanitiser knows most of the characters that nobody sees, but not all.
    let seen: String = last.chars().map(|c| if is_hidden(c) { '_' } else { c }).collect();
    let composed = ComposingNormalizer::new_nfc().normalize(&seen);
    let options =
        sanitise_file_name::Options { length_limit: LONGEST, ..sanitise_file_name::Options::DEFAULT };
    // Sanitising may bare another dot, and what is bared may be a device's name: until nothing changes.
    let sanitise = |name: &str| sanitise_file_name::sanitise_with_options(name, &options);
    let once_more = |name: &String| {
        let name = sanitise(trimmed(name));
        // A device is one whatever follows its first dot: `nul.tar.gz` is `nul`.
        let stem = name.split_once('.').filter(|(stem, _)| !stem.is_empty());
        Some(stem.map_or(name.clone(), |(stem, rest)| format!("{}.{rest}", sanitise(stem))))
    };
    let mut before = composed.into_owned();
    let mut tried = std::iter::successors(once_more(&before), once_more).take(7);
    let safe = tried.find(|name| mem::replace(&mut before, name.clone()) == *name);
    // What is left of nothing is a placeholder of the sanitiser's.
    safe.filter(|name| trimmed(name) == name && name.chars().any(char::is_alphanumeric))
}

/// Without what hides a file or makes it an option at the front, and what Windows drops at the end.
fn trimmed(name: &str) -> &str {
    name.trim_start_matches(['-', '.', ' ', '~']).trim_end_matches(['.', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn h60_names_that_servers_propose() {
        for (proposal, name) in [
            ("disk.img", Some("disk.img")),
            ("../../etc/passwd", Some("passwd")),
            ("..\\..\\boot.ini", Some("boot.ini")),
            ("-rf", Some("rf")),
            (".bashrc", Some("bashrc")),
            (":.bashrc", Some("bashrc")),
            ("?-rf", Some("rf")),
            ("a\u{202e}gpj.exe", Some("a_gpj.exe")),
            ("a\u{61c}b\u{feff}.txt", Some("a_b.txt")),
            ("na\u{ef}ve file.txt", Some("na\u{ef}ve file.txt")),
            ("nai\u{308}ve file.txt", Some("na\u{ef}ve file.txt")),
            ("draft.", Some("draft")),
            ("", None),
            (".", None),
            ("..", None),
            ("/", None),
            ("\0\u{1}", None),
        ] {
            assert_eq!(safe(proposal).as_deref(), name, "{proposal:?}");
        }
        assert_eq!(safe("nul.tar.gz").as_deref(), Some("nul_.tar.gz"));
        assert!(safe("con.txt").is_some_and(|name| !name.eq_ignore_ascii_case("con.txt")));
    }

    proptest! {
        #[test]
        fn h60_a_plain_name_stays_as_it_is(name in "[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?") {
            if is_plain(&name) {
                prop_assert_eq!(sanitised(&name), Some(name));
            }
        }

        #[test]
        fn h60_whatever_is_proposed_a_name_is_one_visible_component(proposal in any::<String>()) {
            if let Some(name) = safe(&proposal) {
                prop_assert!(!name.is_empty() && name.len() <= LONGEST);
                prop_assert!(!name.contains(['/', '\\', '\0']) && !name.contains(char::is_control));
                prop_assert!(!name.starts_with(['-', '.']));
            }
        }
    }
}
