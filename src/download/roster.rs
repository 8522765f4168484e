//! Whom the workers of a transfer ask: the URL that was given, and mirrors as soon as they have proved themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::admission::Admission;
use super::mirrors::{Looked, Proved};
use super::worker::Source;
use crate::http::fetch::Fetcher;
use crate::scheduler::WorkerId;
use crate::sources::{Fate, GIVEN, SourceId, SourceSet, Sources};

/// See the module.
pub(super) struct Roster<'a> {
    sources: Sources,
    /// As far as they have proved themselves.
    fetchers: HashMap<SourceId, Arc<Fetcher>>,
    /// The places at the host of the URL that was given, and at those of the mirrors.
    given: Option<&'a Admission>,
    admissions: HashMap<SourceId, Admission>,
    /// Whom each worker asks.
    asked: HashMap<WorkerId, SourceId>,
    /// Whom each worker asked last.
    last: HashMap<WorkerId, SourceId>,
    joining: FuturesUnordered<BoxFuture<'a, Looked>>,
}

impl<'a> Roster<'a> {
    pub(super) fn new(
        fetcher: Fetcher,
        given: Option<&'a Admission>,
        joining: Vec<BoxFuture<'a, Looked>>,
    ) -> Self {
        Self {
            sources: Sources::new(joining.len()),
            fetchers: HashMap::from([(GIVEN, Arc::new(fetcher))]),
            given,
            admissions: HashMap::new(),
            asked: HashMap::new(),
            last: HashMap::new(),
            joining: joining.into_iter().collect(),
        }
    }

    /// Who asks the URL that was given.
    pub(super) fn given(&self) -> &Arc<Fetcher> {
        &self.fetchers[&GIVEN]
    }

    /// The same, for a worker.
    pub(super) fn given_source(&self) -> Source {
        Source { id: GIVEN, fetcher: Arc::clone(self.given()) }
    }

    /// The URL that was given leads elsewhere now.
    pub(super) fn move_given(&mut self, fetcher: Fetcher) {
        self.fetchers.insert(GIVEN, Arc::new(fetcher));
    }

    /// The next mirror that was looked at; never where there is none to come.
    pub(super) async fn looked(&mut self) -> Looked {
        match self.joining.next().await {
            Some(looked) => looked,
            None => std::future::pending().await,
        }
    }

    /// A mirror has proved itself. Gives the workers that are to ask it, its share of all.
    pub(super) fn join(&mut self, id: SourceId, proved: Proved) -> Vec<WorkerId> {
        self.fetchers.insert(id, Arc::new(proved.fetcher));
        self.admissions.extend(proved.admission.map(|admission| (id, admission)));
        self.sources.join(id);
        let mut left: BTreeMap<SourceId, usize> = self.sources.surplus().collect();
        let mut surplus = |id: &SourceId| {
            left.get_mut(id).is_some_and(|left| std::mem::replace(left, left.saturating_sub(1)) > 0)
        };
        self.asked.iter().filter(|(_, asked)| surplus(asked)).map(|(worker, _)| *worker).collect()
    }

    /// Whom the worker asks for its next lease; where the probe's answer is at hand, whom that is of. Whether it is
    /// another one than before.
    pub(super) fn assign(&mut self, worker: WorkerId, probed: bool) -> (Source, bool) {
        let id = if probed { GIVEN } else { self.sources.choose(None, |id| self.share(id)) };
        let before = self.last.insert(worker, id);
        (self.ask(worker, id), before.is_some_and(|before| before != id))
    }

    /// Whom the worker asks after this one failed it: another one, if there is one.
    pub(super) fn take_over(&mut self, worker: WorkerId, failed: SourceId) -> Source {
        let id = self.sources.choose(Some(failed), |id| self.share(id));
        self.last.insert(worker, id);
        self.ask(worker, id)
    }

    /// How many requests others leave it, of that source.
    fn share(&self, id: SourceId) -> usize {
        let place = if id == GIVEN { self.given } else { self.admissions.get(&id) };
        place.map_or(usize::MAX, Admission::share)
    }

    /// How many requests others leave it, of all.
    pub(super) fn room(&self) -> usize {
        self.sources.room(|id| self.share(id))
    }

    /// Tells the hosts how many they have now.
    pub(super) fn note_requests(&self) {
        let places = self.given.iter().map(|place| (GIVEN, *place));
        let places = places.chain(self.admissions.iter().map(|(id, place)| (*id, place)));
        // Who is in has one, be it at work or not.
        places.for_each(|(id, place)| place.note_requests(self.sources.requests(id).max(1)));
    }

    /// Whether nothing but the URL that was given was ever asked.
    pub(super) fn is_alone(&self) -> bool {
        self.fetchers.len() == 1
    }

    fn ask(&mut self, worker: WorkerId, id: SourceId) -> Source {
        self.release(worker);
        self.sources.begin(id);
        self.asked.insert(worker, id);
        Source { id, fetcher: Arc::clone(&self.fetchers[&id]) }
    }

    /// The worker asks nobody any more.
    pub(super) fn release(&mut self, worker: WorkerId) {
        if let Some(id) = self.asked.remove(&worker) {
            self.sources.end(id);
        }
    }

    /// Takes the rates of those at work.
    pub(super) fn observe(&mut self, rate: impl Fn(WorkerId) -> Option<f64>) {
        for id in self.sources.ids() {
            let its = self.asked.iter().filter(|(_, asked)| **asked == id);
            self.sources.observe(id, its.filter_map(|(worker, _)| rate(*worker)).sum());
        }
    }

    /// Segments came from these.
    pub(super) fn land(&mut self, sources: SourceSet) {
        self.sources.ids().filter(|id| sources.has(*id)).for_each(|id| self.sources.land(id));
    }

    /// It lied.
    pub(super) fn drop(&mut self, id: SourceId) {
        self.sources.drop(id);
        self.admissions.remove(&id);
    }

    /// It turned a request away. Whether it serves others.
    pub(super) fn refuse(&mut self, id: SourceId) -> bool {
        self.sources.refuse(id)
    }

    /// The URL that was given is asked no more, where there is a mirror; whether there is.
    pub(super) fn close_given(&mut self) -> bool {
        let other = self.sources.judge_of(GIVEN).is_some();
        if other {
            self.sources.drop(GIVEN);
        }
        other
    }

    pub(super) fn is_given_open(&self) -> bool {
        self.sources.is_open(GIVEN)
    }

    /// Whom to believe about what came from that mirror, and how many requests others leave it there.
    pub(super) fn judge_of(&self, id: SourceId) -> Option<(Arc<Fetcher>, usize)> {
        let judge = self.sources.judge_of(id)?;
        Some((Arc::clone(&self.fetchers[&judge]), self.share(judge)))
    }

    /// All mirrors, those that are not asked any more among them.
    pub(super) fn mirrors(&self) -> impl Iterator<Item = SourceId> + use<> {
        self.sources.ids().filter(|id| *id != GIVEN)
    }

    /// A request to it failed; `for_good` where another would fail as well.
    pub(super) fn fail(&mut self, id: SourceId, for_good: bool) -> Fate {
        let fate = self.sources.fail(id, for_good);
        if fate == Fate::Dropped {
            self.admissions.remove(&id);
        }
        fate
    }
}
