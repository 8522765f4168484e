//! The power is cut before every change to the disk, and again during the recovery (H51, H52).
//!
//! `HAUL_SEEDS=N` tries N outcomes of each cut instead of a few. A failure prints what to set to see it again;
//! threads make runs differ, so it may take some tries.

use std::env;
use std::thread;

use fastrand::Rng;

use super::request::Existing;
use super::simulation::{LATER, OBJECT, RATE, World};
use crate::store::simulated::{DiskFault, Image, Op, SimulatedDisk};
use crate::support::Resource;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Says how to see a failure again.
struct Replay {
    cut: u64,
    seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { cut, seed } = self;
            let test = thread::current().name().unwrap_or_default().to_owned();
            eprintln!("again: HAUL_CUT={cut} HAUL_SEED={seed} cargo test --lib {test}");
        }
    }
}

/// Cuts the power before each change of a run, as long as there are any.
fn cut_everywhere(world: &World, prepare: impl Fn(&SimulatedDisk)) {
    let seeds = number("HAUL_SEEDS").unwrap_or(3);
    let (only_cut, only_seed) = (number("HAUL_CUT"), number("HAUL_SEED"));
    let mut recoveries = 0;
    for cut in only_cut.unwrap_or(0).. {
        let disk = world.disk();
        prepare(&disk);
        disk.cut_before(cut);
        let ended = world.run(&disk);
        let image = disk.image();
        // Nothing but the cut goes wrong here.
        let image_or_end = image.clone().unwrap_or_else(|| disk.cut());
        for seed in only_seed.unwrap_or(0)..only_seed.map_or(seeds, |seed| seed + 1) {
            let _replay = Replay { cut, seed };
            assert!(image.is_some() || ended.is_ok(), "{ended:?}");
            recover(world, &prepare, &image_or_end, ended.is_ok(), cut, seed);
            recoveries += 1;
        }
        if image.is_none() {
            println!("{cut} cuts, {recoveries} recoveries");
            assert!(cut > 10 || only_cut.is_some(), "a run makes more changes than {cut}");
            return;
        }
    }
}

/// From what is left after a cut to the end, with one more cut on the way.
fn recover(
    world: &World,
    prepare: &impl Fn(&SimulatedDisk),
    image: &Image,
    said_so: bool,
    cut: u64,
    seed: u64,
) {
    let mut rng = Rng::with_seed(cut << 32 | seed);
    let any_order = seed > 1 && rng.u8(0..4) == 0;
    let disk = image.survivor(if seed > 1 { rng.u64(2..) } else { seed }, any_order);
    let whole = world.assert_right_name(&disk);
    assert!(whole || !said_so, "it was said to be done, and is not there after a power cut");
    world.assert_claims_hold(&disk);

    prepare(&disk);
    disk.cut_before(rng.u64(0..40));
    let ended = world.run(&disk);
    let (disk, any_order) = match disk.image() {
        None => (disk, any_order),
        Some(again) => {
            let any_order_now = seed > 1 && rng.u8(0..4) == 0;
            let disk = again.survivor(rng.u64(0..16), any_order_now);
            let whole = world.assert_right_name(&disk);
            assert!(
                whole || ended.is_err(),
                "it was said to be done, and is not there after a second power cut"
            );
            world.assert_claims_hold(&disk);
            (disk, any_order || any_order_now)
        }
    };
    to_the_end(world, prepare, &disk, any_order);
}

/// The same command again ends well.
fn to_the_end(world: &World, prepare: &impl Fn(&SimulatedDisk), disk: &SimulatedDisk, any_order: bool) {
    prepare(disk);
    disk.cut_before(u64::MAX);
    let mut ended = world.run(disk);
    if let Err(error) = &ended {
        let said = error.to_string();
        // Without a journal the part file may have got its name and the checkpoint not: it is nobody's.
        if any_order && said.contains("without a checkpoint") {
            ended = world.run_with(disk, super::builder::DownloadBuilder::ignore_checkpoint);
        } else if said.contains("exists already") && world.assert_right_name(disk) {
            // What is there is whole; only nothing tells so.
            return;
        }
    }
    assert!(ended.is_ok(), "{ended:?}");
    world.assert_oracle(disk, &ended);
    assert_eq!(disk.names("/"), ["x"]);
}

fn nothing(_: &SimulatedDisk) {}

#[test]
fn h51_power_cuts_during_a_download() {
    let world = World::new(Resource::new(OBJECT).rate(RATE));
    cut_everywhere(&world, nothing);
}

#[test]
fn h51_power_cuts_while_an_old_file_is_replaced() {
    let world = World::new(Resource::new(OBJECT).rate(RATE)).with_old(b"old");
    let world = world.options(|builder| builder.existing(Existing::Replace));
    cut_everywhere(&world, nothing);
}

#[test]
fn h51_power_cuts_while_a_changed_object_is_started_over_on() {
    let world = World::new(Resource::new(OBJECT).rate(RATE)).half_done(3);
    let world = world.becomes(Resource::new(LATER).rate(RATE), LATER);
    cut_everywhere(&world, nothing);
}

#[test]
fn h51_power_cuts_during_a_resume_whose_claims_are_false() {
    let world = World::new(Resource::new(OBJECT).rate(RATE)).half_done(3).spoil(2);
    cut_everywhere(&world, nothing);
}

#[test]
fn h51_power_cuts_during_a_stream() {
    cut_everywhere(&World::new(Resource::new(OBJECT).chunked().no_ranges().rate(RATE)), nothing);
}

#[test]
fn h55_power_cuts_without_fallocate() {
    let world = World::new(Resource::new(OBJECT).rate(RATE));
    cut_everywhere(&world, |disk| disk.fail(DiskFault::unsupported(Op::Allocate)));
}

#[test]
fn h51_power_cuts_without_maps() {
    let world = World::new(Resource::new(OBJECT).rate(RATE));
    cut_everywhere(&world, |disk| disk.fail(DiskFault::unsupported(Op::Map)));
}
