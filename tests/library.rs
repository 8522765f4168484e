//! The library's own promises: progress, events, pause, cancel, errors.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::haul::{
    ByteRange, Controller, Download, DownloadBuilder, ErrorKind, Event, Existing, Handle, Mode, OnChange,
    Outcome, Part, Partial, Phase, Progress, Remains, StreamReason, Validator,
};
use support::{Content, Fault, Resource, Server, When};
use tempfile::TempDir;

mod support;

const MIB: u64 = 1 << 20;
const OBJECT: Content = Content::new(1, 16 * MIB + 12_345);
/// Longer than any working run takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Setting {
    server: Server,
    dir: TempDir,
}

impl Setting {
    fn new(resource: Resource) -> Self {
        Self { server: Server::start([("/f", resource)]), dir: tempfile::tempdir().unwrap() }
    }

    fn builder(&self) -> DownloadBuilder {
        Download::builder(self.server.url("/f")).dir(self.dir.path()).segment_size(64 << 10).jobs(4)
    }

    fn start(&self) -> Handle {
        self.builder().build().unwrap().start()
    }

    fn names(&self) -> Vec<String> {
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = std::fs::read_dir(self.dir.path()).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[track_caller]
    fn assert_whole(&self) {
        assert_eq!(OBJECT.difference(&self.dir.path().join("f")), None);
        assert_eq!(self.names(), ["f"]);
    }

    fn idle(&self) {
        tokio::task::block_in_place(|| assert!(self.server.wait_until_idle(PATIENCE)));
    }
}

fn slow() -> Resource {
    Resource::new(OBJECT).rate(MIB)
}

/// Waits until so many bytes are in place.
async fn in_place(handle: &Handle, bytes: u64) {
    let mut progress = handle.progress();
    let reached = progress.wait_for(|now| now.in_place >= bytes);
    tokio::time::timeout(PATIENCE, reached).await.expect("progress in time").expect("the download runs");
}

async fn ended(handle: Handle) -> ::haul::Result<::haul::Report> {
    tokio::time::timeout(PATIENCE, handle).await.expect("it ends in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_never_goes_back_and_ends_at_the_total() {
    let setting = Setting::new(Resource::new(OBJECT).rate(8 * MIB));
    let handle = setting.start();
    let mut progress = handle.progress();
    let watch = tokio::spawn(async move {
        let mut seen = vec![*progress.borrow()];
        while progress.changed().await.is_ok() {
            seen.push(*progress.borrow_and_update());
        }
        seen
    });
    let report = ended(handle).await.unwrap();
    let seen: Vec<Progress> = watch.await.unwrap();
    assert!(
        seen.is_sorted_by_key(|now| now.in_place) && seen.is_sorted_by_key(|now| now.received),
        "{seen:?}"
    );
    assert_eq!(seen[0].phase, Phase::Probing);
    let last = seen.last().unwrap();
    assert_eq!((last.in_place, last.total, last.phase), (OBJECT.len, Some(OBJECT.len), Phase::Finishing));
    assert!(
        seen.iter().any(|now| now.phase == Phase::Fetching && now.connections > 1 && now.rate > 0.0),
        "{seen:?}"
    );
    assert_eq!((report.length, report.outcome, report.mode), (OBJECT.len, Outcome::Downloaded, Mode::Ranges));
    assert_eq!(report.path.as_deref(), Some(setting.dir.path().join("f").as_path()));
    assert_eq!(report.requests, setting.server.requests() as u64);
    assert!(report.received >= OBJECT.len && report.resumed == 0 && report.restarts == 0);
    setting.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_what_happens_in_order_and_then_end() {
    let setting = Setting::new(Resource::new(OBJECT).fault(When::Nth(1), Fault::Status(500)));
    let mut handle = setting.start();
    let mut events = handle.events();
    ended(handle).await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event);
    }
    let Event::Started { length, segment_size, segments, resumed, jobs, validator, path, .. } = &told[0]
    else {
        panic!("{told:?}");
    };
    assert_eq!((*length, *segment_size, *segments), (Some(OBJECT.len), 64 << 10, 257));
    assert_eq!((*resumed, *jobs), (0, 4));
    assert!(matches!(validator, Some(Validator::EntityTag(tag)) if tag.starts_with("\"1-")), "{validator:?}");
    assert!(path.as_deref().is_some_and(|path| path.ends_with("f")));
    assert!(told.iter().any(
        |event| matches!(event, Event::Retry { segment: Some(_), reason, .. } if reason.contains("500"))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_paused_nothing_is_asked_for_and_then_nothing_twice() {
    let setting = Setting::new(slow());
    let handle = setting.start();
    in_place(&handle, MIB).await;
    handle.pause();
    handle.progress().wait_for(|now| now.phase == Phase::Paused).await.unwrap();
    setting.idle();
    let (requests, served) = (setting.server.requests(), setting.server.body_bytes());
    // A request would come at once: no condition can be awaited for one that does not come.
    let more = tokio::task::block_in_place(|| {
        setting.server.wait_for_requests(requests + 1, Duration::from_millis(700))
    });
    assert!(!more, "a request while paused");
    assert_eq!(setting.server.body_bytes(), served);
    let held = Partial::open(setting.dir.path().join("f")).unwrap();
    assert!(held.active && held.in_place >= MIB, "{held:?}");
    handle.resume();
    let report = ended(handle).await.unwrap();
    // What was received of a segment at the pause is in its window: the request goes on at that very byte.
    assert!(report.received <= OBJECT.len + MIB, "{}", report.received);
    setting.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_before_the_first_byte_and_a_cancel_while_paused_work() {
    let setting = Setting::new(slow());
    let handle = setting.start();
    handle.pause();
    handle.resume();
    in_place(&handle, MIB).await;
    handle.pause();
    handle.progress().wait_for(|now| now.phase == Phase::Paused).await.unwrap();
    handle.cancel(Remains::Keep);
    assert_eq!(ended(handle).await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(setting.names(), ["f.part", "f.part.ckpt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_paused_too() {
    let setting = Setting::new(slow().no_ranges().rate(8 * MIB));
    let handle = setting.start();
    in_place(&handle, MIB).await;
    handle.pause();
    handle.resume();
    let report = ended(handle).await.unwrap();
    assert_eq!(report.mode, Mode::Stream(StreamReason::NoRanges));
    setting.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_kept_it_says_where_and_is_resumed() {
    let setting = Setting::new(slow());
    let handle = setting.start();
    let controller: Controller = handle.controller();
    in_place(&handle, MIB).await;
    controller.cancel(Remains::Keep);
    controller.resume();
    let error = ended(handle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(error.checkpoint(), Some(setting.dir.path().join("f.part.ckpt").as_path()));
    let held = Partial::open(setting.dir.path().join("f")).unwrap();
    assert!(!held.active && held.in_place >= MIB);
    setting.server.replace("/f", Resource::new(OBJECT));
    let report = setting.builder().build().unwrap().run().await.unwrap();
    assert_eq!(report.resumed, held.in_place);
    assert!(report.received < OBJECT.len, "{report:?}");
    setting.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_deleted_nothing_is_left() {
    for resource in [slow(), slow().no_ranges()] {
        let setting = Setting::new(resource);
        let handle = setting.start();
        in_place(&handle, MIB).await;
        handle.cancel(Remains::Delete);
        let error = ended(handle).await.unwrap_err();
        assert_eq!((error.kind(), error.checkpoint()), (ErrorKind::Cancelled, None));
        assert_eq!(setting.names(), <[&str; 0]>::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_handle_cancels_and_keeps() {
    let setting = Setting::new(slow());
    let handle = setting.start();
    in_place(&handle, MIB).await;
    let mut progress = handle.progress();
    drop(handle);
    // The sender goes with the download.
    while tokio::time::timeout(PATIENCE, progress.changed()).await.expect("it ends in time").is_ok() {}
    setting.idle();
    assert_eq!(setting.names(), ["f.part", "f.part.ckpt"]);
    assert!(!Partial::open(setting.dir.path().join("f")).unwrap().active);
}

#[tokio::test]
async fn a_runtime_of_one_thread_is_enough_and_two_downloads_go_side_by_side() {
    let setting = Setting::new(Resource::new(OBJECT).rate(16 * MIB));
    let download = |name: &str| setting.builder().output(name).build().unwrap();
    let (one, two) = tokio::join!(download("one").run(), download("two").run());
    assert_eq!((one.unwrap().length, two.unwrap().length), (OBJECT.len, OBJECT.len));
    for name in ["one", "two"] {
        assert_eq!(OBJECT.difference(&setting.dir.path().join(name)), None);
    }
    assert_eq!(setting.names(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_downloads_to_one_target_are_not_possible() {
    let setting = Setting::new(slow());
    let first = setting.start();
    in_place(&first, 1).await;
    let error = setting.builder().build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    setting.server.replace("/f", Resource::new(OBJECT));
    ended(first).await.unwrap();
    setting.assert_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_kinds_and_name_their_place_without_secrets() {
    let setting = Setting::new(Resource::new(OBJECT));
    let server = &setting.server;
    server.replace("/404", Resource::new(OBJECT).fault(When::Always, Fault::Status(404)));
    server.replace("/500", Resource::new(OBJECT).fault(When::Always, Fault::Status(500)));
    let moving = Resource::new(OBJECT).then_becomes(When::Nth(1), Content::new(2, OBJECT.len), "\"v2\"");
    server.replace("/moving", moving);
    std::fs::create_dir(setting.dir.path().join("taken")).unwrap();
    for (path, kind, named) in [
        ("/404", ErrorKind::Refused, server.url("/404")),
        ("/500", ErrorKind::Network, server.url("/500")),
        ("/moving", ErrorKind::Changed, server.url("/moving")),
        ("/taken", ErrorKind::Local, "taken".to_owned()),
    ] {
        let url = server.url(&format!("{path}?sig=hunter2")).replace("http://", "http://me:hunter2@");
        server.replace("/taken", Resource::new(OBJECT));
        let builder =
            Download::builder(url).dir(setting.dir.path()).jobs(2).retries(1).on_change(OnChange::Fail);
        let error = builder.build().unwrap().run().await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert_eq!(error.kind(), kind, "{said}");
        assert!(said.contains(&named) && !said.contains("hunter2"), "{said}");
        assert!(!error.to_string().contains('\n'), "{said}");
    }
}

#[tokio::test]
async fn a_part_and_what_exists_already() {
    let setting = Setting::new(Resource::new(OBJECT));
    let part = Part::Span(ByteRange { start: 5, end: 100_000 });
    let report = setting.builder().part(part).build().unwrap().run().await.unwrap();
    assert_eq!(report.length, 99_995);
    assert_eq!(std::fs::read(setting.dir.path().join("f")).unwrap(), OBJECT.slice(5, 100_000));
    let again = |existing| setting.builder().output("f").existing(existing).build().unwrap();
    assert_eq!(again(Existing::Refuse).run().await.unwrap_err().kind(), ErrorKind::Local);
    assert_eq!(again(Existing::Skip).run().await.unwrap().outcome, Outcome::Existed);
    assert_eq!(again(Existing::Replace).run().await.unwrap().outcome, Outcome::Downloaded);
    setting.assert_whole();
}

#[tokio::test]
async fn inspect_asks_for_one_byte_and_leaves_nothing() {
    let setting =
        Setting::new(Resource::new(OBJECT).header("Content-Disposition", "attachment; filename=named"));
    let offer = setting.builder().build().unwrap().inspect().await.unwrap();
    assert_eq!((offer.length, offer.ranges, offer.file_name.as_str()), (Some(OBJECT.len), true, "named"));
    assert_eq!(offer.final_url, setting.server.url("/f"));
    assert!(offer.resume().is_ok());
    assert_eq!(setting.server.log().last().and_then(|seen| seen.range), Some((0, 0)));
    assert_eq!(setting.names(), <[&str; 0]>::default());
    setting.server.replace("/f", Resource::new(OBJECT).no_ranges());
    let offer = setting.builder().build().unwrap().inspect().await.unwrap();
    assert_eq!(offer.resume(), Err(StreamReason::NoRanges));
}

#[test]
fn what_is_no_partial_download_is_an_error_of_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let missing: &Path = &dir.path().join("nothing");
    assert_eq!(Partial::open(missing).unwrap_err().kind(), ErrorKind::Local);
    assert_eq!(Partial::remove(missing).unwrap_err().kind(), ErrorKind::Local);
}

#[test]
fn a_runtime_that_goes_away_takes_the_download_along_and_what_is_there_is_resumed() {
    // A task that panics is told of by the hook alone: nobody is left to join it.
    static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|place| place.file().starts_with("src/")) {
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        }
        usual(panic);
    }));
    for _ in 0..5 {
        let setting = Setting::new(slow());
        let runtime =
            || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime();
        let handle = {
            let _here = running.enter();
            setting.start()
        };
        running.block_on(in_place(&handle, MIB));
        drop(running);
        drop(handle);
        setting.server.replace("/f", Resource::new(OBJECT));
        let report = runtime().block_on(setting.builder().build().unwrap().run()).unwrap();
        assert_eq!(report.length, OBJECT.len);
        setting.assert_whole();
    }
    assert_eq!(*PANICS.lock().unwrap_or_else(PoisonError::into_inner), <[&str; 0]>::default());
}
