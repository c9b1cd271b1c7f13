//! `remora snapshot`: recordings of a store, listed, fetched, proved.

mod list;
mod report;

use crate::common::{Common, FAILED};
use crate::say;
use crate::snapshot::{self, ProofKeys, Recorded, Selection, Store};
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use formats::said::once;
use formats::signature::PublicKey;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use report::Report;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of a search that found nothing.
const NOTHING: u8 = 1;

/// List, fetch and prove recordings.
///
/// A STORE is a folder, a snapshot, or a URL: s3://bucket/prefix, gs://, az://, file://. Credentials come from the
/// environment (AWS_…, GOOGLE_…, AZURE_…). The exit code is 0 when all is good, 1 when there are no such
/// recordings, 2 when one is broken or could not be read.
#[derive(Args)]
pub struct SnapshotArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show which recordings there are.
    List(Wanted),
    /// Copy recordings into a folder, proving them on the way; started anew, goes on where it ended.
    Download {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        signed: Signed,
        /// Folder of the snapshot.
        #[arg(long, short, env = "REMORA_SNAPSHOT_OUT", value_name = "DIR")]
        out: PathBuf,
    },
    /// Prove that recordings are what was sealed: names the first file that is missing, changed, swapped or
    /// sealed by nobody, and what lies outside of them.
    Verify {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        signed: Signed,
    },
}

#[derive(Args)]
struct Signed {
    /// Prove also that every seal is signed with this key, or with one of these: files of `minisign` or
    /// `remora-recorder keygen`.
    #[arg(long, env = "REMORA_PUBLIC_KEY", value_delimiter = ',', value_name = "FILE")]
    public_key: Vec<PathBuf>,
}

impl Signed {
    fn resolve(self) -> anyhow::Result<Vec<PublicKey>> {
        let read = |path: &PathBuf| -> anyhow::Result<PublicKey> { Ok(std::fs::read_to_string(path)?.parse()?) };
        self.public_key.iter().map(|path| read(path).with_context(|| path.display().to_string())).collect()
    }
}

#[derive(Args)]
struct Wanted {
    /// Stores: folders or URLs.
    #[arg(required = true, value_name = "STORE")]
    stores: Vec<String>,
    /// Only recordings that ended after this time, or have not ended: 2026-11-24, '2026-11-24 10:00' (UTC) or
    /// 2026-11-24T10:00:00+01:00.
    #[arg(long, env = "REMORA_SNAPSHOT_FROM", value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Only recordings that began before this time.
    #[arg(long, env = "REMORA_SNAPSHOT_TO", value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// Only recordings of these nodes, separated by commas.
    #[arg(long, env = "REMORA_SNAPSHOT_NODE", value_delimiter = ',', value_name = "NODE")]
    node: Vec<String>,
    /// Only recordings of these windows, separated by commas.
    #[arg(long, env = "REMORA_SNAPSHOT_WINDOW", value_delimiter = ',', value_name = "WINDOW")]
    window: Vec<String>,
    /// Only recordings of these clusters, separated by commas.
    #[arg(long, env = "REMORA_SNAPSHOT_CLUSTER", value_delimiter = ',', value_name = "CLUSTER")]
    cluster: Vec<String>,
    /// How the answer is written.
    #[arg(long, env = "REMORA_SNAPSHOT_FORMAT", value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    format: Format,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// An array of one object for each recording.
    Json,
    /// For people.
    Table,
}

/// Reads a time with offset, or a date, or a date and a time in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let in_utc =
        |text: &str| text.parse::<jiff::civil::DateTime>()?.to_zoned(TimeZone::UTC).map(|time| time.timestamp());
    let wrong = |_| format!("{text:?} is no time: write 2026-11-24, '2026-11-24 10:00' or 2026-11-24T10:00:00Z");
    text.parse().or_else(|_: jiff::Error| in_utc(text)).map_err(wrong)
}

/// What is meant.
pub struct SnapshotPlan {
    task: Task,
    keys: ProofKeys,
    stores: Vec<Store>,
    selection: Selection,
    format: Format,
    threads: usize,
    quiet: bool,
}

enum Task {
    List,
    Download(PathBuf),
    Verify,
}

impl SnapshotArgs {
    /// Opens the stores.
    pub fn resolve(self, common: &Common) -> anyhow::Result<SnapshotPlan> {
        let (task, wanted, keys) = match self.action {
            Action::List(wanted) => (Task::List, wanted, Vec::new()),
            Action::Download { wanted, signed, out } => (Task::Download(out), wanted, signed.resolve()?),
            Action::Verify { wanted, signed } => (Task::Verify, wanted, signed.resolve()?),
        };
        let (clusters, windows, nodes) = (wanted.cluster, wanted.window, wanted.node);
        Ok(SnapshotPlan {
            task,
            keys: ProofKeys { public: keys, secret: common.keys()? },
            stores: wanted.stores.iter().map(|store| Store::open(store)).collect::<Result<_, _>>()?,
            selection: Selection { from: wanted.from, to: wanted.to, clusters, windows, nodes },
            format: wanted.format,
            threads: common.threads(),
            quiet: common.quiet,
        })
    }
}

/// Does what is meant.
pub fn run(plan: SnapshotPlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(plan.threads).enable_all().build()?;
    runtime.block_on(run_async(plan, out))
}

async fn run_async(plan: SnapshotPlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (mut recordings, mut strangers) = (Vec::new(), Vec::new());
    let mut failed = false;
    for store in &plan.stores {
        // What cannot be read does not keep the others back.
        let listing = snapshot::list(store, &plan.selection).await;
        recordings.extend(listing.recordings);
        strangers.extend(listing.strangers.into_iter().map(|path| (store.shown(), path)));
        for error in listing.failed {
            failed = true;
            say::error(once(anyhow::Error::from(error).chain()));
        }
    }
    if !matches!(plan.task, Task::Verify) {
        for (store, path) in &strangers {
            say::warning(format_args!("{store}/{} is no recording", path.escape_debug()));
        }
    }
    let all_good = match &plan.task {
        Task::List => {
            list::show(&recordings, plan.format, out)?;
            true
        }
        Task::Download(folder) => {
            let bar = bar(&recordings, &plan);
            let mut report = Report::new(&plan, out);
            for recorded in &recordings {
                let done = snapshot::download(recorded, folder, &plan.keys, &bar).await;
                let bytes = done.as_ref().map_or((0, 0), |done| (done.fetched_bytes, done.kept_bytes));
                bar.suspend(|| report.add(recorded, done.map(|done| done.proof), Some(bytes)))?;
            }
            report.finish(&bar)?
        }
        Task::Verify => {
            let bar = bar(&recordings, &plan);
            let mut report = Report::new(&plan, out);
            for recorded in &recordings {
                let proof = snapshot::verify(recorded, &plan.keys, &bar).await;
                bar.suspend(|| report.add(recorded, proof, None))?;
            }
            strangers.iter().try_for_each(|(store, path)| bar.suspend(|| report.add_stranger(store, path)))?;
            report.finish(&bar)?
        }
    };
    Ok(match () {
        () if failed || !all_good => ExitCode::from(FAILED),
        () if recordings.is_empty() => {
            say::done("no recordings there");
            ExitCode::from(NOTHING)
        }
        () => ExitCode::SUCCESS,
    })
}

/// Bytes done of all bytes; hidden by indicatif where standard error is no terminal.
fn bar(recordings: &[Recorded], plan: &SnapshotPlan) -> ProgressBar {
    if plan.quiet {
        return ProgressBar::hidden();
    }
    let template = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let bar = ProgressBar::new(recordings.iter().map(Recorded::bytes).sum());
    ProgressStyle::with_template(template).map_or(bar.clone(), |style| bar.with_style(style))
}
