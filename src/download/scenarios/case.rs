//! One run of a scenario: what is served, what goes wrong, and what haul has to make of it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::dice::Dice;
use super::run::Outcome;
use super::support::{Content, Excess, Fault, Resource, Version, When, date};
use super::world::{SEGMENT, modified};
use crate::download::request::OnChange;
use crate::error::ErrorKind;

/// A way to go wrong: `twist` does it to a case that is well, and says what to expect.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    /// Hazard and name.
    pub(super) name: &'static str,
    pub(super) twist: fn(&mut Case),
}

/// What a run has to end in, beside what the oracle allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A whole version.
    Whole,
    /// A whole version, in ranges to the end.
    Ranged,
    /// A whole version, in one stream.
    Streamed,
    Fails(ErrorKind),
    /// Whatever the oracle allows.
    Either,
}

/// How the versions of the object are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A strong `ETag` and a later date.
    Strong,
    /// A weak `ETag` and the same old date.
    Weak,
    /// A later date.
    Dated,
    /// An earlier date.
    DatedBack,
    /// One date, within a second of the answers' own.
    SameSecond,
    /// Nothing.
    Bare,
}

/// Where the servers of a case are: `here` is asked, `there` is another origin. And what is served first.
pub(super) struct Scene {
    pub(super) here: SocketAddr,
    pub(super) there: Option<SocketAddr>,
    pub(super) version: Version,
}

impl Scene {
    /// A URL of the other origin.
    pub(super) fn url_there(&self, path: &str) -> String {
        format!("http://{}{path}", self.there.expect("there is another origin"))
    }

    /// A resource of the object's first version.
    pub(super) fn object(&self) -> Resource {
        Resource::new(self.version.content).version(self.version.clone())
    }
}

/// A further resource, and whether it is `there`.
pub(super) struct Other {
    pub(super) there: bool,
    pub(super) path: String,
    pub(super) resource: Box<dyn FnOnce(&Scene) -> Resource + Send>,
}

/// Looks closer at what came of it.
pub(super) type Check = Box<dyn Fn(&Outcome) -> Result<(), String> + Send>;

/// A server that is well, until a scenario has been at it.
#[expect(clippy::struct_excessive_bools, reason = "what else may be the case")]
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) dice: Dice,
    pub(super) length: u64,
    pub(super) style: Style,
    /// Whether the versions may be of other lengths.
    pub(super) grows: bool,
    /// When the object becomes another.
    pub(super) flips: Vec<When>,
    /// Some answers bring a tag, whatever the style.
    pub(super) tags: bool,
    /// Encoded bytes are a version, too.
    pub(super) coded: bool,
    /// Other pages that come with 200.
    pub(super) pages: Vec<Content>,
    /// Serves `/f`; its versions come last.
    pub(super) resource: Resource,
    pub(super) others: Vec<Other>,
    pub(super) limit: Option<(usize, Excess)>,
    /// What is asked for: a path `here`, behind this host.
    pub(super) host: &'static str,
    pub(super) path: String,
    pub(super) head: Option<String>,
    pub(super) userinfo: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) jobs: usize,
    pub(super) retries: u32,
    pub(super) timeout: Duration,
    pub(super) on_change: OnChange,
    pub(super) expected: Expected,
    pub(super) most_requests: usize,
    /// The first version's checksum is asked for.
    pub(super) checksum: bool,
    pub(super) checks: Vec<Check>,
    /// What goes wrong is not the server's to count.
    pub(super) struck_anyway: bool,
}

impl Case {
    /// A server that is well, and its seed's choice of the rest.
    pub(super) fn new(mut dice: Dice, seed: u64) -> Self {
        let length = dice.number(2..=5) * SEGMENT + dice.pick(&[0, 1, 4096, 12_345, SEGMENT - 1]);
        let jobs = dice.pick(&[1, 2, 3, 4, 4, 8]);
        Self {
            seed,
            dice,
            length,
            style: Style::Strong,
            grows: false,
            flips: Vec::new(),
            tags: false,
            coded: false,
            pages: Vec::new(),
            resource: Resource::new(Content::new(0, 0)),
            others: Vec::new(),
            limit: None,
            host: "127.0.0.1",
            path: "/f".to_owned(),
            head: None,
            userinfo: "",
            headers: Vec::new(),
            jobs,
            retries: 5,
            timeout: Duration::from_secs(20),
            on_change: OnChange::Restart,
            expected: Expected::Whole,
            most_requests: 100,
            checksum: false,
            checks: Vec::new(),
            struck_anyway: false,
        }
    }

    pub(super) fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// Changes what `/f` is.
    pub(super) fn serve(&mut self, change: impl FnOnce(Resource) -> Resource) {
        self.resource = change(self.resource.clone());
    }

    pub(super) fn fault(&mut self, when: When, fault: Fault) {
        self.serve(|resource| resource.fault(when, fault));
    }

    pub(super) fn other(&mut self, path: &str, resource: impl FnOnce(&Scene) -> Resource + Send + 'static) {
        self.others.push(Other { there: false, path: path.to_owned(), resource: Box::new(resource) });
    }

    pub(super) fn elsewhere(
        &mut self,
        path: &str,
        resource: impl FnOnce(&Scene) -> Resource + Send + 'static,
    ) {
        self.others.push(Other { there: true, path: path.to_owned(), resource: Box::new(resource) });
    }

    pub(super) fn check(&mut self, check: impl Fn(&Outcome) -> Result<(), String> + Send + 'static) {
        self.checks.push(Box::new(check));
    }

    /// Any byte of the object.
    pub(super) fn offset(&mut self) -> u64 {
        let last = self.length.max(1) - 1;
        self.dice.number(0..=last)
    }

    /// One GET, whichever.
    pub(super) fn once(&mut self) -> When {
        if self.dice.chance(50) {
            When::Nth(self.dice.number(0..=5))
        } else {
            When::NthContaining(0, self.offset())
        }
    }

    /// One GET, and not the first.
    pub(super) fn later(&mut self) -> When {
        if self.length <= SEGMENT || self.dice.chance(50) {
            return When::Nth(self.dice.number(1..=5));
        }
        When::NthContaining(0, self.dice.number(SEGMENT..=self.length - 1))
    }

    /// Some GETs, no more than so many in a hundred.
    pub(super) fn sometimes(&mut self, most_percent: u64) -> When {
        // What goes wrong by chance may do so some times in a row.
        self.retries = 30;
        self.most_requests = 300;
        When::Random { seed: self.dice.number(0..=u64::MAX), percent: self.dice.number(5..=most_percent) }
    }

    /// Now and then, or always.
    pub(super) fn whenever(&mut self) -> When {
        match self.dice.number(0..=3) {
            0 => When::Always,
            1 => self.sometimes(50),
            2 => self.later(),
            _ => self.once(),
        }
    }

    /// The object becomes another one, once or more often.
    pub(super) fn flips(&mut self, most: u64) {
        for _ in 0..self.dice.number(1..=most) {
            let later = self.later();
            let half = self.dice.number(1..=self.length.max(1));
            let when = self.dice.pick(&[later, When::AfterBytes(half)]);
            self.flips.push(when);
        }
    }

    pub(super) fn redirected(
        &mut self,
        status: u16,
        location: impl FnOnce(&Scene) -> String + Send + 'static,
    ) {
        let path = format!("/to{}", self.path);
        self.other(&path, move |scene| Resource::redirecting(status, &location(scene)));
        self.path = path;
    }

    /// The contents that are served, in the order of their time.
    pub(super) fn versions(&mut self) -> Vec<Version> {
        let count = self.flips.len() as u64;
        let seed = self.dice.number(0..=15);
        let version = |case: &mut Self, number: u64| {
            let length = if case.grows && number > 0 {
                case.dice.pick(&[1, case.length / 2 + 1, case.length + 1, case.length + SEGMENT])
            } else {
                case.length
            };
            case.style.version(Content::new(seed + 16 * number, length), number)
        };
        (0..=count).map(|number| version(self, number)).collect()
    }
}

impl Style {
    fn version(self, content: Content, number: u64) -> Version {
        let version = Version::new(content);
        let days = Duration::from_secs(86_400 * number);
        match self {
            Self::Strong => version.last_modified(Some(modified() + days)),
            Self::Weak => version.etag(Some(&format!("W/\"{number}\""))).last_modified(Some(modified())),
            Self::Dated => version.etag(None).last_modified(Some(modified() + days)),
            Self::DatedBack => version.etag(None).last_modified(Some(modified() - days)),
            Self::SameSecond => version.etag(None).last_modified(Some(modified())),
            Self::Bare => version.etag(None).last_modified(None),
        }
    }

    /// What the Date of the answers has to be for the style to be what it is.
    pub(super) fn date(self) -> Option<String> {
        (self == Self::SameSecond).then(|| date::format(modified() + Duration::from_secs(1)))
    }
}

/// As Retry-After and Date say it.
pub(super) fn http_date(time: SystemTime) -> String {
    date::format(time)
}
