//! Files of checksums: `SHA256SUMS`, `NAME.sha256`, what BSD's tools write, and a value that stands alone.

use super::algorithm::Algorithm;
use super::value::Checksum;

/// What a file of checksums says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChecksumList(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// The path of the file that it is of; `None`: it stands alone.
    path: Option<String>,
    checksum: Checksum,
}

/// Why a list has no checksum for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotListed {
    /// No line is of it.
    Nowhere,
    /// Lines contradict each other.
    Twice,
}

impl ChecksumList {
    /// Reads every line that can be read: the others are comments, and what signatures are made of. `name`: the list's,
    /// which tells BLAKE3 from SHA-256 where the lines do not.
    pub(crate) fn parse(text: &str, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let blake3 = ["b3sum", "blake3", ".b3"].iter().any(|mark| name.contains(mark));
        let lines = text.trim_start_matches('\u{feff}').lines();
        Self(lines.filter_map(|line| bsd(line).or_else(|| gnu(line, blake3))).collect())
    }

    /// The strongest for the file that is fetched from a URL of this path into a file of this name. The URL comes first:
    /// the longest path that it ends with.
    pub(crate) fn of(&self, url_path: &str, target: &str) -> Result<Checksum, NotListed> {
        let at_url =
            |path: &str| format!("/{url_path}").ends_with(&format!("/{path}")).then_some(1 + path.len());
        let rank = |line: &Line| match &line.path {
            Some(path) => at_url(path).or((base_name(path) == target).then_some(1)),
            None => Some(0),
        };
        let best = self.0.iter().filter_map(rank).max().ok_or(NotListed::Nowhere)?;
        let found = self.0.iter().filter(|line| rank(line) == Some(best)).map(|line| &line.checksum);
        let strongest = found.clone().max_by_key(|checksum| checksum.algorithm().rank());
        let strongest = strongest.ok_or(NotListed::Nowhere)?;
        let agrees = |other: &Checksum| other.algorithm() != strongest.algorithm() || other == strongest;
        if found.clone().all(agrees) { Ok(strongest.clone()) } else { Err(NotListed::Twice) }
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn line(path: &str, checksum: Checksum) -> Line {
    let path = path.trim_start_matches("./").trim_start_matches('/');
    Line { path: (!path.is_empty()).then(|| path.to_owned()), checksum }
}

/// `SHA256 (NAME) = VALUE`, and OpenSSL's `SHA2-256(NAME)= VALUE`; the value in hex or base64.
fn bsd(text: &str) -> Option<Line> {
    let (algorithm, rest) = text.trim().split_once('(')?;
    let (path, value) = rest.rsplit_once(')')?;
    let value = value.trim_start().strip_prefix('=')?.trim();
    Some(line(path, Checksum::of_text(Algorithm::named(algorithm)?, value)?))
}

/// `HEX  NAME` or `HEX *NAME`; a backslash in front says that the name has some. And a value alone.
fn gnu(text: &str, blake3: bool) -> Option<Line> {
    let (escaped, text) = text.strip_prefix('\\').map_or((false, text), |text| (true, text));
    let (value, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let checksum = Checksum::of_hex(by_length(value.len(), blake3)?, value)?;
    // One of these says that it was read as text or as binary; who writes by hand is less exact.
    let path = rest.strip_prefix([' ', '*']).unwrap_or(rest.trim_start());
    Some(if escaped { line(&unescaped(path)?, checksum) } else { line(path, checksum) })
}

/// How many digits in hex; what else has as many is not to be found in lists.
fn by_length(digits: usize, blake3: bool) -> Option<Algorithm> {
    Some(match digits {
        32 => Algorithm::Md5,
        40 => Algorithm::Sha1,
        64 if blake3 => Algorithm::Blake3,
        64 => Algorithm::Sha256,
        128 => Algorithm::Sha512,
        _ => return None,
    })
}

fn unescaped(path: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const B: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn of(text: &str, url_path: &str, target: &str) -> Result<String, NotListed> {
        ChecksumList::parse(text, "SHA256SUMS").of(url_path, target).map(|checksum| checksum.to_string())
    }

    #[test]
    fn every_way_to_write_a_line_is_read() {
        let sha = Ok(format!("sha-256:{A}"));
        for text in [
            format!("{A}  x.iso\n"),
            format!("{A} *x.iso\r\n"),
            format!("{A}\tx.iso"),
            format!("{}  ./x.iso", A.to_uppercase()),
            format!("\u{feff}{A}  x.iso"),
            format!("SHA256 (x.iso) = {A}"),
            format!("SHA2-256(x.iso)= {A}"),
            "SHA256 (x.iso) = ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=".to_owned(),
            format!("{A}\n"),
            A.to_owned(),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# x.iso: 3 bytes\n{A}  x.iso\n{B}  y.iso\n"
            ),
        ] {
            assert_eq!(of(&text, "pub/x.iso", "x.iso"), sha, "{text}");
        }
        assert_eq!(of(&format!("{MD5}  x.iso"), "x.iso", "x.iso"), Ok(format!("md5:{MD5}")));
        for text in
            ["", "x.iso", "\u{e9}", &A[1..], &format!("MD6 (x.iso) = {A}"), &format!("SHA256 (x.iso) {A}")]
        {
            assert_eq!(of(text, "x.iso", "x.iso"), Err(NotListed::Nowhere), "{text}");
        }
    }

    #[test]
    fn names_may_be_odd() {
        for (text, name) in [
            (format!("{A}  a  b *c"), "a  b *c"),
            (format!("{A}   lead"), " lead"),
            (format!("SHA256 (a (1).iso) = {A}"), "a (1).iso"),
            (format!("\\{A}  a\\\\b\\nc"), "a\\b\nc"),
        ] {
            assert!(of(&text, "x", name).is_ok(), "{text}");
        }
        assert_eq!(of(&format!("\\{A}  a\\b"), "x", "a\\b"), Err(NotListed::Nowhere), "no such escape");
    }

    #[test]
    fn blake3_is_known_by_the_lists_name_or_by_the_line() {
        let of = |text: &str, list| ChecksumList::parse(text, list).of("x", "x").unwrap().algorithm();
        assert_eq!(of(&format!("{A}  x"), "SHA256SUMS"), Algorithm::Sha256);
        assert_eq!(of(&format!("{A}  x"), "x.b3"), Algorithm::Blake3);
        assert_eq!(of(&format!("{A}  x"), "B3SUMS"), Algorithm::Blake3);
        assert_eq!(of(&format!("BLAKE3 (x) = {A}"), "sums"), Algorithm::Blake3);
    }

    #[test]
    fn the_line_is_the_one_whose_path_the_url_ends_with_or_of_the_targets_name() {
        let (a, b) = (Ok(format!("sha-256:{A}")), Ok(format!("sha-256:{B}")));
        let nested = format!("{A}  netboot/mini.iso\n{B}  netboot/gtk/mini.iso\n");
        assert_eq!(of(&nested, "debian/netboot/mini.iso", "mini.iso"), a);
        assert_eq!(of(&nested, "debian/netboot/gtk/mini.iso", "mini.iso"), b);
        assert_eq!(of(&nested, "download", "mini.iso"), Err(NotListed::Twice));
        assert_eq!(of(&nested, "download", "other"), Err(NotListed::Nowhere));
        let two = format!("{A}  x.iso\n{B}  y.iso\n");
        assert_eq!(of(&two, "pub/x.iso", "y.iso"), a, "the URL comes first");
        assert_eq!(of(&two, "pub/ax.iso", "y.iso"), b, "and only by whole names");
        assert_eq!(
            of(&format!("{A}  x.iso\n{A}  x.iso"), "x.iso", "x"),
            a,
            "twice the same is no contradiction"
        );
    }

    #[test]
    fn a_value_alone_is_for_whatever_has_no_line_and_the_strongest_counts() {
        let text = format!("{B}\n{MD5}  x.iso\n{A}  x.iso\n");
        assert_eq!(of(&text, "x.iso", "x.iso"), Ok(format!("sha-256:{A}")));
        assert_eq!(of(&text, "z.iso", "z.iso"), Ok(format!("sha-256:{B}")));
    }
}
