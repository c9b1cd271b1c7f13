//! A window: as it is written, and what it means.

use super::error::{ConfigError, invalid};
use super::lock::{LockWord, ObjectLock};
use super::targets::Selector;
use super::values::{ByteSize, EncryptTo, Interface, Percent, Period, StoreUrl};
use super::when::When;
use crate::filter::Expression;
use crate::limits;
use formats::age::Recipient;
use formats::hash::Hash256;
use formats::store::Name;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

/// How long a run of an `always` window lasts unless it says otherwise: a recording can be proved complete
/// only once it is closed.
pub(super) const ALWAYS_DURATION: Duration = Duration::from_secs(24 * 3600);

/// The schedule of recordings: when, what, how much, where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its name.
    pub name: Name,
    /// When its runs begin.
    pub when: When,
    /// How long a run lasts.
    pub duration: Duration,
    /// Whose packets to record.
    pub targets: Vec<Selector>,
    /// Whose packets to leave out of those.
    pub exclude: Vec<Selector>,
    /// Where to listen, inside each target.
    pub interfaces: Vec<Interface>,
    /// What to keep, in the language of tcpdump; none for everything.
    pub filter: Option<String>,
    /// Most bytes kept of a packet.
    pub snap_length: u32,
    /// How many rings share the packets of each target.
    pub rings: usize,
    /// When a segment is closed.
    pub segment: SegmentLimits,
    /// When a run is ended early.
    pub budget: Budget,
    /// How much is kept at a time.
    pub rate: Rate,
    /// Where its recordings go.
    pub store: StoreTarget,
    /// What to do when a run begins before the last has ended.
    pub overlap: Overlap,
    /// How many of its runs may go on at once.
    pub runs_max: usize,
    /// What to do with a run whose begin was missed.
    pub missed: Missed,
    /// A run that could not begin for that long is left out; none: as long as something is left of it.
    pub missed_deadline: Option<Duration>,
    /// Runs begin up to that much later, each node at a time of its own.
    pub jitter: Duration,
    /// How much of the past is kept ready for a trigger; none for windows that keep nothing ready.
    pub pre_trigger: Option<Duration>,
    /// A file that triggers the window when it appears.
    pub trigger_file: Option<PathBuf>,
}

impl Window {
    /// How much later than the window says its runs begin on a node: less than [`Window::jitter`], the same every
    /// time, so that runs keep their distance; spread over the nodes, so that they do not all store at once.
    pub fn delay_on(&self, node: &Name) -> SignedDuration {
        let hash = Hash256::of(format!("{}\n{node}", self.name).as_bytes());
        let number = hash.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let most_ms = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        let delay_ms = number.checked_rem(most_ms).unwrap_or(0); // No jitter, no delay.
        SignedDuration::from_millis(i64::try_from(delay_ms).unwrap_or(0))
    }

    /// Most of its runs that are there at once: one more than may go on, for the moment in which one takes the place of
    /// another. What is kept ready is there once.
    pub fn runs_at_once_max(&self) -> usize {
        self.runs_max + usize::from(self.pre_trigger.is_none())
    }
}

/// Where recordings go, how an upload is proved, who can read it, and how long it stays.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoreTarget {
    /// Where to.
    pub url: StoreUrl,
    /// Whether the credentials can only write: uploads are then proved by the store's SHA-256 instead of
    /// being read back.
    pub write_only: bool,
    /// Whose keys what is stored is encrypted to; none where it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encrypt_to: Vec<Recipient>,
    /// How long nobody may delete it; none where the store's own rules say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
}

impl StoreTarget {
    /// The same, if such a store can do what is asked of it.
    ///
    /// # Errors
    /// What only S3 can.
    pub fn checked(self) -> Result<Self, &'static str> {
        match (self.url.is_s3(), self.write_only, self.object_lock) {
            (false, true, _) => Err("only S3 proves an upload without reading it back: write-only needs s3://"),
            (false, _, Some(_)) => Err("only S3 locks an object as it is stored: an object lock needs s3://"),
            _ => Ok(self),
        }
    }
}

/// When a segment is closed: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentLimits {
    /// At that many bytes, as stored.
    #[serde(default = "segment_bytes")]
    pub bytes: ByteSize,
    /// After that time.
    #[serde(default = "segment_age")]
    pub age: Period,
}

fn segment_bytes() -> ByteSize {
    ByteSize(64 << 20)
}

fn segment_age() -> Period {
    Period(Duration::from_secs(10))
}

impl Default for SegmentLimits {
    fn default() -> Self {
        Self { bytes: segment_bytes(), age: segment_age() }
    }
}

/// Most a run may keep; it ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Bytes of packets.
    pub bytes: Option<ByteSize>,
    /// Packets.
    pub packets: Option<NonZero<u64>>,
    /// Share of one processor.
    pub cpu: Option<Percent>,
    /// Share of the spool that the window's recordings take while they wait.
    pub spool: Option<Percent>,
}

/// How much a run keeps at a time. Beyond that whole flows are left out, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Packets in a second.
    pub packets_per_second: Option<NonZero<u64>>,
}

/// What to do when a run begins before the last has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Record both.
    Allow,
    /// End the old one.
    Replace,
    /// Leave the new one out.
    #[default]
    Skip,
}

/// What to do with a run whose begin was missed: the recorder was not running, or the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Record what is left of it.
    #[default]
    Rest,
    /// Leave it out.
    Skip,
}

/// A window as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowFile {
    pub name: Spanned<Name>,
    cron: Option<Spanned<String>>,
    time_zone: Option<Spanned<String>>,
    at: Option<Spanned<Timestamp>>,
    always: Option<Spanned<bool>>,
    on_demand: Option<Spanned<bool>>,
    duration: Option<Period>,
    jitter: Option<Spanned<Period>>,
    targets: Option<Vec<Selector>>,
    #[serde(default)]
    exclude: Vec<Selector>,
    #[serde(default)]
    interfaces: Vec<Interface>,
    filter: Option<Spanned<String>>,
    snap_length: Option<Spanned<u32>>,
    rings: Option<Spanned<usize>>,
    #[serde(default)]
    segment: SegmentLimits,
    #[serde(default)]
    budget: Budget,
    #[serde(default)]
    rate: Rate,
    store: Option<StoreUrl>,
    store_write_only: Option<bool>,
    encrypt_to: Option<EncryptTo>,
    object_lock: Option<LockWord>,
    #[serde(default)]
    overlap: Overlap,
    runs_max: Option<Spanned<usize>>,
    #[serde(default)]
    missed: Missed,
    missed_deadline: Option<Spanned<Period>>,
    pre_trigger: Option<Spanned<Period>>,
    trigger_file: Option<Spanned<PathBuf>>,
}

/// What windows use that say nothing of their own.
pub(super) struct Defaults {
    pub store: Option<StoreUrl>,
    pub store_write_only: bool,
    pub encrypt_to: EncryptTo,
    pub object_lock: LockWord,
}

impl WindowFile {
    /// What the window means.
    pub(super) fn resolve(&self, defaults: &Defaults) -> Result<Window, ConfigError> {
        let when = self.when()?;
        let duration = match (self.duration, &when) {
            (Some(Period(duration)), _) => duration,
            (None, When::Always) => ALWAYS_DURATION,
            (None, _) => return invalid(&self.name, "a window needs a duration, unless it is always"),
        };
        if self.interfaces.is_empty() && self.targets.is_none() {
            return invalid(&self.name, "a window needs an interface ('any' is all of them), or targets");
        }
        let targets = self.targets.clone().unwrap_or_else(|| vec![Selector::host()]);
        if targets.is_empty() {
            return invalid(&self.name, "a window with no targets records nothing: leave the word out for the host's");
        }
        if targets.len() + self.exclude.len() > limits::SELECTORS_MAX {
            return invalid(&self.name, format!("a window has at most {} targets", limits::SELECTORS_MAX));
        }
        self.check_words_of_kinds(&when)?;
        Ok(Window {
            name: self.name.value.clone(),
            when,
            duration,
            targets,
            exclude: self.exclude.clone(),
            interfaces: self.interfaces.clone(),
            filter: self.filter()?,
            snap_length: self.snap_length()?,
            rings: self.rings()?,
            segment: self.segment,
            budget: self.budget,
            rate: self.rate,
            store: self.store(defaults)?,
            overlap: self.overlap,
            runs_max: self.runs_max()?,
            missed: self.missed,
            missed_deadline: self.missed_deadline.as_ref().map(|deadline| deadline.value.0),
            jitter: self.jitter.as_ref().map_or(Duration::ZERO, |jitter| jitter.value.0),
            pre_trigger: self.pre_trigger.as_ref().map(|period| period.value.0),
            trigger_file: self.trigger_file.as_ref().map(|file| file.value.clone()),
        })
    }

    fn store(&self, defaults: &Defaults) -> Result<StoreTarget, ConfigError> {
        let Some(url) = self.store.clone().or_else(|| defaults.store.clone()) else {
            return invalid(&self.name, "neither the window nor the file names a store");
        };
        let write_only = self.store_write_only.unwrap_or(defaults.store_write_only);
        let object_lock = self.object_lock.unwrap_or(defaults.object_lock).0;
        let encrypt_to = self.encrypt_to.clone().unwrap_or_else(|| defaults.encrypt_to.clone()).0;
        let store = StoreTarget { url, write_only, encrypt_to, object_lock };
        store.checked().or_else(|what| invalid(&self.name, what))
    }

    fn filter(&self) -> Result<Option<String>, ConfigError> {
        let Some(filter) = self.filter.as_ref().filter(|filter| !filter.value.trim().is_empty()) else {
            return Ok(None);
        };
        match filter.value.parse::<Expression>() {
            Ok(_) => Ok(Some(filter.value.clone())),
            Err(error) => invalid(filter, error),
        }
    }

    fn snap_length(&self) -> Result<u32, ConfigError> {
        match &self.snap_length {
            None => Ok(limits::SNAP_BYTES_MAX),
            Some(length) if (1..=limits::SNAP_BYTES_MAX).contains(&length.value) => Ok(length.value),
            Some(length) => invalid(length, format!("1 to {} bytes are kept of a packet", limits::SNAP_BYTES_MAX)),
        }
    }

    fn rings(&self) -> Result<usize, ConfigError> {
        match &self.rings {
            None => Ok(1),
            Some(rings) if (1..=limits::RINGS_MAX).contains(&rings.value) => Ok(rings.value),
            Some(rings) => invalid(rings, format!("a target has 1 to {} rings", limits::RINGS_MAX)),
        }
    }

    fn runs_max(&self) -> Result<usize, ConfigError> {
        match (&self.runs_max, self.overlap) {
            (None, Overlap::Allow) => Ok(limits::RUNS_DEFAULT),
            (None, _) => Ok(1),
            (Some(runs), Overlap::Allow) if (1..=limits::RUNS_MAX).contains(&runs.value) => Ok(runs.value),
            (Some(runs), Overlap::Allow) => invalid(runs, format!("1 to {} runs go on at once", limits::RUNS_MAX)),
            (Some(runs), _) => invalid(runs, "only a window with overlap: allow has more runs than one at once"),
        }
    }

    /// Words that mean something for some kinds of windows only.
    fn check_words_of_kinds(&self, when: &When) -> Result<(), ConfigError> {
        let scheduled = matches!(when, When::At(_) | When::Cron { .. });
        let on_demand = matches!(when, When::OnDemand);
        match (&self.jitter, &self.missed_deadline, &self.pre_trigger, &self.trigger_file) {
            (Some(jitter), ..) if !scheduled => invalid(jitter, "only cron and at have a begin to move"),
            (_, Some(deadline), ..) if !scheduled => invalid(deadline, "only cron and at have a begin to miss"),
            (_, _, Some(period), _) if !on_demand => invalid(period, "only a window that is on_demand has a trigger"),
            (.., Some(file)) if !on_demand => invalid(file, "only a window that is on_demand has a trigger"),
            (.., Some(file)) if !file.value.is_absolute() => invalid(file, "a trigger_file is an absolute path"),
            _ => Ok(()),
        }
    }

    fn when(&self) -> Result<When, ConfigError> {
        let zone = match &self.time_zone {
            Some(zone) if self.cron.is_none() => return invalid(zone, "only cron needs a time zone"),
            Some(zone) => match TimeZone::get(&zone.value) {
                Ok(found) => found,
                Err(error) => return invalid(zone, error),
            },
            None => TimeZone::UTC,
        };
        let says = |word: &Option<Spanned<bool>>| word.as_ref().is_some_and(|word| word.value);
        match (&self.cron, &self.at, says(&self.always), says(&self.on_demand)) {
            (Some(cron), None, false, false) => When::cron(&cron.value, zone).or_else(|error| invalid(cron, error)),
            (None, Some(at), false, false) => Ok(When::At(at.value)),
            (None, None, true, false) => Ok(When::Always),
            (None, None, false, true) => Ok(When::OnDemand),
            _ => invalid(&self.name, "a window has one of cron, at, always: true and on_demand: true"),
        }
    }
}
