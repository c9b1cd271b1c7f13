//! `remora-recorder run`: windows of a configuration, until stopped.

use super::keygen::SignArgs;
use super::told::{Files, Signals};
use super::{CaptureArgs, CapturePlan};
use anyhow::{Context, bail};
use formats::seal::{Close, EndReason};
use formats::signature::SecretKey;
use formats::store::{Name, RecordingId};
use jiff::Timestamp;
use recorder::capture::OwnConnections;
use recorder::clock::{Clock, SystemClock};
use recorder::control::{Ask, Begin, Chore, Desk, Ending, Listener, SOCKET, Seen};
use recorder::limits;
use recorder::observe::{Door, Token};
use recorder::orders::Orders;
use recorder::pipeline::{self, Settings};
use recorder::ready;
use recorder::schedule::{Config, Recording, Spool as Spooling};
use recorder::spool::Spool;
use recorder::upload::{Bound, Room, Sender};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Record the windows of a configuration, until stopped.
///
/// On SIGINT or SIGTERM recordings are ended and sealed. What is not stored by then stays in the spool and is
/// stored after the next start, as is what a crash left behind. SIGHUP reads the windows anew, and the secret for
/// triggers: windows that are the same go on. SIGUSR1 triggers every window on demand. `remora-recorder ctl` asks it how it is, and starts, stops and
/// triggers windows. Exits with 1 when a recording could not be ended as it should.
#[derive(clap::Args)]
pub struct RunArgs {
    /// The configuration: a YAML file, or a folder of them.
    #[arg(long, short, env = "REMORA_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Name of this node, in the store [default: the configuration's, else the host's name].
    #[arg(long, env = "REMORA_NODE", value_name = "NAME")]
    node: Option<Name>,
    /// How long to go on sealing and storing after being stopped [s].
    #[arg(long, env = "REMORA_GRACE_S", default_value_t = 20, value_name = "SECONDS")]
    grace_s: u64,
    /// Socket to be asked by, for its owner alone [default: control.sock in the spool].
    #[arg(long, env = "REMORA_CONTROL", value_name = "PATH")]
    control: Option<PathBuf>,
    /// File with a secret of 16 characters or more: whoever sends it to --listen triggers a window on demand, by POST
    /// /trigger/NAME [default: nobody can].
    #[arg(long, env = "REMORA_TRIGGER_TOKEN", value_name = "FILE")]
    trigger_token: Option<PathBuf>,
    #[command(flatten)]
    capture: CaptureArgs,
    #[command(flatten)]
    sign: SignArgs,
}

/// What is meant.
pub struct RunPlan {
    config: Config,
    config_path: PathBuf,
    node: Name,
    grace: Duration,
    control: Option<PathBuf>,
    capture: CapturePlan,
    trigger_token: Option<(PathBuf, Token)>,
    signer: Option<SecretKey>,
}

/// How often files are looked for that trigger windows.
const LOOK_FOR_FILES: Duration = Duration::from_millis(500);

/// For so long what still runs may tidy up at the end; a disk that does not answer is not waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// Longest sleep: a clock that was set is noticed after it, before what is due by it counts as late.
const SLEEP_MAX: Duration = Duration::from_secs(1);

impl RunArgs {
    pub fn resolve(self) -> anyhow::Result<RunPlan> {
        let config = Config::read(&self.config)?;
        let node = self.node.or_else(|| config.node.clone()).map_or_else(super::node_name, Ok)?;
        let trigger_token = self.trigger_token.as_ref().or(config.observe.trigger_token.as_ref());
        Ok(RunPlan {
            trigger_token: trigger_token.map(|path| anyhow::Ok((path.clone(), token(path)?))).transpose()?,
            capture: self.capture.resolve(&config.observe),
            config,
            config_path: self.config,
            node,
            grace: Duration::from_secs(self.grace_s),
            control: self.control,
            signer: self.sign.resolve()?,
        })
    }
}

/// The secret in that file.
pub fn token(path: &Path) -> anyhow::Result<Token> {
    Token::read(path).with_context(|| path.display().to_string())
}

/// Runs until stopped.
pub fn run(mut plan: RunPlan) -> anyhow::Result<ExitCode> {
    let Spooling { folder, bytes_max, .. } = &plan.config.spool;
    plan.capture.settle(folder, &plan.config.windows, at_once_max(&plan.config))?;
    // Before what takes long: who is told something then must not be killed by it.
    let runtime = super::runtime()?;
    let signals = Signals::take(&runtime)?;
    let spool =
        Spool::open(folder).with_context(|| format!("spool {}", folder.display()))?.signed_by(plan.signer.take());
    let (asks, asked) = mpsc::channel(1);
    let door = plan.trigger_token.clone().map(|(_, token)| Door { token, asks: asks.clone() });
    if door.is_some() && plan.capture.listen.is_none() {
        bail!("there is a secret for triggers over HTTP, and nobody listens for them: give --listen");
    }
    let _observing = plan.capture.observe(Some((&spool, bytes_max.0)), door)?;
    let left = ready::recover_all(&spool, &EndReason::Crash, Timestamp::now())
        .with_context(|| format!("spool {}", folder.display()))?;
    let ended = runtime.block_on(record_until_stopped(plan, spool, left, (asks, asked), signals));
    runtime.shutdown_timeout(FAREWELL);
    ended
}

/// Most recordings of its windows that are there at once.
fn at_once_max(config: &Config) -> usize {
    config.windows.iter().map(|window| window.runs_at_once_max()).sum()
}

async fn record_until_stopped(
    plan: RunPlan,
    spool: Spool,
    ready::Left { rests, unclosed }: ready::Left,
    (asks, asked): (mpsc::Sender<Ask>, mpsc::Receiver<Ask>),
    signals: Signals,
) -> anyhow::Result<ExitCode> {
    let mut stopped = signals.stopped.clone();
    listen(&plan, asks)?;
    let age_max = plan.config.spool.age_max.map(|period| period.0);
    OwnConnections::of_process().watch();
    let sender = Sender::new(spool.clone()).with_age_max(age_max, Arc::new(SystemClock));
    plan.capture.settings.observer.follow(sender.progress());
    let bound = sender.bound(plan.config.spool.bytes_max.0, plan.config.spool.full);
    let (_stop_sending, stop_sender) = watch::channel(false);
    tokio::spawn(sender.run(stop_sender));
    let is_unclosed = Mutex::new(unclosed > 0);
    let recorder = Recorder { spool: spool.clone(), bound, settings: plan.capture.settings, is_unclosed };
    let desk = Desk::new(&plan.config, plan.node, spool.clone(), rests, SystemClock.now());
    let files = Files { config: plan.config_path, trigger_token: plan.trigger_token };
    let recorded = follow(desk, recorder, files, asked, signals);
    let out_of_time = async {
        // Nobody can tell us to stop any more: then only the work itself ends.
        if stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(plan.grace).await;
    };
    tokio::pin!(out_of_time);
    let at_stop = tokio::select! {
        recorded = recorded => recorded?,
        () = &mut out_of_time => bail!(
            "a recording had not ended {} s after the stop: its disk does not answer, or it has very many rings; the next start \
             recovers it",
            plan.grace.as_secs()
        ),
    };
    tokio::select! {
        () = all_stored(&spool) => {}
        () = out_of_time => tracing::warn!("not everything is stored: the rest stays in the spool for the next start"),
    }
    Ok(if at_stop == Ended::Well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the control socket. Without one recordings are made all the same, unless it was asked for.
fn listen(plan: &RunPlan, asks: mpsc::Sender<Ask>) -> anyhow::Result<()> {
    let path = plan.control.clone().unwrap_or_else(|| plan.config.spool.folder.join(SOCKET));
    match Listener::bind(&path) {
        Ok(listener) => drop(tokio::spawn(listener.serve(asks))),
        Err(error) if plan.control.is_some() => return Err(error.into()),
        Err(error) => tracing::warn!(%error, "nobody can ask this recorder"),
    }
    Ok(())
}

/// What every recording needs.
struct Recorder {
    spool: Spool,
    bound: Bound,
    settings: Settings,
    /// Whether a recording is over and could not be closed; held while that is tried.
    is_unclosed: Mutex<bool>,
}

impl Recorder {
    fn expect(&self, recording: &Recording) {
        self.settings.observer.expect(recording.window.name.as_str(), recording.left(Timestamp::now()));
    }
}

impl Recorder {
    /// What failed recordings left open is sealed and closed now, not at the next start; or, while the disk does not take
    /// even that, within [`limits::CLOSE_AGAIN`], before the next one begins, or at the stop.
    fn close_failed(&self) {
        let mut is_unclosed = self.is_unclosed.lock().unwrap_or_else(PoisonError::into_inner);
        let left = ready::recover_all(&self.spool, &EndReason::Failure, Timestamp::now());
        let left = left.inspect_err(|error| tracing::error!(%error, "spool cannot be read"));
        *is_unclosed = left.map_or(true, |left| left.unclosed > 0);
    }

    /// Whether there is something to close, and nobody is about it.
    fn has_unclosed(&self) -> bool {
        self.is_unclosed.try_lock().is_ok_and(|is_unclosed| *is_unclosed)
    }
}

/// How it was at the stop.
#[derive(PartialEq, Eq)]
enum Ended {
    /// A recording could not be ended as it should.
    Badly,
    /// All could.
    Well,
}

/// Begins runs when their time comes, and does what is asked; returns when stopped and the last has ended.
async fn follow(
    mut desk: Desk,
    recorder: Recorder,
    files: Files,
    mut asks: mpsc::Receiver<Ask>,
    Signals { mut stopped, mut hangup, mut trigger }: Signals,
) -> std::io::Result<Ended> {
    let recorder = Arc::new(recorder);
    let (ended, mut endings) = mpsc::unbounded_channel();
    let mut at_stop = Ended::Well;
    let mut close_again = tokio::time::interval(limits::CLOSE_AGAIN);
    close_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (chores, (read, mut read_anew)) = (do_chores()?, mpsc::unbounded_channel());
    loop {
        // What cannot be handed on any more is not done, and whoever asked for it is told so.
        desk.take_chores().into_iter().for_each(|chore| drop(chores.send(chore)));
        let stopping = *stopped.borrow();
        if stopping {
            desk.end_all();
            if desk.is_idle() {
                close_failed(&recorder).await;
                return Ok(if recorder.has_unclosed() { Ended::Badly } else { at_stop });
            }
        } else {
            for run in desk.begin_due(SystemClock.now()) {
                begin(run, recorder.clone(), ended.clone());
            }
            recorder.settings.observer.expect_only(|window| desk.is_due(window));
            recorder.settings.observer.started();
        }
        for (window, reason) in desk.take_left_out() {
            recorder.settings.observer.left_out(window.as_str(), reason.as_str());
        }
        let next = desk.next().map_or(SLEEP_MAX, |next| {
            Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default().min(SLEEP_MAX)
        });
        let next = if desk.awaits_files() { next.min(LOOK_FOR_FILES) } else { next };
        tokio::select! {
            Some((id, ending)) = endings.recv() => {
                if stopping && ending == Ending::Failed {
                    at_stop = Ended::Badly;
                }
                desk.ended(&id, ending, SystemClock.now());
            }
            Some(ask) = asks.recv(), if !stopping => {
                let observer = &recorder.settings.observer;
                let (spool_bytes, stores, failures) = (observer.spool_bytes(), observer.stores(), observer.failures());
                desk.see(Seen { spool_bytes, stores, failures });
                desk.serve(ask, SystemClock.now());
            }
            Some(()) = trigger.recv(), if !stopping => desk.trigger_all("signal", SystemClock.now()),
            Some(()) = hangup.recv(), if !stopping => {
                let (files, read) = (files.clone(), read.clone());
                chores.send(Box::new(move || drop(read.send(files.read())))).ok();
            }
            Some(config) = read_anew.recv(), if !stopping => {
                if let Some(config) = desk.reload(config, SystemClock.now()) {
                    super::say_memory(&config.windows, at_once_max(&config), recorder.settings.ring_bytes);
                }
            }
            _ = stopped.wait_for(|stopped| *stopped), if !stopping => {}
            _ = close_again.tick(), if !stopping && recorder.has_unclosed() => drop(tokio::spawn(close_failed(&recorder))),
            () = tokio::time::sleep(next), if !stopping => {}
        }
    }
}

/// Does what waits for a disk on a thread of its own, one after the other.
fn do_chores() -> std::io::Result<std::sync::mpsc::Sender<Chore>> {
    let (chores, to_do) = std::sync::mpsc::channel::<Chore>();
    std::thread::Builder::new().name("chores".into()).spawn(move || {
        // A bug in one must not keep the others from being done.
        to_do.into_iter().for_each(|chore| drop(catch_unwind(AssertUnwindSafe(chore))));
    })?;
    Ok(chores)
}

/// Begins one recording, on a thread of its own. From here on it is due, and again as soon as it has failed.
fn begin(run: Begin, recorder: Arc<Recorder>, ended: mpsc::UnboundedSender<(RecordingId, Ending)>) {
    let Begin { recording, orders } = run;
    let id = recording.id.clone();
    let its_end = ended.clone();
    recorder.expect(&recording);
    let thread = std::thread::Builder::new().name("capture".into()).spawn(move || {
        // A bug in one recording must not keep the others from being ended in order.
        let ending =
            catch_unwind(AssertUnwindSafe(|| record(&recording, &orders, &recorder))).unwrap_or(Ending::Failed);
        if ending == Ending::Failed {
            recorder.expect(&recording);
        }
        its_end.send((recording.id, ending)).ok();
    });
    if let Err(error) = thread {
        tracing::error!(recording = %id, %error, "recording could not begin");
        ended.send((id, Ending::Failed)).ok();
    }
}

fn record(recording: &Recording, orders: &Orders, recorder: &Recorder) -> Ending {
    let Recorder { spool, bound, settings, .. } = recorder;
    let id = &recording.id;
    recorder.close_failed();
    // Each try would add a segment to a spool that is full.
    let makes_room_itself = recording.window.pre_trigger.is_some();
    if !makes_room_itself && !matches!(bound.enforce_for(&recording.window), Ok(Room::Left) | Err(_)) {
        tracing::error!(recording = %id, "recording could not begin: the spool, or its share of it, is full");
        return Ending::Failed;
    }
    let recorded = match recording.window.pre_trigger {
        None => {
            tracing::info!(recording = %id, ends = %recording.ends, "recording begins");
            let close = pipeline::record(recording, spool, bound, settings, orders);
            close.map(|close| (close.reason.clone(), Some(close)))
        }
        Some(_) => {
            tracing::info!(window = %id.window, "the past is kept ready");
            ready::keep_ready(recording, spool, bound, settings, orders)
        }
    };
    match recorded {
        Ok((reason, close)) => {
            if let Some(Close { recording: id, counts, .. }) = &close {
                tracing::info!(recording = %id, ?reason, packets = counts.written.packets, dropped = counts.dropped.kernel_packets, "recording ended");
            } else {
                tracing::info!(window = %id.window, ?reason, "the past is no longer kept ready");
            }
            settings.observer.ended(&reason);
            match reason {
                EndReason::Failure | EndReason::SpoolBudget | EndReason::SpoolFull => Ending::Failed,
                // Ready again at once it would take as much again.
                EndReason::CpuBudget if recording.window.pre_trigger.is_some() => Ending::Failed,
                _ => Ending::Over,
            }
        }
        Err(error) => {
            settings.observer.ended(&EndReason::Failure);
            settings.observer.failed(id.window.as_str(), error.to_string());
            tracing::error!(recording = %id, %error, "recording failed");
            recorder.close_failed();
            Ending::Failed
        }
    }
}

/// Closes what is unclosed, on a thread that may wait for the disk.
fn close_failed(recorder: &Arc<Recorder>) -> impl Future<Output = ()> + use<> {
    let recorder = recorder.clone();
    async move {
        if recorder.has_unclosed() {
            tokio::task::spawn_blocking(move || recorder.close_failed()).await.ok();
        }
    }
}

/// Waits until the spool is empty.
async fn all_stored(spool: &Spool) {
    while !spool.unsent().is_ok_and(|recordings| recordings.is_empty()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
