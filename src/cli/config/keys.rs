//! What can be configured: the options of a download, but for those that are of one run. Pure.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

use super::super::args::Secret;

/// What one run does, and no other; what would replace or run something that nobody asked for; and what the output is
/// read by.
const OF_ONE_RUN: [&str; 17] = [
    "checksum",
    "checksum-file",
    "config",
    "force",
    "head-url",
    "if-newer",
    "input-file",
    "json",
    "mirror",
    "no-config",
    "output",
    "range",
    "restart",
    "shard",
    "show-config",
    "url-command",
    "version",
];

/// What holds for all downloads together, and so for no host alone.
const OF_ALL_HOSTS: [&str; 5] = ["parallel-downloads", "progress", "quiet", "skip-existing", "verbose"];

/// An option that can be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// As in a file, and after `--`.
    pub(crate) name: String,
    pub(crate) takes: Takes,
    pub(crate) value: Kind,
    /// As the help says it.
    pub(crate) default: Option<String>,
    /// Names of options that it contradicts.
    pub(crate) conflicts: Vec<String>,
}

/// How many values an option has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// None: it is there or not.
    Nothing,
    One,
    Several,
}

/// What a value is, as far as that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Path,
    /// A URL, a header, a password.
    Secret,
    Other,
}

impl Key {
    /// The variable that has its value: `HAUL_MAX_WAIT`.
    pub(crate) fn variable(&self) -> String {
        format!("HAUL_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// Whether it can be said for one host.
    pub(crate) fn is_of_a_host(&self) -> bool {
        !OF_ALL_HOSTS.contains(&self.name.as_str())
    }

    fn of(argument: &Arg, haul: &Command) -> Option<Self> {
        let name = argument.get_long().filter(|name| !OF_ONE_RUN.contains(name))?.to_owned();
        let takes = match argument.get_action() {
            ArgAction::SetTrue => Takes::Nothing,
            ArgAction::Append => Takes::Several,
            _ => Takes::One,
        };
        let default = argument.get_default_values().first().filter(|_| takes != Takes::Nothing);
        let others = haul.get_arguments().filter(|other| {
            let names = |one: &Arg, other: &Arg| {
                haul.get_arg_conflicts_with(one).iter().any(|named| named.get_id() == other.get_id())
            };
            names(argument, other) || names(other, argument)
        });
        Some(Self {
            name,
            takes,
            value: kind(argument),
            default: default.map(|value| value.to_string_lossy().into_owned()),
            conflicts: others.filter_map(Arg::get_long).map(str::to_owned).collect(),
        })
    }
}

fn kind(argument: &Arg) -> Kind {
    let is = |kind: TypeId| argument.get_value_parser().type_id() == kind;
    match () {
        () if is(TypeId::of::<PathBuf>()) => Kind::Path,
        () if is(TypeId::of::<Secret>()) => Kind::Secret,
        () => Kind::Other,
    }
}

/// All of them, in the order of the help.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    keys: Vec<Key>,
    haul: Command,
}

impl Keys {
    pub(crate) fn of(haul: Command) -> Self {
        let keys = haul.get_arguments().filter_map(|argument| Key::of(argument, &haul)).collect();
        Self { keys, haul }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Those that mean the same to that command.
    pub(crate) fn also_of(&self, command: &Command) -> Self {
        let of = |haul: &Command, name: &str| {
            let mut arguments = haul.get_arguments();
            let argument = arguments.find(|argument| argument.get_long() == Some(name))?;
            Some(argument.get_value_parser().type_id())
        };
        let same =
            |key: &&Key| of(command, &key.name).is_some_and(|kind| of(&self.haul, &key.name) == Some(kind));
        Self { keys: self.keys.iter().filter(same).cloned().collect(), haul: self.haul.clone() }
    }

    pub(crate) fn named(&self, name: &str) -> Result<&Key, String> {
        let key = self.keys.iter().find(|key| key.name == name);
        key.ok_or_else(|| match self.likely(name) {
            _ if OF_ONE_RUN.contains(&name) => {
                format!("'{name}' belongs on a command line: it is of one run")
            }
            Some(likely) => {
                format!("'{name}' is nothing that can be configured; perhaps '{likely}' is meant")
            }
            None => format!("'{name}' is nothing that can be configured; haul --show-config has what can"),
        })
    }

    /// The key that one is mistaken for, as the parser sees it.
    pub(crate) fn likely(&self, name: &str) -> Option<&str> {
        // Underscores are what other programs' files have.
        let flag = format!("--{}", name.to_lowercase().replace('_', "-"));
        let exactly = flag.trim_start_matches('-').to_owned();
        let error = self.haul.clone().try_get_matches_from(["haul", &flag]).err();
        let suggested = match error.as_ref().and_then(|error| error.get(ContextKind::SuggestedArg)) {
            Some(ContextValue::String(flag)) => flag.trim_start_matches('-').to_owned(),
            _ => exactly,
        };
        self.keys.iter().map(|key| key.name.as_str()).find(|name| *name == suggested)
    }

    /// What the parser of the command line says against the value, if anything.
    pub(crate) fn refusal(&self, key: &Key, value: &OsStr) -> Option<clap::Error> {
        use clap::error::ErrorKind::{InvalidUtf8, InvalidValue, ValueValidation};
        if key.takes == Takes::Nothing {
            return None;
        }
        let mut flag = OsString::from(format!("--{}=", key.name));
        flag.push(value);
        let parsed =
            self.haul.clone().try_get_matches_from(["haul".into(), flag, "http://localhost/".into()]);
        let error = parsed.err()?;
        matches!(error.kind(), InvalidValue | InvalidUtf8 | ValueValidation).then_some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::args::Cli;
    use super::*;
    use clap::CommandFactory;

    fn keys() -> Keys {
        Keys::of(Cli::command())
    }

    #[test]
    fn every_option_is_a_key_or_is_of_one_run() {
        let (haul, keys) = (Cli::command(), keys());
        let options: Vec<_> = haul.get_arguments().filter_map(Arg::get_long).collect();
        for option in &options {
            assert_ne!(keys.named(option).is_ok(), OF_ONE_RUN.contains(option), "{option}");
        }
        for name in OF_ONE_RUN.iter().chain(&OF_ALL_HOSTS).filter(|name| **name != "version") {
            assert!(options.contains(name), "{name} is an option no more");
        }
    }

    #[test]
    fn a_key_is_what_its_option_is() {
        let keys = keys();
        for (name, takes, value, default, of_a_host) in [
            ("jobs", Takes::One, Kind::Other, Some("auto"), true),
            ("dir", Takes::One, Kind::Path, Some("."), true),
            ("header", Takes::Several, Kind::Secret, None, true),
            ("resolve", Takes::Several, Kind::Other, None, true),
            ("no-sync", Takes::Nothing, Kind::Other, None, true),
            ("quiet", Takes::Nothing, Kind::Other, None, false),
        ] {
            let key = keys.named(name).unwrap();
            assert_eq!((key.takes, key.value, key.default.as_deref()), (takes, value, default), "{name}");
            assert_eq!(key.is_of_a_host(), of_a_host, "{name}");
        }
        let of = |name| keys.named(name).unwrap();
        assert_eq!(of("max-wait").variable(), "HAUL_MAX_WAIT");
        assert!(of("verbose").conflicts.contains(&"quiet".to_owned()), "whichever of them says so");
        assert!(of("quiet").conflicts.contains(&"verbose".to_owned()));
    }

    #[test]
    fn a_key_that_is_none_is_told_what_is_meant() {
        let keys = keys();
        for (name, said) in [
            ("jbos", "perhaps 'jobs'"),
            ("connect_timeout", "perhaps 'connect-timeout'"),
            ("max_wiat", "perhaps 'max-wait'"),
            ("output", "of one run"),
            ("outptu", "nothing that can be configured; haul"),
            ("\u{1b}", "nothing that can be configured; haul"),
        ] {
            let why = keys.named(name).unwrap_err();
            assert!(why.contains(said), "{name}: {why}");
        }
    }

    #[test]
    fn another_command_has_what_means_the_same_to_it() {
        let haul = Cli::command();
        let tune = keys().also_of(haul.find_subcommand("tune").unwrap());
        assert!(tune.named("timeout").is_ok() && tune.named("jobs").is_err(), "those are others");
        assert!(keys().also_of(haul.find_subcommand("repair").unwrap()).named("jobs").is_ok());
    }
}
