use super::*;
use proptest::prelude::*;

fn the_entry(text: &str) -> Entry {
    let mut found = read(text.as_bytes());
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0).unwrap()
}

fn headers_of(entry: &Entry) -> Vec<(&str, &str)> {
    entry.headers.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect()
}

#[test]
fn a_line_is_a_url_with_comments_and_blank_lines_between() {
    let text =
        "\u{feff}http://h/a\r\n\n# http://h/no\n  # nor this\n\t\nhttp://h/b  \nhttp://h/c?x=1&y={2}#d";
    let urls: Vec<_> = read(text.as_bytes()).into_iter().map(|entry| entry.unwrap()).collect();
    let urls: Vec<_> = urls.iter().map(|entry| (entry.line, entry.url.0.as_str())).collect();
    assert_eq!(urls, [(1, "http://h/a"), (6, "http://h/b"), (7, "http://h/c?x=1&y={2}#d")]);
    assert!(read(b"").is_empty() && read(b"\n# nothing\n").is_empty());
}

#[test]
fn options_are_those_of_the_url_above() {
    let entry = the_entry(
        "http://h/a\n  out=x/y z.img \n\tdir=/tmp\n # why\n  checksum=sha-256=AbC=\n  checksum=md5:00\n  header=X-Key: a=b:c\n header=X-Empty:\n",
    );
    assert_eq!(entry.out.as_deref(), Some("x/y z.img".as_ref()));
    assert_eq!(entry.dir.as_deref(), Some("/tmp".as_ref()));
    assert_eq!(entry.checksums, ["sha-256:AbC=", "md5:00"]);
    assert_eq!(headers_of(&entry), [("X-Key", "a=b:c"), ("X-Empty", "")]);
    let bytes = read(b"http://h/a\n out=\xff").remove(0).unwrap();
    assert_eq!(bytes.out.unwrap().as_os_str().as_bytes(), b"\xff", "a name need not be text");
}

#[test]
fn what_follows_a_url_on_its_line_are_mirrors() {
    let mirrors = |text| {
        let entry = the_entry(text);
        assert_eq!(entry.url.0, "http://h/a");
        entry.mirrors.into_iter().map(|Secret(url)| url).collect::<Vec<_>>()
    };
    assert_eq!(mirrors("http://h/a\t http://m/a \t\thttp://n/a\n"), ["http://m/a", "http://n/a"]);
    assert!(mirrors("http://h/a\t\n").is_empty());
    assert_eq!(mirrors(r#"{"url": "http://h/a", "mirrors": "http://m/a"}"#), ["http://m/a"]);
    assert_eq!(mirrors(r#"{"mirrors": ["http://m/a", "b"], "url": "http://h/a"}"#), ["http://m/a", "b"]);
}

#[test]
fn a_json_line_says_the_same() {
    let entry = the_entry(
        r#"{"url": "http://h/a", "out": "x", "dir": "/tmp", "checksum": ["sha-256:00", "md5=1"], "headers": {"X-B": "1", "X-A": ["2", "3"]}}"#,
    );
    assert_eq!((entry.out, entry.dir), (Some("x".into()), Some("/tmp".into())));
    assert_eq!(entry.checksums, ["sha-256:00", "md5:1"]);
    let lines = the_entry(r#"{"headers": ["X-A: 2", "X-B: 1"], "url": "http://h/a", "checksum": "a:b"}"#);
    assert_eq!(headers_of(&lines), [("X-A", "2"), ("X-B", "1")]);
    assert_eq!(lines.checksums, ["a:b"]);
    let bare = the_entry(r#"{"url": "http://h/a", "out": null}"#);
    assert_eq!((bare.url.0.as_str(), bare.out), ("http://h/a", None));
}

#[test]
fn what_means_nothing_here_is_said_once() {
    let mut parser = Parser::default();
    let text = "http://h/a\n split=5\n out=x\n split=6\n{\"url\": \"http://h/c\", \"md5\": 7}";
    text.split('\n').for_each(|line| parser.line(line.as_bytes()));
    parser.end();
    assert!((0..2).all(|_| parser.next().unwrap().is_ok()) && parser.next().is_none());
    let said: Vec<_> = parser.ignored().into_iter().map(|ignored| (ignored.line, ignored.what)).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    for ((line, what), (expected, word)) in said.iter().zip([(2, "'split'"), (5, "'md5'")]) {
        assert!(*line == expected && what.contains(word), "{said:?}");
    }
    for name in 0..200 {
        parser.line(b"http://h/a");
        parser.line(format!(" x{name}=1").as_bytes());
    }
    assert_eq!(parser.ignored().len(), MOST_IGNORED - 2);
}

#[test]
fn h74_a_line_that_is_wrong_is_named_and_not_shown_and_the_others_are_read() {
    for (text, number, why) in [
        (" out=x", 1, "no URL above"),
        ("http://h/a\n out", 2, "NAME=VALUE"),
        ("http://h/a\n http://h/b?hunter2=1", 2, "NAME=VALUE"),
        ("http://h/a\n out=", 2, "no value"),
        ("http://h/a\n out=x\n\n out=y", 4, "second time"),
        ("http://h/a\n header=hunter2", 2, "Name: value"),
        ("{\"url\": \"http://h/hunter2\"", 1, "JSON"),
        ("{\"url\": 7, \"x\": \"hunter2\"}", 1, "JSON"),
        ("{\"out\": \"hunter2\"}", 1, "JSON"),
        ("{\"url\": \"a\", \"headers\": [\"hunter2\"]}", 1, "Name: value"),
        ("{\"url\": \"a\", \"headers\": \"hunter2\"}", 1, "JSON"),
        ("{\"url\": \"a\", \"out\": \"\"}", 1, "empty"),
    ] {
        let found = read(format!("{text}\n checksum=a:b\nhttp://h/after").as_bytes());
        let bad: Vec<_> = found.iter().filter_map(|entry| entry.as_ref().err()).collect();
        let [bad, ..] = bad[..] else { panic!("{text}: {found:?}") };
        assert!(bad.number == number && bad.why.contains(why), "{bad:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        assert_eq!(found.last().unwrap().as_ref().unwrap().url.0, "http://h/after");
    }
    let not_text = read(b"http://h/\xff\nhttp://h/after");
    assert!(not_text[0].as_ref().unwrap_err().why.contains("UTF-8") && not_text[1].is_ok());
}

#[test]
fn a_line_without_end_is_no_url() {
    let mut parser = Parser::default();
    parser.line(b"http://h/a");
    parser.endless_line();
    assert!(parser.next().unwrap().is_ok());
    assert_eq!(parser.next().unwrap().unwrap_err().number, 2);
}

#[test]
fn an_object_is_read_when_its_line_is() {
    let mut parser = Parser::default();
    parser.line(b"http://h/a");
    assert!(parser.next().is_none(), "its options may follow");
    parser.line(br#"{"url": "http://h/b"}"#);
    assert_eq!([1, 2].map(|_| parser.next().unwrap().unwrap().line), [1, 2]);
    parser.line(b"  out=x");
    assert_eq!(parser.next().unwrap().unwrap_err().number, 3, "an object says everything itself");
}

proptest! {
    #[test]
    fn of_any_list_the_entries_are_in_order_and_wrong_lines_are_named(text in "(http://h/[a-z]?|\n|\n |\t|#|out=|header=|[{}\"=:]|url|\\PC){0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        property(text.as_bytes());
        property(&bytes);
    }

    #[test]
    fn a_list_that_was_written_is_read(names in prop::collection::vec("[a-z]{1,8}", 0..20), json: bool) {
        let line = |name: &String| if json {
            format!("{{\"out\":\"{name}\",\"url\":\"http://h/{name}\"}}\n")
        } else {
            format!("http://h/{name}\n  out={name}\n")
        };
        let text: String = names.iter().map(line).collect();
        let read: Vec<_> = read(text.as_bytes()).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), names.len());
        for (entry, name) in read.iter().zip(&names) {
            prop_assert!(entry.url.0.ends_with(name) && entry.out.as_deref() == Some(name.as_ref()));
        }
    }
}
