//! The configuration of a recorder: YAML, every word checked. `files.rs` reads it.

use super::targets::Selector;
use super::values::{ByteSize, Interface, Percent, Period, StoreUrl};
use super::when::When;
use crate::filter::Expression;
use crate::limits;
use formats::hash::Hash256;
use formats::store::Name;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a run of an `always` window lasts unless it says otherwise: a recording can be proved complete
/// only once it is closed.
const ALWAYS_DURATION: Duration = Duration::from_secs(24 * 3600);

/// Most of a packet that is kept unless the window says otherwise; libpcap's own limit.
const SNAP_LENGTH_DEFAULT: u32 = 256 << 10;

/// Why a configuration cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Words that do not go together.
    #[error("line {line} column {column}: {what}")]
    Invalid {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong there.
        what: String,
    },
    /// Nothing names the cluster.
    #[error("nothing names the cluster: write 'cluster: NAME'")]
    NoCluster,
    /// Larger than any configuration.
    #[error(
        "is larger than a configuration may be: all files together have at most {} bytes",
        limits::CONFIG_BYTES_MAX
    )]
    TooLong,
    /// Not YAML, or not our words. The message names line and column.
    #[error(transparent)]
    Yaml(#[from] Box<serde_saphyr::Error>),
}

/// What a recorder is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cluster this node is in.
    pub cluster: Name,
    /// This node; none when the environment is to say it.
    pub node: Option<Name>,
    /// Where segments wait to be uploaded.
    pub spool: Spool,
    /// Who may ask how it goes.
    pub observe: Observe,
    /// What to record, and when.
    pub windows: Vec<Arc<Window>>,
    /// SHA-256 of the file; of a folder that of the lines `sha256sum` prints for its files, in order of names.
    pub sha256: Hash256,
}

/// Where segments wait to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// The folder.
    #[serde(default = "spool_folder")]
    pub folder: PathBuf,
    /// Most bytes in it.
    #[serde(default = "spool_bytes_max")]
    pub bytes_max: ByteSize,
    /// What to do when it is full.
    #[serde(default)]
    pub full: SpoolFull,
    /// How long a segment waits at most; none for as long as it takes.
    pub age_max: Option<Period>,
}

fn spool_folder() -> PathBuf {
    PathBuf::from("/var/lib/remora/spool")
}

fn spool_bytes_max() -> ByteSize {
    ByteSize(4 << 30)
}

impl Default for Spool {
    fn default() -> Self {
        Self { folder: spool_folder(), bytes_max: spool_bytes_max(), full: SpoolFull::default(), age_max: None }
    }
}

/// What to do when the spool is full because the store cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpoolFull {
    /// Give up the oldest segments. Their seals stay, and say what was lost.
    DropOldest,
    /// End the recordings; what is in the spool stays.
    #[default]
    Stop,
}

/// Who may ask how it goes; flags come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// Where `/metrics`, `/healthz` and `/readyz` are answered; nowhere unless it is said.
    pub listen: Option<SocketAddr>,
    /// A capture that has not turned for so long has stalled.
    pub stall: Option<Period>,
}

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
}

/// Where recordings go, and how an upload is proved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoreTarget {
    /// Where to.
    pub url: StoreUrl,
    /// Whether the credentials can only write: uploads are then proved by the store's SHA-256 instead of
    /// being read back.
    pub write_only: bool,
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
    pub packets: Option<u64>,
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
    snap_length: Option<u32>,
    #[serde(default)]
    segment: SegmentLimits,
    #[serde(default)]
    budget: Budget,
    #[serde(default)]
    rate: Rate,
    store: Option<StoreUrl>,
    store_write_only: Option<bool>,
    #[serde(default)]
    overlap: Overlap,
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
}

pub(super) fn invalid<T, R>(place: &Spanned<T>, what: impl ToString) -> Result<R, ConfigError> {
    let (line, column) = (place.referenced.line(), place.referenced.column());
    Err(ConfigError::Invalid { line, column, what: what.to_string() })
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
            snap_length: self.snap_length.unwrap_or(SNAP_LENGTH_DEFAULT).clamp(1, SNAP_LENGTH_DEFAULT),
            segment: self.segment,
            budget: self.budget,
            rate: self.rate,
            store: self.store(defaults)?,
            overlap: self.overlap,
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
        if write_only && !matches!(url.url().scheme(), "s3" | "s3a") {
            let what = "only S3 proves an upload without reading it back: store_write_only needs s3://";
            return invalid(&self.name, what);
        }
        Ok(StoreTarget { url, write_only })
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

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "
cluster: prod
node: node-1
store: s3://captures/prod
spool: {folder: /tmp/spool, bytes_max: 1GiB, full: drop_oldest, age_max: 7d}
windows:
  - name: nightly
    cron: '0 2 * * *'
    time_zone: Europe/Berlin
    duration: 10m
    interfaces: [eth0, eth1]
    filter: tcp port 80
    snap_length: 256
    segment: {bytes: 16MiB, age: 30s}
    budget: {bytes: 1GiB, packets: 1000000}
    overlap: allow
    missed: skip
  - name: once
    at: 2026-11-24T10:00:00+01:00
    duration: 30s
    interfaces: [any]
    store: /srv/captures
  - name: black-box
    always: true
    interfaces: [any]
    store_write_only: true
  - name: incident
    on_demand: true
    duration: 10m
    interfaces: [any]
    budget: {cpu: 50%, spool: 25%}
    pre_trigger: 5m
    trigger_file: /run/incident
  - {name: spread, cron: '@daily', duration: 1h, jitter: 30m, missed_deadline: 5m, overlap: replace, interfaces: [any]}
observe: {listen: '[::1]:9477', stall: 30s}
";

    #[test]
    fn a_whole_configuration() {
        let config = Config::from_yaml(WHOLE).unwrap();
        assert_eq!((config.cluster.as_str(), config.spool.full), ("prod", SpoolFull::DropOldest));
        assert_eq!(config.spool.age_max, Some(Period(Duration::from_secs(7 * 24 * 3600))));
        let observe = Observe { listen: "[::1]:9477".parse().ok(), stall: Some(Period(Duration::from_secs(30))) };
        assert_eq!(config.observe, observe);
        assert_eq!(config.sha256, Hash256::of(WHOLE.as_bytes()));
        let [nightly, once, black_box, incident, spread] = &config.windows[..] else { panic!("five windows") };
        assert_eq!((nightly.overlap, nightly.missed, nightly.snap_length), (Overlap::Allow, Missed::Skip, 256));
        assert_eq!((nightly.budget.packets, nightly.segment.age.0.as_secs()), (Some(1_000_000), 30));
        assert_eq!((nightly.store.url.to_string(), nightly.store.write_only), ("s3://captures/prod".into(), false));
        assert_eq!((once.when.to_string(), once.overlap), ("once, at 2026-11-24T09:00:00Z".into(), Overlap::Skip));
        assert_eq!((once.store.url.to_string(), once.snap_length), ("file:///srv/captures".into(), 262_144));
        assert_eq!((black_box.duration, black_box.store.write_only), (ALWAYS_DURATION, true));
        let minutes = |count: u64| Duration::from_secs(60 * count);
        assert_eq!((incident.when.clone(), incident.pre_trigger), (When::OnDemand, Some(minutes(5))));
        assert_eq!((incident.budget.cpu, incident.budget.spool), (Some(Percent(50)), Some(Percent(25))));
        assert_eq!(incident.trigger_file.as_deref(), Some(std::path::Path::new("/run/incident")));
        assert_eq!(
            (spread.jitter, spread.missed_deadline, spread.overlap),
            (minutes(30), Some(minutes(5)), Overlap::Replace)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (case, from, to, line, column, what) in [
            ("misspelt", "overlap: allow", "overlaps: allow", 16, 5, "unknown field `overlaps`"),
            ("unknown word", "overlap: allow", "overlap: perhaps", 16, 14, "unknown variant `perhaps`"),
            ("cron", "'0 2 * * *'", "'0 25 * * *'", 8, 11, "is no cron expression"),
            ("zone", "Europe/Berlin", "Europe/Atlantis", 9, 16, "Europe/Atlantis"),
            ("duration", "duration: 30s", "duration: 30", 20, 15, "is no length of time"),
            ("no duration", "    duration: 30s\n", "", 18, 11, "needs a duration"),
            ("size", "16MiB", "16MB", 14, 22, "is no size"),
            ("twice named", "name: once", "name: nightly", 18, 11, "another window has this name"),
            ("two kinds", "always: true", "always: true\n    cron: '@daily'", 23, 11, "one of cron, at, always"),
            ("no kind", "always: true", "always: false", 23, 11, "one of cron, at, always"),
            ("a path for a name", "name: once", "name: ../once", 18, 11, "cannot be a name"),
            ("interface", "[any]", "[a/b]", 21, 18, "no name of a network interface"),
            ("filter", "tcp port 80", "tcp port http", 12, 13, "\"http\" at byte 9"),
            ("jitter of no begin", "on_demand: true", "on_demand: true\n    jitter: 5m", 29, 13, "cron and at"),
            ("a late on demand", "pre_trigger: 5m", "missed_deadline: 5m", 32, 22, "a begin to miss"),
            ("a trigger of cron", "filter: tcp", "pre_trigger: 5m\n    filter: tcp", 12, 18, "on_demand"),
            ("a file of nowhere", "/run/incident", "incident", 33, 19, "absolute path"),
            ("a share of more", "spool: 25%", "spool: 101%", 31, 31, "101%"),
            ("secret", "s3://captures", "s3://key:secret@captures", 4, 8, "holds no secrets"),
            (
                "write-only folder",
                "store: /srv/captures",
                "store: /srv\n    store_write_only: true",
                18,
                11,
                "needs s3://",
            ),
            ("no YAML", "[eth0, eth1]", "[eth0, eth1", 11, 0, ""),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            assert_ne!(text, WHOLE, "{case}");
            let error = Config::from_yaml(&text).map(drop).expect_err(case);
            let place = match &error {
                ConfigError::Invalid { line, column, .. } => (*line, *column),
                ConfigError::Yaml(error) => error.location().map(|at| (at.line(), at.column())).unwrap(),
                _ => panic!("{case}: {error}"),
            };
            assert!(error.to_string().contains(what), "{case}: {error}");
            assert!(column == 0 || place == (line, column), "{case}: at {place:?}, {error}");
        }
    }
}
