//! Which source of an object the next request asks, and which is asked no more. Pure: rates are handed in.
//!
//! The first source is the URL that was given. The others are mirrors: they come when they have proved to have the same
//! object, and go when they fail or lie. A worker asks one source for the whole of a lease, and as leases are measured by a
//! worker's own rate, and taken over from who is slow, sources need not be equally fast for all to end together.

use std::ops::Range;

/// A source, by its place on the command line.
pub(crate) type SourceId = usize;

/// The URL that was given.
pub(crate) const GIVEN: SourceId = 0;
/// So many there can be: which of them a segment came from is a bit each.
pub(crate) const MOST: usize = 8;
/// Failures in a row, without a segment between, that a mirror is forgiven.
const FORGIVEN: u32 = 3;

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceSet(u8);

impl SourceSet {
    pub(crate) fn of(id: SourceId) -> Self {
        Self(1 << id)
    }

    pub(crate) fn add(&mut self, id: SourceId) {
        self.0 |= 1 << id;
    }

    pub(crate) fn has(self, id: SourceId) -> bool {
        self.0 & (1 << id) != 0
    }
}

#[derive(Debug, Default)]
struct Source {
    /// Requests at work.
    requests: usize,
    /// Bytes per second, all requests together; `None` as long as nothing has come.
    rate: Option<f64>,
    /// The most that it served beside one that it turned away.
    most: Option<usize>,
    /// In a row.
    failures: u32,
    /// It has proved itself, and is asked.
    open: bool,
}

/// All that there are.
#[derive(Debug)]
pub(crate) struct Sources(Vec<Source>);

/// What is to become of a source that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Another one takes over what it was asked for, and it is asked again.
    Stays,
    Dropped,
}

impl Sources {
    /// The URL that was given, and so many mirrors that have not proved themselves yet.
    pub(crate) fn new(mirrors: usize) -> Self {
        debug_assert!(mirrors < MOST, "more mirrors than bits");
        let mut sources = Self((0..=mirrors).map(|_| Source::default()).collect());
        sources.join(GIVEN);
        sources
    }

    /// A mirror has proved itself.
    pub(crate) fn join(&mut self, id: SourceId) {
        self.0[id].open = true;
    }

    /// Whom the next request asks: where it would bring the most if what a source does is shared by its requests. While
    /// nothing is known, all alike; `but` is asked only where there is no other, and nobody beyond its `share`.
    pub(crate) fn choose(&self, but: Option<SourceId>, share: impl Fn(SourceId) -> usize) -> SourceId {
        let expected = |source: &Source| source.rate.unwrap_or(f64::MAX) / count(source.requests + 1);
        let has_room = |id: SourceId, source: &Source| {
            source.requests < source.most.map_or(share(id), |most| most.min(share(id)))
        };
        let open = self.0.iter().enumerate();
        let open = open.filter(|(id, source)| source.open && Some(*id) != but && has_room(*id, source));
        // Of equals the first: what was given before what was added.
        let best = open.rev().max_by(|(_, one), (_, other)| {
            (one.failures == 0).cmp(&(other.failures == 0)).then(expected(one).total_cmp(&expected(other)))
        });
        best.map(|(id, _)| id).or(but.filter(|id| self.0[*id].open)).unwrap_or(GIVEN)
    }

    /// How many requests each source has beyond an equal share.
    pub(crate) fn surplus(&self) -> impl Iterator<Item = (SourceId, usize)> {
        let all: usize = self.0.iter().map(|source| source.requests).sum();
        let open = self.0.iter().filter(|source| source.open).count();
        let share = all.div_ceil(open.max(1));
        self.0.iter().enumerate().map(move |(id, source)| (id, source.requests.saturating_sub(share)))
    }

    /// A request is made of it.
    pub(crate) fn begin(&mut self, id: SourceId) {
        self.0[id].requests += 1;
    }

    /// That request is at its end.
    pub(crate) fn end(&mut self, id: SourceId) {
        self.0[id].requests = self.0[id].requests.saturating_sub(1);
    }

    /// What its requests bring together, in bytes per second. What it did before it had none is remembered.
    pub(crate) fn observe(&mut self, id: SourceId, rate: f64) {
        let source = &mut self.0[id];
        if source.requests > 0 && rate > 0.0 {
            source.rate = Some(rate);
        }
    }

    /// A segment came from it.
    pub(crate) fn land(&mut self, id: SourceId) {
        self.0[id].failures = 0;
    }

    /// A request to a mirror failed; `for_good` where another would fail as well.
    pub(crate) fn fail(&mut self, id: SourceId, for_good: bool) -> Fate {
        let source = &mut self.0[id];
        source.failures += 1;
        if id != GIVEN && (for_good || source.failures > FORGIVEN) {
            source.open = false;
            return Fate::Dropped;
        }
        Fate::Stays
    }

    /// It turned a request away, and serves others: it is asked for no more than those. `false` if there are none.
    pub(crate) fn refuse(&mut self, id: SourceId) -> bool {
        let source = &mut self.0[id];
        let others = source.requests.saturating_sub(1);
        source.most = Some(others.max(1));
        others > 0
    }

    /// It is asked no more.
    pub(crate) fn drop(&mut self, id: SourceId) {
        self.0[id].open = false;
    }

    pub(crate) fn is_open(&self, id: SourceId) -> bool {
        self.0[id].open
    }

    /// Whom to believe about what came from that mirror: the URL that was given as long as it is asked, else another one.
    pub(crate) fn judge_of(&self, id: SourceId) -> Option<SourceId> {
        self.ids().find(|other| *other != id && self.is_open(*other))
    }

    /// How many requests there may be of all that are asked, each of which may have its `share`.
    pub(crate) fn room(&self, share: impl Fn(SourceId) -> usize) -> usize {
        let open = self.0.iter().enumerate().filter(|(_, source)| source.open);
        open.fold(0, |room, (id, source)| {
            room.saturating_add(source.most.unwrap_or(usize::MAX).min(share(id)))
        })
    }

    /// How many requests are made of it.
    pub(crate) fn requests(&self, id: SourceId) -> usize {
        self.0[id].requests
    }

    /// All of them, whether they are asked or not.
    pub(crate) fn ids(&self) -> Range<SourceId> {
        GIVEN..self.0.len()
    }
}

fn count(requests: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few requests")]
    let requests = requests as f64;
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody else wants anything.
    fn all(_: SourceId) -> usize {
        usize::MAX
    }

    fn three() -> Sources {
        let mut sources = Sources::new(2);
        assert_eq!(ask(&mut sources, 2), [2, 0, 0], "nobody has proved anything yet");
        (0..2).for_each(|_| sources.end(GIVEN));
        (1..3).for_each(|id| sources.join(id));
        sources
    }

    /// Makes so many requests, and says of how many each source was asked.
    fn ask(sources: &mut Sources, requests: usize) -> Vec<usize> {
        for _ in 0..requests {
            let id = sources.choose(None, all);
            sources.begin(id);
        }
        sources.0.iter().map(|source| source.requests).collect()
    }

    #[test]
    fn while_nothing_is_known_all_are_asked_alike_and_the_given_one_first() {
        assert_eq!(three().choose(None, all), GIVEN);
        assert_eq!(ask(&mut three(), 7), [3, 2, 2]);
    }

    #[test]
    fn who_comes_later_gets_its_share() {
        let mut sources = Sources::new(2);
        ask(&mut sources, 7);
        sources.join(1);
        assert_eq!(sources.surplus().map(|(_, surplus)| surplus).collect::<Vec<_>>(), [3, 0, 0]);
        (0..3).for_each(|_| sources.end(GIVEN));
        assert_eq!(ask(&mut sources, 3), [4, 3, 0]);
        sources.join(2);
        assert_eq!(sources.surplus().map(|(_, surplus)| surplus).collect::<Vec<_>>(), [1, 0, 0]);
    }

    #[test]
    fn requests_go_where_they_bring_the_most() {
        let mut sources = three();
        ask(&mut sources, 3);
        [(0, 8.0), (1, 2.0), (2, 6.0)].into_iter().for_each(|(id, rate)| sources.observe(id, rate));
        assert_eq!(ask(&mut sources, 13), [8, 2, 6], "in proportion to what each does");
    }

    #[test]
    fn what_a_source_did_is_remembered_when_it_has_nothing_to_do() {
        let mut sources = three();
        ask(&mut sources, 3);
        (0..3).for_each(|id| sources.observe(id, 5.0));
        sources.end(1);
        sources.observe(1, 0.0);
        assert_eq!(sources.choose(None, all), 1, "it is the idlest of equals");
        sources.end(1);
        assert_eq!(sources.0[1].requests, 0);
    }

    #[test]
    fn a_mirror_that_fails_in_a_row_is_dropped_and_the_given_one_never() {
        let mut sources = three();
        for _ in 0..FORGIVEN {
            assert_eq!(sources.fail(1, false), Fate::Stays);
        }
        sources.land(1);
        assert_eq!(sources.fail(1, false), Fate::Stays, "something came between");
        assert_eq!(sources.fail(2, true), Fate::Dropped);
        assert!(!sources.0[2].open);
        assert!((0..10).all(|_| sources.fail(GIVEN, true) == Fate::Stays));
        assert_eq!([0, 1, 2].map(|id| sources.judge_of(id)), [Some(1), Some(0), Some(0)]);
        assert!((0..FORGIVEN).any(|_| sources.fail(1, false) == Fate::Dropped));
        assert_eq!((sources.choose(None, all), sources.judge_of(GIVEN)), (GIVEN, None));
    }

    #[test]
    fn where_the_given_one_is_gone_the_mirrors_go_on() {
        let mut sources = three();
        sources.drop(GIVEN);
        assert_eq!(ask(&mut sources, 4), [0, 2, 2]);
        assert_eq!(sources.judge_of(1), Some(2), "and judge each other");
    }

    #[test]
    fn nobody_is_asked_for_more_than_its_share_or_than_it_served() {
        let mut sources = three();
        let share = |id| [4, 2, usize::MAX][id];
        assert_eq!(sources.room(share), usize::MAX);
        (0..6).for_each(|_| sources.begin(2));
        assert!(sources.refuse(2), "it serves five others");
        sources.end(2);
        assert_eq!(sources.room(share), 11);
        for _ in 0..6 {
            let id = sources.choose(None, share);
            sources.begin(id);
        }
        assert_eq!([0, 1, 2].map(|id| sources.requests(id)), [4, 2, 5]);
        assert_eq!(sources.choose(Some(1), share), 1, "there is no other");
        assert_eq!(sources.choose(None, share), GIVEN, "where nobody has room");
        (0..4).for_each(|_| sources.end(2));
        assert!(!sources.refuse(2), "it serves nobody");
        assert_eq!(sources.room(share), 7);
    }

    #[test]
    fn who_failed_is_asked_when_nobody_else_is_there() {
        let mut sources = three();
        assert_ne!(sources.choose(Some(GIVEN), all), GIVEN);
        sources.fail(1, false);
        assert_eq!(sources.choose(Some(GIVEN), all), 2, "who has failed last comes last");
        (1..3).for_each(|id| sources.drop(id));
        assert_eq!(sources.choose(Some(GIVEN), all), GIVEN);
        assert_eq!(Sources::new(0).choose(None, all), GIVEN);
    }
}
