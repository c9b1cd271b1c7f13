//! The configuration of a recorder: YAML, every word checked. `files.rs` reads it.

use super::values::{ByteSize, Period};
use super::window::Window;
use formats::hash::Hash256;
use formats::store::Name;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

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
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// Where `/metrics`, `/healthz` and `/readyz` are answered; nowhere unless it is said.
    pub listen: Option<SocketAddr>,
    /// A capture that has not turned for so long has stalled.
    pub stall: Option<Period>,
    /// A file with the secret that lets whoever knows it trigger windows there; nobody can unless it is said.
    pub trigger_token: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::super::error::ConfigError;
    use super::super::values::Percent;
    use super::super::when::When;
    use super::super::window::{ALWAYS_DURATION, Missed, Overlap};
    use super::*;
    use std::num::NonZero;
    use std::time::Duration;

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
    rings: 4
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
observe: {listen: '[::1]:9477', stall: 30s, trigger_token: /etc/remora/trigger.token}
";

    #[test]
    fn a_whole_configuration() {
        let config = Config::from_yaml(WHOLE).unwrap();
        assert_eq!((config.cluster.as_str(), config.spool.full), ("prod", SpoolFull::DropOldest));
        assert_eq!(config.spool.age_max, Some(Period(Duration::from_secs(7 * 24 * 3600))));
        let observe = Observe {
            listen: "[::1]:9477".parse().ok(),
            stall: Some(Period(Duration::from_secs(30))),
            trigger_token: Some("/etc/remora/trigger.token".into()),
        };
        assert_eq!(config.observe, observe);
        assert_eq!(config.sha256, Hash256::of(WHOLE.as_bytes()));
        let [nightly, once, black_box, incident, spread] = &config.windows[..] else { panic!("five windows") };
        assert_eq!((nightly.overlap, nightly.missed, nightly.snap_length), (Overlap::Allow, Missed::Skip, 256));
        assert_eq!((nightly.rings, once.rings), (4, 1));
        assert_eq!((nightly.runs_max, once.runs_max, spread.runs_max), (4, 1, 1));
        assert_eq!((nightly.runs_at_once_max(), spread.runs_at_once_max(), incident.runs_at_once_max()), (5, 2, 1));
        assert_eq!((nightly.budget.packets, nightly.segment.age.0.as_secs()), (NonZero::new(1_000_000), 30));
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
            ("misspelt", "overlap: allow", "overlaps: allow", 17, 5, "unknown field `overlaps`"),
            ("many runs", "overlap: allow", "overlap: allow\n    runs_max: 65", 18, 15, "1 to 64 runs"),
            ("two runs of one", "overlap: allow", "runs_max: 2", 17, 15, "overlap: allow"),
            ("unknown word", "overlap: allow", "overlap: perhaps", 17, 14, "unknown variant `perhaps`"),
            ("cron", "'0 2 * * *'", "'0 25 * * *'", 8, 11, "is no cron expression"),
            ("zone", "Europe/Berlin", "Europe/Atlantis", 9, 16, "Europe/Atlantis"),
            ("duration", "duration: 30s", "duration: 30", 21, 15, "is no length of time"),
            ("no duration", "    duration: 30s\n", "", 19, 11, "needs a duration"),
            ("no ring", "rings: 4", "rings: 0", 14, 12, "1 to 16 rings"),
            ("too many rings", "rings: 4", "rings: 17", 14, 12, "1 to 16 rings"),
            ("half a ring", "rings: 4", "rings: 1.5", 14, 12, ""),
            ("nothing of a packet", "snap_length: 256", "snap_length: 0", 13, 18, "1 to 262144 bytes"),
            ("too much of it", "snap_length: 256", "snap_length: 262145", 13, 18, "1 to 262144 bytes"),
            ("no packets", "packets: 1000000", "packets: 0", 16, 27, "nonzero"),
            ("no bucket", "s3://captures/prod", "s3://", 4, 8, "names no bucket"),
            ("size", "16MiB", "16MB", 15, 22, "is no size"),
            ("twice named", "name: once", "name: nightly", 19, 11, "another window has this name"),
            ("two kinds", "always: true", "always: true\n    cron: '@daily'", 24, 11, "one of cron, at, always"),
            ("no kind", "always: true", "always: false", 24, 11, "one of cron, at, always"),
            ("a path for a name", "name: once", "name: ../once", 19, 11, "cannot be a name"),
            ("interface", "[any]", "[a/b]", 22, 18, "no name of a network interface"),
            ("filter", "tcp port 80", "tcp port http", 12, 13, "\"http\" at byte 9"),
            ("jitter of no begin", "on_demand: true", "on_demand: true\n    jitter: 5m", 30, 13, "cron and at"),
            ("a late on demand", "pre_trigger: 5m", "missed_deadline: 5m", 33, 22, "a begin to miss"),
            ("a trigger of cron", "filter: tcp", "pre_trigger: 5m\n    filter: tcp", 12, 18, "on_demand"),
            ("a file of nowhere", "/run/incident", "incident", 34, 19, "absolute path"),
            ("a share of more", "spool: 25%", "spool: 101%", 32, 31, "101%"),
            ("secret", "s3://captures", "s3://key:secret@captures", 4, 8, "holds no secrets"),
            (
                "write-only folder",
                "store: /srv/captures",
                "store: /srv\n    store_write_only: true",
                19,
                11,
                "needs s3://",
            ),
            (
                "locked folder",
                "store: /srv/captures",
                "store: /srv\n    object_lock: compliance 9d",
                19,
                11,
                "needs s3://",
            ),
            ("lock", "missed: skip", "object_lock: for ever", 18, 18, "is no object lock"),
            (
                "twice said",
                "node: node-1",
                "cluster: test",
                3,
                1,
                "duplicate mapping key `cluster` is not allowed here",
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
            let said = error.to_string();
            assert!(said.starts_with("line ") && !said.contains('\n'), "{case}: {said}");
        }
    }
}
