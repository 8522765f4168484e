use super::super::fixture::{OneFile, SEGMENT, checkpoint, snapshot};
use super::super::simulated::{DiskFault, Op};
use super::*;
use rustix::io::Errno;

fn part(data: &OneFile) -> PartFile {
    let (root, medium) = (data.disk.root(), Arc::clone(&data.medium));
    PartFile::reserve(root.as_ref(), Path::new("/t/x.part"), medium, 4 * SEGMENT).unwrap()
}

fn started(slots: &OneFile) -> CheckpointFile {
    let medium = Arc::clone(&slots.medium);
    CheckpointFile::start(Path::new("/t/x.part.ckpt"), medium, checkpoint(0)).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<(CheckpointFile, Found)> {
    CheckpointFile::read(Path::new("/t/c"), OneFile::with_bytes(bytes).medium)
}

/// How many segments the file claims when it is read anew.
fn claimed(bytes: Vec<u8>) -> Option<usize> {
    match read(bytes).unwrap().1 {
        Found::Checkpoint(checkpoint) => Some(checkpoint.ledger.complete().count()),
        Found::Unreadable => None,
    }
}

#[test]
fn the_newest_slot_is_found() {
    let (data, medium) = (OneFile::new(&[]), OneFile::new(&[]));
    let (part, mut file) = (part(&data), started(&medium));
    assert_eq!(claimed(medium.bytes()), Some(0));
    file.soft(&snapshot(1)).unwrap();
    assert_eq!(claimed(medium.bytes()), Some(1));
    file.hard(&snapshot(2).sync(&part).unwrap()).unwrap();
    assert_eq!(claimed(medium.bytes()), Some(2));
    file.soft(&snapshot(3)).unwrap();
    assert_eq!(claimed(medium.bytes()), Some(3));
}

#[test]
fn h51_a_torn_write_never_costs_the_last_hard_commit() {
    let (data, medium) = (OneFile::new(&[]), OneFile::new(&[]));
    let (part, mut file) = (part(&data), started(&medium));
    for round in 0..4 {
        file.hard(&snapshot(2).sync(&part).unwrap()).unwrap();
        let before = medium.bytes();
        if round % 2 == 0 {
            file.soft(&snapshot(3)).unwrap();
        } else {
            file.hard(&snapshot(3).sync(&part).unwrap()).unwrap();
        }
        let after = medium.bytes();
        // The others tear nothing apart that these do not.
        let changes = (1..after.len()).filter(|at| before[at - 1] != after[at - 1]);
        for cut in changes {
            let torn = [&after[..cut], &before[cut..]].concat();
            assert!(claimed(torn).unwrap_or(0) >= 2, "round {round}, cut at {cut}");
        }
    }
}

#[test]
fn h50_no_commit_is_hard_without_its_data_on_the_disk() {
    let data = OneFile::new(&[DiskFault::always(Op::Sync, Errno::IO)]);
    let part = part(&data);
    assert_eq!(snapshot(2).sync(&part).unwrap_err().kind(), ErrorKind::Local);
}

#[test]
fn a_hard_commit_is_synced_itself_and_a_soft_one_is_not() {
    let (data, medium) = (OneFile::new(&[]), OneFile::new(&[]));
    let (part, mut file) = (part(&data), started(&medium));
    let from = medium.did().len();
    file.soft(&snapshot(1)).unwrap();
    assert!(matches!(medium.did()[from..], [Op::Write]));
    let durable = snapshot(2).sync(&part).unwrap();
    assert_eq!(data.did().last(), Some(&Op::Sync));
    file.hard(&durable).unwrap();
    assert!(matches!(medium.did()[from + 1..], [Op::Write, Op::Sync]));
}

#[test]
fn a_reopened_file_goes_on_where_it_was() {
    let (data, medium) = (OneFile::new(&[]), OneFile::new(&[]));
    let part = part(&data);
    started(&medium).hard(&snapshot(2).sync(&part).unwrap()).unwrap();
    let hard_only = medium.bytes();
    let (mut file, _) = CheckpointFile::read(Path::new("/t/c"), Arc::clone(&medium.medium)).unwrap();
    file.soft(&snapshot(3)).unwrap();
    assert_eq!(claimed(medium.bytes()), Some(3));
    // The soft commit left the hard one alone.
    let half = hard_only.len() / 2;
    let (old, new) = (hard_only, medium.bytes());
    let kept = [0..half, half..2 * half].into_iter().filter(|slot| old[slot.clone()] == new[slot.clone()]);
    assert_eq!(kept.count(), 1);
}

#[test]
fn h51_what_was_erased_is_gone_after_a_power_cut() {
    let (data, slots) = (OneFile::new(&[]), OneFile::new(&[]));
    started(&slots).hard(&snapshot(2).sync(&part(&data)).unwrap()).unwrap();
    slots.disk.root().sync().unwrap();
    CheckpointFile::erase(Path::new("/t/c"), slots.medium.as_ref()).unwrap();
    let left = slots.disk.cut().survivor(0, false).bytes("/x").unwrap();
    assert_eq!(claimed(left), None);
}

#[test]
fn h51_a_checkpoint_that_lost_its_length_is_not_gone_on_with() {
    let slots = OneFile::new(&[]);
    started(&slots);
    let whole = slots.bytes();
    assert_eq!(claimed(whole.clone()), Some(0));
    for len in [whole.len() / 2, whole.len() - 1] {
        assert_eq!(claimed(whole[..len].to_vec()), None, "{len}");
    }
}

#[test]
fn h51_a_soft_claim_of_an_earlier_run_is_not_hardened_before_it_is_read_back() {
    let (data, slots) = (OneFile::new(&[]), OneFile::new(&[]));
    let part = part(&data);
    let mut file = started(&slots);
    file.hard(&snapshot(1).sync(&part).unwrap()).unwrap();
    file.soft(&snapshot(3)).unwrap();
    let (mut file, found) = read(slots.bytes()).unwrap();
    assert_eq!(file.durable().ones().collect::<Vec<_>>(), [0]);
    let Found::Checkpoint(mut left) = found else { panic!("it can be read") };
    left.ledger.confirm(2);
    file.hard(&Snapshot(Arc::new(*left)).sync(&part).unwrap()).unwrap();
    assert_eq!(file.durable().ones().collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn h51_what_is_durable_is_what_the_newest_hard_slot_claims_whichever_it_is() {
    for hard_commits in 1..4 {
        let (data, slots) = (OneFile::new(&[]), OneFile::new(&[]));
        let part = part(&data);
        let mut file = started(&slots);
        for landed in 1..=hard_commits {
            file.hard(&snapshot(landed).sync(&part).unwrap()).unwrap();
        }
        assert_eq!(read(slots.bytes()).unwrap().0.durable().count(), hard_commits, "two hard slots");
        file.soft(&snapshot(4)).unwrap();
        let (file, _) = read(slots.bytes()).unwrap();
        assert_eq!(file.durable().count(), hard_commits, "a soft slot beside it");
    }
}

#[test]
fn h63_what_cannot_be_read_is_nothing_and_what_is_newer_is_left_alone() {
    for bytes in [vec![], vec![0; 10], vec![0; 8192], vec![0xff; 8191]] {
        assert_eq!(claimed(bytes), None);
    }
    let medium = OneFile::new(&[]);
    started(&medium);
    let mut newer = medium.bytes();
    newer[8] = 9;
    let error = read(newer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(error.to_string().contains("newer"), "{error}");
}

#[test]
fn h63_a_newer_slot_beside_an_older_one_is_not_overwritten() {
    let medium = OneFile::new(&[]);
    started(&medium).soft(&snapshot(1)).unwrap();
    for slot in [0, medium.bytes().len() / 2] {
        let mut mixed = medium.bytes();
        mixed[slot + 8] = 9;
        assert!(read(mixed).is_err(), "{slot}");
    }
}

#[test]
fn h55_the_file_has_room_for_both_slots_where_blocks_cannot_be_reserved_too() {
    for faults in [&[][..], &[DiskFault::unsupported(Op::Allocate)]] {
        let slots = OneFile::new(faults);
        let file = started(&slots);
        assert_eq!(slots.bytes().len() as u64, 2 * checkpoint::slot_size(&checkpoint(0)), "{faults:?}");
        assert_eq!(file.slot_size(), checkpoint::slot_size(&checkpoint(0)));
        assert_eq!(claimed(slots.bytes()), Some(0), "{faults:?}");
    }
}

#[test]
fn h54_a_full_disk_is_met_before_the_first_byte() {
    let slots = OneFile::new(&[DiskFault::always(Op::Allocate, Errno::NOSPC)]);
    let path = Path::new("/t/x.part.ckpt");
    let error = CheckpointFile::start(path, Arc::clone(&slots.medium), checkpoint(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    assert_eq!(slots.did(), []);
}

#[test]
fn h51_what_is_written_after_a_resume_is_newer_than_all_before_it_whichever_slot_it_is_in() {
    for hard_commits in 0..4 {
        let (data, slots) = (OneFile::new(&[]), OneFile::new(&[]));
        let part = part(&data);
        let mut file = started(&slots);
        for landed in 1..=hard_commits {
            file.hard(&snapshot(landed).sync(&part).unwrap()).unwrap();
        }
        let (mut file, _) = CheckpointFile::read(Path::new("/t/c"), Arc::clone(&slots.medium)).unwrap();
        file.soft(&snapshot(4)).unwrap();
        assert_eq!(claimed(slots.bytes()), Some(4), "after {hard_commits} hard commits");
    }
}

#[test]
fn h64_a_slot_that_nothing_can_follow_is_overwritten() {
    for generation in [u64::MAX - 1, u64::MAX] {
        let slots = OneFile::new(&[]);
        started(&slots).soft(&snapshot(1)).unwrap();
        slots.medium.write_all_at(&checkpoint::encode(generation, Commit::Hard, &snapshot(3).0), 0).unwrap();
        assert_eq!(claimed(slots.bytes()), Some(1), "{generation}");
        let (mut file, _) = CheckpointFile::read(Path::new("/t/c"), Arc::clone(&slots.medium)).unwrap();
        file.soft(&snapshot(2)).unwrap();
        file.soft(&snapshot(4)).unwrap();
        assert_eq!(claimed(slots.bytes()), Some(4), "{generation}");
    }
}

/// A checkpoint whose slot is full to the last byte when every segment has landed.
fn filling(landed: usize) -> Snapshot {
    let mut filling = checkpoint(landed);
    let others = checkpoint::encode(1, Commit::Soft, &checkpoint(4)).len();
    filling.identity.source.push_str(&"x".repeat(4096 - others));
    Snapshot(Arc::new(filling))
}

#[test]
fn a_slot_is_filled_to_its_last_byte_and_not_beyond() {
    let slots = OneFile::new(&[]);
    let first = Checkpoint::clone(&filling(0).0);
    let mut file =
        CheckpointFile::start(Path::new("/t/x.part.ckpt"), Arc::clone(&slots.medium), first).unwrap();
    assert_eq!(file.slot_size(), 4096);
    for landed in 1..=4 {
        file.soft(&filling(landed)).unwrap();
        assert_eq!(claimed(slots.bytes()), Some(landed));
    }
    let before = slots.bytes();
    let mut longer = Checkpoint::clone(&filling(4).0);
    longer.identity.source.push('x');
    let error = file.soft(&Snapshot(Arc::new(longer))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(slots.bytes(), before, "the other slot is not touched, nor is this one");
}
