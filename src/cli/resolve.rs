//! Arguments, environment and terminal → one resolved configuration, with the library's requests in it.
//!
//! Everything that is wrong with the command line is found here, before anything is fetched.

use std::cell::OnceCell;
use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use clap::CommandFactory;
use haul::{Download, DownloadBuilder, Durability, Existing, OnChange};

use super::args::{
    self, CheckArgs, Cli, DownloadArgs, FeedbackArgs, ManyArgs, ProgressChoice, RefreshArgs, Secret,
    TargetArgs,
};
use super::command_args::RepairArgs;
use super::config::{self, PerHost};
use super::exit::Failure;
use super::list::Entry;
use super::metalink::{self, Described};
use super::output::{RawStdout, Stream};
use super::queue::{List, Queue, Source};
use super::requests::{self, Requests, STDIN_HEADERS, StdinHeaders};
use super::shard::Shard;
use super::url_command;
use super::values::Jobs;

/// What a download command does, with nothing left to decide.
#[derive(Debug)]
pub(crate) struct Config {
    /// What to download, in the order given.
    pub(crate) queue: Queue,
    /// How many of them run at once.
    pub(crate) at_once: usize,
    /// Targets that exist are left alone.
    pub(crate) skips: bool,
    /// What is said, and where.
    pub(crate) feedback: Feedback,
}

/// What is said, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feedback {
    /// How progress is drawn on stderr.
    pub(crate) progress: ProgressStyle,
    /// How much is said on stderr beside it.
    pub(crate) verbosity: Verbosity,
    /// Where events go as JSON lines.
    pub(crate) json: Option<Stream>,
}

/// How progress is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressStyle {
    Bar { color: bool },
    Plain,
    None,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors.
    Quiet,
    /// And what a person should know: notes, restarts, that there is no resume, the summary.
    Normal,
    /// And what explains a run: segments, retries, causes.
    Verbose,
}

/// What the environment and the terminal say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// Stderr is a terminal that can move its cursor.
    pub(crate) terminal: bool,
    /// `NO_COLOR` is set to something (<https://no-color.org>).
    pub(crate) no_color: bool,
}

impl Surroundings {
    pub(crate) fn detect() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { terminal: io::stderr().is_terminal() && !dumb, no_color: is_set("NO_COLOR") }
    }
}

/// Decides everything that the command line leaves open.
pub(crate) fn resolve(
    arguments: impl Into<PerHost<DownloadArgs>>,
    surroundings: Surroundings,
) -> Result<Config, Failure> {
    let arguments = arguments.into();
    let general = &arguments.general;
    refuse_contradictions(general)?;
    let piped = general.target.output.as_deref().is_some_and(is_stdout);
    let feedback = resolve_feedback(&general.feedback, surroundings, piped);
    let (at_once, skips) = (at_once(&general.many), general.target.skip_existing);
    let source = general.many.input_file.as_deref().map(Source::named);
    let quiet = feedback.verbosity == Verbosity::Quiet;
    let template = Template::new(arguments, quiet)?;
    let all = template.general().urls.iter().map(|url| template.downloads(url));
    let downloads = all.collect::<Result<Vec<_>, Failure>>()?.concat();
    let list = source.map(|source| List::new(source, template, quiet)).transpose()?;
    Ok(Config { queue: Queue { downloads, list }, at_once, skips, feedback })
}

fn refuse_contradictions(arguments: &DownloadArgs) -> Result<(), Failure> {
    let DownloadArgs { urls, many, target, check, fetch, request, resume, .. } = arguments;
    if let Some(Secret(word)) = urls.iter().find(|url| Cli::command().find_subcommand(&url.0).is_some()) {
        return Err(Failure::usage(format!(
            "{word} is a command: write haul {word}, and its options after it"
        )));
    }
    let listed = many.input_file.is_some();
    let several = urls.len() > 1 || listed;
    let keeps = target.output.as_deref().is_some_and(|path| !is_null(path));
    let reads_stdin = |Secret(text): &Secret| text == STDIN_HEADERS;
    let refusal = match () {
        () if several && resume.url_command.is_some() => {
            "--url-command is for one URL: start haul once for each"
        }
        () if several && keeps => "several URLs cannot have one target: leave out -o, or use -d",
        () if several && !fetch.mirrors.is_empty() => {
            "--mirror is for one URL: start haul once for each, or write mirrors beside the URLs of a list"
        }
        () if several && request.head_url.is_some() => "--head-url is for one URL: start haul once for each",
        () if listed && !check.checksum.is_empty() => {
            "--checksum is for one URL: write checksum= below each in the list"
        }
        () if fetch.range.len() > 1 && target.output.as_deref().is_some_and(is_stdout) => {
            "-o - is for one --range: start haul once for each"
        }
        () if fetch.range.len() > 1 && listed => "several --range are for the URLs of a command line",
        () if fetch.range.len() > 1 && !check.checksum.is_empty() => {
            "--checksum is of one --range: start haul once for each"
        }
        () if many.input_file.as_deref() == Some(Path::new("-"))
            && request.headers.iter().any(reads_stdin) =>
        {
            "-i - and -H @-: stdin can be read only once"
        }
        () => return Ok(()),
    };
    Err(Failure::usage(refusal))
}

/// So many downloads are begun where nobody said how many: the pool decides which of them run, and those that have been
/// fetched and wait for the disk are in nobody's way.
const BEGUN: usize = 128;

fn at_once(many: &ManyArgs) -> usize {
    match many.parallel_downloads {
        Jobs::Auto => BEGUN,
        Jobs::Fixed(downloads) => downloads,
    }
}

/// What is said once for all downloads.
#[derive(Debug)]
pub(crate) struct Template {
    hosts: PerHost<Options>,
    stdin: StdinHeaders,
    quiet: bool,
}

/// What is said once for all downloads from some hosts, or from all others.
#[derive(Debug)]
struct Options {
    arguments: DownloadArgs,
    /// As soon as one of them is there: their files need not be read for others.
    requests: OnceCell<Requests>,
}

impl Template {
    fn new(arguments: PerHost<DownloadArgs>, quiet: bool) -> Result<Self, Failure> {
        let hosts = arguments.map(|arguments| Options { arguments, requests: OnceCell::new() });
        let template = Self { hosts, stdin: StdinHeaders::default(), quiet };
        // What is wrong with what was typed is wrong for every host.
        template.requests(&template.hosts.general)?;
        Ok(template)
    }

    fn general(&self) -> &DownloadArgs {
        &self.hosts.general.arguments
    }

    fn requests<'a>(&self, options: &'a Options) -> Result<&'a Requests, Failure> {
        if let Some(requests) = options.requests.get() {
            return Ok(requests);
        }
        let DownloadArgs { request, many, .. } = &options.arguments;
        let requests = Requests::resolve(request, &self.stdin)?.limited(many);
        if !self.quiet {
            requests::warn(request);
        }
        Ok(options.requests.get_or_init(|| requests))
    }

    /// One, or one of each part.
    fn downloads(&self, url: &Secret) -> Result<Vec<Download>, Failure> {
        if let Some(path) = metalink_path(url) {
            return self.described(path);
        }
        let builder = self.builder(url)?;
        Ok(match &self.general().fetch.range[..] {
            parts @ [_, _, ..] => {
                let each = parts.iter().map(|part| builder.clone().part(*part).part_in_name().build());
                each.collect::<haul::Result<_>>()?
            }
            _ => vec![builder.build()?],
        })
    }

    /// Those that a Metalink file names.
    fn described(&self, path: &Path) -> Result<Vec<Download>, Failure> {
        let place = path.display();
        let files = metalink::load(path)?;
        let DownloadArgs { target, check, fetch, .. } = self.general();
        let one = target.output.is_some() || !check.checksum.is_empty() || !fetch.mirrors.is_empty();
        if fetch.range.len() > 1 || files.len() > 1 && one {
            let why = "several files or parts, and -o, --checksum and --mirror are of one: leave them out";
            return Err(Failure::usage(format!("{place}: {why}")));
        }
        files.iter().map(|file| self.described_file(file).map_err(|failure| failure.at(&place))).collect()
    }

    fn described_file(&self, file: &Described) -> Result<Download, Failure> {
        let DownloadArgs { target, fetch, .. } = self.general();
        let mirrors = &file.mirrors[fetch.mirrors.len().min(file.mirrors.len())..];
        let mut builder = mirrored(self.builder(&file.url)?, mirrors);
        if target.output.is_none() {
            builder = builder.proposed_name(&file.name);
        }
        // Of a part neither says anything.
        if fetch.range.is_empty() {
            builder = file.checksum.iter().fold(builder, DownloadBuilder::checksum);
            let most = file.size.into_iter().chain(target.max_size).min();
            builder = most.into_iter().fold(builder, DownloadBuilder::max_size);
        }
        Ok(builder.build()?)
    }

    fn builder(&self, url: &Secret) -> Result<DownloadBuilder, Failure> {
        let options = self.hosts.of(&url.0);
        Ok(builder(url, self.requests(options)?, &options.arguments))
    }

    /// Which entries of a list are fetched.
    pub(crate) fn shard(&self) -> Option<Shard> {
        self.general().many.shard
    }

    /// With what an entry of a list says for itself.
    pub(crate) fn entry(&self, entry: &Entry) -> Result<Download, Failure> {
        let mut builder = mirrored(self.builder(&entry.url)?, &entry.mirrors);
        builder = entry.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, &value.0));
        builder = entry.checksums.iter().fold(builder, DownloadBuilder::checksum);
        if let Some(dir) = &entry.dir {
            builder = builder.dir(dir);
        }
        if let Some(out) = &entry.out {
            builder = to(builder, out);
        }
        Ok(builder.build()?)
    }
}

/// The repair of one file, as a download.
pub(crate) fn resolve_repair(arguments: &RepairArgs, surroundings: Surroundings) -> Result<Config, Failure> {
    let RepairArgs { file, url, jobs, check, request, no_sync, feedback } = arguments;
    let builder = requests::described(url, request)?.output(file).existing(Existing::Repair);
    let builder = checked(with_jobs(builder, *jobs), check).durability(durability(*no_sync));
    let queue = Queue { downloads: vec![builder.build()?], list: None };
    Ok(Config { queue, at_once: 1, skips: false, feedback: resolve_feedback(feedback, surroundings, false) })
}

/// How many columns an answer on stdout may have.
pub(crate) fn width() -> usize {
    let terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let told = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal.or(told).filter(|columns| *columns > 0).unwrap_or(80)
}

fn builder(url: &Secret, requests: &Requests, arguments: &DownloadArgs) -> DownloadBuilder {
    let DownloadArgs { target, refresh, check, keep, fetch, resume, .. } = arguments;
    let mut builder = requests
        .described(url, &arguments.request)
        .dir(&target.dir)
        .existing(existing(target, refresh))
        .durability(durability(resume.no_sync))
        .on_change(match resume.on_change {
            args::OnChange::Restart => OnChange::Restart,
            args::OnChange::Fail => OnChange::Fail,
        });
    if let Some(path) = &target.output {
        builder = if is_stdout(path) { builder.pipe(RawStdout, target.window) } else { to(builder, path) };
    }
    builder = checked(with_jobs(builder, fetch.jobs), check);
    builder = mirrored(builder, &fetch.mirrors);
    if fetch.offered_mirrors {
        builder = builder.offered_mirrors();
    }
    if let Some(bytes) = fetch.segment_size {
        builder = builder.segment_size(bytes);
    }
    if let [part] = fetch.range[..] {
        builder = builder.part(part);
    }
    if let Some(bytes) = target.max_size {
        builder = builder.max_size(bytes);
    }
    if refresh.set_mtime {
        builder = builder.set_mtime();
    }
    if keep.keep_hashes {
        builder = builder.keep_hashes();
    }
    if let Some(command) = &resume.url_command {
        builder = builder.fresh_url(url_command::asker(command));
    }
    if resume.restart {
        builder = builder.ignore_checkpoint();
    }
    if fetch.allow_unvalidated { builder.allow_unvalidated() } else { builder }
}

/// The Metalink file that is meant, if it is one and no URL.
fn metalink_path(Secret(text): &Secret) -> Option<&Path> {
    let path = Path::new(text);
    let named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("meta4"));
    (named && !text.contains("://")).then_some(path)
}

fn mirrored(builder: DownloadBuilder, mirrors: &[Secret]) -> DownloadBuilder {
    mirrors.iter().fold(builder, |builder, Secret(url)| builder.mirror(url))
}

fn with_jobs(builder: DownloadBuilder, jobs: Jobs) -> DownloadBuilder {
    let builder = match config::base_folder(|name| env::var_os(name), "XDG_CACHE_HOME", ".cache") {
        Some(cache) => builder.remember_hosts(cache.join("haul/hosts")),
        None => builder,
    };
    match jobs {
        Jobs::Auto => builder.auto_jobs(),
        Jobs::Fixed(jobs) => builder.jobs(jobs),
    }
}

fn checked(builder: DownloadBuilder, check: &CheckArgs) -> DownloadBuilder {
    let mut builder = check.checksum.iter().fold(builder, DownloadBuilder::checksum);
    if let Some(list) = &check.checksum_file {
        builder = builder.checksum_file(&list.0);
    }
    if check.ignore_digests { builder.ignore_digests() } else { builder }
}

fn durability(no_sync: bool) -> Durability {
    if no_sync { Durability::Kill } else { Durability::PowerCut }
}

fn existing(target: &TargetArgs, refresh: &RefreshArgs) -> Existing {
    match () {
        () if target.force => Existing::Replace,
        () if target.skip_existing => Existing::Skip,
        () if refresh.if_newer => Existing::IfNewer,
        () => Existing::Refuse,
    }
}

fn to(builder: DownloadBuilder, path: &Path) -> DownloadBuilder {
    if is_null(path) { builder.discard() } else { builder.output(path) }
}

/// The bytes themselves, for the next program.
fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// The one target that is no regular file: everything is fetched and nothing kept.
fn is_null(path: &Path) -> bool {
    path == Path::new("/dev/null")
}

fn resolve_feedback(arguments: &FeedbackArgs, surroundings: Surroundings, piped: bool) -> Feedback {
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    };
    let bar = ProgressStyle::Bar { color: !surroundings.no_color };
    let progress = match arguments.progress {
        _ if verbosity == Verbosity::Quiet => ProgressStyle::None,
        ProgressChoice::Auto if arguments.json => ProgressStyle::None,
        ProgressChoice::Auto | ProgressChoice::Bar if surroundings.terminal => bar,
        // A bar in a log file would be one endless line.
        ProgressChoice::Auto | ProgressChoice::Bar | ProgressChoice::Plain => ProgressStyle::Plain,
        ProgressChoice::None => ProgressStyle::None,
    };
    // Stdout is the object's then.
    let stream = if piped { Stream::Stderr } else { Stream::Stdout };
    Feedback { progress, verbosity, json: arguments.json.then_some(stream) }
}

#[cfg(test)]
mod tests {
    use super::super::exit::ExitCode;
    use super::*;
    use clap::Parser;
    use std::io::Write;

    const TERMINAL: Surroundings = Surroundings { terminal: true, no_color: false };
    const FILE: Surroundings = Surroundings { terminal: false, no_color: false };

    fn parse(arguments: &str) -> args::DownloadArgs {
        Cli::try_parse_from(format!("haul {arguments}").split_whitespace()).unwrap().download
    }

    fn refused(arguments: &str) -> Failure {
        resolve(parse(arguments), FILE).unwrap_err()
    }

    #[test]
    fn what_is_shown_follows_from_options_and_terminal() {
        let bar = ProgressStyle::Bar { color: true };
        for (arguments, surroundings, progress, verbosity) in [
            ("", TERMINAL, bar, Verbosity::Normal),
            ("", FILE, ProgressStyle::Plain, Verbosity::Normal),
            ("--progress bar", FILE, ProgressStyle::Plain, Verbosity::Normal),
            ("--progress plain", TERMINAL, ProgressStyle::Plain, Verbosity::Normal),
            ("--progress none -v", TERMINAL, ProgressStyle::None, Verbosity::Verbose),
            ("--json", TERMINAL, ProgressStyle::None, Verbosity::Normal),
            ("--json --progress bar", TERMINAL, bar, Verbosity::Normal),
            ("-q", TERMINAL, ProgressStyle::None, Verbosity::Quiet),
            (
                "",
                Surroundings { no_color: true, ..TERMINAL },
                ProgressStyle::Bar { color: false },
                Verbosity::Normal,
            ),
        ] {
            let feedback = resolve(parse(&format!("{arguments} http://h/x")), surroundings).unwrap().feedback;
            assert_eq!((feedback.progress, feedback.verbosity), (progress, verbosity), "{arguments}");
        }
    }

    #[test]
    fn several_urls_keep_their_order() {
        let config = resolve(parse("http://h/a http://h/b -d /tmp -o /dev/null"), FILE).unwrap();
        let urls: Vec<_> = config.queue.downloads.iter().map(Download::url).collect();
        assert_eq!(urls, ["http://h/a", "http://h/b"]);
    }

    #[test]
    fn several_parts_are_several_downloads_of_each_url() {
        let parts = |arguments: &str| {
            let config = resolve(parse(arguments), FILE).unwrap();
            let part = |download: &Download| (download.url(), download.part().map(|part| part.to_string()));
            config.queue.downloads.iter().map(part).collect::<Vec<_>>()
        };
        let of = |url: &str, part: &str| (url.to_owned(), Some(part.to_owned()));
        assert_eq!(parts("-r 0-9 http://h/a"), [of("http://h/a", "0-9")]);
        assert_eq!(
            parts("-r 0-9,-5 http://h/a http://h/b"),
            [
                of("http://h/a", "0-9"),
                of("http://h/a", "-5"),
                of("http://h/b", "0-9"),
                of("http://h/b", "-5")
            ]
        );
        assert_eq!(parts("http://h/a"), [("http://h/a".to_owned(), None)]);
    }

    #[test]
    fn a_wrong_command_line_is_found_before_anything_is_fetched() {
        for (arguments, named) in [
            ("-o x http://h/a http://h/b", "one target"),
            ("--head-url http://h/s http://h/a http://h/b", "--head-url"),
            ("--url-command x http://h/a http://h/b", "--url-command"),
            ("--mirror http://h/m http://h/a http://h/b", "--mirror"),
            ("-i list -o x", "one target"),
            ("-i list --head-url http://h/s", "--head-url"),
            ("-i list --checksum sha-256:00", "--checksum"),
            ("-i - -H @-", "stdin"),
            ("-i list -r 0-1,5-9", "--range"),
            ("-r 0-1,5-9 --checksum sha-256:00 http://h/a", "--checksum"),
            ("http://h/a ftp://h/b", "ftp"),
            ("-q info http://h/a", "is a command"),
            ("-s 100k http://h/a", "power of two"),
            ("-j 0 http://h/a", "0 jobs"),
            ("-H Range:bytes=0-1 http://h/a", "haul's own"),
        ] {
            let failure = refused(arguments);
            assert_eq!(failure.code, ExitCode::Usage, "{arguments}");
            assert!(failure.message.to_lowercase().contains(named), "{}", failure.message);
        }
    }

    #[test]
    fn h74_a_header_that_is_none_is_not_shown() {
        let failure = refused("-H hunter2 http://h/a");
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(!failure.message.contains("hunter2"));

        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "X-Key: 1\nhunter2").unwrap();
        let failure = refused(&format!("-H @{} http://h/a", file.path().display()));
        assert!(
            failure.message.contains("line 2") && !failure.message.contains("hunter2"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn a_header_file_that_cannot_be_read_is_this_machines_no() {
        let failure = refused("-H @/nonexistent/headers http://h/a");
        assert_eq!(failure.code, ExitCode::Local);
        assert!(failure.message.starts_with("/nonexistent/headers: "), "{}", failure.message);
    }
}
