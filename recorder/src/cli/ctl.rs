//! `remora-recorder ctl`: asks the recorder that runs on this node.

use anyhow::bail;
use clap::builder::BoolishValueParser;
use recorder::control::{self, Answer, Request, Status, WindowStatus};
use recorder::schedule::ByteSize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Ask the recorder that runs on this node: how it is, or to start, stop and trigger windows, or to pin recordings.
#[derive(clap::Args)]
pub struct CtlArgs {
    /// Its control socket.
    #[arg(
        long,
        global = true,
        env = "REMORA_CONTROL",
        default_value = "/var/lib/remora/spool/control.sock",
        value_name = "PATH"
    )]
    control: PathBuf,
    /// Print the answer as it came, one line of JSON.
    #[arg(long, global = true, env = "REMORA_JSON", value_parser = BoolishValueParser::new())]
    json: bool,
    #[command(subcommand)]
    request: Request,
}

/// Targets of a run that are not recorded, by name; `--json` has all.
const UNRECORDED_SHOWN: usize = 10;

/// What is meant.
pub struct CtlPlan {
    control: PathBuf,
    json: bool,
    request: Request,
}

impl CtlArgs {
    pub fn resolve(self) -> CtlPlan {
        CtlPlan { control: self.control, json: self.json, request: self.request }
    }
}

/// Asks, and prints the answer.
pub fn run(plan: &CtlPlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let answer = control::ask(&plan.control, &plan.request)?;
    if plan.json {
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    }
    match answer {
        Answer::Refused { why } => bail!(why),
        _ if plan.json => {}
        Answer::Done { said, recordings } => {
            writeln!(out, "{said}")?;
            recordings.iter().try_for_each(|recording| writeln!(out, "{recording}"))?;
        }
        Answer::Status(status) => print(&status, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(status: &Status, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "recorder {} on {} of {}, since {:.0}", status.version, status.node, status.cluster, status.since)?;
    writeln!(out, "configuration {}", status.configuration_sha256)?;
    if let Some(reload) = &status.reload {
        match &reload.error {
            None => writeln!(out, "  read anew {:.0}", reload.at)?,
            Some(error) => writeln!(out, "  not read anew {:.0}: {error}", reload.at)?,
        }
    }
    let spool = &status.spool;
    let bytes = spool.bytes.map_or("unknown".to_owned(), |bytes| ByteSize(bytes).to_string());
    writeln!(out, "spool {}: {bytes} of {}", spool.folder, ByteSize(spool.bytes_max))?;
    for (store, failing) in &status.stores {
        if let Some(failing) = failing {
            let why = failing.why.strip_prefix(&format!("store {store}: ")).unwrap_or(&failing.why);
            writeln!(out, "store {store}: failing since {:.0}: {why}", failing.since)?;
        }
    }
    status.windows.iter().try_for_each(|window| print_window(window, out))?;
    status.pinned.iter().try_for_each(|recording| writeln!(out, "pinned {recording}"))
}

fn print_window(window: &WindowStatus, out: &mut impl Write) -> std::io::Result<()> {
    let next = window.next.map(|next| format!(", next {next:.0}")).unwrap_or_default();
    let again = window.again.map(|again| format!(", failed, again {again:.0}")).unwrap_or_default();
    writeln!(out, "window {}: {}{next}{again}", window.name, window.when)?;
    if let Some(failure) = &window.failure {
        writeln!(out, "  failed: {failure}")?;
    }
    for run in &window.runs {
        match (&run.recording, run.ends) {
            (Some(recording), Some(ends)) => write!(out, "  {recording} since {:.0} until {ends:.0}", run.since)?,
            _ => write!(out, "  ready, since {:.0}", run.since)?,
        }
        write!(out, ": {} packets, {} bytes", run.packets, run.bytes)?;
        match run.lost_packets {
            0 => writeln!(out)?,
            lost => writeln!(out, ", {lost} packets lost")?,
        }
        for target in run.unrecorded.iter().take(UNRECORDED_SHOWN) {
            writeln!(out, "    not recorded: {}: {}", target.target, target.why)?;
        }
        match run.unrecorded.len().saturating_sub(UNRECORDED_SHOWN) {
            0 => {}
            more => writeln!(out, "    not recorded: {more} more")?,
        }
    }
    Ok(())
}
