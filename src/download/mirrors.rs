//! How a mirror proves that it has the same object, before a byte of it is mixed with others.

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::HeaderMap;

use super::admission::Admission;
use super::look::Looker;
use super::reporter::Reporter;
use super::request::Request;
use super::resolution::Way;
use crate::http::answer::Pinned;
use crate::http::client::Client;
use crate::http::fetch::Fetcher;
use crate::http::probe::{Answer, Probe};
use crate::http::retry::Fault;
use crate::object::{Object, Validator};
use crate::range::ByteRange;
use crate::sources::{MOST, SourceId};
use crate::url::SafeUrl;

/// So many samples are compared where nothing else tells.
const SAMPLES: usize = 4;
/// Bytes of one.
const SAMPLE: u64 = 64 << 10;

/// Mirrors beside those that there are: none twice, and no more than there can be.
pub(super) fn add(mirrors: &mut Vec<SafeUrl>, given: &SafeUrl, more: impl IntoIterator<Item = SafeUrl>) {
    for mirror in more {
        if mirrors.len() + 1 < MOST && mirror != *given && !mirrors.contains(&mirror) {
            mirrors.push(mirror);
        }
    }
}

/// What a mirror has to have.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) object: Object,
    pub(crate) length: u64,
    /// What is fetched of it.
    pub(crate) extent: ByteRange,
    pub(crate) encoding: Option<String>,
    /// Who has it.
    pub(crate) given: Fetcher,
}

/// A mirror that was looked at: what has proved itself, or why it is not asked.
pub(crate) struct Looked {
    pub(crate) id: SourceId,
    pub(crate) found: Result<Proved, String>,
}

/// A mirror that has proved itself.
pub(crate) struct Proved {
    pub(crate) fetcher: Fetcher,
    /// Its place at its host, if that is not the host of the URL that was given.
    pub(crate) admission: Option<Admission>,
}

/// Looks at the mirror of that number, when its host has room.
pub(crate) fn look<'a>(
    way: &Way<'_>,
    id: SourceId,
    wanted: Wanted,
    request: &'a Request,
    reporter: &'a Reporter,
) -> BoxFuture<'a, Looked> {
    let mut url = request.mirrors[id - 1].clone();
    let (client, given) = (way.client.logged_in_at(&mut url), way.url.origin());
    async move {
        let origin = url.origin();
        let admission =
            if origin == given { None } else { Some(request.pool.host(origin.to_string()).enter().await) };
        let condition = HeaderMap::new();
        let (client, url) = (&client, &url);
        let looker =
            Looker { client, url, request, reporter, admission: admission.as_ref(), again: false, condition };
        let found = match looker.probe(ByteRange::new(0, 1)).await {
            Ok(probe) => admit(client, url, probe, &wanted).await,
            Err(error) => Err(error.to_string()),
        };
        Looked { id, found: found.map(|fetcher| Proved { fetcher, admission }) }
    }
    .boxed()
}

/// A mirror's answer says that it is the same object, or its bytes do.
async fn admit(client: &Client, shown: &SafeUrl, probe: Probe, wanted: &Wanted) -> Result<Fetcher, String> {
    let Probe { object, encoding, answer, .. } = probe;
    let refused = |why: &str| Err(format!("{shown}: {why}"));
    if !matches!(answer, Answer::Part(_)) {
        return refused("it does not answer ranges");
    }
    if object.length != Some(wanted.length) || encoding != wanted.encoding {
        return refused("its object has another length or encoding");
    }
    let pinned = Pinned {
        url: object.url.clone(),
        length: wanted.length,
        validator: object.validator.clone().ok(),
        encoding,
        send_pin: true,
    };
    let fetcher = Fetcher::new(client.clone(), pinned);
    let same = match says_the_same(&object, &wanted.object) {
        Some(same) => Ok(same),
        None => sampled(&fetcher, wanted).await,
    };
    match same {
        Ok(true) => Ok(fetcher),
        Ok(false) => refused("its object is another one"),
        Err(fault) => refused(&fault.to_string()),
    }
}

/// By a digest of one kind, or else a strong tag, where both have one; another tag says nothing.
fn says_the_same(one: &Object, other: &Object) -> Option<bool> {
    let proofs = one.proof.as_ref().zip(other.proof.as_ref());
    let digests = proofs.map(|(one, other)| (&one.checksum, &other.checksum));
    let by_digest = digests.filter(|(one, other)| one.algorithm() == other.algorithm());
    let by_tag = || match (&one.validator, &other.validator) {
        (Ok(Validator::EntityTag(one)), Ok(Validator::EntityTag(other))) if one == other => Some(true),
        _ => None,
    };
    by_digest.map(|(one, other)| one == other).or_else(by_tag)
}

/// By bytes from here and there, the last ones among them.
async fn sampled(mirror: &Fetcher, wanted: &Wanted) -> Result<bool, Fault> {
    let extent = wanted.extent;
    let last = extent.start.max(extent.end.saturating_sub(SAMPLE));
    for start in (1..SAMPLES).map(|_| fastrand::u64(extent.start..=last)).chain([last]) {
        let range = ByteRange::new(start, extent.end.min(start + SAMPLE));
        if mirror.crc(range).await? != wanted.given.crc(range).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
