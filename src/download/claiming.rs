//! Takes the lock on the target as soon as its name is known, and finds out whether there is anything to do.

use super::claimed::Claimed;
use super::finish::settle;
use super::hashes_file;
use super::report::{Outcome, Report};
use super::request::{Beside, Existing};
use super::session::Session;
use super::target::Target;
use crate::error::Result;
use crate::http::probe::Probe;
use crate::object::Object;
use crate::store::medium::Entry;

impl Session {
    /// Takes the lock where the name is given, or there is a checkpoint under the name that the URL proposes.
    /// Gives the report where there is nothing to do.
    pub(super) async fn claim_known(&mut self) -> Result<Option<Report>> {
        if let Some(target) = Target::given(&self.request)? {
            return self.claim(target, None).await;
        }
        let guess = Target::proposed(&self.request, None)?;
        match guess.entry(&guess.checkpoint_name())? {
            Some(_) => return self.claim(guess, None).await,
            // A file that is there may be all that is wanted.
            None if self.request.existing == Existing::IfNewer && guess.entry(guess.name())?.is_some() => {
                return self.claim(guess, None).await;
            }
            None if self.request.existing == Existing::Skip => {}
            None if self.request.existing == Existing::Refuse && guess.entry(guess.name())?.is_some() => {}
            None => guess.check_writable()?,
        }
        self.guess = Some(guess);
        Ok(None)
    }

    /// Takes the lock on the name that the server proposes, unless we have it.
    pub(super) async fn claim_proposed(&mut self, probe: &Probe) -> Result<Option<Report>> {
        let guess = self.guess.take().filter(|_| probe.file_name.is_none());
        let proposed = || Target::proposed(&self.request, probe.file_name.as_deref());
        let target = guess.map_or_else(proposed, Ok)?;
        let ours = self.claimed.as_ref().is_some_and(|claimed| claimed.target.path() == target.path());
        // A name that changes in mid-run does not change ours.
        if ours || self.files.is_some() { Ok(None) } else { self.claim(target, Some(&probe.object)).await }
    }

    /// Takes the lock on the target; `found` is the object, where it was looked at already.
    async fn claim(&mut self, target: Target, found: Option<&Object>) -> Result<Option<Report>> {
        let claimed = Claimed::new(target, self.request.ignore_checkpoint)?;
        let finished = claimed.is_finished()?;
        if finished {
            self.finish_earlier(&claimed)?;
        }
        self.look_up(&claimed.target)?;
        let wanted = if finished { Ok(false) } else { claimed.target.is_wanted(self.request.existing) };
        let (wanted, proof) = match wanted {
            Ok(true) if self.request.existing == Existing::Repair => self.look_for_damage(&claimed).await?,
            Ok(wanted) => (wanted, None),
            Err(taken) => (false, Some(self.prove_existing(&claimed.target, found).await?.ok_or(taken)?)),
        };
        if wanted {
            claimed.target.check_writable()?;
        }
        if wanted && self.request.beside == Beside::Hashes {
            hashes_file::expect_free(&claimed.target)?;
        }
        if claimed.unreadable && self.salvage.is_none() {
            self.reporter.note("the checkpoint cannot be read: everything is fetched again");
        }
        let claimed = self.claimed.insert(claimed);
        if wanted {
            let target = claimed.target.clone();
            return self.look_at_kept(&target).await;
        }
        let length = match claimed.target.entry(claimed.target.name())? {
            Some(Entry::File { length, .. }) => length,
            _ => 0,
        };
        Ok(Some(self.report(Outcome::Existed, length, proof)))
    }

    /// The target has its name by an earlier run: what that had still to do.
    fn finish_earlier(&self, claimed: &Claimed) -> Result<()> {
        if let Some((_, left)) = claimed.left.as_ref().filter(|_| self.request.beside == Beside::Hashes) {
            hashes_file::prepare(&claimed.target, left, None)?;
        }
        settle(&self.request, claimed)?;
        Self::tidy_up(&self.reporter, claimed);
        Ok(())
    }
}
