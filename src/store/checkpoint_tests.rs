use super::*;
use proptest::prelude::*;

const SEGMENT: u64 = 64 << 10;

fn identity() -> Identity {
    Identity {
        total: 3 * SEGMENT + 7,
        start: 7,
        end: 3 * SEGMENT,
        validator: Some(Validator::EntityTag("\"v1\"".into())),
        encoding: None,
        source: "https://example.org/a/b".into(),
        inode: 4711,
    }
}

fn sample() -> Checkpoint {
    let mut ledger = Ledger::new(Segments::new(3 * SEGMENT - 7, SEGMENT).unwrap());
    ledger.land(0, 0xdead_beef);
    ledger.land(2, 0x0bad_cafe);
    Checkpoint { identity: identity(), ledger, saved_at: 1_800_000_000 }
}

/// What comes back: everything complete is a claim.
fn as_claims(checkpoint: &Checkpoint) -> Checkpoint {
    let ledger = &checkpoint.ledger;
    let crcs = (0..ledger.segments().count()).map(|index| ledger.crc(index)).collect();
    let ledger = Ledger::of_claims(ledger.segments(), ledger.complete().clone(), crcs).unwrap();
    Checkpoint { ledger, ..checkpoint.clone() }
}

fn validators() -> impl Strategy<Value = Option<Validator>> {
    let tag = "\"[!#-~]{0,40}\"";
    prop_oneof![
        Just(None),
        tag.prop_map(|tag| Some(Validator::EntityTag(tag))),
        ("[ -~]{1,40}", prop::option::of(tag))
            .prop_map(|(date, weak_tag)| Some(Validator::LastModified { date, weak_tag })),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        length in 0..200 * SEGMENT, start in 0..1_u64 << 40, beyond in 0..1_u64 << 40, validator in validators(),
        landed in prop::collection::vec(any::<(prop::sample::Index, u32)>(), 0..50), generation in 0..=MAX_GENERATION,
        hard: bool,
    ) {
        let mut ledger = Ledger::new(Segments::new(length, SEGMENT).unwrap());
        for (index, crc) in landed.iter().filter(|_| length > 0) {
            ledger.land(index.index(ledger.segments().count()), *crc);
        }
        let identity = Identity { total: start + length + beyond, start, end: start + length, validator, ..identity() };
        let checkpoint = Checkpoint { identity, ledger, saved_at: 5 };
        let commit = if hard { Commit::Hard } else { Commit::Soft };
        let slot = encode(generation, commit, &checkpoint);
        prop_assert!(slot.len() as u64 <= slot_size(&checkpoint));
        let expected = Slot::Valid { generation, commit, checkpoint: Box::new(as_claims(&checkpoint)) };
        prop_assert_eq!(decode(&slot), expected.clone());
        // Slots are longer than what is in them.
        let padded = [slot, vec![0xff; 99]].concat();
        prop_assert_eq!(decode(&padded), expected);
    }

    #[test]
    fn h64_anything_at_all_is_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(decode(&bytes), Slot::Invalid);
        prop_assert_eq!(framed(&bytes), Slot::Invalid);
    }
}

#[test]
fn h63_every_flipped_bit_and_every_cut_is_noticed() {
    let slot = encode(3, Commit::Hard, &sample());
    for bit in 0..slot.len() * 8 {
        let mut flipped = slot.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!matches!(decode(&flipped), Slot::Valid { .. }), "bit {bit}");
    }
    for len in 0..slot.len() {
        assert_eq!(decode(&slot[..len]), Slot::Invalid, "cut at {len}");
    }
}

#[test]
fn h63_a_newer_format_is_said_to_be_newer() {
    let mut slot = encode(3, Commit::Hard, &sample());
    slot[8] = 2;
    assert_eq!(decode(&slot), Slot::Newer { version: 2 });
}

/// A slot with a right CRC around a body that is wrong.
fn reframed(change: impl FnOnce(&mut Body)) -> Slot {
    let slot = encode(3, Commit::Soft, &sample());
    let (mut body, _): (Body, usize) = bincode::serde::decode_from_slice(&slot[HEADER..], config()).unwrap();
    change(&mut body);
    framed(&bincode::serde::encode_to_vec(&body, config()).unwrap())
}

fn framed(body: &[u8]) -> Slot {
    decode(&sealed(3, Commit::Soft, body))
}

fn dated(date: &str, weak_tag: &str) -> Validator {
    Validator::LastModified { date: date.into(), weak_tag: Some(weak_tag.into()) }
}

#[test]
fn h64_what_contradicts_itself_is_not_believed() {
    assert!(matches!(reframed(|_| ()), Slot::Valid { .. }), "the control");
    let wrong: [fn(&mut Body); 14] = [
        |body| body.identity.end += SEGMENT,
        |body| body.identity.start = u64::MAX,
        |body| body.identity.total = u64::MAX,
        |body| body.identity.total = 1,
        |body| body.identity.validator = Some(Validator::EntityTag("\"a\r\nEvil: yes\"".into())),
        |body| body.identity.validator = Some(dated("Sun\r\nEvil: yes", "W/\"1\"")),
        |body| body.identity.validator = Some(dated("Sun", "W/\"\r\nEvil: yes\"")),
        |body| body.identity.source = "a\u{1b}[2J".into(),
        |body| body.segment_size = 0,
        |body| body.segment_size = SEGMENT + 1,
        |body| body.bitmap.push(0),
        |body| body.bitmap[0] |= 0x80,
        |body| body.crcs.push(1),
        |body| body.crcs.clear(),
    ];
    for (case, change) in wrong.into_iter().enumerate() {
        assert_eq!(reframed(change), Slot::Invalid, "case {case}");
    }
}

#[test]
fn h64_no_file_is_read_beyond_64_mib_and_the_largest_checkpoint_is_shorter() {
    let largest = Ledger::new(Segments::new(Segments::MAX_COUNT * SEGMENT, SEGMENT).unwrap());
    let slot = slot_size(&Checkpoint { ledger: largest, ..sample() });
    assert!(2 * slot <= MAX_FILE, "{slot}");
    assert_eq!(MAX_FILE, (64 << 20) + (16 << 10));
}

#[test]
fn h64_a_generation_that_none_could_follow_is_not_believed() {
    let of = |generation| decode(&encode(generation, Commit::Hard, &sample()));
    assert!(matches!(of(MAX_GENERATION), Slot::Valid { .. }));
    for generation in [MAX_GENERATION + 1, u64::MAX - 1, u64::MAX] {
        assert_eq!(of(generation), Slot::Invalid, "{generation}");
    }
}

#[test]
fn h64_bytes_after_the_body_are_an_error() {
    let slot = encode(3, Commit::Soft, &sample());
    assert_eq!(framed(&[&slot[HEADER..], &[0]].concat()), Slot::Invalid);
}

#[test]
fn h64_no_room_is_made_for_a_text_that_a_short_body_cannot_hold() {
    let body_of = |slot: &[u8]| slot[HEADER..].to_vec();
    let mut announcing = body_of(&encode(3, Commit::Soft, &sample()));
    let text = sample().identity.source;
    let at = announcing.windows(text.len()).position(|window| window == text.as_bytes()).unwrap() - 8;
    announcing[at..at + 8].copy_from_slice(&(16_u64 << 20).to_le_bytes());
    assert!(
        matches!(body::<Body>(&announcing).err(), Some(DecodeError::LimitExceeded)),
        "refused before it is read"
    );
    let mut long = sample();
    long.identity.source = "x".repeat(1 << 20);
    assert!(
        matches!(decode(&encode(3, Commit::Soft, &long)), Slot::Valid { .. }),
        "a long body may hold one"
    );
}

#[test]
fn a_slot_has_blocks_enough_for_every_segment_and_no_more() {
    let all = |landed: usize, text: usize| {
        let mut ledger = Ledger::new(Segments::new(4 * SEGMENT, SEGMENT).unwrap());
        (0..landed).for_each(|index| ledger.land(index, 9));
        Checkpoint { identity: Identity { source: "x".repeat(text), ..identity() }, ledger, saved_at: 0 }
    };
    let others = encode(0, Commit::Hard, &all(4, 0)).len();
    for text in 4096 - others - 20..=4096 - others + 20 {
        let full = encode(0, Commit::Hard, &all(4, text)).len() as u64;
        for landed in 0..=4 {
            assert_eq!(
                slot_size(&all(landed, text)),
                if full <= 4096 { 4096 } else { 8192 },
                "{full} {landed}"
            );
        }
    }
}

#[test]
fn h64_a_length_of_petabytes_does_not_allocate_it() {
    let mut body = encode(3, Commit::Soft, &sample())[HEADER..].to_vec();
    // The last two fields are vectors, each with a u64 length before it; this is the CRCs'.
    let at = body.len() - 2 * 4 - 8;
    body[at..at + 8].copy_from_slice(&(1_u64 << 42).to_le_bytes());
    assert_eq!(framed(&body), Slot::Invalid);
}

/// A file as haul 0.1.0 wrote it. What is here can be read for ever, or the version goes up.
#[test]
fn a_slot_of_version_1_can_be_read() {
    let hex = include_str!("checkpoint_v1.hex");
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let checkpoint = Box::new(as_claims(&sample()));
    assert_eq!(decode(&bytes), Slot::Valid { generation: 3, commit: Commit::Hard, checkpoint });
    assert_eq!(encode(3, Commit::Hard, &sample()), bytes, "and is still written so");
}
