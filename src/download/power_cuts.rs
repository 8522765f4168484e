//! The power is cut before every change to the disk, and again during the recovery (H51, H52).
//!
//! `HAUL_SEEDS=N` tries N outcomes of each cut instead of a few. A failure prints what to set to see it again;
//! threads make runs differ, so it may take some tries.

use fastrand::Rng;

use super::request::Existing;
use super::simulation::{LATER, OBJECT, RATE, Replay, World, at_once, number};
use crate::Outcome;
use crate::store::simulated::{DiskFault, Image, Op, SimulatedDisk};
use crate::support::{Content, Resource, When};

/// Outcomes of each cut; of the first nothing survives that was not synced.
const SEEDS: u64 = 2;

/// Cuts the power before each change of a run, as long as there are any.
fn cut_everywhere(world: &World, prepare: impl Fn(&SimulatedDisk)) {
    let seeds = number("HAUL_SEEDS").unwrap_or(SEEDS);
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
            let _replay = Replay { cut, seed, what: String::new() };
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
    let any_order = seed > 0 && rng.u8(0..4) == 0;
    let disk = image.survivor(if seed > 0 { rng.u64(1..) } else { 0 }, any_order);
    let whole = world.assert_right_name(&disk);
    assert!(whole || !said_so, "it was said to be done, and is not there after a power cut");
    world.assert_claims_hold(&disk);

    prepare(&disk);
    disk.cut_before(rng.u64(0..40));
    let ended = world.run(&disk);
    let (disk, any_order) = match disk.image() {
        None => (disk, any_order),
        Some(again) => {
            let any_order_now = seed > 0 && rng.u8(0..4) == 0;
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
    prepare(&disk);
    disk.cut_before(u64::MAX);
    world.assert_ends_well(&disk, any_order);
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
fn h51_power_cuts_during_a_repair() {
    cut_everywhere(&World::new(Resource::new(OBJECT).rate(RATE)).damaged(&[1, 2, 5]), nothing);
}

#[test]
fn h52_power_cuts_while_hashes_are_kept() {
    cut_everywhere(&World::new(Resource::new(OBJECT).rate(RATE)).keeping_hashes(), nothing);
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
fn h51_power_cuts_while_an_object_comes_at_once() {
    let world = World::new(Resource::new(OBJECT)).options(|builder| builder.tuning(at_once()));
    cut_everywhere(&world, nothing);
}

#[test]
fn h51_power_cuts_during_a_stream() {
    let world = World::new(Resource::new(OBJECT).chunked().no_ranges().rate(RATE));
    cut_everywhere(&world, nothing);
}

#[test]
fn h35_power_cuts_while_nothing_is_downloaded() {
    cut_everywhere(&nothing_at_all(), nothing);
}

#[test]
fn h51_power_cuts_while_the_object_changes() {
    let changing = Resource::new(OBJECT).rate(RATE).then_becomes(When::Nth(4), LATER, "\"later\"");
    let world = World::new(changing.clone()).changing(changing, [OBJECT, LATER]);
    cut_everywhere(&world, nothing);
}

#[test]
fn h51_power_cuts_while_folders_are_made() {
    cut_everywhere(&World::new(Resource::new(OBJECT).rate(RATE)).target("/a/b/x"), nothing);
}

#[test]
fn h52_a_crash_between_the_name_and_the_end_is_finished_without_a_request() {
    crash_after_the_name(&World::new(Resource::new(OBJECT).rate(RATE)));
}

#[test]
fn h52_so_is_a_stream() {
    crash_after_the_name(&World::new(Resource::new(OBJECT).chunked().no_ranges().rate(RATE)));
    crash_after_the_name(&World::new(Resource::new(OBJECT).no_ranges().rate(RATE)));
}

#[test]
fn h52_so_is_an_empty_object() {
    crash_after_the_name(&nothing_at_all());
    let chunked = Resource::new(EMPTY).chunked().no_ranges();
    crash_after_the_name(&World::new(chunked).object(EMPTY));
}

const EMPTY: Content = Content::new(1, 0);

fn nothing_at_all() -> World {
    World::new(Resource::new(EMPTY)).object(EMPTY)
}

fn crash_after_the_name(world: &World) {
    let mut found = 0;
    for cut in 0.. {
        let disk = world.disk();
        disk.cut_after_rename(cut);
        let ended = world.run(&disk);
        let Some(image) = disk.image() else { break };
        let survivor = image.kept();
        if survivor.names("/") == ["x", "x.part.ckpt"] {
            found += 1;
            assert!(ended.is_err() || world.assert_right_name(&image.survivor(0, false)));
            let report = world.assert_ends_well(&survivor, false).expect("it is known to be whole");
            assert_eq!((report.outcome, report.requests), (Outcome::Existed, 0));
        }
    }
    assert!(found > 0, "there is a moment between the two");
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
