//! Finds the configuration, and makes of it and of what was typed the options that hold.

use std::env;
use std::ffi::OsString;
use std::fs::File as OpenFile;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use haul::Download;

use super::super::args::{Cli, DownloadArgs, Secret};
use super::super::exit::{ExitCode, Failure, in_one_line};
use super::super::headers::BadLine;
use super::file::{self, File, Section, Setting, Value};
use super::host::{HostPattern, PerHost};
use super::keys::Keys;
use super::merge::{self, Layer, Said, Source};
use super::{show, variables};

/// A file that is longer is no configuration.
const LONGEST: u64 = 1 << 20;

/// What there is beside the command line.
pub(crate) struct Environment {
    variables: Vec<(OsString, OsString)>,
}

impl Environment {
    pub(crate) fn detect() -> Self {
        Self { variables: env::vars_os().collect() }
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        let named = |(other, value): &(OsString, OsString)| (other == name).then(|| value.clone());
        self.variables.iter().find_map(named).filter(|value| !value.is_empty())
    }
}

/// Where a user's files of one kind are, as the XDG base directory specification has it: the folder that the variable
/// names, `otherwise` below the home folder. A relative path is to be ignored, it says.
pub(crate) fn base_folder(
    variable: impl Fn(&str) -> Option<OsString>,
    name: &str,
    otherwise: &str,
) -> Option<PathBuf> {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder(name).or_else(|| Some(folder("HOME")?.join(otherwise)))
}

/// What haul is to do.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) cli: Cli,
    /// The options of a download from hosts with a table of their own.
    pub(crate) hosts: Vec<(HostPattern, DownloadArgs)>,
    /// What is asked for in place of anything else: the options and where they come from.
    pub(crate) shown: Option<Vec<String>>,
    /// What the user should know of the configuration.
    pub(crate) warnings: Vec<String>,
}

/// Why it cannot be done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// What was typed: a mistake, or a wish for help.
    Typed(Box<clap::Error>),
    Failed(Failure),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Typed(Box::new(error))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Invocation {
    /// Of these words, the first of which is the program.
    pub(crate) fn read(typed: &[OsString], environment: &Environment) -> Result<Self, Refusal> {
        let matches = Cli::command().try_get_matches_from(typed)?;
        let (command, options) = match matches.subcommand() {
            Some((name, options)) => (Some(name.to_owned()), options.clone()),
            None => (None, matches.clone()),
        };
        if !is_configured(command.as_deref()) {
            // Who asks no server needs no configuration.
            let cli = Cli::from_arg_matches(&matches)?;
            return Ok(Self { cli, hosts: Vec::new(), shown: None, warnings: Vec::new() });
        }
        Configuration::load(typed, command, options, environment)?.invocation()
    }
}

/// Whether a command can be told where its configuration is.
fn is_configured(command: Option<&str>) -> bool {
    let haul = Cli::command();
    let own = command.and_then(|name| haul.find_subcommand(name)).unwrap_or(&haul);
    own.get_arguments().any(|argument| argument.get_id() == "config")
}

/// Everything that was said.
struct Configuration<'a> {
    typed: &'a [OsString],
    /// `None`: a download.
    command: Option<String>,
    options: ArgMatches,
    keys: Keys,
    /// Of what was typed, and of the variables.
    near: [Layer; 2],
    /// Where the file is, or would be; `None` where there is no such place.
    path: Option<PathBuf>,
    file: File,
    warnings: Vec<String>,
}

impl<'a> Configuration<'a> {
    fn load(
        typed: &'a [OsString],
        command: Option<String>,
        options: ArgMatches,
        environment: &Environment,
    ) -> Result<Self, Refusal> {
        let haul = Cli::command();
        let all = Keys::of(haul.clone());
        let own = command.as_deref().and_then(|name| haul.find_subcommand(name));
        let keys = own.map_or_else(|| all.clone(), |command| all.also_of(command));
        let variables = variables::read(&keys, |name| environment.variable(name)).map_err(Failure::usage)?;
        let near = [typed_layer(own.unwrap_or(&haul), &options), variables];
        let (path, file, mut warnings) = read_file(&all, &options, environment)?;
        let names = environment.variables.iter().filter_map(|(name, _)| name.to_str());
        warnings.extend(names.filter_map(|name| variables::strange(&all, name)));
        Ok(Self { typed, command, options, keys, near, path, file, warnings })
    }

    fn invocation(self) -> Result<Invocation, Refusal> {
        let sections = self.file.hosts.iter().map(|section| (section.pattern.clone(), Some(section)));
        let sections = PerHost { general: None, hosts: sections.collect() };
        let mut urls: Vec<&str> = Vec::new();
        let id = if self.command.is_some() { "url" } else { "urls" };
        urls.extend(
            self.options.get_many::<Secret>(id).into_iter().flatten().map(|Secret(url)| url.as_str()),
        );
        let shown = self.options.get_flag("show_config").then(|| self.shown(&urls, &sections)).transpose()?;
        let (cli, hosts) = match (&self.command, &urls[..]) {
            (Some(_), [url, ..]) => (self.parsed(*sections.of(url))?, Vec::new()),
            _ => {
                let own = self.file.hosts.iter().map(|section| -> Result<_, Refusal> {
                    Ok((section.pattern.clone(), self.parsed(Some(section))?.download))
                });
                (self.parsed(None)?, own.collect::<Result<_, _>>()?)
            }
        };
        Ok(Invocation { cli, hosts, shown, warnings: self.warnings })
    }

    /// What holds for a host with that table, or without one.
    fn chosen(&self, section: Option<&Section>) -> Result<Vec<merge::Chosen<'_>>, Failure> {
        let host =
            section.map(|section| layer(&section.settings, |line| Source::Host(section.name.clone(), line)));
        let layers =
            [self.near.to_vec(), vec![host.unwrap_or_default(), layer(&self.file.general, Source::File)]];
        merge::merged(&self.keys, &layers.concat()).map_err(|why| self.wrong(section, &why))
    }

    /// As though everything had been typed.
    fn parsed(&self, section: Option<&Section>) -> Result<Cli, Refusal> {
        let more = merge::words(&self.chosen(section)?);
        let place = if self.command.is_some() { 2 } else { 1 };
        let (program, typed) = self.typed.split_at(place.min(self.typed.len()));
        let words = program.iter().chain(&more).chain(typed);
        Cli::try_parse_from(words).map_err(|error| self.wrong(section, &in_one_line(&error)).into())
    }

    fn wrong(&self, section: Option<&Section>, why: &str) -> Failure {
        let place = self.path.as_deref().map_or_else(|| "the configuration".into(), Path::to_string_lossy);
        let host = section.map(|section| format!("of {}: ", section.name)).unwrap_or_default();
        Failure::usage(format!("{place}: {host}{why}"))
    }

    fn shown(&self, urls: &[&str], sections: &PerHost<Option<&Section>>) -> Result<Vec<String>, Failure> {
        let mut lines = vec![match &self.path {
            Some(path) => format!("# {}", path.display()),
            None => "# no configuration file".to_owned(),
        }];
        if urls.is_empty() {
            lines.extend(show::lines(&self.chosen(None)?));
        }
        for url in urls {
            let download = Download::builder(*url).build()?;
            lines.push(format!("# {}", download.url()));
            lines.extend(show::lines(&self.chosen(*sections.of(url))?));
        }
        Ok(lines)
    }
}

/// What was typed, by the long names of all options.
fn typed_layer(command: &Command, options: &ArgMatches) -> Layer {
    let typed = |argument: &&Arg| {
        let source = options.value_source(argument.get_id().as_str());
        source == Some(ValueSource::CommandLine)
    };
    let said = command.get_arguments().filter(typed).filter_map(|argument| {
        let value = if argument.get_action().takes_values() {
            Value::Words(options.get_raw(argument.get_id().as_str())?.map(Into::into).collect())
        } else {
            Value::Flag(true)
        };
        Some((argument.get_long()?.to_owned(), Said { value, from: Source::Typed }))
    });
    said.collect()
}

fn layer(settings: &[Setting], from: impl Fn(usize) -> Source) -> Layer {
    let said = settings.iter().map(|Setting { name, value, line }| {
        (name.clone(), Said { value: value.clone(), from: from(*line) })
    });
    said.collect()
}

/// Where the file is, what is in it, and what the user should know of it.
fn read_file(
    keys: &Keys,
    options: &ArgMatches,
    environment: &Environment,
) -> Result<(Option<PathBuf>, File, Vec<String>), Failure> {
    if options.get_flag("no_config") {
        return Ok((None, File::default(), Vec::new()));
    }
    let given = options.get_one::<PathBuf>("config").cloned();
    let given = given.or_else(|| environment.variable("HAUL_CONFIG").map(PathBuf::from));
    let variable = |name: &str| environment.variable(name);
    let usual = || Some(base_folder(variable, "XDG_CONFIG_HOME", ".config")?.join("haul/config.toml"));
    let (is_given, path) = (given.is_some(), given.or_else(usual));
    let Some(path) = path else { return Ok((None, File::default(), Vec::new())) };
    let text = match contents(&path) {
        Ok(text) => text,
        Err(error) if !is_given && is_missing(&error) => return Ok((None, File::default(), Vec::new())),
        Err(error) => return Err(Failure::io(path.display(), "read the configuration", &error)),
    };
    let home = variable("HOME").map(PathBuf::from);
    let file = file::parse(&text, keys, home.as_deref());
    let file = file.map_err(|BadLine { number, why }| {
        Failure::new(ExitCode::Usage, format!("{}:{number}: {why}", path.display()))
    })?;
    let warning = (has_secrets(keys, &file) && is_read_by_others(&path))
        .then(|| format!("warning: {0} has secrets and others can read it: chmod 600 {0}", path.display()));
    Ok((Some(path), file, warning.into_iter().collect()))
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn contents(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = OpenFile::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    let too_long = || std::io::Error::other("it is longer than 1 MiB");
    if read as u64 > LONGEST { Err(too_long()) } else { Ok(text) }
}

fn has_secrets(keys: &Keys, file: &File) -> bool {
    let mut settings = file.general.iter().chain(file.hosts.iter().flat_map(|section| &section.settings));
    settings.any(|Setting { name, value, .. }| match (keys.named(name), value) {
        (Ok(key), Value::Words(words)) => words.iter().any(|word| show::has_a_secret(key, word)),
        _ => false,
    })
}

fn is_read_by_others(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.permissions().mode() & 0o044 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_files_are_where_the_specification_has_them() {
        let folder = |variables: &[(&str, &str)]| {
            let named = |name: &str| {
                variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
            };
            base_folder(named, "XDG_CONFIG_HOME", ".config").map(|path| path.display().to_string())
        };
        assert_eq!(folder(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")]).as_deref(), Some("/c"));
        for no_config in ["", "c"] {
            let home = |home| folder(&[("XDG_CONFIG_HOME", no_config), ("HOME", home)]);
            assert_eq!(home("/h").as_deref(), Some("/h/.config"));
            assert_eq!((home("h"), folder(&[("XDG_CONFIG_HOME", no_config)])), (None, None));
        }
    }
}
