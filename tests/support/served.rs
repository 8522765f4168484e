//! A resource in service: counts its requests and decides what each of them meets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::content::Pattern;
use super::fault::{Fault, Moment, When};
use super::pace::Pace;
use super::request::Request;
use super::resource::{Resource, Version};

/// A resource with its counters, shared by the connections.
#[derive(Debug)]
pub struct Served {
    resource: Resource,
    /// One for each version, made when it is first sent.
    patterns: Vec<OnceLock<Pattern>>,
    state: Mutex<State>,
    sent: AtomicU64,
    /// The bucket of [`Resource::shared_rate`].
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct State {
    gets: u64,
    /// 0 is the first version, i + 1 is `later[i]`.
    version: usize,
    version_hits: Vec<u64>,
    fault_hits: Vec<u64>,
    struck: u64,
}

/// What one request meets.
#[derive(Debug)]
pub struct Turn<'a> {
    /// How many GETs came before.
    pub number: u64,
    /// The inclusive range asked for.
    pub range: Option<(u64, u64)>,
    /// The rest of the description.
    pub resource: &'a Resource,
    /// The object at this moment.
    pub version: &'a Version,
    /// What goes wrong.
    pub fault: Option<&'a Fault>,
    served: &'a Served,
    index: usize,
}

impl Served {
    /// Puts a resource into service.
    pub fn new(resource: Resource) -> Self {
        let state = State {
            gets: 0,
            version: 0,
            version_hits: vec![0; resource.later.len()],
            fault_hits: vec![0; resource.faults.len()],
            struck: 0,
        };
        Self {
            patterns: (0..=resource.later.len()).map(|_| OnceLock::new()).collect(),
            state: Mutex::new(state),
            sent: AtomicU64::new(0),
            pace: Mutex::new(Pace::new(Instant::now())),
            resource,
        }
    }

    /// Counts a GET and says what it meets; other methods see the object but count nothing.
    pub fn turn(&self, request: &Request) -> Turn<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let range = request.range().map(|range| range.asked(self.version(state.version).content.len));
        let moment = Moment { number: state.gets, range, sent: self.sent.load(Ordering::Relaxed) };
        let fault = if request.method == "GET" { state.count(&self.resource, moment) } else { None };
        let index = if fault == Some(&Fault::Stale) { 0 } else { state.version };
        Turn {
            number: moment.number,
            range,
            resource: &self.resource,
            version: self.version(index),
            fault,
            served: self,
            index,
        }
    }

    /// How many GETs met a fault, or were the first to meet another version.
    pub fn struck(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).struck
    }

    /// Counts body bytes, before they are written.
    pub fn count(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back what the socket did not take.
    pub fn uncount(&self, bytes: u64) {
        self.sent.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The resource as it was described.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The bucket over all connections to this resource.
    pub fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self, index: usize) -> &Version {
        match index.checked_sub(1) {
            None => &self.resource.version,
            Some(later) => &self.resource.later[later].1,
        }
    }
}

impl State {
    fn count<'a>(&mut self, resource: &'a Resource, moment: Moment) -> Option<&'a Fault> {
        self.gets += 1;
        let before = self.version;
        let versions = resource.later.iter().map(|(when, _)| *when);
        if let Some(last) = matching(versions, &mut self.version_hits, moment).last() {
            self.version = self.version.max(last + 1);
        }
        let faults = resource.faults.iter().map(|(when, _)| *when);
        let first = matching(faults, &mut self.fault_hits, moment).first().copied();
        self.struck += u64::from(first.is_some() || self.version != before);
        first.map(|index| &resource.faults[index].1)
    }
}

/// The rules that match; all of them are asked, since they count.
fn matching(rules: impl Iterator<Item = When>, hits: &mut [u64], moment: Moment) -> Vec<usize> {
    let numbered = rules.zip(hits).enumerate();
    let matched = numbered.filter_map(|(index, (when, hits))| when.matches(moment, hits).then_some(index));
    matched.collect()
}

impl Turn<'_> {
    /// The bytes to send: of the version, or wrong ones.
    pub fn pattern(&self) -> Pattern {
        let content = self.version.content;
        if matches!(self.fault, Some(Fault::WrongBytes | Fault::Coded(_))) {
            return Pattern::new(content.other());
        }
        self.served.patterns[self.index].get_or_init(|| Pattern::new(content)).clone()
    }
}
