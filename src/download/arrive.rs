//! How a download comes to its host: it waits for its turn, and finds connections and what was learned of the host.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::admission::Admission;
use super::session::Session;
use crate::error::Result;
use crate::http::client::Client;
use crate::http::probe::Probe;
use crate::url::SafeUrl;

/// So many connections are made to a host of which nothing is known, before it has said what there is: as many as it is
/// used to from a browser, and a bit more.
const TO_A_STRANGER: usize = 8;

impl Session {
    /// Waits until the host has room for one more download. What is given back connects for the requests to come.
    pub(super) async fn arrive(&mut self) -> Result<JoinSet<()>> {
        let origin = self.request.url.origin().to_string();
        let host = self.request.pool.host(origin.clone());
        let admission = Arc::new(self.still_wanted(host.enter()).await?);
        if let Some(hosts) = self.request.hosts.as_ref().filter(|_| self.request.tuned) {
            self.known = host.known(hosts, origin).await;
        }
        let mut connecting = JoinSet::new();
        // Beside others, which leave their connections, none are made in advance.
        if admission.is_new() || admission.is_alone() {
            let jobs = if self.request.tuned { self.expected_jobs() } else { self.request.jobs };
            let (admission, client, url) = (Arc::clone(&admission), self.client.clone(), self.url.clone());
            connecting.spawn(connect(admission, client, url, jobs.saturating_sub(1)));
        }
        self.admission = Some(admission);
        Ok(connecting)
    }

    /// Having left, waits for its turn once more.
    pub(super) async fn queue_again(&self) -> Result<()> {
        let Some(admission) = &self.admission else { return Ok(()) };
        self.still_wanted(admission.queue_again()).await
    }

    async fn still_wanted<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        self.unless_cancelled(async { Ok(work.await) }).await
    }

    /// As far as one can know: as many as paid with this host before, or as many as pay with any.
    fn expected_jobs(&self) -> usize {
        self.known.map_or(TO_A_STRANGER, |known| known.jobs.min(self.request.jobs))
    }

    /// Waits for its turn once more, where the object is large and there are enough of those. The answer is old then,
    /// and is given up before, with its connection.
    pub(super) async fn make_way(&self, probe: Probe) -> Result<Option<Probe>> {
        let large = probe.object.length.is_some_and(|length| length > self.request.tuning.first_span);
        let Some(admission) = self.admission.as_ref().filter(|admission| large && !admission.grow()) else {
            return Ok(Some(probe));
        };
        drop(probe);
        self.still_wanted(admission.wait_to_grow()).await?;
        Ok(None)
    }
}

/// While the first answer is awaited, the others' connections are made.
async fn connect(admission: Arc<Admission>, client: Client, url: SafeUrl, spares: usize) {
    admission.connected(client.connected().await);
    if admission.is_alone() {
        client.dial(&url, spares).await;
    }
}
