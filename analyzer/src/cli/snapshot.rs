//! `remora snapshot`: recordings of a store, listed, fetched, proved.

use crate::common::{Common, FAILED};
use crate::say;
use crate::snapshot::{self, Listing, ProofKeys, Recorded, Selection, SnapshotError, Store};
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use formats::chain::{Fault, Sound};
use formats::said::once;
use formats::seal::{Counts, EndReason};
use formats::signature::PublicKey;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
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
        #[arg(long, short, env = "REMORA_OUT", value_name = "DIR")]
        out: PathBuf,
    },
    /// Prove that recordings are what was sealed: names the first file that is missing, changed, swapped or
    /// sealed by nobody.
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
    #[arg(long, env = "REMORA_FROM", value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Only recordings that began before this time.
    #[arg(long, env = "REMORA_TO", value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// Only recordings of these nodes, separated by commas.
    #[arg(long, env = "REMORA_NODE", value_delimiter = ',', value_name = "NODE")]
    node: Vec<String>,
    /// Only recordings of these windows, separated by commas.
    #[arg(long, env = "REMORA_WINDOW", value_delimiter = ',', value_name = "WINDOW")]
    window: Vec<String>,
    /// Only recordings of these clusters, separated by commas.
    #[arg(long, env = "REMORA_CLUSTER", value_delimiter = ',', value_name = "CLUSTER")]
    cluster: Vec<String>,
    /// How the answer is written.
    #[arg(long, env = "REMORA_FORMAT", value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
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
    let mut recordings = Vec::new();
    let mut failed = false;
    for store in &plan.stores {
        // One store that cannot be read does not keep the others back.
        match snapshot::list(store, &plan.selection).await {
            Ok(Listing { recordings: found, strangers }) => {
                recordings.extend(found);
                for stranger in strangers {
                    say::warning(format_args!("{}/{stranger} is no recording", store.shown()));
                }
            }
            Err(error) => {
                failed = true;
                say::error(once(anyhow::Error::from(error).chain()));
            }
        }
    }
    let all_good = match &plan.task {
        Task::List => {
            show_list(&recordings, plan.format, out)?;
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

/// What is said of each recording, as soon as it is known.
struct Report<'a, W: Write> {
    format: Format,
    /// Whether signatures were proved.
    signed: bool,
    out: &'a mut W,
    values: Vec<Value>,
    all_good: bool,
}

impl<'a, W: Write> Report<'a, W> {
    fn new(plan: &SnapshotPlan, out: &'a mut W) -> Self {
        let signed = !plan.keys.public.is_empty();
        Self { format: plan.format, signed, out, values: Vec::new(), all_good: true }
    }

    fn add(
        &mut self,
        recorded: &Recorded,
        proof: Result<Result<Sound, Fault>, SnapshotError>,
        downloaded: Option<(u64, u64)>,
    ) -> anyhow::Result<()> {
        self.all_good &= matches!(proof, Ok(Ok(_)));
        let (state, words) = match &proof {
            Ok(Ok(sound)) => ("ok", describe(sound, self.signed)),
            Ok(Err(fault)) => ("broken", fault.to_string()),
            Err(error) => ("error", error.to_string()),
        };
        if self.format == Format::Table {
            let fetched = match downloaded {
                None => String::new(),
                Some((fetched, 0)) => format!(", {} fetched", HumanBytes(fetched)),
                Some((fetched, kept)) => format!(", {} fetched, {} were there", HumanBytes(fetched), HumanBytes(kept)),
            };
            let line = match state {
                "ok" => format!("ok      {}  {words}{fetched}", recorded.shown()),
                // The path of the file reads on from that of its folder.
                "broken" => format!("BROKEN  {}/{words}", recorded.shown()),
                _ => format!("ERROR   {}  {words}", recorded.shown()),
            };
            return writeln!(self.out, "{line}").context("standard output");
        }
        let mut value = identity(recorded);
        value["state"] = state.into();
        match proof {
            Ok(Ok(sound)) => {
                value["segments"] = sound.segments.into();
                value["files"] = sound.files.into();
                value["bytes"] = sound.bytes.into();
                value["first_packet"] = json!(sound.first_packet);
                value["last_packet"] = json!(sound.last_packet);
                value["counts"] = json!(sound.counts);
                value["recovered"] = json!(sound.recovered);
                value["forgotten"] = json!(sound.forgotten);
                value["clock"] = json!(sound.clock);
                value["recipients"] = json!(sound.recipients);
                value["signatures"] = sound.signatures.into();
                value["signatures_proved"] = self.signed.into();
            }
            Ok(Err(fault)) => {
                value["file"] = fault.name.into();
                value["wrong"] = fault.wrong.to_string().into();
            }
            Err(error) => value["wrong"] = error.to_string().into(),
        }
        if let Some((fetched, kept)) = downloaded {
            value["fetched_bytes"] = fetched.into();
            value["kept_bytes"] = kept.into();
        }
        self.values.push(value);
        Ok(())
    }

    /// Whether all was good.
    fn finish(self, bar: &ProgressBar) -> anyhow::Result<bool> {
        bar.finish_and_clear();
        if self.format == Format::Json {
            writeln!(self.out, "{:#}", Value::Array(self.values))?;
        }
        Ok(self.all_good)
    }
}

/// What a sound recording holds, and what it lacks.
fn describe(sound: &Sound, signed: bool) -> String {
    let mut words = vec![
        format!("{} segments", sound.segments),
        HumanBytes(sound.bytes).to_string(),
        format!("{} packets", sound.counts.written.packets),
    ];
    let lost = lost_packets(&sound.counts).saturating_add(sound.forgotten_at_close.packets);
    if lost > 0 {
        words.push(format!("{lost} packets lost while recording"));
    }
    if !sound.recovered.is_empty() {
        words.push(format!("recovered after a crash: segment {}", numbers(sound.recovered.iter())));
    }
    if !sound.forgotten.is_empty() {
        words.push(format!("given up before storing: segment {}", numbers(sound.forgotten.iter())));
    }
    let steps = sound.clock.as_ref().map_or(&[][..], |clock| &clock.steps);
    if !steps.is_empty() {
        let by_ns = steps.iter().fold(0i64, |sum, step| sum.saturating_add(step.by_ns));
        words.push(format!("clock set {} times, by {:#} in all", steps.len(), SignedDuration::from_nanos(by_ns)));
    }
    if !sound.recipients.is_empty() {
        words.push(format!("encrypted to {} keys", sound.recipients.len()));
    }
    match sound.signatures {
        _ if signed => words.push("signed".to_owned()),
        0 => {}
        _ => words.push("signatures not proved: give --public-key".to_owned()),
    }
    words.join(", ")
}

fn numbers<'a>(numbers: impl Iterator<Item = &'a u32>) -> String {
    numbers.map(u32::to_string).collect::<Vec<_>>().join(" ")
}

/// Packets that should have been kept and were not.
fn lost_packets(counts: &Counts) -> u64 {
    let dropped = &counts.dropped;
    [dropped.ring.packets, dropped.disk.packets, dropped.spool.packets]
        .into_iter()
        .fold(dropped.kernel_packets, u64::saturating_add)
}

fn identity(recorded: &Recorded) -> Value {
    let id = &recorded.id;
    json!({
        "store": recorded.store.shown(), "cluster": id.cluster, "window": id.window, "start": id.start, "node": id.node,
    })
}

fn show_list(recordings: &[Recorded], format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    if format == Format::Json {
        let values = recordings.iter().map(|recorded| {
            let mut value = identity(recorded);
            value["segments"] = recorded.segments().into();
            value["bytes"] = recorded.bytes().into();
            // What nobody has proved here: the totals as written.
            value["close"] = json!(recorded.close);
            value
        });
        writeln!(out, "{:#}", Value::Array(values.collect()))?;
        return Ok(());
    }
    let mut rows = vec![
        ["START", "CLUSTER", "WINDOW", "NODE", "ENDED", "WHY", "SEGMENTS", "SIZE", "PACKETS", "LOST"]
            .map(str::to_owned),
    ];
    for recorded in recordings {
        let (id, close) = (&recorded.id, recorded.close.as_ref());
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        rows.push([
            format!("{:.0}", id.start.time()),
            id.cluster.to_string(),
            id.window.to_string(),
            id.node.to_string(),
            or_dash(close.map(|close| format!("{:.0}", close.ended))),
            or_dash(close.map(|close| reason(&close.reason))),
            recorded.segments().to_string(),
            HumanBytes(recorded.bytes()).to_string(),
            or_dash(close.map(|close| close.counts.written.packets.to_string())),
            or_dash(close.map(|close| lost_packets(&close.counts).to_string())),
        ]);
    }
    if recordings.is_empty() {
        return Ok(());
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..10).map(width).collect();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// The word a close has for why it ended.
fn reason(reason: &EndReason) -> String {
    match serde_json::to_value(reason) {
        Ok(Value::String(word)) => word,
        _ => "-".to_owned(),
    }
}
