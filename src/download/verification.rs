//! Holds a file, or what there is of one, against what it has to be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::audit::{audit, damaged};
use super::builder::DownloadBuilder;
use super::claimed::try_lock;
use super::follow::Follower;
use super::hashes_file;
use super::list::{self, ListSource};
use super::proof::algorithms;
use super::target::Target;
use super::validate::validated;
use crate::checksum::{Checksum, Proof, ProofSource};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::range::ByteRange;
use crate::store::commit::{CheckpointFile, Found};
use crate::store::hashes::Hashes;
use crate::store::part::PartFile;

/// Holds a file against checksums that are given, or else against the hashes that a download with
/// [`keep_hashes`](DownloadBuilder::keep_hashes) left beside it; an interrupted download against its checkpoint.
///
/// ```no_run
/// # async fn example() -> haul::Result<()> {
/// let verified = haul::Verify::new("disk.img").run(|_, _| ()).await?;
/// for range in &verified.damaged {
///     println!("bytes {range} are not what they were");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Verify {
    path: PathBuf,
    checksums: Vec<String>,
    checksum_file: Option<String>,
}

/// What a file was held against.
///
/// ```
/// fn tells_where(against: haul::Against) -> bool {
///     against != haul::Against::Checksums
/// }
/// assert!(tells_where(haul::Against::Hashes));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Checksums of the whole, which do not tell where it is damaged.
    Checksums,
    /// What was remembered of each segment when the download ended.
    Hashes,
    /// What the checkpoint of an interrupted download says of its complete segments.
    Checkpoint,
}

/// A checksum that the file has to come to, and what it came to.
///
/// ```
/// fn describe(comparison: &haul::Comparison) -> String {
///     let verdict = if comparison.is_right() { "right" } else { "wrong" };
///     format!("{} ({}): {verdict}", comparison.proof.checksum, comparison.proof.source)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What it has to come to, and who says so.
    pub proof: Proof,
    /// What it came to; `None` where it was not computed, because segments are damaged.
    pub found: Option<Checksum>,
}

impl Comparison {
    /// Whether the two are the same.
    ///
    /// ```
    /// fn all_right(verified: &haul::Verified) -> bool {
    ///     verified.comparisons.iter().all(haul::Comparison::is_right)
    /// }
    /// ```
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.found.as_ref() == Some(&self.proof.checksum)
    }
}

/// What came of it.
///
/// ```
/// fn verdict(verified: &haul::Verified) -> &'static str {
///     if verified.is_right() { "right" } else { "damaged" }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Verified {
    /// What was read: the file, or the part file of an interrupted download.
    pub path: PathBuf,
    /// Bytes in it; in the target, where the download was interrupted.
    pub length: u64,
    /// What it was held against.
    pub against: Against,
    /// Bytes that were read and compared.
    pub checked: u64,
    /// The unit in which damage is known, in bytes; 0 where only the whole was compared.
    pub segment_size: u64,
    /// The bytes that are not what they were, in runs of whole segments, and those that are too many.
    pub damaged: Vec<ByteRange>,
    /// The bytes that an interrupted download does not have yet.
    pub missing: Vec<ByteRange>,
    /// Checksums of the whole.
    pub comparisons: Vec<Comparison>,
}

impl Verified {
    /// Whether everything that was compared is what it has to be.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// assert!(haul::Verify::new("disk.img").run(|_, _| ()).await?.is_right());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.damaged.is_empty() && self.comparisons.iter().all(Comparison::is_right)
    }
}

impl Verify {
    /// Of the file at that path. Where there is none yet, or the path is its `.part`, of what an interrupted download has.
    ///
    /// ```
    /// let verify = haul::Verify::new("disk.img");
    /// ```
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), checksums: Vec::new(), checksum_file: None }
    }

    /// What the file has to come to, as [`DownloadBuilder::checksum`] takes it. What is kept beside the file does not count
    /// then.
    ///
    /// ```
    /// let verify = haul::Verify::new("disk.img").checksum("crc32c:e3069283");
    /// ```
    pub fn checksum(mut self, checksum: impl Into<String>) -> Self {
        self.checksums.push(checksum.into());
        self
    }

    /// A list that has the file's checksum, as [`DownloadBuilder::checksum_file`] takes it, by the file's path or name.
    ///
    /// ```
    /// let verify = haul::Verify::new("disk.img").checksum_file("SHA256SUMS");
    /// ```
    pub fn checksum_file(mut self, path_or_url: impl Into<String>) -> Self {
        self.checksum_file = Some(path_or_url.into());
        self
    }

    /// Reads the file. `progress` is told how many bytes of how many have been read, where there are segments.
    ///
    /// Fails where there is nothing to hold it against; what is damaged is no failure.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let verified = haul::Verify::new("disk.img").run(|read, all| println!("{read} of {all}")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run(self, progress: impl FnMut(u64, u64)) -> Result<Verified> {
        let expected = self.given().await?;
        if let Some(target) = self.interrupted()? {
            if !expected.is_empty() {
                return Err(Error::new(ErrorKind::Local, "is not whole yet, and a checksum is of the whole")
                    .at(target.path().display())
                    .hint("without one, what is there is held against its checkpoint"));
            }
            return interrupted(&target, progress).await;
        }
        let target = Target::of_name(&self.path)?;
        let file = opened(&target.path(), &target)?;
        match hashes_file::read(&target)? {
            _ if !expected.is_empty() => whole(file, &target, expected).await,
            Some(hashes) => remembered(file, &target, hashes, progress).await,
            None => Err(Error::new(ErrorKind::Local, "there is nothing to hold it against")
                .at(target.path().display())
                .hint("give a --checksum or a --checksum-file; --keep-hashes keeps hashes of what is downloaded")),
        }
    }

    /// Everything that it has to come to by what is given.
    async fn given(&self) -> Result<Vec<Proof>> {
        let given = |text: &String| Ok(Proof { checksum: text.parse()?, source: ProofSource::Given });
        let mut expected = self.checksums.iter().map(given).collect::<Result<Vec<_>>>()?;
        if let Some(text) = &self.checksum_file {
            let source = ListSource::parse(text)?;
            // The request that fetches it, where it is a URL.
            let request = match &source {
                ListSource::Url(_) => Some(validated(DownloadBuilder::new(text.clone()))?),
                ListSource::File(_) => None,
            };
            let found = list::read(&source, request.as_ref()).await?;
            let name = self.path.file_name().unwrap_or_default().to_string_lossy();
            expected.push(list::looked_up(&found, &source, &self.path.to_string_lossy(), &name)?);
        }
        Ok(expected)
    }

    /// The target of an interrupted download, where it is that.
    fn interrupted(&self) -> Result<Option<Target>> {
        let target = Target::of_any_name(&self.path)?;
        let named = self.path.file_name() == Some(target.name()) && target.entry(target.name())?.is_some();
        let is_one = !named && target.entry(&target.checkpoint_name())?.is_some();
        Ok(is_one.then_some(target))
    }
}

fn opened(path: &Path, target: &Target) -> Result<Arc<PartFile>> {
    let name = path.file_name().unwrap_or_default();
    let medium = target.folder().read(name).map_err(|error| Error::io(path, "open it", error))?;
    Ok(Arc::new(PartFile::streamed(path, medium)))
}

/// Against checksums alone.
async fn whole(file: Arc<PartFile>, target: &Target, expected: Vec<Proof>) -> Result<Verified> {
    let length = file.len()?;
    let found = Follower::start(file, algorithms(&expected)).finish(length).await?;
    Ok(Verified {
        path: target.path(),
        length,
        against: Against::Checksums,
        checked: length,
        segment_size: 0,
        damaged: Vec::new(),
        missing: Vec::new(),
        comparisons: compared(expected, &found),
    })
}

/// Against what is kept beside it.
async fn remembered(
    file: Arc<PartFile>,
    target: &Target,
    hashes: Hashes,
    progress: impl FnMut(u64, u64),
) -> Result<Verified> {
    let length = file.len()?;
    let expected: Vec<_> = hashes.proof.into_iter().collect();
    let ledger = &hashes.checkpoint.ledger;
    let mut verified = read_back(&file, target.path(), ledger, &expected, progress).await?;
    let was = ledger.segments().length();
    if length > was {
        verified.damaged.push(ByteRange::new(was, length));
    }
    Ok(Verified { length, against: Against::Hashes, ..verified })
}

/// What an interrupted download has, against its checkpoint.
async fn interrupted(target: &Target, progress: impl FnMut(u64, u64)) -> Result<Verified> {
    let path = target.checkpoint_path();
    let open = || {
        let medium = target.folder().open(&target.checkpoint_name());
        medium.map_err(|error| Error::io(&path, "open the checkpoint", error))
    };
    // The lock is given back at once: a download that starts now writes nothing but what is missing.
    let free = try_lock(open()?.as_ref()).map_err(|error| Error::io(&path, "lock the checkpoint", error))?;
    if !free {
        return Err(Error::new(ErrorKind::Locked, "another process is downloading to it")
            .at(target.path().display())
            .hint("wait for it"));
    }
    let (_, found) = CheckpointFile::read(&path, open()?)?;
    let Found::Checkpoint(checkpoint) = found else {
        return Err(Error::new(ErrorKind::Local, "the checkpoint cannot be read").at(path.display()));
    };
    let file = opened(&target.part_path(), target)?;
    read_back(&file, target.part_path(), &checkpoint.ledger, &[], progress).await
}

async fn read_back(
    file: &Arc<PartFile>,
    path: PathBuf,
    ledger: &Ledger,
    expected: &[Proof],
    mut progress: impl FnMut(u64, u64),
) -> Result<Verified> {
    let (segments, checked) = (ledger.segments(), ledger.bytes());
    let audit = audit(file, ledger, algorithms(expected), |read| progress(read, checked)).await?;
    Ok(Verified {
        path,
        length: segments.length(),
        against: Against::Checkpoint,
        checked,
        segment_size: segments.size(),
        damaged: damaged(ledger, &audit.good),
        missing: ledger.complete().clear_runs().map(|run| segments.bytes(&run)).collect(),
        comparisons: compared(expected.to_vec(), &audit.found),
    })
}

fn compared(expected: Vec<Proof>, found: &[Checksum]) -> Vec<Comparison> {
    let with = |proof: Proof| {
        let made_by = |found: &&Checksum| found.algorithm() == proof.checksum.algorithm();
        Comparison { found: found.iter().find(made_by).cloned(), proof }
    };
    expected.into_iter().map(with).collect()
}
