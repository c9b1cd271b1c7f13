//! `remora-recorder run`: windows of a configuration, until stopped.

use super::CaptureArgs;
use super::keygen::SignArgs;
use anyhow::Context;
use formats::seal::EndReason;
use formats::signature::SecretKey;
use formats::store::{Name, RecordingId};
use jiff::Timestamp;
use recorder::pipeline::{self, Settings};
use recorder::recover;
use recorder::schedule::{Agenda, Config, Decision, Recording};
use recorder::spool::Spool;
use recorder::upload::{Bound, Room, Sender};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Record the windows of a configuration, until stopped.
///
/// On SIGINT or SIGTERM recordings are ended and sealed. What is not stored by then stays in the spool and is
/// stored after the next start, as is what a crash left behind.
#[derive(clap::Args)]
pub struct RunArgs {
    /// The configuration (YAML).
    #[arg(long, short, env = "REMORA_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Name of this node, in the store [default: the configuration's, else the host's name].
    #[arg(long, env = "REMORA_NODE", value_name = "NAME")]
    node: Option<Name>,
    /// How long to go on storing after being stopped [s].
    #[arg(long, env = "REMORA_GRACE_S", default_value_t = 20, value_name = "SECONDS")]
    grace_s: u64,
    #[command(flatten)]
    capture: CaptureArgs,
    #[command(flatten)]
    sign: SignArgs,
}

/// What is meant.
pub struct RunPlan {
    config: Config,
    node: Name,
    grace: Duration,
    settings: Settings,
    signer: Option<SecretKey>,
}

/// Longest sleep: a clock that was set is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(30);

impl RunArgs {
    pub fn resolve(self) -> anyhow::Result<RunPlan> {
        let config = super::check::read(&self.config)?;
        let node = self.node.or_else(|| config.node.clone()).map_or_else(super::node_name, Ok)?;
        let (settings, signer) = (self.capture.resolve(), self.sign.resolve()?);
        Ok(RunPlan { config, node, grace: Duration::from_secs(self.grace_s), settings, signer })
    }
}

/// Runs until stopped.
pub fn run(plan: RunPlan) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        let folder = &plan.config.spool.folder;
        let spool = Spool::open(folder).with_context(|| format!("spool {}", folder.display()))?.signed_by(plan.signer);
        recover::recover(&spool, Timestamp::now()).with_context(|| format!("spool {}", folder.display()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = super::stop::on_signal(stop.clone())?;
        let sender = Sender::new(spool.clone());
        let bound = sender.bound(plan.config.spool.bytes_max.0, plan.config.spool.full);
        let (stop_sending, stop_sender) = watch::channel(false);
        let sender = tokio::spawn(sender.run(stop_sender));
        let recorder = Recorder { spool: spool.clone(), bound, settings: plan.settings, stop };
        follow(Agenda::new(&plan.config, plan.node, Timestamp::now()), recorder, stopped).await;
        store_rest(&spool, plan.grace).await;
        stop_sending.send_replace(true);
        sender.await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What every recording needs.
struct Recorder {
    spool: Spool,
    bound: Bound,
    settings: Settings,
    stop: Arc<AtomicBool>,
}

/// Begins runs when their time comes; returns when stopped and the last has ended.
async fn follow(mut agenda: Agenda, recorder: Recorder, mut stopped: watch::Receiver<bool>) {
    let recorder = Arc::new(recorder);
    let (ended, mut endings) = mpsc::unbounded_channel();
    let mut running = 0usize;
    loop {
        let stopping = *stopped.borrow();
        if !stopping {
            for decision in agenda.wake(Timestamp::now()) {
                match decision {
                    Decision::Record(recording) => {
                        running += 1;
                        begin(recording, recorder.clone(), ended.clone());
                    }
                    Decision::Skip { window, start, reason } => {
                        tracing::warn!(%window, %start, ?reason, "run left out")
                    }
                }
            }
        } else if running == 0 {
            return;
        }
        let next = agenda.next().map_or(SLEEP_MAX, |next| {
            Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default().min(SLEEP_MAX)
        });
        tokio::select! {
            Some((id, ending)) = endings.recv() => {
                running -= 1;
                match ending {
                    Ending::Over => agenda.ended(&id),
                    Ending::Failed => agenda.failed(&id, Timestamp::now()),
                }
            }
            _ = stopped.wait_for(|stopped| *stopped), if !stopping => {}
            () = tokio::time::sleep(next), if !stopping => {}
        }
    }
}

/// How a recording ended.
enum Ending {
    /// It could not go on; what is left of its run is worth another try.
    Failed,
    /// As it should.
    Over,
}

/// Begins one recording, on a thread of its own.
fn begin(recording: Recording, recorder: Arc<Recorder>, ended: mpsc::UnboundedSender<(RecordingId, Ending)>) {
    let id = recording.id.clone();
    let its_end = ended.clone();
    let thread = std::thread::Builder::new().name("capture".into()).spawn(move || {
        // A bug in one recording must not keep the others from being ended in order.
        let ending = catch_unwind(AssertUnwindSafe(|| record(&recording, &recorder))).unwrap_or(Ending::Failed);
        its_end.send((recording.id, ending)).ok();
    });
    if let Err(error) = thread {
        tracing::error!(recording = %id, %error, "recording could not begin");
        ended.send((id, Ending::Failed)).ok();
    }
}

fn record(recording: &Recording, recorder: &Recorder) -> Ending {
    let Recorder { spool, bound, settings, stop } = recorder;
    let id = &recording.id;
    // Each try would add a segment to a spool that is full.
    if matches!(bound.enforce(), Ok(Room::Full)) {
        tracing::error!(recording = %id, "recording could not begin: the spool is full");
        return Ending::Failed;
    }
    tracing::info!(recording = %id, ends = %recording.ends, "recording begins");
    match pipeline::record(recording, spool, bound, settings, stop) {
        Ok(close) => {
            let counts = &close.counts;
            tracing::info!(recording = %id, reason = ?close.reason, packets = counts.written.packets, dropped = counts.dropped.kernel_packets, "recording ended");
            match close.reason {
                EndReason::Failure | EndReason::SpoolFull => Ending::Failed,
                _ => Ending::Over,
            }
        }
        Err(error) => {
            tracing::error!(recording = %id, %error, "recording failed");
            // What it left open is sealed and closed now, not at the next start.
            if let Err(error) = recover::recover(spool, Timestamp::now()) {
                tracing::error!(%error, "spool cannot be read");
            }
            Ending::Failed
        }
    }
}

/// Waits until the spool is empty, at most for `grace`.
async fn store_rest(spool: &Spool, grace: Duration) {
    let empty = async {
        while spool.recordings().is_ok_and(|recordings| !recordings.is_empty()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(grace, empty).await.is_err() {
        tracing::warn!("not everything is stored: the rest stays in the spool for the next start");
    }
}
