//! A URL that expires in mid-run: one look at the object, from the URL that was given or from a fresh one, for everyone
//! who was refused. Whoever has an answer goes on reading it meanwhile.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::HeaderMap;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::admission::Admission;
use super::look::Looker;
use super::looks::Looks;
use super::reporter::Reporter;
use super::request::Request;
use super::worker::Again;
use crate::error::Result;
use crate::http::client::Client;
use crate::http::probe::Probe;
use crate::range::{ByteRange, Segments};
use crate::url::SafeUrl;

/// As much as a look asks for: little, since its answer is for one, who may have let go of it meanwhile.
pub(super) const LOOK: u64 = Segments::MIN_SIZE;

/// Where the object is asked for, and how often it was looked at.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) url: &'a mut SafeUrl,
    pub(crate) looks: &'a mut Looks,
}

/// A look under way, and who waits for it: the first is where it asked.
pub(super) struct Resolution<'a> {
    looking: BoxFuture<'a, Result<Resolved>>,
    pub(super) waiting: Vec<oneshot::Sender<Again>>,
}

/// What a look came to.
pub(super) struct Resolved {
    pub(super) client: Client,
    pub(super) url: SafeUrl,
    pub(super) probe: Probe,
}

impl<'a> Resolution<'a> {
    /// Looks after a while, on behalf of one who was refused at the start of this range.
    pub(super) fn begin(
        way: &Way<'_>,
        request: &'a Request,
        (reporter, admission): (&'a Reporter, Option<&'a Admission>),
        range: ByteRange,
        wait: Duration,
    ) -> Self {
        let (mut client, mut url) = (way.client.clone(), way.url.clone());
        let looking = async move {
            sleep(wait).await;
            if let Some(fresh) = &request.fresh_url {
                url = fresh.get().await?;
                client = client.logged_in_at(&mut url);
            }
            let condition = HeaderMap::new();
            let looker =
                Looker { client: &client, url: &url, request, reporter, again: true, condition, admission };
            let probe = looker.probe(range).await?;
            Ok(Resolved { client, url, probe })
        };
        Self { looking: looking.boxed(), waiting: Vec::new() }
    }

    /// What it came to, when it is there; never where there is none.
    pub(super) async fn of(resolution: &mut Option<Self>) -> Result<Resolved> {
        match resolution {
            Some(resolution) => (&mut resolution.looking).await,
            None => std::future::pending().await,
        }
    }
}
