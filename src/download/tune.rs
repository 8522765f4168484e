//! How many jobs are worth it: the same object for a short while with 1, 2, 4… of them, kept nowhere.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::builder::DownloadBuilder;
use super::curve::{Curve, CurveEnd, Point, Samples};
use super::event::Event;
use super::handle::Handle;
use super::progress::Progress;
use super::report::Mode;
use super::request::Remains;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::StreamReason;

/// After this long without news of bytes nothing came.
const SILENCE: Duration = Duration::from_millis(200);
/// The server may need a moment to see that connections are gone; one that counts them would count the old ones.
const PAUSE: Duration = Duration::from_millis(250);
/// With less than this there is work for a connection or two.
const LEAST: u64 = 16 << 20;

/// Measures goodput at several numbers of jobs: nothing is kept, time and bytes are bounded.
///
/// Each number is tried for a few seconds; the first third of that, in which connections come about, does not count.
/// It is over at the first answer 429 or 503: the server wants no more. Dropping the future ends it.
///
/// ```no_run
/// # async fn example() -> haul::Result<()> {
/// use haul::{Download, Tune};
///
/// let curve = Tune::new(Download::builder("https://example.org/disk.img")).run(|_| {}).await?;
/// for point in &curve.points {
///     println!("{:>3} jobs: {:.0} bytes/s", point.jobs, point.rate);
/// }
/// println!("use --jobs {}", curve.knee().jobs);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Tune {
    download: DownloadBuilder,
    jobs: Vec<usize>,
    time: Duration,
    max_bytes: u64,
}

impl Tune {
    /// The numbers of jobs that are tried where none are given.
    pub const JOBS: [usize; 6] = [1, 2, 4, 8, 16, 32];

    /// Measures with what this describes; its target and its jobs do not matter.
    ///
    /// ```
    /// let tune = haul::Tune::new(haul::Download::builder("https://example.org/disk.img"));
    /// ```
    pub fn new(download: DownloadBuilder) -> Self {
        Self { download, jobs: Self::JOBS.to_vec(), time: Duration::from_secs(3), max_bytes: 4 << 30 }
    }

    /// The numbers of jobs to try, each 1 to 256. They are tried in ascending order.
    ///
    /// ```
    /// let tune = haul::Tune::new(haul::Download::builder("https://example.org/disk.img")).jobs([4, 8, 12]);
    /// ```
    pub fn jobs(mut self, jobs: impl IntoIterator<Item = usize>) -> Self {
        self.jobs = jobs.into_iter().collect();
        self.jobs.sort_unstable();
        self.jobs.dedup();
        self
    }

    /// How long each number is tried, from the first answer on; 3 s by default.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let tune = haul::Tune::new(haul::Download::builder("https://example.org/disk.img")).time(Duration::from_secs(10));
    /// ```
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// About how many bytes are fetched in all, at the most; 4 GiB by default. What is under way comes on top: at
    /// each number of jobs as much as comes in a twentieth of a second.
    ///
    /// ```
    /// let tune = haul::Tune::new(haul::Download::builder("https://example.org/disk.img")).max_bytes(1 << 30);
    /// ```
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Measures; `measured` is told of each point. An error at the first number is the result, later it is the end of the
    /// curve.
    ///
    /// # Errors
    /// As a download; also where the object is too small to tell one number of jobs from another, and where the server
    /// turns away even the first number.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let tune = haul::Tune::new(haul::Download::builder("https://example.org/disk.img"));
    /// let curve = tune.run(|point| println!("{}: {:.0}", point.jobs, point.rate)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run(self, mut measured: impl FnMut(&Point)) -> Result<Curve> {
        let mut curve = Curve { points: Vec::new(), length: None, ended: CurveEnd::Complete };
        let mut left = self.max_bytes;
        for (index, &jobs) in self.jobs.iter().enumerate() {
            if index > 0 {
                sleep(PAUSE).await;
            }
            let share = left / (self.jobs.len() - index) as u64;
            let run = match self.measure(jobs, share).await {
                Ok(run) => run,
                Err(error) if index == 0 => return Err(error),
                Err(error) => {
                    curve.ended = CurveEnd::Failed { jobs, error };
                    break;
                }
            };
            left = left.saturating_sub(run.point.received);
            curve.length = run.length;
            measured(&run.point);
            let throttled = run.point.throttled > 0;
            curve.points.push(run.point);
            if throttled {
                curve.ended = CurveEnd::Throttled { jobs };
            } else if let Some(reason) = run.stream {
                curve.ended = CurveEnd::Stream(reason);
            }
            if !matches!(curve.ended, CurveEnd::Complete) {
                break;
            }
        }
        match curve.points.first() {
            None => Err(Error::new(ErrorKind::Usage, "no number of jobs to try").hint("give one or more")),
            Some(first) if first.throttled > 0 => {
                let message =
                    format!("the server turned requests away (429 or 503) at --jobs {}", first.jobs);
                Err(Error::new(ErrorKind::Network, message).hint("try again later, or with fewer jobs"))
            }
            Some(_) => Ok(curve),
        }
    }

    /// One number of jobs, for the time and at most the bytes allowed.
    async fn measure(&self, jobs: usize, max_bytes: u64) -> Result<Run> {
        // A server that asks to be left alone is: that is an answer as well.
        let download = self.download.clone().discard().jobs(jobs).max_wait(Duration::ZERO).build()?;
        let url = download.url();
        let mut run = Run::new(jobs);
        let mut handle = download.start();
        let ended = run.watch(&mut handle, self.time, max_bytes).await;
        let ended = match ended {
            Some(ended) => ended.map(drop),
            None => {
                handle.cancel(Remains::Delete);
                handle.await.map(drop)
            }
        };
        match ended {
            Err(error) if error.kind() != ErrorKind::Cancelled && run.point.throttled == 0 => {
                return Err(error);
            }
            _ => {}
        }
        if let Some(length) = run.length.filter(|length| *length < LEAST && run.stream.is_none()) {
            let message = format!("{length} bytes are too few to measure with");
            let hint = "give the URL of an object of 16 MiB or more, the larger the better";
            return Err(Error::new(ErrorKind::Usage, message).at(url).hint(hint));
        }
        Ok(run.done())
    }
}

/// One number of jobs being measured.
#[derive(Debug)]
struct Run {
    point: Point,
    length: Option<u64>,
    stream: Option<StreamReason>,
    /// When the first answer came.
    began: Option<Instant>,
    samples: Samples,
}

impl Run {
    fn new(jobs: usize) -> Self {
        let point = Point {
            jobs,
            rate: 0.0,
            measured: Duration::ZERO,
            received: 0,
            connections: 0,
            throttled: 0,
            retries: 0,
            whole: false,
        };
        Self { point, length: None, stream: None, began: None, samples: Samples::default() }
    }

    /// Watches a download until there is enough of it: `None`. Or it ends before.
    async fn watch(
        &mut self,
        handle: &mut Handle,
        time: Duration,
        max_bytes: u64,
    ) -> Option<Result<super::report::Report>> {
        let (mut events, mut progress) = (handle.events(), handle.progress());
        loop {
            let deadline = self.began.map(|began| began + time);
            let silence = deadline.map_or_else(far, |deadline| deadline + SILENCE);
            tokio::select! {
                // What happened is told before the end.
                biased;
                Some(event) = events.next() => {
                    self.on_event(&event);
                    if self.length.is_some_and(|length| length < LEAST) && self.stream.is_none() {
                        return None;
                    }
                }
                ended = &mut *handle => {
                    self.note(*progress.borrow());
                    self.point.whole = ended.is_ok();
                    return Some(ended);
                }
                Ok(()) = progress.changed() => {
                    let now = *progress.borrow_and_update();
                    self.note(now);
                    let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                    if late || now.received >= max_bytes || now.throttled > 0 {
                        return None;
                    }
                }
                () = sleep_until(silence) => {
                    self.note(*progress.borrow());
                    return None;
                }
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Started { length, mode, .. } => {
                self.length = *length;
                self.stream = match mode {
                    Mode::Stream(reason) => Some(reason.clone()),
                    Mode::Ranges => None,
                };
                self.began.get_or_insert_with(Instant::now);
            }
            Event::Retry { .. } => self.point.retries += 1,
            _ => {}
        }
    }

    fn note(&mut self, now: Progress) {
        self.point.received = now.received;
        self.point.connections = self.point.connections.max(now.connections);
        self.point.throttled = now.throttled;
        if let Some(began) = self.began {
            self.samples.note(began.elapsed(), now.received);
        }
    }

    fn done(mut self) -> Self {
        (self.point.rate, self.point.measured) = self.samples.rate();
        self
    }
}

/// Later than anything that is waited for.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 60 * 60)
}
