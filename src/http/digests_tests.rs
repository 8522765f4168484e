use super::*;

const SHA: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
const SHA_HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MD5: &str = "kAFQmDzST7DWlj99KOF/cg==";
const MD5_SHOWN: &str = "md5:900150983cd24fb0d6963f7d28e17f72";

fn head(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut head = HeaderMap::new();
    for (name, value) in pairs {
        head.append(*name, value.parse().unwrap());
    }
    head
}

/// What a part of an object of 1000 bytes is proved by, and the header that says so.
fn of_a_part(pairs: &[(&'static str, &str)]) -> Option<String> {
    let answer = head(pairs);
    shown(&Heads { answer: &answer, first_hop: None, length: Some(1000), whole: false })
}

fn shown(heads: &Heads<'_>) -> Option<String> {
    proof(heads).map(|proof| format!("{} {}", proof.source, proof.checksum))
}

#[test]
fn h06_each_header_is_read_in_its_own_way() {
    let full = ("x-amz-checksum-type", "FULL_OBJECT");
    for (pairs, expected) in [
        (&[("repr-digest", &*format!("sha-256=:{SHA}:"))][..], format!("repr-digest sha-256:{SHA_HEX}")),
        (&[("digest", &format!("SHA-256={SHA}"))], format!("digest sha-256:{SHA_HEX}")),
        (&[("digest", &format!("adler32=03da0195, MD5={MD5}"))], format!("digest {MD5_SHOWN}")),
        (&[("x-goog-hash", "crc32c=4waSgw==")], "x-goog-hash crc32c:e3069283".into()),
        (&[("x-amz-checksum-sha256", SHA), full], format!("x-amz-checksum-sha256 sha-256:{SHA_HEX}")),
        (
            &[("x-amz-checksum-crc64nvme", "rosUhgp5mIg="), full],
            "x-amz-checksum-crc64nvme crc64-nvme:ae8b14860a799888".into(),
        ),
        (&[("x-amz-checksum-crc32c", "4waSgw=="), full], "x-amz-checksum-crc32c crc32c:e3069283".into()),
        (&[("x-amz-checksum-crc32", "y/Q5Jg=="), full], "x-amz-checksum-crc32 crc32:cbf43926".into()),
        (
            &[("x-amz-checksum-sha1", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="), full],
            "x-amz-checksum-sha1 sha-1:a9993e364706816aba3e25717850c26c9cd0d89d".into(),
        ),
        (&[("x-oss-hash-crc64ecma", "258")], "x-oss-hash-crc64ecma crc64-xz:0000000000000102".into()),
        (&[("x-cos-hash-crc64ecma", "258")], "x-cos-hash-crc64ecma crc64-xz:0000000000000102".into()),
        (&[("x-ms-blob-content-md5", MD5)], format!("x-ms-blob-content-md5 {MD5_SHOWN}")),
        (
            &[("docker-content-digest", &format!("sha256:{SHA_HEX}"))],
            format!("docker-content-digest sha-256:{SHA_HEX}"),
        ),
        (&[("x-linked-etag", &format!("\"{SHA_HEX}\""))], format!("x-linked-etag sha-256:{SHA_HEX}")),
    ] {
        assert_eq!(of_a_part(pairs), Some(expected), "{pairs:?}");
    }
}

#[test]
fn h06_what_cannot_be_read_or_speaks_of_something_else_proves_nothing() {
    for pairs in [
        &[][..],
        &[("repr-digest", &*format!("sha-256={SHA}"))],
        &[("repr-digest", "sha-256=:AA==:")],
        &[("repr-digest", "sha-256=:!:")],
        &[("repr-digest", "")],
        &[("etag", "\"900150983cd24fb0d6963f7d28e17f72\"")],
        &[("etag", "\"900150983cd24fb0d6963f7d28e17f72-3\"")],
        &[("x-amz-checksum-sha256", SHA)],
        &[("x-amz-checksum-sha256", SHA), ("x-amz-checksum-type", "COMPOSITE")],
        &[("x-amz-checksum-crc32c", "UymZPQ==-7"), ("x-amz-checksum-type", "FULL_OBJECT")],
        &[("x-goog-hash", "crc32c=4waSgw=="), ("x-goog-stored-content-encoding", "gzip")],
        &[("x-oss-hash-crc64ecma", "-1")],
        &[("docker-content-digest", SHA_HEX)],
        &[("x-linked-etag", "\"a9993e364706816aba3e25717850c26c9cd0d89d\"")],
        &[("x-linked-etag", SHA_HEX), ("x-linked-size", "999")],
    ] {
        assert_eq!(of_a_part(pairs), None, "{pairs:?}");
    }
}

#[test]
fn h06_googles_hash_of_what_is_stored_packed_counts_where_it_comes_packed() {
    let packed = [
        ("x-goog-hash", "crc32c=4waSgw=="),
        ("x-goog-stored-content-encoding", "gzip"),
        ("content-encoding", "gzip"),
    ];
    assert!(of_a_part(&packed).is_some());
}

#[test]
fn h06_content_md5_is_of_the_message_and_counts_where_that_is_the_whole() {
    let answer = head(&[("content-md5", MD5)]);
    let heads = Heads { answer: &answer, first_hop: None, length: Some(3), whole: false };
    assert_eq!(shown(&heads), None);
    assert_eq!(shown(&Heads { whole: true, ..heads }), Some(format!("content-md5 {MD5_SHOWN}")));
}

#[test]
fn h06_the_strongest_counts_and_of_what_is_no_proof_against_forgers_the_cheapest() {
    let sha = format!("sha-256=:{SHA}:");
    for (pairs, expected) in [
        (
            &[("x-goog-hash", "crc32c=4waSgw=="), ("x-goog-hash", &*format!("md5={MD5}"))][..],
            "x-goog-hash crc32c",
        ),
        (&[("x-oss-hash-crc64ecma", "258"), ("x-ms-blob-content-md5", MD5)], "x-oss-hash-crc64ecma"),
        (&[("x-oss-hash-crc64ecma", "258"), ("repr-digest", &sha)], "repr-digest"),
        (&[("repr-digest", "md5=:AAAA:, unixsum=:AA==:"), ("repr-digest", &sha)], "repr-digest sha-256"),
        (&[("repr-digest", &format!("{sha};p=1, md5=:{MD5}:"))], "repr-digest sha-256"),
    ] {
        let found = of_a_part(pairs).unwrap();
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn h06_the_first_hop_speaks_for_the_origin() {
    let (hop, last) = (head(&[("x-linked-etag", SHA_HEX), ("x-linked-size", "3")]), head(&[]));
    let heads = Heads { answer: &last, first_hop: Some(&hop), length: Some(3), whole: false };
    assert!(shown(&heads).is_some());
    let elsewhere = Heads { answer: &hop, first_hop: Some(&last), ..heads };
    assert_eq!(shown(&elsewhere), None, "a store's own word for it is not the hub's");
    let registry = head(&[("docker-content-digest", &format!("sha256:{SHA_HEX}"))]);
    assert!(shown(&Heads { first_hop: Some(&registry), ..heads }).is_some());
    assert!(shown(&Heads { answer: &registry, first_hop: Some(&last), ..heads }).is_some());
}

#[test]
fn what_is_shown_is_every_header_that_carries_a_digest() {
    let answer = head(&[("content-md5", MD5), ("x-amz-checksum-sha256", SHA), ("etag", "\"a\"")]);
    let heads = Heads { answer: &answer, first_hop: None, length: None, whole: false };
    let names: Vec<_> = sent(&heads).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["content-md5", "x-amz-checksum-sha256"]);
}
