//! What a server offers, found out for one byte.

use reqwest::header::HeaderMap;

use super::look::Looker;
use super::name;
use super::reporter::Reporter;
use super::request::Request;
use crate::checksum::Proof;
use crate::error::Result;
use crate::http::client::Client;
use crate::http::probe::Answer;
use crate::object::{NoValidator, Validator};
use crate::plan::{StreamReason, stream_reason};
use crate::range::ByteRange;
use crate::url::printable;

/// What a server offers for a URL.
///
/// ```
/// # async fn example() -> haul::Result<()> {
/// let offer = haul::Download::builder("https://example.org/x").build()?.inspect().await?;
/// println!("{} has {:?} bytes", offer.file_name, offer.length);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Offer {
    /// Where the object was found, after redirects, without secrets.
    pub final_url: String,
    /// Bytes; `None` where the server does not say.
    pub length: Option<u64>,
    /// Whether the server answers a range with that range.
    pub ranges: bool,
    /// What tells this version from others, or why nothing does.
    pub validator: Result<Validator, NoValidator>,
    /// The Content-Encoding that the bytes are in, if any; they are saved as they are.
    pub encoding: Option<String>,
    /// The name that a download without a given one would have.
    pub file_name: String,
    /// Headers that carry digests of the object: name and value as sent.
    pub digests: Vec<(String, String)>,
    /// What a download of the whole object would be compared with, if anything; what counts only where it comes with a
    /// whole answer is not among it.
    pub proof: Option<Proof>,
}

impl Offer {
    /// By what an interrupted download can be resumed, or why it cannot.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let offer = haul::Download::builder("https://example.org/x").build()?.inspect().await?;
    /// if let Err(why) = offer.resume() {
    ///     println!("a resume is not possible: {why}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&self) -> Result<&Validator, StreamReason> {
        let validator = self.validator.as_ref().map_err(|why| *why);
        match stream_reason(validator.map(|_| ()), self.length.is_some(), self.ranges) {
            Some(reason) => Err(reason),
            None => validator.map_err(StreamReason::NoValidator),
        }
    }
}

/// Asks for the first bytes, and drops the answer when its head has told what there is to tell.
pub(super) async fn inspect(request: &Request) -> Result<Offer> {
    let mut url = request.url.clone();
    let client = Client::new(request.pool.connections(), &mut url, request.client_options());
    client.set_up(&url).await?;
    let reporter = Reporter::silent();
    let looker = Looker {
        client: &client,
        url: &url,
        request,
        reporter: &reporter,
        admission: None,
        again: false,
        condition: HeaderMap::new(),
    };
    let probe = looker.probe(ByteRange::new(0, 1)).await?;
    Ok(Offer {
        final_url: probe.object.url.to_string(),
        length: probe.object.length,
        ranges: matches!(probe.answer, Answer::Part(_)),
        validator: probe.object.validator,
        encoding: probe.encoding.as_deref().map(printable),
        file_name: name::proposed(&request.url, probe.file_name.as_deref()),
        digests: probe.digests,
        proof: probe.object.proof,
    })
}
