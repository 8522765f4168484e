//! Which value counts where several are said. Pure.
//!
//! An option that was typed comes before its variable, that before a host's table, that before the rest of the file. What
//! contradicts something nearer is not said at all. Options that may be repeated add up, but for headers of one name.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::file::Value;
use super::keys::{Key, Keys, Takes};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Typed,
    Variable(String),
    /// A table of a host's, and the line in it.
    Host(String, usize),
    File(usize),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed => f.write_str("command line"),
            Self::Variable(name) => f.write_str(name),
            Self::Host(host, line) => write!(f, "line {line}, of {host}"),
            Self::File(line) => write!(f, "line {line}"),
        }
    }
}

/// A value, and who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) value: Value,
    pub(crate) from: Source,
}

/// What one source says, by the names of options.
pub(crate) type Layer = BTreeMap<String, Said>;

/// What counts of what was said of an option.
#[derive(Clone, Debug)]
pub(crate) struct Chosen<'a> {
    pub(crate) key: &'a Key,
    /// The farthest first; none where it has its default. More than one only of what may be repeated.
    pub(crate) said: Vec<Said>,
}

/// Decides. The nearest layer comes first, and it is what was typed.
pub(crate) fn merged<'a>(keys: &'a Keys, layers: &[Layer]) -> Result<Vec<Chosen<'a>>, String> {
    let merge = Merge { layers, headers: headers(layers) };
    keys.iter().map(|key| merge.chosen(key)).collect()
}

/// What would have been typed, but for what was.
pub(crate) fn words(chosen: &[Chosen<'_>]) -> Vec<OsString> {
    let unsaid = |said: &&Said| said.from != Source::Typed;
    let words = chosen.iter().flat_map(|Chosen { key, said }| {
        said.iter().filter(unsaid).flat_map(move |said| match &said.value {
            Value::Flag(true) => vec![format!("--{}", key.name).into()],
            Value::Flag(false) => vec![],
            Value::Words(words) => words.iter().map(|word| option(&key.name, word)).collect(),
        })
    });
    words.collect()
}

fn option(name: &str, word: &OsStr) -> OsString {
    let mut option = OsString::from(format!("--{name}="));
    option.push(word);
    option
}

struct Merge<'a> {
    layers: &'a [Layer],
    /// The nearest layer that has a header of that name.
    headers: BTreeMap<String, usize>,
}

impl Merge<'_> {
    fn chosen<'a>(&self, key: &'a Key) -> Result<Chosen<'a>, String> {
        let mut said = Vec::new();
        for (layer, one) in self.layers.iter().enumerate() {
            let Some(one) = one.get(&key.name) else { continue };
            if is_said(one) && self.is_contradicted(key, one, layer)? {
                break;
            }
            said.extend(self.without_headers_that_are_nearer(&key.name, one, layer));
            if key.takes != Takes::Several {
                break;
            }
        }
        said.reverse();
        Ok(Chosen { key, said })
    }

    /// By something nearer. Two that are equally near are a mistake; of what was typed the parser says so.
    fn is_contradicted(&self, key: &Key, said: &Said, layer: usize) -> Result<bool, String> {
        for other in &key.conflicts {
            let nearest = self.layers.iter().position(|layer| layer.contains_key(other));
            let Some(nearest) = nearest.filter(|nearest| is_said(&self.layers[*nearest][other])) else {
                continue;
            };
            if nearest < layer {
                return Ok(true);
            }
            if nearest == layer && said.from != Source::Typed {
                return Err(format!("'{}' ({}) and '{other}' contradict each other", key.name, said.from));
            }
        }
        Ok(false)
    }

    fn without_headers_that_are_nearer(&self, name: &str, said: &Said, layer: usize) -> Option<Said> {
        let Value::Words(words) = &said.value else { return Some(said.clone()) };
        let is_ours = |word: &&OsString| {
            let nearest = header_name(name, word).and_then(|header| self.headers.get(&header));
            nearest.is_none_or(|nearest| *nearest == layer)
        };
        let words: Vec<_> = words.iter().filter(is_ours).cloned().collect();
        (!words.is_empty()).then(|| Said { value: Value::Words(words), from: said.from.clone() })
    }
}

fn is_said(said: &Said) -> bool {
    said.value != Value::Flag(false)
}

fn headers(layers: &[Layer]) -> BTreeMap<String, usize> {
    let mut headers = BTreeMap::new();
    for (layer, said) in layers.iter().enumerate() {
        for (name, said) in said {
            let Value::Words(words) = &said.value else { continue };
            for header in words.iter().filter_map(|word| header_name(name, word)) {
                headers.entry(header).or_insert(layer);
            }
        }
    }
    headers
}

/// The header that a value becomes, in lower case; of a file's nobody knows yet.
fn header_name(option: &str, word: &OsStr) -> Option<String> {
    match option {
        "user" | "bearer-file" => Some("authorization".to_owned()),
        "referer" => Some("referer".to_owned()),
        "header" if !word.as_bytes().starts_with(b"@") => {
            Some(word.to_string_lossy().split(':').next()?.trim().to_lowercase())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::args::Cli;
    use super::*;
    use clap::CommandFactory;

    /// `name=value|value`, or the name alone for a flag.
    fn layer(from: &Source, settings: &[&str]) -> Layer {
        let said = |text: &&str| {
            let (name, value) = match text.split_once('=') {
                None => (*text, Value::Flag(true)),
                Some((name, "false")) => (name, Value::Flag(false)),
                Some((name, words)) => (name, Value::Words(words.split('|').map(Into::into).collect())),
            };
            (name.to_owned(), Said { value, from: from.clone() })
        };
        settings.iter().map(said).collect()
    }

    fn typed(settings: [&[&str]; 4]) -> Result<Vec<String>, String> {
        let from =
            [Source::Typed, Source::Variable("V".into()), Source::Host("h".into(), 1), Source::File(1)];
        let layers: Vec<_> =
            from.iter().zip(settings).map(|(from, settings)| layer(from, settings)).collect();
        let keys = Keys::of(Cli::command());
        let words = words(&merged(&keys, &layers)?);
        Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn the_nearest_counts() {
        for (settings, expected) in [
            ([&[][..], &[], &[], &["jobs=1"]], &["--jobs=1"][..]),
            ([&[], &[], &["jobs=2"], &["jobs=1"]], &["--jobs=2"]),
            ([&[], &["jobs=3"], &["jobs=2"], &["jobs=1"]], &["--jobs=3"]),
            ([&["jobs=4"], &["jobs=3"], &["jobs=2"], &["jobs=1"]], &[]),
            ([&[], &[], &["no-sync"], &[]], &["--no-sync"]),
            ([&[], &["no-sync=false"], &["no-sync"], &[]], &[]),
            ([&["no-sync"], &["no-sync=false"], &[], &[]], &[]),
        ] {
            assert_eq!(typed(settings).unwrap(), expected, "{settings:?}");
        }
    }

    #[test]
    fn what_may_be_repeated_adds_up_but_headers_of_one_name_do_not() {
        for (settings, expected) in [
            (
                [&[][..], &["header=C: 3"], &["header=A: 2|B: 2"], &["header=a : 1|@f|D: 1"]],
                &["--header=@f", "--header=D: 1", "--header=A: 2", "--header=B: 2", "--header=C: 3"][..],
            ),
            ([&["header=A: 4"], &[], &["header=A: 2"], &["header=A: 1|A: 0"]], &[]),
            ([&["header=X: 4"], &[], &[], &["header=A: 1|A: 0"]], &["--header=A: 1", "--header=A: 0"]),
            ([&["header=authorization: 4"], &[], &["user=a:b"], &["bearer-file=/f"]], &[]),
            ([&["user=a:b"], &[], &[], &["header=Authorization: 1|B: 1"]], &["--header=B: 1"]),
            (
                [&[], &["resolve=h:1:::1"], &[], &["resolve=g:1:::1"]],
                &["--resolve=g:1:::1", "--resolve=h:1:::1"],
            ),
        ] {
            assert_eq!(typed(settings).unwrap(), expected, "{settings:?}");
        }
    }

    #[test]
    fn what_contradicts_something_nearer_is_not_said() {
        for (settings, expected) in [
            ([&["quiet"][..], &[], &[], &["verbose"]], &[][..]),
            ([&["force"], &[], &[], &["skip-existing"]], &[]),
            ([&["user=a:b"], &[], &["bearer-file=/f"], &[]], &[]),
            ([&[], &["verbose=false"], &[], &["quiet"]], &["--quiet"]),
            ([&[], &["ipv6"], &["ipv4"], &["ipv4"]], &["--ipv6"]),
        ] {
            assert_eq!(typed(settings).unwrap(), expected, "{settings:?}");
        }
        let clash = typed([&[], &[], &[], &["quiet", "verbose"]]).unwrap_err();
        assert!(
            clash.contains("'quiet' (line 1) and 'verbose'") || clash.contains("'verbose' (line 1)"),
            "{clash}"
        );
        assert!(typed([&["quiet", "verbose"], &[], &[], &[]]).is_ok(), "the parser says that");
    }
}
