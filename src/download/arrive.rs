//! How a download comes to its host: it waits for its turn, and finds connections and what was learned of the host.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::admission::Admission;
use super::mirrors;
use super::request::OfferedMirrors;
use super::session::Session;
use crate::error::{Error, Result};
use crate::http::client::Client;
use crate::http::probe::Probe;
use crate::url::SafeUrl;

/// So many connections are made to a host of which nothing is known, before it has said what there is: as many as it is
/// used to from a browser, and a bit more.
const TO_A_STRANGER: usize = 8;

impl Session {
    /// Waits until the host has room for one more download. What is given back connects for the requests to come.
    pub(super) async fn arrive(&mut self) -> Result<JoinSet<()>> {
        self.move_in().await?;
        let mut connecting = JoinSet::new();
        let Some(admission) = self.admission.clone() else { return Ok(connecting) };
        if let Some(hosts) = self.request.hosts.as_ref().filter(|_| self.request.tuned) {
            let origin = self.url.origin().to_string();
            self.known = self.request.pool.host(origin.clone()).known(hosts, origin).await;
        }
        // Beside others, which leave their connections, none are made in advance.
        if admission.is_new() || admission.is_alone() {
            let jobs = if self.request.tuned { self.expected_jobs() } else { self.request.jobs };
            let (client, url) = (self.client.clone(), self.url.clone());
            connecting.spawn(connect(admission, client, url, jobs.saturating_sub(1)));
        }
        Ok(connecting)
    }

    /// Nothing of the object is there yet, and the URL does not have it: the next mirror is asked in its place.
    pub(super) async fn turn_to_mirror(&mut self, error: Error) -> Result<()> {
        if self.files.is_some() || self.request.mirrors.is_empty() {
            return Err(error);
        }
        let mut url = Arc::make_mut(&mut self.request).mirrors.remove(0);
        self.client = self.client.logged_in_at(&mut url);
        self.reporter.note(format!("{error}: {url} is asked in its place"));
        self.url = url;
        self.move_in().await
    }

    /// What the server offers counts where that was asked for, and not in the middle of it: sources have numbers.
    pub(super) fn accept_mirrors(&mut self, probe: &Probe) {
        let wanted = self.request.offered_mirrors == OfferedMirrors::Used && self.files.is_none();
        if wanted && !probe.duplicates.is_empty() {
            let mirrors = &mut Arc::make_mut(&mut self.request).mirrors;
            mirrors::add(mirrors, &self.url, probe.duplicates.iter().cloned());
        }
    }

    /// Waits for a place at the host of the URL that is asked now.
    async fn move_in(&mut self) -> Result<()> {
        // The one at another host is free for others meanwhile.
        self.admission = None;
        let host = self.request.pool.host(self.url.origin().to_string());
        self.admission = Some(Arc::new(self.still_wanted(host.enter()).await?));
        Ok(())
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
