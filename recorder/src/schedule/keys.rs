//! Every key of a configuration, explained. A test holds them against those that are read.

use std::fmt::Write;

/// What holds where a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// It cannot be left out.
    Required,
    /// The same as with this value.
    Value(&'static str),
    /// Something that no value says.
    Words(&'static str),
}

/// A key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Its name, below those it stands in; `[]` after one that is a list.
    pub path: &'static str,
    /// What kind of value it takes, with its unit.
    pub kind: &'static str,
    pub without: Without,
    /// A value, as YAML.
    pub example: &'static str,
    pub meaning: &'static str,
}

use Without::{Required, Value, Words};

const fn key(
    path: &'static str,
    kind: &'static str,
    without: Without,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, kind, without, example, meaning }
}

const NAME: &str = "name";
const SIZE: &str = "size [bytes]";
const TIME: &str = "length of time";
const WORD: &str = "word";
const PATTERN: &str = "pattern";
const ANY: &str = "any";

pub(super) const KEYS: [Key; 57] = [
    key("cluster", NAME, Required, "prod", "The cluster this node is in; a folder of the store."),
    key("node", NAME, Words("the host's name"), "node-1", "This node; a folder of the store. --node comes before it."),
    key(
        "store",
        "URL or folder",
        Words("each window names one"),
        "s3://captures/prod",
        "Where recordings go: file, s3, gs, az, http or https, or an absolute path. Credentials are in the environment.",
    ),
    key(
        "store_write_only",
        "true or false",
        Value("false"),
        "true",
        "The credentials can only write: uploads are proved by the store's SHA-256 instead of being read back. S3 only. Whether \
         it compares that it is asked once, with a few bytes that it has to refuse; if it does not, its ETags are compared.",
    ),
    key(
        "encrypt_to",
        "list of keys and files",
        Words("segments are stored as they are"),
        "[age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj]",
        "Public keys of age, age1…, or absolute paths of files with one a line: segments are encrypted to them before they are \
         sealed, and only `--identity` reads them. On the node they are plain until they are closed. Seals stay readable.",
    ),
    key(
        "object_lock",
        "compliance or governance, and days",
        Words("the bucket's own rules"),
        "compliance 90d",
        "How long nobody may delete or replace what is stored, counted from then; of governance, nobody without a permission \
         for it. S3 only, into buckets that have object lock.",
    ),
    key("spool.folder", "folder", Value("/var/lib/remora/spool"), "/data/spool", "Where segments wait to be stored."),
    key("spool.bytes_max", SIZE, Value("4GiB"), "64GiB", "Most bytes in the spool."),
    key(
        "spool.age_max",
        TIME,
        Words("they wait as long as it takes"),
        "7d",
        "Segments that wait longer for their store are given up; their seals stay, and the ledger tells. Counted while the \
         recorder runs: after its start all of them wait anew, for the clock may have been set meanwhile.",
    ),
    key(
        "spool.full",
        WORD,
        Value("stop"),
        "drop_oldest",
        "What to do when the spool is full. stop: end the recordings, and keep what is there. drop_oldest: give up the \
         oldest segments; their seals stay, and the ledger tells.",
    ),
    key(
        "observe.listen",
        "address:port",
        Words("nowhere"),
        "127.0.0.1:9477",
        "Where /metrics, /healthz and /readyz are answered. --listen comes before it.",
    ),
    key(
        "observe.stall",
        TIME,
        Words("10s"),
        "30s",
        "A capture that has not turned for that long has stalled: /healthz fails, and the log tells. --stall comes before it.",
    ),
    key(
        "observe.trigger_token",
        "path",
        Words("nobody can trigger over HTTP"),
        "/etc/remora/trigger.token",
        "A file with a secret of 16 characters or more: whoever sends it along triggers a window on demand by POST \
         /trigger/NAME. --trigger-token comes before it.",
    ),
    key("windows", "list", Words("nothing is recorded"), "[]", "What to record, and when."),
    key("windows[].name", NAME, Required, "nightly", "The window; a folder of the store. No two have the same."),
    key(
        "windows[].cron",
        "cron expression",
        Words("at, always or on_demand is given"),
        "'0 2 * * *'",
        "When runs begin: minute, hour, day, month, day of the week; or @hourly, @daily, …",
    ),
    key(
        "windows[].time_zone",
        "IANA name",
        Words("UTC"),
        "Europe/Berlin",
        "The time zone that cron is in. In spring, runs in the hour that is skipped are one, at its end; in autumn those in the hour \
         that comes twice are those of its first time. Where hours are * runs keep their distance instead.",
    ),
    key(
        "windows[].at",
        "RFC 3339 time",
        Words("cron, always or on_demand is given"),
        "2026-11-24T10:00:00+01:00",
        "When the one run begins.",
    ),
    key(
        "windows[].always",
        "true or false",
        Words("cron, at or on_demand is given"),
        "true",
        "Record without end, in runs of `duration`, one after the other.",
    ),
    key(
        "windows[].on_demand",
        "true or false",
        Words("cron, at or always is given"),
        "true",
        "Runs begin when they are told to: by `remora-recorder ctl`, by a signal, or by `trigger_file`.",
    ),
    key(
        "windows[].duration",
        TIME,
        Words("1d with always, else it cannot be left out"),
        "10m",
        "How long a run lasts.",
    ),
    key(
        "windows[].jitter",
        TIME,
        Words("runs begin when they say"),
        "30m",
        "Runs begin up to that much later, each node at a time of its own. With cron and at.",
    ),
    key(
        "windows[].targets",
        "list",
        Words("the host's network namespace"),
        "[host]",
        "Whose packets to record: network namespaces, each by words below, all of which must be so. Patterns are as in a \
         shell: * ? [ ].",
    ),
    key("windows[].targets[].host", "true or false", Words(ANY), "true", "The recorder's own."),
    key(
        "windows[].targets[].proc",
        "true or false",
        Words(ANY),
        "true",
        "All that processes are in, but the recorder's own.",
    ),
    key("windows[].targets[].netns", PATTERN, Words(ANY), "'web-*'", "Those that `ip netns` has such a name for."),
    key("windows[].targets[].pid", "number", Words(ANY), "1234", "The one this process is in."),
    key("windows[].targets[].path", "absolute path", Words(ANY), "/run/netns/web", "The one this file leads into."),
    key("windows[].targets[].container", PATTERN, Words(ANY), "'3f2a*'", "Those of such containers, by id."),
    key("windows[].targets[].pod_uid", PATTERN, Words(ANY), "'1d7c*'", "Those of such pods, by UID."),
    key("windows[].targets[].pod", PATTERN, Words(ANY), "'web-*'", "Those of pods of such a name."),
    key("windows[].targets[].namespace", PATTERN, Words(ANY), "shop", "Those of pods in such a Kubernetes namespace."),
    key("windows[].targets[].workload", PATTERN, Words(ANY), "web", "Those of pods that belong to such a workload."),
    key(
        "windows[].targets[].labels",
        "names with patterns",
        Words(ANY),
        "{app: 'web-*'}",
        "Those of pods with such labels.",
    ),
    key(
        "windows[].targets[].interfaces",
        "list of names",
        Words("as the window says"),
        "[eth0]",
        "Where to listen in there.",
    ),
    key(
        "windows[].exclude",
        "list",
        Words("none"),
        "[{namespace: kube-system}]",
        "Which of those to leave out, in the same words.",
    ),
    key(
        "windows[].interfaces",
        "list of names",
        Words("any, where there are targets; else it cannot be left out"),
        "[eth0, eth1]",
        "Where to listen, also where an interface appears later; any is all there are and will be.",
    ),
    key(
        "windows[].filter",
        "BPF expression",
        Words("everything is kept"),
        "tcp port 80",
        "What to keep, in the language of tcpdump.",
    ),
    key("windows[].snap_length", "1 to 262144 [bytes]", Value("262144"), "256", "Most bytes kept of a packet."),
    key(
        "windows[].rings",
        "1 to 16",
        Value("1"),
        "4",
        "Rings that share each target's packets, flow by flow, and its part of the memory: where many processors would wait \
         for each other to fill one. A packet costs up to a quarter more. Fewer where memory is short.",
    ),
    key("windows[].segment.bytes", SIZE, Value("64MiB"), "16MiB", "A segment is closed at that size, as stored."),
    key(
        "windows[].segment.age",
        TIME,
        Value("10s"),
        "1m",
        "A segment is closed after that time, once there are packets in it.",
    ),
    key(
        "windows[].rate.packets_per_second",
        "number [packets/s]",
        Words("no bound"),
        "50000",
        "Beyond it whole flows are left out, with both directions and all fragments, and counted as sampled; those inside of \
         VLAN, MPLS, PPPoE, GRE, IP in IP, VXLAN, Geneve and GUE one by one. What is not IP is one flow.",
    ),
    key(
        "windows[].budget.bytes",
        SIZE,
        Words("no bound"),
        "1GiB",
        "A run ends before it has more bytes of packets, all its recordings together; up to 60 more are written of each.",
    ),
    key(
        "windows[].budget.packets",
        "number [packets]",
        Words("no bound"),
        "1000000",
        "A run ends after that many packets, in all its recordings together. Those behind them that were seen already are counted as sampled.",
    ),
    key(
        "windows[].budget.cpu",
        "percent [of one processor]",
        Words("no bound"),
        "50%",
        "Half of the flows are left out when a run takes more, measured over ten seconds, and again, down to one of 256; \
         coverage counts them. It ends when that does not help. They come back when two thirds are enough with them.",
    ),
    key(
        "windows[].budget.spool",
        "percent [of spool.bytes_max]",
        Words("no bound"),
        "25%",
        "A run ends when this window's recordings take more of the spool while they wait.",
    ),
    key(
        "windows[].store",
        "URL or folder",
        Words("as for all windows"),
        "/srv/captures",
        "Where this window's recordings go.",
    ),
    key(
        "windows[].store_write_only",
        "true or false",
        Words("as for all windows"),
        "true",
        "The same as above, for this window.",
    ),
    key(
        "windows[].encrypt_to",
        "list of keys and files",
        Words("as for all windows"),
        "[]",
        "The same as above, for this window; an empty list for one that is not encrypted.",
    ),
    key(
        "windows[].object_lock",
        "compliance or governance, and days",
        Words("as for all windows"),
        "none",
        "The same as above, for this window; none for the bucket's own rules.",
    ),
    key(
        "windows[].overlap",
        WORD,
        Value("skip"),
        "allow",
        "What to do when a run begins before the last has ended. skip: leave the new one out. allow: record both. \
         replace: end the old one.",
    ),
    key(
        "windows[].runs_max",
        "1 to 64",
        Words("4 with overlap: allow"),
        "10",
        "With overlap: allow, most runs that go on at once; one more is left out. Each takes the memory of a recording.",
    ),
    key(
        "windows[].missed",
        WORD,
        Value("rest"),
        "skip",
        "What to do with a run that is found going on at the start. rest: record what is left of it. skip: leave it out.",
    ),
    key(
        "windows[].missed_deadline",
        TIME,
        Words("as long as something is left of it"),
        "5m",
        "A run that could not begin for that long is left out; one that had begun goes on. With cron and at.",
    ),
    key(
        "windows[].pre_trigger",
        TIME,
        Words("nothing is kept ready"),
        "5m",
        "How much of the past is kept ready for the trigger. With on_demand.",
    ),
    key(
        "windows[].trigger_file",
        "absolute path",
        Words("no file triggers"),
        "/run/incident",
        "A file that triggers the window when it appears. With on_demand.",
    ),
];

/// All keys in words.
pub fn explain_keys() -> String {
    let mut text = String::from(
        "Sizes: 1500, 64KiB, 64MiB, 2GiB, 1TiB. Lengths of time: 10s, 5m, 1h 30m, 1d. Names: letters, digits, - _ .\n",
    );
    for key in &KEYS {
        let without = match key.without {
            Required => "required".to_owned(),
            Value(value) => format!("default {value}"),
            Words(words) => format!("without it: {words}"),
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}: {}\n    {}, {without}\n    {}\n", key.path, key.example, key.kind, key.meaning);
    }
    text
}

/// A configuration to begin with.
pub const EXAMPLE: &str = "\
# What remora-recorder run --config FILE follows. `remora-recorder config --explain` tells every key.
cluster: prod
store: s3://captures/prod
spool: {folder: /var/lib/remora/spool, bytes_max: 16GiB, full: drop_oldest}
observe: {listen: '127.0.0.1:9477'}
windows:
  - name: nightly
    cron: '0 2 * * *'
    time_zone: Europe/Berlin
    duration: 10m
    interfaces: [any]
  - name: black-box
    always: true
    interfaces: [eth0]
    filter: tcp port 80 or udp port 53
    segment: {bytes: 64MiB, age: 1m}
";

#[cfg(test)]
mod tests;
