//! What others do to part file and checkpoint between two runs: size, owner and CRC decide what is believed.

#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs::{self, File, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::LazyLock;

use haul::{Finished, MIB, SEGMENT, TestEnv, at_once};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use support::{Content, Resource, Server};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 4 * MIB + 12_345);
const OTHER: Content = Content::new(2, 4 * MIB + 12_345);
const ZEROS: Content = Content::zeros(4 * MIB + 12_345);

/// One server for all, so that every second run is at the URL of the first: another would have to be proved.
static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start([]));
static OURS: LazyLock<Remains> = LazyLock::new(|| Remains::of("/ours/f", OBJECT, "64K"));
static OTHERS: LazyLock<Remains> = LazyLock::new(|| Remains::of("/others/f", OTHER, "64K"));
static COARSE: LazyLock<Remains> = LazyLock::new(|| Remains::of("/coarse/f", OBJECT, "128K"));
static NOTHING: LazyLock<Remains> = LazyLock::new(|| Remains::of("/zeros/f", ZEROS, "64K"));

/// What a killed download left: made once, laid out again for every case.
struct Remains {
    path: &'static str,
    content: Content,
    part: Vec<u8>,
    checkpoint: Vec<u8>,
    /// The starts of complete segments.
    complete: Vec<u64>,
    /// Bytes in place.
    bytes: u64,
}

impl Remains {
    fn of(path: &'static str, content: Content, segment: &str) -> Self {
        SERVER.replace(path, Resource::new(content).shared_rate(3 * MIB));
        let env = TestEnv::new(&[content]);
        let running = env.spawn(&["-j", "4", "-s", segment, "--json", &SERVER.url(path)]);
        running.wait_for_bytes(content.len / 4);
        running.kill9();
        SERVER.replace(path, Resource::new(content));
        let status = env.status();
        let missing = status.missing();
        let is_missing = |at: &u64| missing.iter().any(|(start, end)| (start..end).contains(&at));
        let starts = (0..content.len).step_by(usize::try_from(SEGMENT).expect("small"));
        Self {
            path,
            content,
            part: env.read("f.part"),
            checkpoint: env.read("f.part.ckpt"),
            complete: starts.filter(|at| !is_missing(at)).collect(),
            bytes: status.bytes(),
        }
    }

    /// In a folder of its own.
    fn laid_out(&self) -> Case<'_> {
        let env = TestEnv::new(&[self.content]);
        env.write("f.part", &self.part);
        env.write("f.part.ckpt", &self.checkpoint);
        Case { remains: self, env }
    }
}

struct Case<'a> {
    remains: &'a Remains,
    env: TestEnv,
}

impl Case<'_> {
    fn run(&self, args: &[&str]) -> Finished {
        // One at a time: nobody takes from another what is on its way to him.
        self.env.run(&[args, &["-j", "1", "-s", "64K", "--json", &SERVER.url(self.remains.path)]].concat())
    }

    /// It comes to a whole object, and fetches `again` bytes more than are missing, by the checkpoint.
    fn assert_whole(&self, again: u64, what: &str) {
        let said = self.run(&[]).expect(0);
        let fetched = said.event("done")["bytes_fetched"].as_u64().expect("a number");
        let missing = self.remains.content.len - self.remains.bytes;
        assert_eq!(fetched, missing + again, "{what}: {said}");
    }

    /// It starts over.
    fn assert_all_again(&self, what: &str) {
        self.assert_whole(self.remains.bytes, what);
    }

    /// It is refused with 7, and neither file is touched.
    fn assert_refused(&self, args: &[&str], why: &str) {
        let state = || {
            ["f.part", "f.part.ckpt"].map(|name| {
                let file = fs::symlink_metadata(self.env.path(name)).expect("it is there");
                (file.ino(), file.len(), file.uid(), file.is_file().then(|| self.env.read(name)))
            })
        };
        let before = state();
        self.run(args).expect(7).says(why);
        assert!(state() == before, "{why}: they were touched");
    }

    fn edit(&self, name: &str, at: u64, bytes: &[u8]) {
        let mut file = File::options().write(true).open(self.env.path(name)).expect("it is there");
        file.seek(SeekFrom::Start(at)).expect("a file can seek");
        file.write_all(bytes).expect("it can be written");
    }
}

#[test]
fn h65_one_byte_that_was_edited_costs_its_segment_wherever_it_is() {
    // The last one of the object is short.
    let whole: Vec<_> = OURS.complete.iter().copied().filter(|at| at + SEGMENT <= OBJECT.len).collect();
    let (first, last) = (whole[0], whole[whole.len() - 1]);
    at_once([first, first + 1, first + 4096, last, last + SEGMENT / 2, last + SEGMENT - 1], |at| {
        let case = OURS.laid_out();
        case.env.damage("f.part", at);
        case.assert_whole(SEGMENT, &format!("byte {at}"));
    });
    // All of them, and in what is missing: that is written anyway.
    let case = OURS.laid_out();
    (0..OBJECT.len).step_by(10_007).for_each(|at| case.edit("f.part", at, &[0x5a; 3]));
    case.assert_all_again("edited everywhere");
}

#[test]
fn h65_segments_that_changed_places_are_noticed() {
    let case = OURS.laid_out();
    let (one, other) = (OURS.complete[0], OURS.complete[1]);
    let segment = |at| OURS.content.slice(at, at + SEGMENT);
    case.edit("f.part", one, &segment(other));
    case.edit("f.part", other, &segment(one));
    case.assert_whole(2 * SEGMENT, "swapped");
}

#[test]
fn h65_a_part_file_of_another_length_or_kind_is_replaced_and_never_followed() {
    at_once(["empty", "cut", "grown", "deleted", "a link", "a dangling link", "a FIFO"], |what| {
        let case = OURS.laid_out();
        let part = case.env.path("f.part");
        case.env.write("victim", b"precious");
        let resize = |len| File::options().write(true).open(&part).unwrap().set_len(len).unwrap();
        match what {
            "empty" => resize(0),
            "cut" => resize(OBJECT.len - SEGMENT),
            "grown" => resize(OBJECT.len + SEGMENT),
            _ => fs::remove_file(&part).unwrap(),
        }
        match what {
            "a link" => symlink("victim", &part).unwrap(),
            "a dangling link" => symlink("nowhere", &part).unwrap(),
            "a FIFO" => mknodat(CWD, &part, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            _ => {}
        }
        case.assert_all_again(what);
        assert_eq!(case.env.read("victim"), b"precious", "{what}");
        assert_eq!(case.env.names(), ["f", "victim"], "{what}");
    });
}

#[test]
fn h65_a_folder_in_the_place_of_the_part_file_is_left_alone() {
    let case = OURS.laid_out();
    case.env.remove("f.part");
    fs::create_dir(case.env.path("f.part")).unwrap();
    case.env.write("f.part/inside", b"precious");
    case.run(&[]).expect(7).says("f.part");
    assert_eq!(case.env.read("f.part/inside"), b"precious");
}

/// Another user than root.
const NOBODY: Option<u32> = Some(65_534);

#[test]
fn h77_a_file_of_another_user_is_refused_and_left_alone() {
    // Only root can give a file away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    at_once(["f.part", "f.part.ckpt"], |name| {
        let case = OURS.laid_out();
        chown(case.env.path(name), NOBODY, NOBODY).unwrap();
        for args in [&[][..], &["--restart"], &["--force"]] {
            case.assert_refused(args, name);
        }
        case.env.ask(&["cancel", "f"]).expect(7).says("another user");
        assert!(case.env.path(name).exists());
        if name == "f.part" {
            // Without a checkpoint it is nobody's, and still not ours.
            case.env.remove("f.part.ckpt");
            case.run(&["--restart"]).expect(7).says("another user");
            assert!(case.env.read(name) == OURS.part);
        }
    });
}

#[test]
fn h61_a_wrong_mode_changes_nothing() {
    at_once([0o400, 0o666, 0o7777], |mode| {
        // Only root may write where nobody may.
        if mode == 0o400 && !rustix::process::geteuid().is_root() {
            return;
        }
        let case = OURS.laid_out();
        for name in ["f.part", "f.part.ckpt"] {
            fs::set_permissions(case.env.path(name), Permissions::from_mode(mode)).unwrap();
        }
        case.assert_whole(0, &format!("{mode:o}"));
        let (ours, usual) = (case.env.path("f"), case.env.path("usual"));
        File::create(&usual).unwrap();
        let mode = |path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(ours), mode(usual));
    });
}

/// Copies a file and leaves holes where it has zeros, as `cp --sparse=always` does.
fn sparse_copy(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let mut to = File::create(to)?;
    to.set_len(bytes.len() as u64)?;
    let mut at = 0;
    for block in bytes.chunks(4096) {
        if block.iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(at))?;
            to.write_all(block)?;
        }
        at += block.len() as u64;
    }
    Ok(())
}

#[test]
fn h69_zeros_and_holes_are_data_like_any_other() {
    at_once([&OURS, &NOTHING], |remains| {
        let case = remains.laid_out();
        sparse_copy(&case.env.path("f.part"), &case.env.path("copy")).unwrap();
        fs::rename(case.env.path("copy"), case.env.path("f.part")).unwrap();
        // What is missing is fetched, though the file holds the very zeros that it would bring.
        case.assert_whole(0, "a sparse copy");
    });
    // Zeros that were not there: nothing of a file of holes is believed.
    let case = OURS.laid_out();
    let part = File::options().write(true).open(case.env.path("f.part")).unwrap();
    part.set_len(0).unwrap();
    part.set_len(OBJECT.len).unwrap();
    case.assert_all_again("holes");
}

#[test]
fn h63_a_checkpoint_in_pieces_is_believed_as_far_as_a_slot_is_whole() {
    let half = OURS.checkpoint.len() / 2;
    at_once(["deleted", "zeroed", "halves swapped", "half", "doubled", "garbage behind"], |what| {
        let case = OURS.laid_out();
        let whole = &OURS.checkpoint;
        let garbage = OTHER.slice(0, 4096);
        let changed = match what {
            "zeroed" => vec![0; whole.len()],
            "halves swapped" => [&whole[half..], &whole[..half]].concat(),
            "half" => whole[..half].to_vec(),
            "doubled" => whole.repeat(2),
            _ => [&whole[..], &garbage].concat(),
        };
        case.env.write("f.part.ckpt", &changed);
        match what {
            "deleted" => {
                case.env.remove("f.part.ckpt");
                case.run(&[]).expect(7).says("without a checkpoint");
                assert!(case.env.read("f.part") == OURS.part);
            }
            "zeroed" => case.assert_all_again(what),
            "halves swapped" => case.assert_whole(0, what),
            _ => drop(case.run(&[]).expect(0)),
        }
    });
}

#[test]
fn h63_a_checkpoint_of_a_newer_haul_is_left_alone_in_either_slot() {
    let half = OURS.checkpoint.len() as u64 / 2;
    at_once([vec![0], vec![half], vec![0, half]], |slots| {
        let case = OURS.laid_out();
        slots.iter().for_each(|slot| case.edit("f.part.ckpt", slot + 8, &[9]));
        case.assert_refused(&[], "newer haul");
    });
}

#[test]
fn h63_a_checkpoint_of_something_else_is_never_mixed_in() {
    // Of another object; of the same in other segments; a slot of each of two downloads.
    let half = OURS.checkpoint.len() / 2;
    assert_eq!(OTHERS.checkpoint.len(), OURS.checkpoint.len());
    let mixed =
        |first: &Remains, second: &Remains| [&first.checkpoint[..half], &second.checkpoint[half..]].concat();
    let checkpoints =
        [OTHERS.checkpoint.clone(), COARSE.checkpoint.clone(), mixed(&OURS, &OTHERS), mixed(&OTHERS, &OURS)];
    at_once(checkpoints, |checkpoint| {
        let case = OURS.laid_out();
        case.env.write("f.part.ckpt", &checkpoint);
        case.run(&[]).expect(0);
        case.env.assert_whole("f", &OBJECT);
    });
    // The right checkpoint beside another's bytes.
    let case = OURS.laid_out();
    case.env.write("f.part", &OTHERS.part);
    case.assert_all_again("another's part file");
}

#[test]
fn h51_a_checkpoint_that_is_ahead_of_its_part_file_costs_what_it_claims_falsely() {
    // A part file as it was before anything landed, under the checkpoint of later.
    let case = OURS.laid_out();
    let blank = vec![0; OURS.part.len()];
    case.env.write("f.part", &blank);
    case.assert_all_again("a part file of before");
}
