use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::PathBuf;

/// Tries a property on every seed, and on seeds with a few edits: what the fuzzers do for hours, for a moment.
fn tried(target: &str, property: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let seeds: Vec<Vec<u8>> = std::fs::read_dir(folder.join("seeds").join(target))
        .unwrap()
        .map(|seed| std::fs::read(seed.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "no seeds for {target}");
    seeds.iter().for_each(|seed| property(seed));

    let words = words(&std::fs::read_to_string(folder.join("headers.dict")).unwrap());
    let edits = prop::collection::vec(edit(words), 0..8);
    let mut runner = TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&(prop::sample::select(seeds), edits), |(mut input, edits)| {
        edits.iter().for_each(|edit| edit.apply(&mut input));
        property(&input);
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(prop::sample::Index, Vec<u8>),
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

fn edit(words: Vec<Vec<u8>>) -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), prop::sample::select(words)).prop_map(|(at, word)| Edit::Insert(at, word)),
        1 => (at(), "[0-9]{1,20}").prop_map(|(at, number)| Edit::Insert(at, number.into_bytes())),
        1 => (at(), "\\PC{1,3}").prop_map(|(at, text)| Edit::Insert(at, text.into_bytes())),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        1 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        2 => (at(), 1..9_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (at(), 1..99_usize).prop_map(|(at, count)| Edit::Repeat(at, count)),
        1 => at().prop_map(Edit::Cut),
    ]
}

impl Edit {
    fn apply(&self, input: &mut Vec<u8>) {
        let place = |at: &prop::sample::Index, input: &Vec<u8>| at.index(input.len() + 1);
        let run = |at: &prop::sample::Index, count: usize, input: &Vec<u8>| {
            let start = place(at, input);
            start..input.len().min(start + count)
        };
        match self {
            Self::Insert(at, word) => {
                let at = place(at, input);
                input.splice(at..at, word.iter().copied()).for_each(drop);
            }
            Self::Set(at, byte) => run(at, 1, input).for_each(|at| input[at] = *byte),
            Self::Flip(at, bit) => run(at, 1, input).for_each(|at| input[at] ^= 1 << bit),
            Self::Remove(at, count) => drop(input.drain(run(at, *count, input))),
            Self::Repeat(at, count) => input.extend_from_within(run(at, *count, input)),
            Self::Cut(at) => input.truncate(place(at, input)),
        }
    }
}

/// The words of a libFuzzer dictionary: one a line, in quotes, with `\"`, `\\` and `\xAB` for bytes.
fn words(dictionary: &str) -> Vec<Vec<u8>> {
    let quoted = |line: &str| Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    let unescaped = |word: String| {
        let (mut bytes, mut rest) = (Vec::new(), word.as_bytes());
        while let [first, more @ ..] = rest {
            let (byte, after) = match (first, more) {
                (b'\\', [b'x', high, low, after @ ..]) => {
                    let hex = [*high, *low];
                    (u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap(), after)
                }
                (b'\\', [escaped, after @ ..]) => (*escaped, after),
                _ => (*first, more),
            };
            bytes.push(byte);
            rest = after;
        }
        bytes
    };
    dictionary.lines().filter_map(quoted).map(unescaped).collect()
}

#[test]
fn h64_a_checkpoint_is_believed_only_if_it_is_sane() {
    tried("checkpoint", checkpoint);
    tried("checkpoint_body", checkpoint_body);
}

#[test]
fn h64_hashes_are_believed_only_if_they_are_sane() {
    tried("hashes", hashes);
}

#[test]
fn h06_what_an_object_is_compared_with_was_said_of_it() {
    tried("checksum_list", checksum_list);
    tried("digest_headers", digest_headers);
}

#[test]
fn h11_a_content_range_is_within_its_object() {
    tried("content_range", content_range);
}

#[test]
fn h10_h15_a_ranged_answer_that_is_taken_is_the_one_asked_for() {
    tried("ranged_answer", ranged_answer);
}

#[test]
fn h60_h76_a_proposed_name_is_harmless() {
    tried("file_name", file_name);
}

#[test]
fn h20_retry_after_is_a_number_a_date_or_nothing() {
    tried("retry_after", retry_after);
}

#[test]
fn h01_a_validator_is_what_the_server_said() {
    tried("validator", validator);
}

#[test]
fn h30_redirects_end_and_never_leave_https() {
    tried("redirect", redirect);
}

#[test]
fn h74_a_url_is_shown_without_its_secrets() {
    tried("url", url);
}
