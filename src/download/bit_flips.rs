//! A checkpoint with each of its bits flipped in turn, and what a run makes of it (H63, H64).

use std::thread;

use super::simulation::{SEGMENT, World};
use crate::error::ErrorKind;
use crate::store::checkpoint::{Slot, decode};
use crate::support::{Content, Resource};

/// Two segments, the last of them short.
const SMALL: Content = Content::new(3, 2 * SEGMENT - 1000);
const CHECKPOINT: &str = "x.part.ckpt";
/// Where a slot says of which format it is.
const VERSION: std::ops::Range<usize> = 8 * 8..10 * 8;

/// How many bytes of a slot mean something.
fn used(slot: &[u8]) -> usize {
    assert!(matches!(decode(slot), Slot::Valid { .. }), "both slots are in use");
    let body = u32::from_le_bytes(slot[12..16].try_into().unwrap());
    32 + usize::try_from(body).unwrap()
}

/// A download of which one segment is there, and its checkpoint.
fn half_done() -> (World, Vec<u8>) {
    let world = World::new(Resource::new(SMALL).rate(4 << 20)).object(SMALL).half_done(1);
    world.server.replace("/f", Resource::new(SMALL));
    let checkpoint = world.disk().bytes(&format!("/{CHECKPOINT}")).unwrap();
    (world, checkpoint)
}

/// The run ends with the object, or leaves what is of a newer haul alone.
fn check(world: &World, damaged: &[u8], newer: bool, what: &str) {
    let disk = world.disk();
    disk.put(CHECKPOINT, damaged.to_vec());
    let part = disk.bytes("/x.part");
    let ended = world.run(&disk);
    world.assert_oracle(&disk, &ended);
    match ended {
        Ok(report) => {
            assert!(!newer && report.received <= SMALL.len, "{what}: {report:?}");
            assert_eq!(disk.names("/"), ["x"], "{what}");
        }
        Err(error) => {
            assert!(newer && error.kind() == ErrorKind::Local, "{what}: {error}");
            assert!(error.to_string().contains("of a newer haul"), "{what}: {error}");
            let now = (disk.bytes(&format!("/{CHECKPOINT}")), disk.bytes("/x.part"));
            assert!(now == (Some(damaged.to_vec()), part), "{what}: it is not ours to change");
        }
    }
}

/// Flips each bit that means something, in those slots at once.
fn flip_each_bit(slots: &[usize]) {
    let (world, checkpoint) = half_done();
    let half = checkpoint.len() / 2;
    let used = slots.iter().map(|slot| used(&checkpoint[slot * half..])).max().unwrap();
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for first in 0..threads {
            let (world, checkpoint) = (&world, &checkpoint);
            scope.spawn(move || {
                for bit in (first..8 * used).step_by(threads) {
                    let mut damaged = checkpoint.clone();
                    slots.iter().for_each(|slot| damaged[slot * half + bit / 8] ^= 1 << (bit % 8));
                    // Version 1 without its lowest bit is none.
                    let newer = VERSION.contains(&bit) && bit > VERSION.start;
                    check(world, &damaged, newer, &format!("bit {bit} of {slots:?}"));
                }
            });
        }
    });
}

#[test]
fn h63_each_bit_of_one_slot_is_flipped_before_a_resume() {
    flip_each_bit(&[0]);
    flip_each_bit(&[1]);
}

#[test]
fn h63_each_bit_of_both_slots_is_flipped_before_a_resume() {
    flip_each_bit(&[0, 1]);
}
