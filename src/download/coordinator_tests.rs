//! A transfer whose medium panics, waits, or cancels, at a moment that the test chose.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, LazyLock, Mutex};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, watch};

use super::*;
use crate::digest::{Crcs, SegmentCrc};
use crate::download::control::Command;
use crate::download::looks::Looks;
use crate::download::progress::Progress;
use crate::download::request::{Download, Remains};
use crate::edition::Edition;
use crate::http::answer::Pinned;
use crate::http::client::Client;
use crate::http::fetch::Fetcher;
use crate::ledger::Ledger;
use crate::object::{NoValidator, Object, Validator};
use crate::range::{ByteRange, Segments};
use crate::store::checkpoint::{Checkpoint, Identity};
use crate::store::commit::{CheckpointFile, Found};
use crate::store::fixture::OneFile;
use crate::store::medium::{Map, Medium};
use crate::store::part::PartFile;
use crate::store::simulated::{DiskFault, Op};
use crate::support::{self, Content, Resource, Server, When};

const SEGMENT: u64 = 64 << 10;
const OBJECT: Content = Content::new(1, 20 * SEGMENT + 77);
const RETRIES: u32 = 3;

/// One for all tests: reading the system's certificates takes longer than a transfer.
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let request = Download::builder("http://h/f").build().unwrap().into_request();
    Client::new(request.pool.connections(), &mut request.url.clone(), request.client_options())
});

/// What happens before a write, or a map, that touches these bytes. It may not return.
type Omen = dyn Fn(Touch, ByteRange) + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Map,
    Write,
    /// After a write.
    Written,
}

/// A medium in memory that something happens to.
struct Haunted {
    medium: Arc<dyn Medium>,
    omen: Box<Omen>,
    /// Nothing happens before the file is there.
    awake: AtomicBool,
}

impl Haunted {
    fn touch(&self, touch: Touch, range: ByteRange) {
        if self.awake.load(Ordering::SeqCst) {
            (self.omen)(touch, range);
        }
    }
}

impl std::fmt::Debug for Haunted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Haunted")
    }
}

impl Medium for Haunted {
    fn len(&self) -> std::io::Result<u64> {
        self.medium.len()
    }

    fn inode(&self) -> std::io::Result<u64> {
        self.medium.inode()
    }

    fn allocate(&self, len: u64) -> std::io::Result<()> {
        self.medium.allocate(len)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.medium.set_len(len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.medium.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        let range = ByteRange::new(offset, offset + bytes.len() as u64);
        self.touch(Touch::Write, range);
        self.medium.write_all_at(bytes, offset)?;
        self.touch(Touch::Written, range);
        Ok(())
    }

    fn map(&self, range: ByteRange) -> std::io::Result<Map> {
        self.touch(Touch::Map, range);
        self.medium.map(range)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.medium.sync_data()
    }

    fn drop_cache(&self, range: ByteRange) -> std::io::Result<()> {
        self.medium.drop_cache(range)
    }

    fn mode(&self) -> std::io::Result<u32> {
        self.medium.mode()
    }

    fn set_mode(&self, mode: u32) -> std::io::Result<()> {
        self.medium.set_mode(mode)
    }

    fn try_lock(&self) -> std::io::Result<bool> {
        self.medium.try_lock()
    }
}

/// A transfer of the whole object, and what is left of it.
struct Bench {
    server: Server,
    data: OneFile,
    slots: OneFile,
    files: Files,
    request: Arc<Request>,
    client: Client,
    commands: watch::Sender<Command>,
    events: Option<broadcast::Receiver<crate::Event>>,
    runtime: Option<Runtime>,
}

impl Bench {
    /// `mapped`: whether the medium has maps.
    fn new(
        resource: Resource,
        jobs: usize,
        mapped: bool,
        omen: impl Fn(Touch, ByteRange) + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start([("/f", resource)]);
        let builder = Download::builder(server.url("/f")).jobs(jobs).segment_size(SEGMENT).retries(RETRIES);
        let mut request = builder.build().unwrap().into_request();
        Arc::make_mut(&mut request).tuning.least_span = SEGMENT;
        let faults = if mapped { vec![] } else { vec![DiskFault::unsupported(Op::Map)] };
        let data = OneFile::new(&faults);
        let slots = OneFile::new(&[]);
        let haunted = Arc::new(Haunted {
            medium: Arc::clone(&data.medium),
            omen: Box::new(omen),
            awake: AtomicBool::new(false),
        });
        let root = data.disk.root();
        let part = Arc::clone(&haunted) as _;
        let part = PartFile::reserve(root.as_ref(), Path::new("/t/f.part"), part, OBJECT.len).unwrap();
        haunted.awake.store(true, Ordering::SeqCst);
        let identity = Identity {
            total: OBJECT.len,
            start: 0,
            end: OBJECT.len,
            validator: support::Version::new(OBJECT).etag.map(Validator::EntityTag),
            encoding: None,
            source: server.url("/f"),
            inode: 7,
        };
        let ledger = Ledger::new(Segments::new(OBJECT.len, SEGMENT).unwrap());
        let first = Checkpoint { identity: identity.clone(), ledger: ledger.clone(), saved_at: 0 };
        let checkpoint = CheckpointFile::start(Path::new("/t/f.part.ckpt"), Arc::clone(&slots.medium), first);
        let files = Files::new(part, Some(checkpoint.unwrap()), identity, ledger);
        let commands = watch::channel(Command::Run).0;
        let client = CLIENT.clone();
        Self { server, data, slots, files, request, client, commands, events: None, runtime: None }
    }

    /// One transfer, on so many threads, which live until the next.
    fn transfer(&mut self, threads: usize) -> Result<Turn> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        let runtime = self.runtime.insert(runtime);
        let (events, seen) = broadcast::channel(1024);
        self.events = Some(seen);
        let reporter = Reporter::new(watch::channel(Progress::default()).0, watch::Sender::default(), events);
        let control = Control::new(self.commands.subscribe());
        let (mut url, mut looks) = (self.request.url.clone(), Looks::default());
        let way = Way { client: &mut self.client, url: &mut url, looks: &mut looks };
        let job = job(way, &self.request, &reporter, &control, &self.files.identity);
        runtime.block_on(async {
            let bounded = tokio::time::timeout(Duration::from_secs(60), transfer(job, &mut self.files));
            bounded.await.expect("a transfer is bounded in time")
        })
    }

    fn retries(&mut self) -> Vec<(Option<usize>, String)> {
        let mut retries = Vec::new();
        while let Ok(event) = self.events.as_mut().unwrap().try_recv() {
            if let crate::Event::Retry { segment, reason, .. } = event {
                retries.push((segment, reason));
            }
        }
        retries
    }

    fn assert_whole(&self) {
        assert!(self.files.ledger.is_whole());
        assert!(self.data.bytes() == OBJECT.bytes(), "a wrong byte");
    }

    /// What is called complete is what was served, in the ledger and in the checkpoint.
    fn assert_honest(&self) {
        let (bytes, served) = (self.data.bytes(), OBJECT.bytes());
        for ledger in [&self.files.ledger, &self.committed()] {
            for index in ledger.complete().ones() {
                let range = ledger.segments().range(index);
                let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
                assert!(bytes[start..end] == served[start..end], "segment {index} is called complete");
                let mut crc = SegmentCrc::new();
                crc.update(&served[start..end]);
                assert_eq!(ledger.crc(index), crc.take());
            }
        }
    }

    /// What a later run would read.
    fn committed(&self) -> Ledger {
        let again = OneFile::with_bytes(self.slots.bytes());
        match CheckpointFile::read(Path::new("/t/f.part.ckpt"), again.medium).unwrap().1 {
            Found::Checkpoint(checkpoint) => checkpoint.ledger,
            Found::Unreadable => panic!("the checkpoint cannot be read"),
        }
    }
}

fn job<'a>(
    way: Way<'a>,
    request: &'a Request,
    reporter: &'a Reporter,
    control: &'a Control,
    of: &Identity,
) -> Job<'a> {
    let pinned = Pinned {
        url: request.url.clone(),
        length: of.total,
        validator: of.validator.clone(),
        encoding: None,
        send_pin: true,
    };
    let (given, traffic) = (Fetcher::new(way.client.clone(), pinned), Arc::clone(way.client.traffic()));
    let object = Object {
        url: request.url.clone(),
        length: Some(of.total),
        validator: of.validator.clone().ok_or(NoValidator::NeitherSent),
        edition: Edition::default(),
        fresh: false,
        proof: None,
    };
    let wanted = Wanted { object, length: of.total, extent: of.extent(), encoding: None, given };
    Job { request, reporter, control, traffic, way, wanted, admission: None, tuner: None, first: None }
}

/// Panics when this byte is touched, as often as is left.
fn panics(on: Touch, at: u64, left: &Arc<AtomicU32>) -> impl Fn(Touch, ByteRange) + Send + Sync + use<> {
    let left = Arc::clone(left);
    move |touch, range| {
        let hit = touch == on && (range.start..range.end).contains(&at);
        let one_less = |left: u32| left.checked_sub(1);
        let spared = !hit || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err();
        assert!(spared, "as told, at {at}");
    }
}

#[test]
fn h67_a_worker_that_panics_costs_its_segment_and_the_run_survives() {
    for (mapped, on) in [(true, Touch::Map), (false, Touch::Write), (false, Touch::Written)] {
        for at in [0, SEGMENT - 1, 7 * SEGMENT + 5, OBJECT.len - 1] {
            for jobs in [1, 4] {
                let left = Arc::new(AtomicU32::new(1));
                let mut bench = Bench::new(Resource::new(OBJECT), jobs, mapped, panics(on, at, &left));
                let turn = bench.transfer(2);
                assert!(matches!(turn, Ok(Turn::Whole)), "{on:?} at {at}, {jobs} jobs: {turn:?}");
                bench.assert_whole();
                bench.assert_honest();
                // Only the first windows are sure to be mapped.
                let panicked = left.load(Ordering::SeqCst) == 0;
                assert!(panicked || (mapped && at > 0), "{on:?} at {at}");
                let retries = bench.retries();
                assert_eq!(retries.len(), usize::from(panicked), "{retries:?}");
                assert!(retries.iter().all(|(segment, why)| segment.is_some() && why == "a worker panicked"));
            }
        }
    }
}

#[test]
fn h67_all_workers_may_panic_as_long_as_bytes_come() {
    // Each segment brings its first worker down, and is there in the end.
    let seen = Mutex::new(std::collections::BTreeSet::new());
    let omen = move |touch, range: ByteRange| {
        let segment = range.start / SEGMENT;
        let spared = touch != Touch::Write || !seen.lock().unwrap().insert(segment);
        assert!(spared, "as told, in segment {segment}");
    };
    let mut bench = Bench::new(Resource::new(OBJECT), 4, false, omen);
    assert!(matches!(bench.transfer(2), Ok(Turn::Whole)));
    bench.assert_whole();
    assert_eq!(bench.retries().len(), 21, "one for each segment");
}

#[test]
fn h67_a_segment_that_brings_down_worker_after_worker_ends_the_run() {
    for jobs in [1, 4] {
        let at = 5 * SEGMENT;
        let mut bench = Bench::new(
            Resource::new(OBJECT),
            jobs,
            false,
            panics(Touch::Write, at, &Arc::new(AtomicU32::new(u32::MAX))),
        );
        let error = bench.transfer(2).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Internal, "a worker panicked"));
        // A chunk may begin in the segment before, which is then charged.
        let retries = bench.retries().len();
        assert!((RETRIES as usize..=3 * RETRIES as usize).contains(&retries), "{retries}");
        assert!(bench.server.requests() < 40, "{}", bench.server.requests());
        bench.assert_honest();
        // The same download, on a better day, goes on from there.
        assert_eq!(bench.committed().complete(), bench.files.ledger.complete());
    }
}

#[tokio::test]
async fn h67_what_a_worker_told_before_it_panicked_counts() {
    let mut bench = Bench::new(Resource::new(OBJECT), 1, false, |_, _| {});
    let (reporter, control) = (Reporter::silent(), Control::new(bench.commands.subscribe()));
    let (mut url, mut looks) = (bench.request.url.clone(), Looks::default());
    let way = Way { client: &mut bench.client, url: &mut url, looks: &mut looks };
    let job = job(way, &bench.request, &reporter, &control, &bench.files.identity);
    let mut coordinator = Coordinator::new(job, &mut bench.files);
    coordinator.scheduler.lease_up_to(0, 4);
    coordinator.scheduler.claim(0, 3);
    coordinator
        .outbox
        .send(Message::Landed {
            first: 0,
            crcs: [1, 2].map(|own| Crcs { own, proof: 0 }).to_vec(),
            sources: SourceSet::default(),
        })
        .await
        .unwrap();
    let task = coordinator.workers.spawn(async { panic!("as told") });
    coordinator.tasks.insert(task.id(), 0);
    let panic = coordinator.workers.join_next().await.unwrap().unwrap_err();
    assert!(coordinator.on_panic(panic).unwrap().is_none());
    assert_eq!(coordinator.files.ledger.complete().count(), 2);
    assert_eq!(coordinator.failures.note(2, false).before, 1, "the segment that it was at is charged");
    assert_eq!(coordinator.scheduler.lease_up_to(9, 99), Some(2..21), "nothing that landed is missing");
}

/// A door that is shut at first.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    moved: Condvar,
}

impl Door {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let waited =
            self.moved.wait_timeout_while(self.open.lock().unwrap(), Duration::from_secs(30), |open| !*open);
        assert!(!waited.unwrap().1.timed_out(), "nobody opens the door");
    }
}

#[test]
fn h66_nothing_of_a_worker_lands_after_its_transfer_has_ended() {
    // One worker is in the midst of a write while another's segment turns out to be of another version.
    let door = Arc::new(Door::default());
    let (theirs, moment) = (Arc::clone(&door), Arc::new(Mutex::new("not begun")));
    let seen = Arc::clone(&moment);
    let omen = move |touch, range: ByteRange| {
        if touch == Touch::Write && range.start == 0 {
            *seen.lock().unwrap() = "under way";
            theirs.pass();
        } else if touch == Touch::Written && range.start == 0 {
            *seen.lock().unwrap() = "done";
        }
    };
    let changes = Resource::new(OBJECT).fault(When::Containing(OBJECT.len - 1), support::Fault::Status(412));
    let mut bench = Bench::new(changes, 2, false, omen);
    let opener = {
        let door = Arc::clone(&door);
        // The verdict on the 412 is there long before the write comes to its end.
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            door.open();
        })
    };
    assert!(matches!(bench.transfer(3), Ok(Turn::Look(Fault::PreconditionFailed))));
    assert_ne!(*moment.lock().unwrap(), "under way", "the write");
    opener.join().unwrap();
    bench.assert_honest();
    let (ledger, bytes) = (bench.files.ledger.clone(), bench.data.did().len());
    // Its connections are closed, and what was under way is nowhere.
    assert!(bench.server.wait_until_idle(Duration::from_secs(30)));
    assert_eq!((bench.data.did().len(), &bench.files.ledger), (bytes, &ledger));
    // The next transfer has a channel and workers of its own.
    bench.server.replace("/f", Resource::new(OBJECT));
    assert!(matches!(bench.transfer(2), Ok(Turn::Whole)));
    bench.assert_whole();
}

#[test]
fn h50_a_sync_that_fails_when_the_transfer_has_ended_already_is_not_overheard() {
    // One worker is in the midst of a write, so that the end takes a while, and meanwhile a sync fails.
    let door = Arc::new(Door::default());
    let theirs = Arc::clone(&door);
    let omen = move |touch, range: ByteRange| {
        if touch == Touch::Write && range.start == 0 {
            // What waits for this thread goes to another one.
            tokio::task::block_in_place(|| theirs.pass());
        }
    };
    // The last span comes late enough for others to be landed and known to the committer.
    let changes = Resource::new(OBJECT)
        .latency(Duration::from_millis(50))
        .fault(When::Containing(OBJECT.len - 1), support::Fault::Status(412));
    let mut bench = Bench::new(changes, 2, false, omen);
    let tuning = &mut Arc::make_mut(&mut bench.request).tuning;
    tuning.tick = Duration::from_millis(1);
    tuning.hard_interval = Duration::from_secs(1);
    bench.data.disk.fail(DiskFault::always(Op::Sync, rustix::io::Errno::IO));
    let opener = {
        let (door, disk) = (Arc::clone(&door), bench.data.disk.clone());
        let before = disk.failed();
        std::thread::spawn(move || {
            let until = std::time::Instant::now() + Duration::from_secs(30);
            while disk.failed() == before && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            // The committer hears of it before it is closed.
            std::thread::sleep(Duration::from_millis(100));
            disk.heal();
            door.open();
        })
    };
    let turn = bench.transfer(3);
    opener.join().unwrap();
    assert!(matches!(turn, Ok(Turn::Rewrite(_))), "{turn:?}");
    assert_eq!(bench.files.ledger.complete().count(), 0, "nothing was ever durable");
}

#[test]
fn what_landed_counts_even_if_its_message_is_unread_when_the_download_is_cancelled() {
    for round in 0..24 {
        let last = (round % 6 + 1) * SEGMENT;
        let commands = Arc::new(Mutex::new(None::<watch::Sender<Command>>));
        let theirs = Arc::clone(&commands);
        let omen = move |touch, range: ByteRange| {
            if touch == Touch::Written && range.end == last {
                let commands = theirs.lock().unwrap();
                commands.as_ref().unwrap().send_replace(Command::Cancel(Remains::Keep));
            }
        };
        let mut bench = Bench::new(Resource::new(OBJECT), 1, false, omen);
        *commands.lock().unwrap() = Some(bench.commands.clone());
        let error = bench.transfer(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        let landed = usize::try_from(last / SEGMENT).unwrap();
        let complete = |ledger: &Ledger| (0..landed).all(|index| ledger.complete().get(index));
        assert!(complete(&bench.files.ledger) && complete(&bench.committed()), "round {round}");
        bench.assert_honest();
    }
}

#[test]
fn h44_a_drip_is_no_progress_however_much_it_brings_and_asks_for_fewer_requests() {
    let drips = Resource::new(OBJECT).fault(When::Always, support::Fault::DripAfter(2000, 100));
    let mut bench = Bench::new(drips, 4, false, |_, _| {});
    let request = Arc::make_mut(&mut bench.request);
    request.tuning.drip_time = Duration::from_millis(300);
    request.tuning.backoff.first = Duration::from_millis(1);
    bench.client =
        Client::new(request.pool.connections(), &mut request.url.clone(), request.client_options());
    let error = bench.transfer(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.to_string().contains("1 KiB/s"), "{error}");
    // Four at first, and then one at a time until it has failed often enough.
    assert!(bench.server.requests() <= 4 + RETRIES as usize + 2, "{}", bench.server.requests());
}
