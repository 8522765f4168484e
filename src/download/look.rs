//! Looking at the object: the probe, repeated until there is an answer or no use in asking.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::{Instant, sleep};

use super::admission::Admission;
use super::reporter::Reporter;
use super::request::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::http::client::Client;
use crate::http::probe::{self, Answer, Probe};
use crate::http::retry::{Fault, Stage, Verdict, verdict};
use crate::object::{Object, Validator};
use crate::range::{ByteRange, Part};
use crate::url::SafeUrl;

/// Asks the origin, on behalf of one download.
pub(crate) struct Looker<'a> {
    pub(crate) client: &'a Client,
    pub(crate) url: &'a SafeUrl,
    pub(crate) request: &'a Request,
    pub(crate) reporter: &'a Reporter,
    /// Its place at the host.
    pub(crate) admission: Option<&'a Admission>,
    /// The object was there before: a refusal is given some more tries.
    pub(crate) again: bool,
    /// Only something newer is wanted.
    pub(crate) condition: HeaderMap,
}

/// Tries that a refusal in mid-run gets: a URL may be refreshed meanwhile (H24).
const REFUSAL_RETRIES: u32 = 3;

impl Looker<'_> {
    /// Asks for bytes of the object; `range` may reach past its end.
    pub(crate) async fn probe(&self, mut range: ByteRange) -> Result<Probe> {
        let mut waited = false;
        let mut condition = self.condition.clone();
        loop {
            let answer = self.answer(|| probe::probe(self.client, self.url, range, &condition)).await;
            match answer.map_err(|(refusal, fault)| (fault, refusal)) {
                // A little later the same date proves what it does not prove now (H03).
                Ok(probe) if self.may_settle(&probe) && !waited => {
                    waited = true;
                    sleep(self.request.tuning.settle).await;
                }
                Ok(probe) => return Ok(probe),
                // The object has become shorter than what is missing of it: see what it is now.
                Err((_, Refusal::Unsatisfiable)) if range.start > self.first_byte() => {
                    range = ByteRange::new(self.first_byte(), self.first_byte() + 1);
                }
                Err((_, Refusal::Unsatisfiable)) if range.start > 0 => return Err(self.outside()),
                // Some servers refuse ranges so; others send them wrong.
                Err((_, Refusal::Unsatisfiable | Refusal::Ranges)) => return self.whole().await,
                // The signature of the URL may not cover the condition, as it may not cover a pin (H23).
                Err((Fault::Status { code: 403, .. }, Refusal::Final(_))) if !condition.is_empty() => {
                    condition.clear();
                }
                Err((_, Refusal::Final(error))) => return Err(error),
            }
        }
    }

    /// Whether a little later it will prove what it does not prove now.
    fn may_settle(&self, probe: &Probe) -> bool {
        let wanted = !self.request.allow_unvalidated && !matches!(probe.answer, Answer::NotModified);
        wanted && probe.object.is_too_fresh()
    }

    /// Asks for the whole object.
    pub(crate) async fn whole(&self) -> Result<Probe> {
        let answer = self.answer(|| probe::fetch_whole(self.client, self.url));
        answer.await.map_err(|(refusal, fault)| self.finally(refusal, &fault))
    }

    /// Sends a HEAD.
    pub(crate) async fn head(&self) -> Result<Object> {
        let answer = self.answer(|| probe::head(self.client, self.url));
        answer.await.map_err(|(refusal, fault)| self.finally(refusal, &fault))
    }

    /// Asks until there is an answer, or no use in asking, and by which fault that is.
    async fn answer<T, F>(&self, ask: impl Fn() -> F) -> Result<T, (Refusal, Fault)>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut failures = 0;
        loop {
            let asked = Instant::now();
            let fault = match ask().await {
                Ok(answer) => {
                    let connecting = self.client.connecting();
                    let waited = asked.elapsed().saturating_sub(connecting.unwrap_or_default());
                    let warm = connecting.is_none();
                    self.admission.iter().for_each(|admission| admission.served(waited, warm));
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            if let Err(refusal) = self.pause_after(&fault, failures).await {
                return Err((refusal, fault));
            }
            failures += 1;
        }
    }

    fn first_byte(&self) -> u64 {
        match self.request.part {
            Part::From(start) => start,
            Part::Span(range) => range.start,
            Part::Last(_) => 0,
        }
    }

    /// A weaker proof of its version than the object had before is a captive portal or an error page.
    pub(crate) fn expect_credible(&self, before: Option<&Validator>, now: &Object) -> Result<()> {
        if Validator::strength(now.validator.as_ref().ok()) < Validator::strength(before) {
            return Err(self.suspect());
        }
        Ok(())
    }

    /// Two answers of one version have one length; a server that says otherwise is not believed.
    pub(crate) fn expect_consistent(&self, one: &Object, other: &Object) -> Result<()> {
        if !one.contradicts(other) {
            return Ok(());
        }
        let message = "the server states two lengths for one version of the object";
        Err(self.error(ErrorKind::Network, message).hint("try again later"))
    }

    /// An answer that lacks the validator that the object had.
    pub(crate) fn suspect(&self) -> Error {
        let message =
            "the answer lacks the validator that the object had: a captive portal, or an error page?";
        self.error(ErrorKind::Network, message).hint("try again later, or fetch it anew with --restart")
    }

    /// Why nothing of an object of that length is wanted.
    pub(crate) fn unwanted(&self, length: Option<u64>) -> Error {
        match length {
            Some(_) => self.outside(),
            None => self
                .error(
                    ErrorKind::Refused,
                    "the server does not say its length, so its last bytes cannot be told",
                )
                .hint("use --range A-B or A-"),
        }
    }

    pub(crate) fn outside(&self) -> Error {
        self.error(ErrorKind::Refused, "the part asked for is outside the object")
    }

    /// Waits as long as the fault asks for; fails where there is no use in asking again.
    async fn pause_after(&self, fault: &Fault, failures: u32) -> Result<(), Refusal> {
        let asked = match verdict(fault, Stage::Probing, failures) {
            Verdict::Retry => None,
            Verdict::Throttle(asked) => asked,
            Verdict::Stop(ErrorKind::Refused) if self.may_come_back() && failures < REFUSAL_RETRIES => None,
            Verdict::Stop(kind) => return Err(Refusal::Final(self.refused(kind, fault))),
            Verdict::Probe => return Err(Refusal::Unsatisfiable),
            Verdict::Degrade => return Err(Refusal::Ranges),
        };
        self.wait_after(fault, failures, asked).await.map_err(Refusal::Final)
    }

    /// Whether a refusal may be one of the moment. One who has a way to a fresh URL does not wait for that.
    fn may_come_back(&self) -> bool {
        self.again && self.request.fresh_url.is_none()
    }

    /// Waits before a request is repeated that failed `failures` times before; fails when that was often enough.
    pub(crate) async fn wait_after(
        &self,
        fault: &Fault,
        failures: u32,
        asked: Option<Duration>,
    ) -> Result<()> {
        let wait = self.request.wait_after(fault, failures + 1, asked)?;
        if failures >= self.request.retries {
            return Err(self.error(ErrorKind::Network, fault.to_string()).hint("try again later"));
        }
        self.reporter.retry(None, fault.to_string(), wait);
        // A host that takes others and not this one wants fewer at once (H47).
        let left_out = |admission: &&Admission| failures > 0 && admission.is_left_out();
        let turned_away = self.admission.filter(|admission| fault.is_throttle() || left_out(admission));
        turned_away.iter().for_each(|admission| admission.refused(wait));
        sleep(wait).await;
        if let Some(admission) = turned_away {
            admission.queue_again().await;
        }
        Ok(())
    }

    /// The error of a request that has no other way to go.
    fn finally(&self, refusal: Refusal, fault: &Fault) -> Error {
        match refusal {
            Refusal::Final(error) => error,
            Refusal::Unsatisfiable | Refusal::Ranges => self.error(ErrorKind::Network, fault.to_string()),
        }
    }

    fn refused(&self, kind: ErrorKind, fault: &Fault) -> Error {
        let error = self.error(kind, fault.to_string());
        match fault {
            _ if fault.may_be_expiry() && self.again => {
                error.hint("the URL may have expired: give a fresh one, with -o and the same name, to resume")
            }
            Fault::Status { code: 401 | 403, .. } => error.hint("check the URL and the credentials"),
            Fault::Status { code: 404 | 410, .. } => error.hint("check the URL"),
            _ => error,
        }
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).at(self.url)
    }
}

/// Why there is no answer.
enum Refusal {
    /// 416.
    Unsatisfiable,
    /// Ranged answers are wrong.
    Ranges,
    Final(Error),
}
