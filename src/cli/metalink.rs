//! Metalink 4 (RFC 5854): a document goes in, the files that it names come out. Pure but for [`load`].
//!
//! URLs may be secrets: no error shows one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use super::args::Secret;
use super::exit::Failure;

/// The longest document, in bytes.
const LONGEST: u64 = 16 << 20;
/// And so many elements and texts it may have.
const MOST_NODES: u32 = 1_000_000;
const NAMESPACE: &str = "urn:ietf:params:xml:ns:metalink";
/// The best first. What is not among them proves nothing here.
const HASHES: [&str; 4] = ["sha-512", "sha-256", "sha-1", "md5"];
/// A URL and this many mirrors of it are used.
const MOST_URLS: usize = 8;
/// The least of all priorities (RFC 5854 §4.2.16).
const LEAST: u32 = 999_999;

/// A file that a document describes, and where it is.
#[derive(Debug)]
pub(crate) struct Described {
    /// A stranger's: not safe to use.
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    /// `ALGO:HEX`.
    pub(crate) checksum: Option<String>,
    /// The best.
    pub(crate) url: Secret,
    /// The others, in their order.
    pub(crate) mirrors: Vec<Secret>,
}

/// All files that the document with this path names.
pub(crate) fn load(path: &Path) -> Result<Vec<Described>, Failure> {
    let place = path.display();
    let mut text = String::new();
    let file = File::open(path).map_err(|error| Failure::io(&place, "open it", &error))?;
    let length = file.take(LONGEST + 1).read_to_string(&mut text);
    let length = length.map_err(|error| Failure::io(&place, "read it", &error))?;
    let wrong = |why: String| Failure::usage(format!("{place} {why}"));
    if length as u64 > LONGEST {
        return Err(wrong("is longer than 16 MiB: is this a Metalink file?".to_owned()));
    }
    read(&text).map_err(wrong)
}

/// All files of a document; else what is wrong with it.
fn read(text: &str) -> Result<Vec<Described>, String> {
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    // The parser's own words may show what stands there.
    let document = Document::parse_with_options(text, options)
        .map_err(|error| format!("is no XML that can be read (line {})", error.pos().row))?;
    let root = document.root_element();
    if !root.has_tag_name((NAMESPACE, "metalink")) {
        return Err("is no Metalink 4 document (RFC 5854)".to_owned());
    }
    let files: Vec<_> = children(root, "file").map(described).collect::<Result<_, _>>()?;
    if files.is_empty() { Err("names no file".to_owned()) } else { Ok(files) }
}

fn described(file: Node<'_, '_>) -> Result<Described, String> {
    let line = file.document().text_pos_at(file.range().start).row;
    let name = file.attribute("name").ok_or_else(|| format!("has a file without a name (line {line})"))?;
    let mut urls: Vec<_> = children(file, "url").filter_map(url).collect();
    urls.sort_by_key(|(priority, _)| *priority);
    let mut urls = urls.into_iter().map(|(_, url)| Secret(url.to_owned())).take(MOST_URLS);
    let best = urls.next().ok_or_else(|| format!("has a file without an http or https URL (line {line})"))?;
    let hash = |kind: &&str| {
        let mut hashes = children(file, "hash");
        let hash =
            hashes.find(|hash| hash.attribute("type").is_some_and(|it| it.eq_ignore_ascii_case(kind)))?;
        Some(format!("{kind}:{}", text(hash)?))
    };
    Ok(Described {
        name: name.to_owned(),
        size: children(file, "size").find_map(|size| text(size)?.parse().ok()),
        checksum: HASHES.iter().find_map(hash),
        url: best,
        mirrors: urls.collect(),
    })
}

/// Its priority, of which 1 is the best, and the URL, if it is one that can be fetched.
fn url<'a>(node: Node<'a, '_>) -> Option<(u32, &'a str)> {
    let url = text(node)?;
    let (scheme, _) = url.split_once("://")?;
    let fetched = ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
    let priority = node.attribute("priority").and_then(|priority| priority.parse().ok()).unwrap_or(LEAST);
    fetched.then_some((priority, url))
}

fn children<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.has_tag_name((NAMESPACE, name)))
}

fn text<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.text().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(files: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><metalink xmlns=\"{NAMESPACE}\">{files}</metalink>"
        )
    }

    fn urls(file: &Described) -> Vec<&str> {
        [&file.url].into_iter().chain(&file.mirrors).map(|Secret(url)| url.as_str()).collect()
    }

    #[test]
    fn a_file_has_its_name_its_best_hash_and_its_urls_in_their_order() {
        let files = read(&document(
            "<published>2026</published>
             <file name=\"a/b.iso\"><size> 7 </size><hash type=\"md5\">00</hash><hash type=\"SHA-256\"> aB </hash>
               <hash type=\"sha-384\">11</hash><pieces length=\"1\" type=\"sha-512\"><hash>22</hash></pieces>
               <url>http://last/x?a=1&amp;b=2</url><url priority=\"2\" location=\"de\"> https://second/x </url>
               <url priority=\"1\">ftp://no/x</url><url priority=\"1\">http://first/x</url><url/>
               <metaurl mediatype=\"torrent\">http://no/x.torrent</metaurl></file>
             <file name=\"c\"><url>HTTP://h/c</url></file>",
        ));
        let [first, second] = &files.unwrap()[..] else { panic!("two files") };
        assert_eq!((first.name.as_str(), first.size), ("a/b.iso", Some(7)));
        assert_eq!(first.checksum.as_deref(), Some("sha-256:aB"));
        assert_eq!(urls(first), ["http://first/x", "https://second/x", "http://last/x?a=1&b=2"]);
        assert_eq!((second.size, &second.checksum, urls(second)), (None, &None, vec!["HTTP://h/c"]));
    }

    #[test]
    fn more_urls_than_are_used_are_cut_off() {
        let url = |n| format!("<url priority=\"{}\">http://h/{n}</url>", 30 - n);
        let all = (0..20).map(url).collect::<Vec<_>>().concat();
        let files = read(&document(&format!("<file name=\"a\">{all}</file>"))).unwrap();
        assert_eq!(urls(&files[0]).len(), MOST_URLS);
        assert_eq!(urls(&files[0])[0], "http://h/19");
    }

    #[test]
    fn h74_what_is_wrong_with_a_document_is_named_and_not_shown() {
        let entity =
            "<!DOCTYPE x [<!ENTITY a \"hunter2\">]><metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"/>";
        for (text, why) in [
            ("", "no XML"),
            ("hunter2", "no XML"),
            ("<metalink><hunter2></metalink>", "no XML"),
            (entity, "no XML"),
            ("<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"/>", "no Metalink 4"),
            (&document(""), "no file"),
            (&document("<file><url>http://h/hunter2</url></file>"), "without a name (line 1)"),
            (&document("\n<file name=\"hunter2\"><url>ftp://h/hunter2</url></file>"), "without an http"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why) && !said.contains("hunter2"), "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_document_says_is_read_or_refused(inside in "[<>/a-z =\"&;!\\[\\]-]{0,200}") {
            drop(read(&inside));
            if let Ok(files) = read(&document(&inside)) {
                prop_assert!(files.iter().all(|file| file.mirrors.len() < MOST_URLS));
            }
        }
    }
}
