//! Each thing that is asked of the disk fails, the first time, the second, and so on, with each error that a disk
//! knows (H50, H54, H61).
//!
//! With `HAUL_SEEDS` set, every error is tried at every place; else they take turns, but for the first. A failure prints what to set to see it again; threads make runs differ, so it may take some tries.

use rustix::io::Errno;

use super::request::Existing;
use super::simulation::{OBJECT, RATE, Replay, World, at_once, number};
use crate::error::{ErrorKind, Result};
use crate::store::simulated::{DiskFault, Op, SimulatedDisk};
use crate::support::Resource;
use crate::{Outcome, Report};

/// With what the message says.
const ERRORS: [(Errno, &str); 6] = [
    (Errno::IO, "Input/output error"),
    (Errno::NOSPC, "the disk is full"),
    (Errno::DQUOT, "the disk quota is used up"),
    (Errno::INTR, "Interrupted"),
    (Errno::ACCESS, "Permission denied"),
    (Errno::ROFS, "Read-only file system"),
];

/// Makes everything fail that a run asks for, one at a time.
fn fail_everywhere(world: &World, ops: &[Op]) {
    let thorough = number("HAUL_SEEDS").is_some();
    let (only_cut, only_seed) = (number("HAUL_CUT"), number("HAUL_SEED"));
    let mut runs = 0;
    for op in ops {
        for (turn, error) in ERRORS.iter().enumerate() {
            for place in only_cut.unwrap_or(0).. {
                let my_turn = (place + turn as u64).is_multiple_of(ERRORS.len() as u64);
                if place > 0 && !thorough && !my_turn {
                    continue;
                }
                if only_seed.is_some_and(|seed| seed != turn as u64) {
                    break;
                }
                let _replay = Replay { cut: place, seed: turn as u64, what: format!("{op:?} fails") };
                runs += 1;
                if !fail_once(world, *op, place, *error) || only_cut.is_some() {
                    break;
                }
            }
        }
    }
    println!("{runs} runs with a fault");
}

/// Gives whether the run got as far as that place.
fn fail_once(world: &World, op: Op, place: u64, (errno, said): (Errno, &str)) -> bool {
    let disk = world.disk();
    disk.fail(DiskFault::nth(op, place, errno));
    let ended = world.run(&disk);
    let reached = disk.failed() > 0;
    assert!(reached || ended.is_ok(), "{ended:?}");
    judge(world, &disk, &ended, said);

    // The fault is gone: the same command ends well.
    disk.heal();
    let done = ended.is_ok() || world.assert_ends_well(&disk, false).is_some();
    // And what it said stays so.
    for seed in (0..3).filter(|_| done) {
        let survivor = disk.cut().survivor(seed, false);
        assert!(world.assert_right_name(&survivor), "it was said to be done, and is not there");
    }
    reached
}

/// The run ended by the oracle, whatever is cut now.
fn judge(world: &World, disk: &SimulatedDisk, ended: &Result<Report>, said: &str) {
    let whole = world.assert_right_name(disk);
    match ended {
        Ok(_) => assert!(whole, "{ended:?}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Local, "{error}");
            let text = error.to_string();
            assert!(text.contains(said), "{text}");
            // Only what failed after it got the name, whole as it was, could not be undone.
            assert!(!whole || text.contains("make the name durable"), "{text}");
            let kept = error.checkpoint().is_none() || {
                let names = disk.names("/");
                let has = |name: &str| names.iter().any(|found| found == name);
                has("x.part.ckpt") && (whole || has("x.part"))
            };
            assert!(kept, "what was fetched is gone: {text}");
        }
    }
    world.assert_claims_hold(disk);
    let image = disk.still();
    for seed in 0..3 {
        let survivor = image.survivor(seed, false);
        world.assert_right_name(&survivor);
        world.assert_claims_hold(&survivor);
    }
}

fn fresh() -> World {
    World::new(Resource::new(OBJECT).rate(RATE))
}

#[test]
fn h50_everything_fails_once_during_a_download() {
    fail_everywhere(&fresh(), &Op::ALL);
}

#[test]
fn h50_everything_fails_once_during_a_resume() {
    fail_everywhere(&fresh().half_done(3), &Op::ALL);
}

#[test]
fn h50_everything_fails_once_while_an_old_file_is_replaced() {
    let world = fresh().with_old(b"old").options(|builder| builder.existing(Existing::Replace));
    fail_everywhere(&world, &[Op::Rename, Op::Remove, Op::SyncFolder, Op::Entry, Op::Sync]);
}

#[test]
fn h50_everything_fails_once_while_an_object_comes_at_once() {
    let world = World::new(Resource::new(OBJECT)).options(|builder| builder.tuning(at_once()));
    fail_everywhere(&world, &[Op::CreateUnnamed, Op::Write, Op::Sync, Op::GiveName, Op::SyncFolder]);
}

#[test]
fn h50_everything_fails_once_during_a_stream() {
    let world = World::new(Resource::new(OBJECT).chunked().no_ranges().rate(RATE));
    fail_everywhere(&world, &[Op::Write, Op::SetLength, Op::Sync, Op::Rename, Op::Remove, Op::SyncFolder]);
}

#[test]
fn h82_a_body_of_unknown_length_ends_where_the_disk_would_be_full_and_leaves_nothing_there() {
    let world = World::new(Resource::new(OBJECT).chunked().no_ranges());
    let disk = world.disk();
    disk.has_room(OBJECT.len - 1);
    let ended = world.run(&disk);
    world.assert_oracle(&disk, &ended);
    let error = ended.expect_err("there is a byte too many");
    assert_eq!((error.kind(), error.checkpoint()), (ErrorKind::Local, None), "{error}");
    let room = format!("the disk is full; {} bytes were free when it began", OBJECT.len - 1);
    assert!(error.to_string().contains(&room), "{error}");
    assert_eq!(disk.names("/"), <[&str; 0]>::default(), "it cannot be resumed, and takes what room there is");
    disk.has_room(OBJECT.len);
    assert!(world.assert_ends_well(&disk, false).is_some());
}

/// A disk that says it has room, and has none: as another process may have taken it.
#[test]
fn h54_a_stream_that_fills_the_disk_leaves_nothing_there() {
    let world = World::new(Resource::new(OBJECT).chunked().no_ranges());
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::IO] {
        let disk = world.disk();
        disk.fail(DiskFault { file: Some("x.part"), ..DiskFault::nth(Op::Write, 1, errno) });
        let ended = world.run(&disk);
        world.assert_oracle(&disk, &ended);
        let kept = errno == Errno::IO;
        assert_eq!(disk.names("/").is_empty(), !kept, "{ended:?}");
    }
}

#[test]
fn h50_one_failed_sync_costs_what_it_covered_and_a_second_one_ends_the_run() {
    let world = fresh();
    for place in 0.. {
        let disk = world.disk();
        disk.fail(DiskFault { file: Some("x.part"), ..DiskFault::nth(Op::Sync, place, Errno::IO) });
        let report = world.run(&disk);
        let report = report.expect("what the disk lost is fetched again");
        assert_eq!(report.outcome, Outcome::Downloaded);
        let survivor = disk.cut().survivor(0, false);
        assert!(world.assert_right_name(&survivor), "what the disk lost was named");
        if disk.failed() == 0 {
            assert!(place > 1, "there are hard commits, and a last sync");
            break;
        }
        assert!(report.received > OBJECT.len || place > 0, "{report:?}");
    }
    let disk = world.disk();
    disk.fail(DiskFault { file: Some("x.part"), ..DiskFault::always(Op::Sync, Errno::IO) });
    let error = world.run(&disk).expect_err("the disk never syncs");
    assert_eq!((error.kind(), disk.failed()), (ErrorKind::Local, 2), "{error}");
    world.assert_claims_hold(&disk);
    disk.heal();
    let report = world.run(&disk).expect("the disk is well again");
    assert_eq!(report.resumed, 0, "nothing was ever durable");
    assert!(world.assert_right_name(&disk.cut().survivor(0, false)));
}
