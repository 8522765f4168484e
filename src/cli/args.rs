//! The command line as it is typed: the one definition that gives parser and help.
//!
//! Doc comments on fields are the help texts. URLs and headers are not looked at here: they can hold secrets,
//! and clap shows a value that its parser refuses.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use haul::Part;

use super::command_args::{CancelArgs, InfoArgs, RepairArgs, StatusArgs, TuneArgs, VerifyArgs};
use super::shard::Shard;
use super::values::{self, Jobs, Resolved};

/// What the manual has in sections of their own.
pub(crate) const UNITS: &str = "\
Sizes: bytes, or a number with K, M, G, T (KiB, MiB...), powers of 1024.
Times: seconds, or 500ms, 1.5s, 2m, 1h 30m.";

pub(crate) const EXAMPLES: &str = "\
  haul https://example.org/disk.img              download; the same command again resumes
  haul -d /tmp -j 16 https://example.org/a.iso   into /tmp, 16 requests at once
  haul -H @token.txt --json https://example.org/private.tar
  haul -i list.txt --skip-existing               a list; the same command again goes on where it stopped
  haul -o - https://example.org/a.tar | tar x     no file in between
  haul status disk.img                           what an interrupted download holds
  haul verify disk.img                           is it still what was downloaded (--keep-hashes)?
  haul tune https://example.org/disk.img         how many jobs are worth it there?";

pub(crate) const EXIT_CODES: &str = "\
  0  the target is whole and has its name     5  the object changed
  1  a bug in haul                            6  the bytes do not match their digest
  2  the command line is wrong                7  disk full, permission, name taken
  3  network or server failed; run it again   8  another haul is downloading to it
  4  the server refused                       130, 143, 129  SIGINT, SIGTERM, SIGHUP";

/// Download over HTTP in parallel ranges; run the same command again to resume
#[derive(Debug, Parser)]
#[command(
    name = "haul",
    version,
    after_help = "haul --help says more: units, examples, exit codes.",
    after_long_help = format!("{UNITS}\n\nExamples:\n{EXAMPLES}\n\nExit codes:\n{EXIT_CODES}"),
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) download: DownloadArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what the server offers: size, ranges, validator, digests, final URL
    Info(InfoArgs),
    /// Show what a partial download holds: done, missing ranges, validator, age
    Status(StatusArgs),
    /// Measure goodput at several --jobs, keeping nothing, and recommend one
    Tune(TuneArgs),
    /// Remove a partial download: part file and checkpoint
    Cancel(CancelArgs),
    /// Check a file against a checksum, or against the hashes that --keep-hashes left beside it; a partial download
    /// against its checkpoint
    Verify(VerifyArgs),
    /// Fetch again only those segments of a file that are damaged; it was downloaded with --keep-hashes
    Repair(RepairArgs),
    /// Print what completes haul's options in a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual: haul man | man -l -
    Man {
        /// Of this command
        command: Option<String>,
        /// Print the commands that have a page instead
        #[arg(long, conflicts_with = "command")]
        list: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// What to download, http or https; several are fetched in this order. Of a local FILE.meta4 (Metalink 4) all that it names
    #[arg(required_unless_present_any = ["input_file", "url_command", "show_config"], value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) urls: Vec<Secret>,
    #[command(flatten)]
    pub(crate) many: ManyArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) refresh: RefreshArgs,
    #[command(flatten)]
    pub(crate) check: CheckArgs,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
    #[command(flatten)]
    pub(crate) fetch: FetchArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) resume: ResumeArgs,
    #[command(flatten)]
    pub(crate) feedback: FeedbackArgs,
}

/// Which downloads there are beside the URLs, and how many run at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Several downloads")]
pub(crate) struct ManyArgs {
    /// A list, - for stdin: one URL a line, tabs before its mirrors, below it indented out=, dir=, checksum=, header= as aria2
    /// has them; or JSON lines with url, mirrors, out, dir, checksum, headers; # before a comment
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,
    /// Downloads at once, 1 to 256; auto: as many as pay, small ones more than large ones
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = values::parallel_downloads)]
    pub(crate) parallel_downloads: Jobs,
    /// Requests to one host at once, 1 to 256, over all downloads [default: 64 for several, by --jobs for one]
    #[arg(long, value_name = "N", value_parser = values::per_host)]
    pub(crate) per_host: Option<usize>,
    /// Only part K of N of the list, K from 0, by a hash of each URL that stays the same: so N machines share it
    #[arg(long, value_name = "K/N", value_parser = Shard::parse, requires = "input_file")]
    pub(crate) shard: Option<Shard>,
}

/// Where the bytes go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArgs {
    /// Target file; - is stdout, in order while it is fetched in parallel; /dev/null fetches and discards [default: the
    /// server's name for it, else the URL's]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// For -o -: bytes in memory that wait for those before them, at the most
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = values::size)]
    pub(crate) window: u64,
    /// Folder for the target
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Replace an existing target, at the very end
    #[arg(long)]
    pub(crate) force: bool,
    /// An existing target is left alone and counts as done
    #[arg(long, conflicts_with = "force")]
    pub(crate) skip_existing: bool,
    /// Refuse larger objects, stop longer bodies [default: the free space]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) max_size: Option<u64>,
}

/// How a target that exists is kept up to date.
#[derive(Debug, Args)]
#[command(next_help_heading = "Keeping up to date")]
pub(crate) struct RefreshArgs {
    /// Fetch only what is newer than the existing target, and replace that at the very end; else it is left alone and
    /// counts as done
    #[arg(long, conflicts_with_all = ["force", "skip_existing"])]
    pub(crate) if_newer: bool,
    /// Give the target the time of its Last-Modified
    #[arg(long)]
    pub(crate) set_mtime: bool,
}

/// What the bytes are compared with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Checking")]
pub(crate) struct CheckArgs {
    /// What the target has to come to, in hex or base64; repeatable. ALGO: sha-256, sha-512, sha-1, md5, blake3, crc32,
    /// crc32c, crc64-nvme (Amazon), crc64-xz (Alibaba, Tencent)
    #[arg(long, value_name = "ALGO:VALUE")]
    pub(crate) checksum: Vec<String>,
    /// A list with the target's checksum, a file or a URL: SHA256SUMS, NAME.sha256, BSD's format, or a value alone
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) checksum_file: Option<Secret>,
    /// Compare with no digest that the server sends, which is done else without being asked for
    #[arg(long)]
    pub(crate) ignore_digests: bool,
}

/// What is left beside the target.
#[derive(Debug, Args)]
#[command(next_help_heading = "Checking")]
pub(crate) struct KeepArgs {
    /// Leave NAME.hashes beside the target, a CRC of each segment: haul verify tells by it which bytes are damaged later,
    /// and haul repair fetches only those again
    #[arg(long)]
    pub(crate) keep_hashes: bool,
}

/// How the object is cut up.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fetching")]
pub(crate) struct FetchArgs {
    /// Requests at once: 1 to 256, or auto: as many as pay, up to 64
    #[arg(short, long, value_name = "N|auto", default_value = "auto", value_parser = values::jobs)]
    pub(crate) jobs: Jobs,
    /// Another URL of the same object, up to seven times: segments come from all that prove to have the same, and the
    /// first that answers takes the place of a URL that does not
    #[arg(long = "mirror", value_name = "URL")]
    pub(crate) mirrors: Vec<Secret>,
    /// Take the mirrors that the server offers (Link: rel=duplicate) as well
    #[arg(long)]
    pub(crate) offered_mirrors: bool,
    /// Unit of the checkpoint, a power of two from 64K to 1G [default: by the object's size, 64K to 64M]
    #[arg(short, long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) segment_size: Option<u64>,
    /// Only these bytes, counted from 0: A-B (both included), A- (to the end), -N (the last N). Several, in several
    /// options or with commas, become files of their own, NAME.A-B
    #[arg(
        short,
        long,
        value_name = "RANGE",
        allow_hyphen_values = true,
        value_delimiter = ',',
        value_parser = values::part
    )]
    pub(crate) range: Vec<Part>,
    /// Fetch in parallel even where nothing proves that all ranges are of one version
    #[arg(long)]
    pub(crate) allow_unvalidated: bool,
}

/// How the server is asked: `info` has these too.
#[derive(Debug, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// Extra request header, repeatable; @FILE reads one a line, without blank lines and # comments, and @- reads
    /// stdin. Give secrets so: everyone on this machine can read a command line
    #[arg(short = 'H', long = "header", value_name = "K: V")]
    pub(crate) headers: Vec<Secret>,
    /// User and password for the server; @FILE reads them from a file's first line
    #[arg(short, long, value_name = "NAME:PASSWORD")]
    pub(crate) user: Option<Secret>,
    /// A token for the server: the first line of this file, as Authorization: Bearer
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(crate) bearer_file: Option<PathBuf>,
    /// The page that the URL is linked from
    #[arg(short = 'e', long, value_name = "URL")]
    pub(crate) referer: Option<Secret>,
    /// Separately signed URL for a HEAD request [default: no HEAD is sent]
    #[arg(long, value_name = "URL")]
    pub(crate) head_url: Option<Secret>,
    /// Longest time for a connection to come about
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::timeout)]
    pub(crate) connect_timeout: Duration,
    /// Longest time that a request may go without a byte, and that the head of its answer may take
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = values::timeout)]
    pub(crate) timeout: Duration,
    /// Times a request is repeated without a new byte in between
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) retries: u32,
    /// Longest Retry-After that is obeyed; a longer one ends the run
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = values::duration)]
    pub(crate) max_wait: Duration,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// What need not be typed. [`config`](super::config) reads these before all others are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// Read options from this file [default: ~/.config/haul/config.toml]
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    pub(crate) config: Option<PathBuf>,
    /// Read options from no file
    #[arg(long)]
    pub(crate) no_config: bool,
    /// Print each option's value for the URLs, and where it comes from; fetch nothing
    #[arg(long)]
    pub(crate) show_config: bool,
}

/// How connections are made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connections")]
pub(crate) struct NetworkArgs {
    /// Over this proxy, http:// and https://, socks5:// or socks5h://; none: over no proxy [default: as the environment
    /// says]
    #[arg(short = 'x', long, value_name = "URL|none")]
    pub(crate) proxy: Option<Secret>,
    /// Trust the certificates in this file (PEM), and no others
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Show this certificate (PEM) to servers that want one
    #[arg(short = 'E', long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Its key, where the certificate's file has none
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Believe any certificate: everyone on the way can read and change everything
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// Connect from this interface, or this address of the machine
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub(crate) interface: Option<String>,
    /// Connect over IPv4 alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// Connect over IPv6 alone
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// The host has these addresses on that port: nobody is asked for them; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDRESS,...", value_parser = values::resolved)]
    pub(crate) resolve: Vec<Resolved>,
    /// What haul calls itself [default: haul/VERSION]
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,
}

/// What was typed where secrets can be: a URL, a header. Debug does not show it.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl From<String> for Secret {
    fn from(typed: String) -> Self {
        Self(typed)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What happens to what an earlier run left, and to what this one may leave.
#[derive(Debug, Args)]
#[command(next_help_heading = "Resuming")]
pub(crate) struct ResumeArgs {
    /// When the object has changed or changes during the run: start over, at most 3 times, or end with 5
    #[arg(long, value_name = "WHAT", value_enum, default_value = "restart")]
    pub(crate) on_change: OnChange,
    /// Ignore and replace what an earlier run left
    #[arg(long)]
    pub(crate) restart: bool,
    /// Command that prints a fresh URL of the object: run by sh when the URL is refused (401, 403, 404, 410), since it may
    /// have expired, and at the start if there is none
    #[arg(long, value_name = "CMD")]
    pub(crate) url_command: Option<Secret>,
    /// Never wait for the disk: safe against a kill, not against a power cut
    #[arg(long)]
    pub(crate) no_sync: bool,
}

/// What is said, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct FeedbackArgs {
    /// How progress is shown, on stderr; auto is a bar on a terminal, else a line every 5 seconds
    #[arg(long, value_name = "HOW", value_enum, default_value = "auto")]
    pub(crate) progress: ProgressChoice,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: the map of the object, segments, retries, causes of errors
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Events as JSON lines on stdout; no progress on stderr unless --progress asks for it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnChange {
    Restart,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressChoice {
    Auto,
    Bar,
    Plain,
    None,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let DownloadArgs { target, fetch, request, resume, feedback, .. } =
            parse("haul http://h/x").unwrap().download;
        assert_eq!((target.output, target.dir, target.max_size), (None, PathBuf::from("."), None));
        assert_eq!((fetch.jobs, fetch.segment_size, fetch.range), (Jobs::Auto, None, vec![]));
        assert_eq!(request.connect_timeout, Duration::from_secs(10));
        assert_eq!(request.timeout, Duration::from_secs(15));
        assert_eq!(request.retries, 5);
        assert_eq!(request.max_wait, Duration::from_secs(600));
        assert_eq!(resume.on_change, OnChange::Restart);
        assert_eq!(feedback.progress, ProgressChoice::Auto);
    }

    #[test]
    fn a_url_is_a_download_and_a_command_needs_none() {
        assert!(parse("haul http://h/x http://h/y").unwrap().command.is_none());
        for line in [
            "haul info http://h/x --json",
            "haul status x",
            "haul cancel x",
            "haul tune http://h/x",
            "haul verify x --json",
            "haul repair x http://h/x",
        ] {
            assert!(parse(line).unwrap().command.is_some(), "{line}");
        }
    }

    #[test]
    fn h74_debug_shows_no_secret() {
        let line =
            "haul --url-command hunter2 -H X-Key:hunter2 --head-url http://hunter2@h/ http://h/x?hunter2";
        assert!(!format!("{:?}", parse(line).unwrap()).contains("hunter2"));
        assert!(!format!("{:?}", parse("haul info http://h/x?hunter2").unwrap()).contains("hunter2"));
    }

    #[test]
    fn a_suffix_range_is_no_option() {
        for line in ["haul --range -100,7- http://h/x", "haul -r -100 -r 7- http://h/x"] {
            let DownloadArgs { fetch, urls, .. } = parse(line).unwrap().download;
            assert_eq!((fetch.range, urls.len()), (vec![Part::Last(100), Part::From(7)], 1), "{line}");
        }
    }

    #[test]
    fn what_contradicts_or_means_nothing_is_a_usage_error() {
        for line in [
            "haul",
            "haul --jobs some http://h/x",
            "haul --force --skip-existing http://h/x",
            "haul --if-newer --force http://h/x",
            "haul --if-newer --skip-existing http://h/x",
            "haul --shard 0/2 http://h/x",
            "haul --shard 2/2 -i list",
            "haul -q -v http://h/x",
            "haul --timeout 0 http://h/x",
            "haul --on-change panic http://h/x",
            "haul info",
            "haul verify",
            "haul repair x",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
