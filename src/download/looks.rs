//! Looks at the object in mid-run, because an answer did not fit: how many in a row, and what comes of one too many. Pure.

use crate::error::ErrorKind;
use crate::http::retry::{Fault, LEAST_PROGRESS};

/// The most looks at an object that stays the same and of which nothing comes.
const MOST: u32 = 3;
/// What so many looks bring by themselves has to come between looks for them not to be looks in a row.
const PROGRESS: u64 = 8;

/// Looks in a row that brought nothing.
#[derive(Debug, Default)]
pub(super) struct Looks {
    count: u32,
    /// How many bytes were in place at the first of them.
    in_place: u64,
    /// If-Match is left out of ranged requests: the URL's signature may not cover it (H23).
    unpinned: bool,
}

/// What to do about an answer that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Look again, after a pause; it is the look of this number.
    Again {
        count: u32,
    },
    /// Its nodes differ: ranges are not to be had.
    Stream,
    Stop(ErrorKind),
}

impl Looks {
    /// Judges one more, with so many bytes in place. What a look `brings` by itself is no sign that ranges can be had: it
    /// takes several times as much to begin anew.
    pub(super) fn judge(&mut self, fault: &Fault, in_place: u64, brings: u64) -> Judgement {
        if self.count == 0 || in_place > self.in_place + PROGRESS * brings {
            (self.count, self.in_place) = (0, in_place);
        }
        self.one_more(fault)
    }

    /// Judges one for a URL that is refused, after ranges from there have `brought` so many bytes: it may expire as often
    /// as it likes, if only it is good for something.
    pub(super) fn judge_refusal(&mut self, fault: &Fault, brought: u64) -> Judgement {
        if brought >= LEAST_PROGRESS {
            self.count = 0;
        }
        self.one_more(fault)
    }

    fn one_more(&mut self, fault: &Fault) -> Judgement {
        self.count += 1;
        match fault {
            _ if self.count <= MOST => {
                // The probe, which has no pin, was answered.
                self.unpinned |= self.count > 1 && matches!(fault, Fault::Status { code: 403, .. });
                Judgement::Again { count: self.count }
            }
            _ if fault.may_be_expiry() => Judgement::Stop(ErrorKind::Refused),
            Fault::Changed(_) | Fault::PreconditionFailed => Judgement::Stream,
            _ => Judgement::Stop(ErrorKind::Network),
        }
    }

    /// Whether ranged requests are pinned.
    pub(super) fn pins(&self) -> bool {
        !self.unpinned
    }

    /// Another version is fetched: what was looked at does not count.
    pub(super) fn begin_anew(&mut self) {
        (self.count, self.in_place) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: u64 = 100;

    fn refused(code: u16) -> Fault {
        Fault::Status { code, retry_after: None }
    }

    fn again(count: u32) -> Judgement {
        Judgement::Again { count }
    }

    #[test]
    fn after_three_looks_that_brought_nothing_it_depends_on_what_is_wrong() {
        for (fault, last) in [
            (refused(401), Judgement::Stop(ErrorKind::Refused)),
            (refused(404), Judgement::Stop(ErrorKind::Refused)),
            (refused(410), Judgement::Stop(ErrorKind::Refused)),
            (Fault::Changed("validator"), Judgement::Stream),
            (Fault::PreconditionFailed, Judgement::Stream),
            (Fault::Unsatisfiable { total: None }, Judgement::Stop(ErrorKind::Network)),
        ] {
            let mut looks = Looks::default();
            let judged = [(); 4].map(|()| looks.judge(&fault, 0, SPAN));
            assert_eq!(judged, [again(1), again(2), again(3), last], "{fault}");
        }
    }

    #[test]
    fn only_more_than_looks_bring_by_themselves_begins_anew() {
        let mut looks = Looks::default();
        let fault = Fault::PreconditionFailed;
        assert_eq!(looks.judge(&fault, 50, SPAN), again(1));
        assert_eq!(looks.judge(&fault, 50 + 8 * SPAN, SPAN), again(2));
        assert_eq!(looks.judge(&fault, 50 + 8 * SPAN + 1, SPAN), again(1));
    }

    #[test]
    fn h22_a_url_may_expire_as_often_as_it_likes_if_ranges_came_from_it() {
        let judged = |brought| {
            let mut looks = Looks::default();
            [(); 50].map(|()| looks.judge_refusal(&refused(410), brought))
        };
        assert!(judged(LEAST_PROGRESS).iter().all(|judged| *judged == again(1)));
        assert_eq!(judged(LEAST_PROGRESS - 1)[2..4], [again(3), Judgement::Stop(ErrorKind::Refused)]);
    }

    #[test]
    fn h23_the_pin_is_left_out_after_a_403_that_the_probe_did_not_meet() {
        let mut looks = Looks::default();
        let mut pins = || {
            let judged = looks.judge_refusal(&refused(403), 0);
            (judged, looks.pins())
        };
        assert_eq!([pins(), pins(), pins()], [(again(1), true), (again(2), false), (again(3), false)]);
        assert_eq!(pins().0, Judgement::Stop(ErrorKind::Refused));
        looks.begin_anew();
        assert!(!looks.pins());
    }
}
