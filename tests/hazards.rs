//! docs/hazards.md tells the truth: every hazard has tests that carry its number, or says why not, and the table
//! counts them; docs/guarantees.md names tests that are there, and `just removals` has something to remove.
//! `HAUL_BLESS=1` writes the counts.

#![expect(clippy::disallowed_methods, reason = "files of the repository")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Numbers that have no hazard.
const GAPS: [u32; 11] = [8, 9, 19, 26, 27, 28, 29, 36, 37, 38, 39];
const LAST: u32 = 83;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn place(source: &Path) -> String {
    source.strip_prefix(root("")).expect("a source of ours").display().to_string()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        match path.extension() {
            None if path.is_dir() => sources(&path, found),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
}

/// The hazards in the name of a test: `h42_h43_a_stream_that_is_cut` is of both.
fn numbers(name: &str) -> Vec<u32> {
    let number = |part: &str| part.strip_prefix('h').filter(|digits| digits.len() == 2)?.parse().ok();
    name.split('_').map_while(number).collect()
}

/// The name that a line gives to a test: a function's, or a row's of a macro that makes some (`h11_…: what`).
fn test_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    let line = line.strip_prefix("fn ").unwrap_or(line);
    let (name, _) = line.split_once(['(', ':'])?;
    (!numbers(name).is_empty()).then_some(name)
}

/// Hazard → place → number of tests.
fn counted() -> BTreeMap<u32, BTreeMap<String, usize>> {
    let mut files = Vec::new();
    ["src", "tests"].iter().for_each(|folder| sources(&root(folder), &mut files));
    let mut counted: BTreeMap<u32, BTreeMap<String, usize>> = BTreeMap::new();
    for file in files {
        let place = place(&file);
        let source = fs::read_to_string(&file).expect("a source");
        for number in source.lines().filter_map(test_name).flat_map(numbers) {
            *counted.entry(number).or_default().entry(place.clone()).or_default() += 1;
        }
    }
    counted
}

fn cell(places: &BTreeMap<String, usize>) -> String {
    let mut cell = String::new();
    for (place, count) in places {
        let comma = if cell.is_empty() { "" } else { ", " };
        write!(cell, "{comma}`{place}` {count}").expect("a string takes everything");
    }
    cell
}

#[test]
fn h68_the_wall_clock_is_read_for_people_and_nowhere_else() {
    let mut files = Vec::new();
    sources(&root("src"), &mut files);
    let reads = |file: &PathBuf| fs::read_to_string(file).expect("a source").contains("SystemTime::now");
    let reading: Vec<_> = files.into_iter().filter(reads).map(|file| place(&file)).collect();
    // The age that `status` shows, when it began, how long a host is remembered, and a scenario's own clock.
    let known = [
        "src/cli/commands.rs",
        "src/download/files.rs",
        "src/download/hosts_file.rs",
        "src/download/scenarios/statuses.rs",
    ];
    assert!(reading.iter().all(|file| known.contains(&file.as_str())), "{reading:?}");
}

#[test]
fn the_guarantees_name_tests_that_are_there() {
    let text = fs::read_to_string(root("docs/guarantees.md")).expect("the guarantees");
    let named: Vec<&str> = text.split('`').filter(|word| word.starts_with("tests/")).collect();
    assert!(named.len() > 10, "{named:?}");
    for file in named {
        assert!(root(file).is_file(), "{file}");
    }
}

#[test]
fn the_removals_remove_what_is_there() {
    let patches = fs::read_dir(root("tests/removals"))
        .expect("the removals")
        .map(|entry| entry.expect("an entry").path());
    let patches: Vec<_> =
        patches.filter(|path| path.extension().is_some_and(|extension| extension == "patch")).collect();
    assert_eq!(patches.len(), 6, "{patches:?}");
    for path in patches {
        let patch = fs::read_to_string(&path).expect("a patch");
        let (head, hunks) = patch.split_once("\n@@ ").expect("it removes something");
        let (_, changed) = head.rsplit_once("\n+++ b/").expect("it says of which file");
        let source = fs::read_to_string(root(changed)).expect("a source");
        for hunk in hunks.split("\n@@ ") {
            let before = hunk.lines().skip(1).filter_map(|line| line.strip_prefix([' ', '-']));
            let before: String = before.flat_map(|line| [line, "\n"]).collect();
            assert!(source.contains(&before), "{} does not apply any more: write it anew", path.display());
        }
    }
}

#[test]
fn the_table_of_hazards_is_true() {
    let path = root("docs/hazards.md");
    let (counted, mut listed) = (counted(), Vec::new());
    let written = fs::read_to_string(&path).expect("the table");
    let row = |line: &str| {
        let Some(number) = line.strip_prefix("| H").and_then(|rest| rest.get(..2)?.parse::<u32>().ok())
        else {
            return line.to_owned();
        };
        listed.push(number);
        let (what, tests) = line.trim_end_matches('|').trim_end().rsplit_once('|').expect("three columns");
        match counted.get(&number) {
            Some(places) => format!("{}| {} |", what, cell(places)),
            None => {
                assert!(tests.trim().starts_with("none: "), "H{number:02} has no test and does not say why");
                line.to_owned()
            }
        }
    };
    let right: Vec<String> = written.lines().map(row).collect();
    let right = right.join("\n") + "\n";
    let hazards: Vec<u32> = (1..=LAST).filter(|number| !GAPS.contains(number)).collect();
    assert_eq!(listed, hazards, "each hazard has its row");
    if std::env::var_os("HAUL_BLESS").is_some() {
        fs::write(&path, right).expect("the table can be written");
    } else {
        assert!(written == right, "docs/hazards.md is behind the tests: run `just hazards`");
    }
}
