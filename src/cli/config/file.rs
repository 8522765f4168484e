//! What a configuration file says (TOML). Pure.
//!
//! Its keys are the long names of options, and the tables `[host."example.org"]` have those for a host. A value may be a
//! secret: no error shows one.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::super::exit::in_one_line;
use super::super::headers::BadLine;
use super::host::HostPattern;
use super::keys::{Key, Keys, Kind, Takes};

/// The table with those of hosts.
const HOST: &str = "host";

/// What is said of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: Value,
    /// From 1.
    pub(crate) line: usize,
}

/// A value as it would be typed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Flag(bool),
    /// One, or those of an option that may be repeated.
    Words(Vec<OsString>),
}

impl fmt::Debug for Value {
    /// It may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value([hidden])")
    }
}

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) general: Vec<Setting>,
    pub(crate) hosts: Vec<Section>,
}

/// What it says of some hosts.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// As it is written.
    pub(crate) name: String,
    pub(crate) pattern: HostPattern,
    pub(crate) settings: Vec<Setting>,
}

/// Reads a file of a user whose home is there.
pub(crate) fn parse(text: &str, keys: &Keys, home: Option<&Path>) -> Result<File, BadLine> {
    let reader = Reader { text, keys, home };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.bad(at, format!("is no TOML: {}", error.message().lines().next().unwrap_or_default()))
    })?;
    reader.file(table.get_ref())
}

struct Reader<'a> {
    text: &'a str,
    keys: &'a Keys,
    home: Option<&'a Path>,
}

impl Reader<'_> {
    fn file(&self, table: &DeTable<'_>) -> Result<File, BadLine> {
        let mut file = File::default();
        for (key, value) in table {
            if key.get_ref() == HOST {
                file.hosts = self.hosts(value)?;
            } else {
                file.general.push(self.setting(key, value)?);
            }
        }
        Ok(file)
    }

    fn hosts(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Section>, BadLine> {
        let section = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let (at, name) = (name.span().start, name.get_ref().clone().into_owned());
            let no_host = "names no host: write example.org, *.example.org or example.org:8443";
            let pattern = HostPattern::parse(&name).ok_or_else(|| self.bad(at, no_host))?;
            let settings = self.table(value)?.iter().map(|(key, value)| self.setting_of_a_host(key, value));
            Ok(Section { name, pattern, settings: settings.collect::<Result<_, _>>()? })
        };
        self.table(value)?.iter().map(section).collect()
    }

    fn table<'t, 'i>(&self, value: &'t Spanned<DeValue<'i>>) -> Result<&'t DeTable<'i>, BadLine> {
        let written = "write a table for each host: [host.\"example.org\"]";
        value.get_ref().as_table().ok_or_else(|| self.bad(value.span().start, written))
    }

    fn setting_of_a_host(
        &self,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Setting, BadLine> {
        let setting = self.setting(key, value)?;
        match self.keys.named(&setting.name) {
            Ok(key) if !key.is_of_a_host() => {
                let why = format!("'{}' is of all downloads: write it above the tables of hosts", key.name);
                Err(BadLine { number: setting.line, why })
            }
            _ => Ok(setting),
        }
    }

    fn setting(
        &self,
        name: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Setting, BadLine> {
        let at = name.span().start;
        let key = self.keys.named(name.get_ref().as_ref()).map_err(|why| self.bad(at, why))?;
        let value = self.value(key, value.get_ref()).map_err(|why| self.bad(at, why))?;
        Ok(Setting { name: key.name.clone(), value, line: self.line(at) })
    }

    fn value(&self, key: &Key, value: &DeValue<'_>) -> Result<Value, String> {
        let Key { name, takes, .. } = key;
        let values = match (takes, value) {
            (Takes::Nothing, DeValue::Boolean(flag)) => return Ok(Value::Flag(*flag)),
            (Takes::Nothing, _) => return Err(format!("'{name}' is true or false")),
            (Takes::Several, DeValue::Array(values)) => values.iter().map(Spanned::get_ref).collect(),
            (Takes::One, DeValue::Array(_)) => return Err(format!("'{name}' has one value")),
            (_, value) => vec![value],
        };
        let words = values.into_iter().map(|value| self.word(key, value));
        Ok(Value::Words(words.collect::<Result<_, _>>()?))
    }

    fn word(&self, key: &Key, value: &DeValue<'_>) -> Result<OsString, String> {
        let word = match value {
            DeValue::String(text) => self.located(key, text)?,
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().into(),
            DeValue::Float(number) => number.as_str().into(),
            _ => return Err(format!("'{}' is a string or a number, as it would be typed", key.name)),
        };
        let refusal = self.keys.refusal(key, &word);
        refusal.map_or(Ok(word), |error| Err(in_one_line(&error)))
    }

    /// Files are where they are, whatever folder haul is started in.
    fn located(&self, key: &Key, text: &str) -> Result<OsString, String> {
        let (mark, path) = match (key.value, text.strip_prefix('@')) {
            (Kind::Path, _) => ("", text),
            (Kind::Secret, Some(path)) => ("@", path),
            _ => return Ok(text.into()),
        };
        let found = match (path.strip_prefix("~/"), self.home) {
            (Some(path), Some(home)) => home.join(path),
            _ if Path::new(path).is_absolute() => path.into(),
            _ => return Err(format!("'{}': a file's path begins with / or ~/ here", key.name)),
        };
        let mut word = OsString::from(mark);
        word.push(found);
        Ok(word)
    }

    fn bad(&self, at: usize, why: impl Into<String>) -> BadLine {
        BadLine { number: self.line(at), why: why.into() }
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::args::Cli;
    use super::*;
    use clap::CommandFactory;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<File, BadLine> {
        parse(text, &Keys::of(Cli::command()), Some(Path::new("/home/me")))
    }

    fn words(text: &str) -> Value {
        Value::Words(text.split('|').map(Into::into).collect())
    }

    #[test]
    fn a_file_has_options_and_those_of_hosts() {
        let text = "jobs = 8\ntimeout = 1.5\nno-sync = true\ncacert = '~/ca.pem'\nheader = ['X-A: 1', '@~/h']\n\
                    [host.'*.example.org']\njobs = 'auto'\nheader = 'X-B: 2'\n[host.h]\n";
        let file = read(text).unwrap();
        let found = |settings: &[Setting]| {
            let mut found: Vec<_> =
                settings.iter().map(|it| (it.line, it.name.clone(), it.value.clone())).collect();
            found.sort_by_key(|(line, ..)| *line);
            found
        };
        let expected = [
            (1, "jobs".to_owned(), words("8")),
            (2, "timeout".to_owned(), words("1.5")),
            (3, "no-sync".to_owned(), Value::Flag(true)),
            (4, "cacert".to_owned(), words("/home/me/ca.pem")),
            (5, "header".to_owned(), words("X-A: 1|@/home/me/h")),
        ];
        assert_eq!(found(&file.general), expected);
        let [section, empty] = &file.hosts[..] else { panic!("{file:?}") };
        assert_eq!((section.name.as_str(), empty.settings.len()), ("*.example.org", 0));
        let expected = [(7, "jobs".to_owned(), words("auto")), (8, "header".to_owned(), words("X-B: 2"))];
        assert_eq!(found(&section.settings), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_no_value_is_shown() {
        for (text, line, said) in [
            ("\njbos = 1", 2, "perhaps 'jobs'"),
            ("output = 'x'", 1, "'output' belongs on a command line"),
            ("url = 'http://h/x'", 1, "'url' is nothing"),
            ("url-command = 'rm hunter2'", 1, "of one run"),
            ("jobs = 'some'", 1, "give a number from 1 to 256, or auto"),
            ("jobs = true", 1, "'jobs' is a string or a number"),
            ("jobs = [1, 2]", 1, "'jobs' has one value"),
            ("jobs = 0x10", 1, "as it would be typed"),
            ("on-change = 'hunter2:'", 1, "[hidden]"),
            ("no-sync = 1", 1, "'no-sync' is true or false"),
            ("cacert = 'ca.pem'", 1, "begins with / or ~/"),
            ("header = '@-'", 1, "begins with / or ~/"),
            ("header = ['X-A: hunter2', 7, {}]", 1, "'header' is a string"),
            ("jobs = 1\n[host.h]\nquiet = true", 3, "'quiet' is of all downloads"),
            ("[host.h]\njbos = 1", 2, "perhaps 'jobs'"),
            ("[host.'me:hunter2@h']", 1, "names no host"),
            ("host = 1", 1, "[host.\"example.org\"]"),
            ("[host]\nh = 1", 2, "[host.\"example.org\"]"),
            ("[hosts.h]\njobs = 1", 1, "'hosts' is nothing"),
            ("a = 1\nheader = hunter2", 2, "is no TOML"),
            ("jobs = 1\njobs = 2", 2, "is no TOML"),
        ] {
            let bad = read(text).unwrap_err();
            assert!(bad.number == line && bad.why.contains(said), "{text}: {bad:?}");
            assert!(!bad.why.contains("hunter2"), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_a_line_of_it_is_named(text in "(jobs|timeout|header|\\[host\\.h\\]|[ ='\"\\[\\]{}.\n0-9]|\\PC){0,30}") {
            if let Err(bad) = read(&text) {
                prop_assert!((1..=text.split('\n').count()).contains(&bad.number), "{bad:?}");
            }
        }
    }
}
