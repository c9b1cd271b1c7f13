//! `remora-recorder record`: one window, now.

use super::keygen::SignArgs;
use super::{CaptureArgs, CapturePlan, summary};
use anyhow::{Context, bail};
use clap::builder::BoolishValueParser;
use formats::hash::Hash256;
use formats::seal::{Close, EndReason, Volume};
use formats::signature::SecretKey;
use formats::store::{Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use recorder::capture::OwnConnections;
use recorder::orders::Orders;
use recorder::pipeline::{self, RecordError};
use recorder::ready;
use recorder::schedule::{
    Budget, ByteSize, EncryptTo, Interface, Missed, ObjectLock, Observe, Overlap, Period, Rate, Recipients, Recording,
    SegmentLimits, Selector, SpoolFull, StoreTarget, StoreUrl, When, Window,
};
use recorder::spool::Spool;
use recorder::upload::{Bound, Progress, Sender};
use std::io::Write;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// Record one window, now, and store it.
///
/// Ends after --duration, when a budget is spent, or on SIGINT, SIGTERM or SIGHUP (not with nohup); what was recorded is then sealed, summed up on
/// standard output, and stored. What a store does not take stays in the spool for the next start.
#[derive(clap::Args)]
pub struct RecordArgs {
    /// Interface to listen on; may be repeated. 'any' is all there are and will be [default: any, with --target].
    #[arg(
        long,
        short,
        env = "REMORA_INTERFACE",
        required_unless_present = "target",
        value_delimiter = ',',
        value_name = "IF"
    )]
    interface: Vec<Interface>,
    /// Network namespace to record, whenever it is there; may be repeated: host, netns:NAME, pid:N, path:FILE, proc (of
    /// every process), container:ID, pod_uid:UID. Names may have * and ? [default: host].
    #[arg(long, short, env = "REMORA_TARGET", value_delimiter = ',', value_name = "TARGET")]
    target: Vec<Selector>,
    /// Network namespace to leave out of these; may be repeated.
    #[arg(long, env = "REMORA_EXCLUDE", value_delimiter = ',', value_name = "TARGET")]
    exclude: Vec<Selector>,
    /// How long to record, such as 10s, 5m or 1h 30m [default: until stopped].
    #[arg(long, env = "REMORA_DURATION", value_name = "TIME")]
    duration: Option<Period>,
    /// Where to store: a folder, or an URL (file, s3, gs, az, http, https).
    #[arg(long, env = "REMORA_STORE", value_name = "URL")]
    store: String,
    /// The credentials can only write: uploads are proved by the store's SHA-256 (s3 only).
    #[arg(long, env = "REMORA_STORE_WRITE_ONLY", value_parser = BoolishValueParser::new())]
    store_write_only: bool,
    /// Public key of age (age1…), or a file with one a line: what is stored only its owner can read; may be repeated
    /// [default: not encrypted].
    #[arg(long, env = "REMORA_ENCRYPT_TO", value_delimiter = ',', value_name = "KEY", value_parser = recipients)]
    encrypt_to: Vec<Recipients>,
    /// How long nobody may delete what is stored, such as 'compliance 90d' or 'governance 30d' (s3 only)
    /// [default: the bucket's own rules].
    #[arg(long, env = "REMORA_OBJECT_LOCK", value_name = "LOCK")]
    object_lock: Option<ObjectLock>,
    /// Folder where segments wait to be stored.
    #[arg(long, env = "REMORA_SPOOL", default_value = "/var/lib/remora/spool", value_name = "DIR")]
    spool: PathBuf,
    /// Most bytes in the spool; the recording ends when they are reached.
    #[arg(long, env = "REMORA_SPOOL_BYTES", default_value = "4GiB", value_name = "SIZE")]
    spool_bytes: ByteSize,
    /// What to keep, in the language of tcpdump, such as 'tcp port 80' [default: everything].
    #[arg(long, short, env = "REMORA_FILTER", value_name = "BPF")]
    filter: Option<String>,
    /// Most bytes kept of a packet.
    #[arg(long, short, env = "REMORA_SNAPLEN", default_value_t = recorder::limits::SNAP_BYTES_MAX, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(recorder::limits::SNAP_BYTES_MAX)))]
    snaplen: u32,
    /// Rings that share the packets of each target, flow by flow: where many processors would wait for each other to fill one.
    #[arg(long, env = "REMORA_RINGS", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u8).range(1..=recorder::limits::RINGS_MAX as i64))]
    rings: u8,
    /// A segment is closed at that size, as stored.
    #[arg(long, env = "REMORA_SEGMENT_BYTES", default_value = "64MiB", value_name = "SIZE")]
    segment_bytes: ByteSize,
    /// A segment is closed after that time, once there are packets in it.
    #[arg(long, env = "REMORA_SEGMENT_AGE", default_value = "10s", value_name = "TIME")]
    segment_age: Period,
    /// End after that many packets [default: no bound].
    #[arg(long, env = "REMORA_PACKETS_MAX", value_name = "N")]
    packets_max: Option<NonZero<u64>>,
    /// End before there are more bytes of packets [default: no bound].
    #[arg(long, env = "REMORA_BYTES_MAX", value_name = "SIZE")]
    bytes_max: Option<ByteSize>,
    /// Leave out whole flows, so that about that many packets are kept in a second [default: no bound].
    #[arg(long, env = "REMORA_RATE_MAX", value_name = "PACKETS")]
    rate_max: Option<NonZero<u64>>,
    /// Name of the window, in the store.
    #[arg(long, env = "REMORA_WINDOW", default_value = "manual", value_name = "NAME")]
    window: Name,
    /// Name of this node, in the store [default: the host's name].
    #[arg(long, env = "REMORA_NODE", value_name = "NAME")]
    node: Option<Name>,
    /// Name of the cluster, in the store.
    #[arg(long, env = "REMORA_CLUSTER", default_value = "local", value_name = "NAME")]
    cluster: Name,
    /// How long to go on after its end with a store that fails [s].
    #[arg(long, env = "REMORA_GRACE_S", default_value_t = 20, value_name = "SECONDS")]
    grace_s: u64,
    #[command(flatten)]
    capture: CaptureArgs,
    #[command(flatten)]
    sign: SignArgs,
}

/// What is meant.
pub struct RecordPlan {
    recording: Recording,
    grace: Duration,
    spool: PathBuf,
    spool_bytes_max: u64,
    capture: CapturePlan,
    signer: Option<SecretKey>,
}

/// As long as "until stopped" lasts.
const UNTIL_STOPPED: Duration = Duration::from_secs(366 * 24 * 3600);

/// How often it is looked whether all is stored.
const LOOK: Duration = Duration::from_millis(100);

/// For so long what is being stored may tidy up at the end.
const FAREWELL: Duration = Duration::from_secs(1);

impl RecordArgs {
    pub fn resolve(self) -> anyhow::Result<RecordPlan> {
        // A filter that is none is named before anything is made.
        let filter = self.filter.filter(|filter| !filter.trim().is_empty());
        if let Some(filter) = &filter {
            filter.parse::<recorder::filter::Expression>().context("--filter")?;
        }
        let now = Timestamp::now();
        let duration = self.duration.map_or(UNTIL_STOPPED, |period| period.0);
        let node = self.node.map_or_else(super::node_name, Ok)?;
        let url = if self.store.contains("://") || self.store.starts_with("file:") {
            self.store
        } else {
            std::path::absolute(&self.store)?.to_string_lossy().into_owned()
        };
        let url: StoreUrl = url.parse().map_err(anyhow::Error::msg).context("--store")?;
        let encrypt_to = EncryptTo::try_from(self.encrypt_to).map_err(anyhow::Error::msg).context("--encrypt-to")?;
        let (write_only, object_lock) = (self.store_write_only, self.object_lock);
        let store = StoreTarget { url, write_only, encrypt_to: encrypt_to.0, object_lock };
        let store = store.checked().map_err(anyhow::Error::msg).context("--store")?;
        let window = Window {
            name: self.window.clone(),
            when: When::At(now),
            duration,
            targets: if self.target.is_empty() { vec![Selector::host()] } else { self.target },
            exclude: self.exclude,
            interfaces: self.interface,
            filter,
            snap_length: self.snaplen,
            rings: self.rings.into(),
            segment: SegmentLimits { bytes: self.segment_bytes, age: self.segment_age },
            budget: Budget { bytes: self.bytes_max, packets: self.packets_max, ..Budget::default() },
            rate: Rate { packets_per_second: self.rate_max },
            store,
            overlap: Overlap::Skip,
            runs_max: 1,
            missed: Missed::Rest,
            missed_deadline: None,
            jitter: Duration::ZERO,
            pre_trigger: None,
            trigger_file: None,
        };
        Ok(RecordPlan {
            recording: Recording {
                id: RecordingId { cluster: self.cluster, window: self.window, start: now.into(), node },
                ends: now.checked_add(SignedDuration::try_from(duration)?)?,
                configuration_sha256: Hash256::of(settings(&window).as_bytes()),
                window: Arc::new(window),
                spent: Volume::default(),
            },
            grace: Duration::from_secs(self.grace_s),
            spool: self.spool,
            spool_bytes_max: self.spool_bytes.0,
            capture: self.capture.resolve(&Observe::default()),
            signer: self.sign.resolve()?,
        })
    }
}

/// What its seals have the hash of: all that the recording was told but when, as one line of JSON.
fn settings(window: &Window) -> String {
    fn texts<T: ToString>(values: &[T]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }
    let Window { targets, exclude, interfaces, segment, budget, store, .. } = window;
    // In the order of their names, as some do print them and others do not.
    let settings = serde_json::json!({
        "bytes_max": budget.bytes.map(|bytes| bytes.0),
        "duration_ms": window.duration.as_millis() as u64,
        "encrypt_to": texts(&store.encrypt_to),
        "exclude": texts(exclude),
        "filter": window.filter,
        "interfaces": interfaces.iter().map(Interface::as_str).collect::<Vec<_>>(),
        "object_lock": store.object_lock.map(|lock| lock.to_string()),
        "packets_max": budget.packets,
        "rate_max": window.rate.packets_per_second,
        "rings": window.rings,
        "segment_age_ms": segment.age.0.as_millis() as u64,
        "segment_bytes": segment.bytes.0,
        "snaplen": window.snap_length,
        "store": store.url.to_string(),
        "store_write_only": store.write_only,
        "targets": texts(targets),
    });
    settings.to_string()
}

/// A key, or a file of keys below the current folder or anywhere.
fn recipients(text: &str) -> Result<Recipients, String> {
    let is_key = text.to_ascii_lowercase().starts_with("age");
    match std::path::absolute(text).ok().filter(|path| !is_key || path.exists()) {
        Some(path) => path.to_string_lossy().parse(),
        None => text.parse(),
    }
}

/// Records, sums up, and stores.
pub fn run(mut plan: RecordPlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    plan.capture.settle(&plan.spool, std::slice::from_ref(&plan.recording.window), 1)?;
    let (settings, sha256) = (settings(&plan.recording.window), plan.recording.configuration_sha256);
    tracing::info!(configuration = %settings, configuration_sha256 = %sha256, "recording as it was told");
    let spool = Spool::open(&plan.spool).with_context(|| format!("spool {}", plan.spool.display()))?;
    let spool = spool.signed_by(plan.signer.take());
    spool.starts().take(&mut plan.recording.id);
    // Nobody else asks how full the spool is.
    let asked = plan.capture.listen.map(|_| (&spool, plan.spool_bytes_max));
    let _observing = plan.capture.observe(asked, None)?;
    let (runtime, orders) = (super::runtime()?, Arc::new(Orders::default()));
    let mut stopped = {
        let (_inside, to_end) = (runtime.enter(), orders.clone());
        super::stop::on_signal(super::stop::hangup(), move || to_end.end(EndReason::Stopped))?
    };
    ready::recover_all(&spool, &EndReason::Crash, Timestamp::now())
        .with_context(|| format!("spool {}", plan.spool.display()))?;
    let stored = runtime.block_on(async {
        OwnConnections::of_process().watch();
        let sender = Sender::new(spool.clone());
        let progress = sender.progress();
        let bound = sender.bound(plan.spool_bytes_max, SpoolFull::Stop);
        plan.capture.settings.observer.follow(sender.progress());
        let (_stop_sending, stop_sender) = watch::channel(false);
        tokio::spawn(sender.run(stop_sender));
        let Recorded { close, failed } = record(&plan, &spool, bound, &orders).await?;
        match &close {
            Some(close) => summary::closed(close, out)?,
            None => summary::unclosed(&orders, out)?,
        }
        // What a recording that failed has sealed is stored all the same.
        let stored = until_stored(&plan, &spool, &progress, &mut stopped).await;
        failed.map_or(stored, |error| Err(error.into()))
    });
    runtime.shutdown_timeout(FAREWELL);
    stored?;
    let store = plan.recording.window.store.url.to_string();
    writeln!(out, "stored in  {}/{}", store.trim_end_matches('/'), plan.recording.id)?;
    Ok(ExitCode::SUCCESS)
}

/// What became of it.
struct Recorded {
    /// None where it could not be closed.
    close: Option<Close>,
    /// Why it ended before its time.
    failed: Option<RecordError>,
}

/// Records.
async fn record(plan: &RecordPlan, spool: &Spool, bound: Bound, orders: &Arc<Orders>) -> anyhow::Result<Recorded> {
    let observer = &plan.capture.settings.observer;
    observer.expect(plan.recording.window.name.as_str(), plan.recording.left(Timestamp::now()));
    observer.started();
    let (recording, settings, its_spool) = (plan.recording.clone(), plan.capture.settings.clone(), spool.clone());
    let (its_orders, thread) = (orders.clone(), std::thread::Builder::new().name("capture".into()));
    let (tell, done) = oneshot::channel();
    let thread = thread.spawn(move || {
        let close = pipeline::record(&recording, &its_spool, &bound, &settings, &its_orders);
        tell.send(()).ok();
        close
    })?;
    // An error: it panicked, which is told below.
    done.await.ok();
    let (close, failed) = match thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
        Ok(close) => (Some(close), None),
        // It had not begun: nothing is left of it.
        Err(error) if matches!(spool.is_begun(&plan.recording.id), Ok(false)) => return Err(error.into()),
        Err(error) => (close_failed(spool, &plan.recording.id), Some(error)),
    };
    observer.ended(close.as_ref().map_or(&EndReason::Failure, |close| &close.reason));
    Ok(Recorded { close, failed })
}

/// Waits until it is stored.
///
/// # Errors
/// When its store has failed since the recording ended, and for longer than the grace; or when told to stop. A store that
/// is slow is waited for.
async fn until_stored(
    plan: &RecordPlan,
    spool: &Spool,
    progress: &watch::Receiver<Progress>,
    stopped: &mut watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let RecordPlan { recording: Recording { id, window, .. }, grace, .. } = plan;
    let (ended, failures) = (Instant::now(), progress.borrow().failures);
    // What ended it does not keep it from being stored.
    stopped.mark_unchanged();
    loop {
        if spool.unsent().is_ok_and(|unsent| !unsent.contains(id)) {
            return Ok(());
        }
        let failing = {
            let progress = progress.borrow();
            let failing = progress.stores.get(&Some(window.store.clone())).cloned().flatten();
            failing.map(|failing| (failing.why, progress.failures > failures))
        };
        let is_over = ended.elapsed() > *grace && matches!(&failing, Some((_, true)));
        if is_over || stopped.has_changed().unwrap_or(false) {
            let why = failing.map_or_else(|| "it was not waited for".to_owned(), |(why, _)| why);
            bail!("not stored yet, and left in {} for the next start: {why}", spool.folder(id).display());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What could not be sealed may be now: a disk that is full has room again, or what is smaller has.
fn close_failed(spool: &Spool, id: &RecordingId) -> Option<Close> {
    if let Err(error) = ready::recover_all(spool, &EndReason::Failure, Timestamp::now()) {
        tracing::error!(%error, "spool cannot be read");
    }
    spool.close(id).ok().flatten()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RecordArgs,
    }

    #[test]
    fn the_hash_of_a_configuration_is_of_all_it_says_but_the_time() {
        let resolved = |line: &str| Line::parse_from(line.split(' ')).args.resolve().unwrap().recording;
        let line = "record -i eth0 --store s3://a/b --node n --duration 1m --target netns:x --packets-max 7";
        let [first, second] = [(); 2].map(|()| resolved(line));
        assert_eq!(first.configuration_sha256, second.configuration_sha256);
        let expected = r#"{"bytes_max":null,"duration_ms":60000,"encrypt_to":[],"exclude":[],"filter":null,"interfaces":["eth0"],"object_lock":null,"packets_max":7,"rate_max":null,"rings":1,"segment_age_ms":10000,"segment_bytes":67108864,"snaplen":262144,"store":"s3://a/b","store_write_only":false,"targets":["netns:x"]}"#;
        assert_eq!(settings(&first.window), expected);
        assert_eq!(first.configuration_sha256, Hash256::of(expected.as_bytes()));
        let other = resolved(&format!("{line} --filter ip"));
        assert_ne!(first.configuration_sha256, other.configuration_sha256);
    }
}
