//! Looks at the object in mid-run, because an answer did not fit: how many in a row, and what comes of one too many. Pure.

use crate::error::ErrorKind;
use crate::http::retry::Fault;

/// The most looks at an object that stays the same and of which nothing comes.
const MOST: u32 = 3;
/// First spans that have to come between looks for them not to be looks in a row.
const PROGRESS: u64 = 8;

/// Looks in a row that brought nothing.
#[derive(Debug, Default)]
pub(super) struct Looks {
    count: u32,
    /// How many bytes were in place at the first of them.
    in_place: u64,
}

/// What to do about an answer that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Look again, after a pause; it is the look of this number. `unpin`: the probe, which has no pin, was answered,
    /// and it may be the pin that the signature of the URL does not cover (H23).
    Again {
        count: u32,
        unpin: bool,
    },
    /// Its nodes differ: ranges are not to be had.
    Stream,
    Stop(ErrorKind),
}

impl Looks {
    /// Judges one more, with so many bytes in place. What a look brings by itself, a first span, is no sign that
    /// ranges can be had: it takes several to begin anew.
    pub(super) fn judge(&mut self, fault: &Fault, in_place: u64, first_span: u64) -> Judgement {
        if self.count == 0 || in_place > self.in_place + PROGRESS * first_span {
            *self = Self { count: 0, in_place };
        }
        self.count += 1;
        match fault {
            _ if self.count <= MOST => {
                let unpin = self.count > 1 && matches!(fault, Fault::Status { code: 403, .. });
                Judgement::Again { count: self.count, unpin }
            }
            Fault::Status { code: 401 | 403 | 404 | 410, .. } => Judgement::Stop(ErrorKind::Refused),
            Fault::Changed(_) | Fault::PreconditionFailed => Judgement::Stream,
            _ => Judgement::Stop(ErrorKind::Network),
        }
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
        Judgement::Again { count, unpin: false }
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
    fn h23_the_pin_is_left_out_after_a_403_that_the_probe_did_not_meet() {
        let mut looks = Looks::default();
        let judged = [(); 4].map(|()| looks.judge(&refused(403), 0, SPAN));
        let unpinned = |count| Judgement::Again { count, unpin: true };
        assert_eq!(judged, [again(1), unpinned(2), unpinned(3), Judgement::Stop(ErrorKind::Refused)]);
    }
}
