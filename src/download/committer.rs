//! Keeps the checkpoint file behind a running transfer, off the async threads.
//!
//! Soft commits follow the work at most every 50 ms (huge bitmaps: less often), and go on while the disk syncs; a hard commit begins a
//! second after the last one ended, so that a slow disk is not flooded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::blocking::{blocking, joined};
use super::tuning::Tuning;
use crate::bitmap::Bitmap;
use crate::error::{Error, Result};
use crate::store::commit::{CheckpointFile, Durable, Snapshot};
use crate::store::medium::Durability;
use crate::store::part::PartFile;

/// Large bitmaps are written less often: this much time more for a MiB of them.
const SOFT_INTERVAL_PER_MIB: Duration = Duration::from_millis(15);

/// Something went wrong behind the transfer's back.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The data could not be made durable. What is not in `durable` is not to be believed (H50).
    Sync { durable: Bitmap, error: Error },
    /// The checkpoint could not be written.
    Checkpoint(Error),
}

/// How far the last commit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastCommit {
    /// Everything that landed is durable, if the disk makes it by the deadline; the file is written in any case.
    Hard { deadline: Instant },
    /// The file is written.
    Soft,
}

/// The transfer's end of the committer.
#[derive(Debug)]
pub(crate) struct Committer {
    snapshots: watch::Sender<Option<Snapshot>>,
    soft_interval: Duration,
    /// When something was published last.
    published: Option<Instant>,
    close: oneshot::Sender<LastCommit>,
    task: JoinHandle<(Option<CheckpointFile>, Result<(), Trouble>)>,
}

impl Committer {
    pub(crate) fn spawn(
        file: CheckpointFile,
        part: Arc<PartFile>,
        durability: Durability,
        tuning: Tuning,
    ) -> (Self, mpsc::Receiver<Trouble>) {
        let (snapshots, seen) = watch::channel(None);
        let (close, closing) = oneshot::channel();
        let mib = u32::try_from(file.slot_size() >> 20).unwrap_or(u32::MAX);
        let soft_interval = tuning.soft_interval + SOFT_INTERVAL_PER_MIB * mib;
        let (trouble, troubles) = mpsc::channel(1);
        let keeper = Keeper {
            file: Some(file),
            part,
            durability,
            snapshots: seen,
            last: None,
            hardened: None,
            failures: 0,
            trouble,
            soft_interval,
            hard_interval: tuning.hard_interval,
            soft_due: Instant::now(),
        };
        let task = tokio::spawn(keeper.run(closing));
        (Self { snapshots, soft_interval, published: None, close, task }, troubles)
    }

    /// Whether the last state was published so long ago that another would not be passed over.
    pub(crate) fn is_due(&self) -> bool {
        self.published.is_none_or(|when| when.elapsed() >= self.soft_interval)
    }

    /// The state to be committed from now on. What it calls complete must have been written.
    pub(crate) fn publish(&mut self, snapshot: Snapshot) {
        self.published = Some(Instant::now());
        self.snapshots.send_replace(Some(snapshot));
    }

    /// Commits what was published last, and gives the file back, unless the deadline passed in the midst of a step.
    pub(crate) async fn close(self, last: LastCommit) -> (Option<CheckpointFile>, Result<(), Trouble>) {
        // The other end is only gone if the task panicked, which the join says.
        let _ = self.close.send(last);
        joined(self.task).await
    }
}

struct Keeper {
    /// Always there between the steps: a step takes it to a blocking thread and brings it back.
    file: Option<CheckpointFile>,
    part: Arc<PartFile>,
    durability: Durability,
    snapshots: watch::Receiver<Option<Snapshot>>,
    /// Written last, softly or hard.
    last: Option<Snapshot>,
    /// On the disk, with its data.
    hardened: Option<Snapshot>,
    /// Hard commits that failed though their data was durable.
    failures: u32,
    trouble: mpsc::Sender<Trouble>,
    soft_interval: Duration,
    hard_interval: Duration,
    soft_due: Instant,
}

type Syncing = JoinHandle<Result<Durable>>;

impl Keeper {
    async fn run(
        mut self,
        mut closing: oneshot::Receiver<LastCommit>,
    ) -> (Option<CheckpointFile>, Result<(), Trouble>) {
        let mut syncing: Option<Syncing> = None;
        let mut hard_due = Instant::now() + self.hard_interval;
        let mut pending = false;
        let last = loop {
            let unsynced =
                self.durability == Durability::PowerCut && !same(self.last.as_ref(), self.hardened.as_ref());
            let step = tokio::select! {
                last = &mut closing => break last.unwrap_or(LastCommit::Soft),
                changed = self.snapshots.changed(), if !pending => match changed {
                    Ok(()) => {
                        pending = true;
                        Ok(())
                    }
                    Err(_) => break LastCommit::Soft,
                },
                () = sleep_until(self.soft_due), if pending => {
                    pending = false;
                    self.soft().await
                }
                synced = join(&mut syncing) => {
                    hard_due = Instant::now() + self.hard_interval;
                    self.harden(synced).await
                }
                () = sleep_until(hard_due), if unsynced && syncing.is_none() => {
                    syncing = self.last.clone().map(|snapshot| self.sync(snapshot));
                    Ok(())
                }
            };
            if let Err(trouble) = step {
                // There is room for one, and there is never a second: a sync that succeeds after one that failed
                // says nothing about what that one covered (H50).
                let _ = self.trouble.try_send(trouble);
                // For the same reason nothing is hardened any more, even if that is asked for.
                let _ = closing.await;
                break LastCommit::Soft;
            }
        };
        let result = self.finish(last, syncing).await;
        (self.file, result)
    }

    /// Writes what was published last.
    async fn soft(&mut self) -> Result<(), Trouble> {
        let Some(snapshot) = self.snapshots.borrow_and_update().clone() else { return Ok(()) };
        let written = self.with_file({
            let snapshot = snapshot.clone();
            move |file| file.soft(&snapshot)
        });
        written.await.map_err(Trouble::Checkpoint)?;
        self.soft_due = Instant::now() + self.soft_interval;
        self.last = Some(snapshot);
        Ok(())
    }

    fn sync(&self, snapshot: Snapshot) -> Syncing {
        let part = Arc::clone(&self.part);
        tokio::task::spawn_blocking(move || snapshot.sync(&part))
    }

    /// Writes a hard slot, if its data got to the disk; and then what landed meanwhile, softly.
    async fn harden(&mut self, synced: Result<Durable>) -> Result<(), Trouble> {
        let durable = synced.map_err(|error| Trouble::Sync { durable: self.durable(), error })?;
        let snapshot = Snapshot(Arc::clone(durable.checkpoint()));
        if let Err(error) = self.with_file(move |file| file.hard(&durable)).await {
            // The slot that it did not get to the disk is written again, once; the other one stands (H50).
            self.failures += 1;
            return if self.failures > 1 { Err(Trouble::Checkpoint(error)) } else { self.soft().await };
        }
        // The hard slot is without the claims that nobody has read back yet.
        let behind =
            !same(self.last.as_ref(), Some(&snapshot)) || self.durable() != *snapshot.0.ledger.complete();
        self.hardened = Some(snapshot);
        if behind { self.soft().await } else { Ok(()) }
    }

    /// The segments that are on the disk for certain.
    fn durable(&self) -> Bitmap {
        self.file.as_ref().expect("steps come one after the other").durable().clone()
    }

    async fn finish(&mut self, last: LastCommit, mut syncing: Option<Syncing>) -> Result<(), Trouble> {
        // First what is quick: from here on a kill costs nothing.
        self.soft().await?;
        let rest = async {
            // What the sync under way finds is said once, to whoever asks first (H50).
            if syncing.is_some() {
                let synced = join(&mut syncing).await;
                self.harden(synced).await?;
            }
            let unsynced = !same(self.last.as_ref(), self.hardened.as_ref());
            match self.last.clone().filter(|_| unsynced && last != LastCommit::Soft) {
                Some(snapshot) if self.durability == Durability::PowerCut => {
                    let synced = joined(self.sync(snapshot)).await;
                    self.harden(synced).await
                }
                _ => Ok(()),
            }
        };
        match last {
            LastCommit::Soft => rest.await,
            // Else the soft commit stands, and after a power cut its CRCs tell what it is worth.
            LastCommit::Hard { deadline } => timeout_at(deadline, rest).await.unwrap_or(Ok(())),
        }
    }

    async fn with_file(
        &mut self,
        step: impl FnOnce(&mut CheckpointFile) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let mut file = self.file.take().expect("steps come one after the other");
        let (file, result) = blocking(move || {
            let result = step(&mut file);
            (file, result)
        })
        .await;
        self.file = Some(file);
        result
    }
}

fn same(a: Option<&Snapshot>, b: Option<&Snapshot>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(&a.0, &b.0),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// The result of the sync under way, which is over then; never, where there is none.
async fn join(syncing: &mut Option<Syncing>) -> Result<Durable> {
    let Some(task) = syncing else { return std::future::pending().await };
    let done = joined(task).await;
    *syncing = None;
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::commit::Found;
    use crate::store::fixture::{OneFile, SEGMENT, checkpoint, snapshot};
    use crate::store::simulated::{DiskFault, Op};
    use rustix::io::Errno;
    use std::path::Path;

    struct Bench {
        data: OneFile,
        slots: OneFile,
        committer: Committer,
        troubles: mpsc::Receiver<Trouble>,
    }

    fn bench() -> Bench {
        let (data, slots) = (OneFile::new(&[]), OneFile::new(&[]));
        let (root, medium) = (data.disk.root(), Arc::clone(&data.medium));
        let part = PartFile::reserve(root.as_ref(), Path::new("/t/x.part"), medium, 4 * SEGMENT);
        let medium = Arc::clone(&slots.medium);
        let file = CheckpointFile::start(Path::new("/t/x.part.ckpt"), medium, checkpoint(0));
        let (committer, troubles) =
            Committer::spawn(file.unwrap(), Arc::new(part.unwrap()), Durability::PowerCut, Tuning::default());
        Bench { data, slots, committer, troubles }
    }

    /// How many segments the slots claim, read anew.
    fn claimed(slots: &OneFile) -> usize {
        let again = OneFile::with_bytes(slots.bytes());
        match CheckpointFile::read(Path::new("/t/x.part.ckpt"), again.medium).unwrap().1 {
            Found::Checkpoint(checkpoint) => checkpoint.ledger.complete().count(),
            Found::Unreadable => panic!("unreadable"),
        }
    }

    fn soon() -> LastCommit {
        LastCommit::Hard { deadline: Instant::now() + Duration::from_secs(60) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_published_last_is_there_after_the_close() {
        for last in [LastCommit::Soft, soon()] {
            let mut bench = bench();
            bench.committer.publish(snapshot(1));
            bench.committer.publish(snapshot(3));
            bench.committer.close(last).await.1.map_err(|_| ()).unwrap();
            assert_eq!(claimed(&bench.slots), 3);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn h50_a_sync_that_fails_is_told_and_no_hard_commit_follows() {
        for last in [LastCommit::Soft, soon()] {
            let mut bench = bench();
            bench.data.disk.fail(DiskFault::always(Op::Sync, Errno::IO));
            let before = bench.slots.did();
            bench.committer.publish(snapshot(2));
            let trouble = bench.troubles.recv().await.unwrap();
            assert!(matches!(trouble, Trouble::Sync { durable, .. } if durable.count() == 0));
            // The disk is well again, and says nothing of what it lost.
            bench.data.disk.heal();
            bench.committer.publish(snapshot(0));
            bench.committer.close(last).await.1.map_err(|_| ()).unwrap();
            let syncs = |did: &[Op]| did.iter().filter(|did| **did == Op::Sync).count();
            assert_eq!(syncs(&bench.slots.did()), syncs(&before), "a hard commit syncs its slot");
            assert_eq!(claimed(&bench.slots), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn h50_a_trouble_that_nobody_has_read_is_there_after_the_close() {
        let mut bench = bench();
        bench.data.disk.fail(DiskFault::always(Op::Sync, Errno::IO));
        bench.committer.publish(snapshot(2));
        while bench.troubles.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.data.disk.heal();
        bench.committer.close(LastCommit::Soft).await.1.map_err(|_| ()).unwrap();
        assert!(matches!(bench.troubles.try_recv(), Ok(Trouble::Sync { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn h50_the_sync_of_the_last_commit_is_heard() {
        let mut bench = bench();
        bench.data.disk.fail(DiskFault::always(Op::Sync, Errno::IO));
        bench.committer.publish(snapshot(2));
        let (_, closed) = bench.committer.close(soon()).await;
        assert!(matches!(closed, Err(Trouble::Sync { .. })));
    }
}
