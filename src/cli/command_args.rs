//! The options of the commands beside the download. As in [`args`](super::args), doc comments on fields are the help.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::args::{CheckArgs, FeedbackArgs, RequestArgs, Secret};
use super::values::{self, Jobs};

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// What to ask about, http or https
    #[arg(value_name = "URL")]
    pub(crate) url: Secret,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The target's name; its .part will do as well
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    /// What to measure with, http or https; the larger the object, the better
    #[arg(value_name = "URL")]
    pub(crate) url: Secret,
    #[command(flatten)]
    pub(crate) measuring: MeasuringArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

/// What is tried, and how much that may take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub(crate) struct MeasuringArgs {
    /// Numbers of requests at once to try, each 1 to 256
    #[arg(short, long, value_name = "N,N...", default_value = "1,2,4,8,16,32", value_delimiter = ',', value_parser = values::number_of_jobs)]
    pub(crate) jobs: Vec<usize>,
    /// Time for each of them; the first third does not count
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = values::timeout)]
    pub(crate) time: Duration,
    /// Bytes to fetch in all, at the most
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = values::size)]
    pub(crate) max_bytes: u64,
    /// Fetch in parallel even where nothing proves that all ranges are of one version
    #[arg(long)]
    pub(crate) allow_unvalidated: bool,
    /// Draw the curve into this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The target's name; its .part will do as well
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Show the causes of an error
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The file; where there is none yet, or with its .part, what a partial download holds
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What it has to come to, in hex or base64; repeatable. ALGO: as for a download
    #[arg(long, value_name = "ALGO:VALUE")]
    pub(crate) checksum: Vec<String>,
    /// A list with its checksum, a file or a URL
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) checksum_file: Option<Secret>,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The file, with its .hashes beside it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where it came from, http or https, or where else the same object is
    #[arg(value_name = "URL")]
    pub(crate) url: Secret,
    /// Requests at once: 1 to 256, or auto: as many as pay, up to 64
    #[arg(short, long, value_name = "N|auto", default_value = "auto", value_parser = values::jobs)]
    pub(crate) jobs: Jobs,
    #[command(flatten)]
    pub(crate) check: CheckArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Never wait for the disk: safe against a kill, not against a power cut
    #[arg(long)]
    pub(crate) no_sync: bool,
    #[command(flatten)]
    pub(crate) feedback: FeedbackArgs,
}

/// How a question is answered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct AnswerArgs {
    /// One JSON object on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the causes of an error
    #[arg(short, long)]
    pub(crate) verbose: bool,
}
