//! The recorders that are measured: how each is started, and how many packets it kept.

use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A recorder.
pub struct Tool {
    pub name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// How it is told to capture with real-time priority, if by itself.
    realtime: Option<[&'static str; 2]>,
}

/// Where a tool keeps what it captured.
const OUT: &str = "OUT";

/// All of them, each with 32 MiB of rings and whole packets. Ours first: the others are told as multiples of it.
pub fn all(remora: &Path, rings: Option<u8>) -> Vec<Tool> {
    let tool = |name, program: &Path, arguments: &str, realtime| Tool {
        name,
        program: program.to_owned(),
        arguments: arguments.split(' ').map(str::to_owned).collect(),
        realtime,
    };
    // No segment ends while it is measured: storing is no part of what the others do.
    let ours = "record -i eth --ring 32MiB --segment-bytes 1TiB --segment-age 1d --spool OUT/spool --store OUT/store --quiet --compress";
    let realtime = Some(["--priority", "realtime"]);
    let shared = |rings| tool("remora, shared", remora, &format!("{ours} none --rings {rings}"), realtime);
    let mut all = vec![tool("remora, no zstd", remora, &format!("{ours} none"), realtime)];
    all.extend(rings.map(shared));
    all.extend([
        tool("remora", remora, &format!("{ours} zstd"), realtime),
        tool("tcpdump", Path::new("tcpdump"), "-i eth -n -s 0 -B 32768 -Z root -w OUT/out.pcap", None),
        tool("netsniff-ng", Path::new("netsniff-ng"), "--in eth --out OUT/out.pcap --silent --ring-size 32MiB", None),
        tool("dumpcap", Path::new("dumpcap"), "-i eth -q -B 32 -w OUT/out.pcapng", None),
    ]);
    all
}

impl Tool {
    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.program.is_absolute() || crate::run::is_there(&self.program.to_string_lossy())
    }

    /// Starts it in a network namespace.
    pub fn start(&self, namespace: &str, out: &Path, realtime: bool) -> anyhow::Result<Child> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]);
        if realtime && self.realtime.is_none() {
            command.args(["chrt", "--rr", "1"]);
        }
        command.arg(&self.program);
        let out = out.to_str().context("the folder's name is no text")?;
        command.args(self.arguments.iter().map(|argument| argument.replace(OUT, out)));
        command.args(self.realtime.filter(|_| realtime).into_iter().flatten());
        let log = fs::File::create(format!("{out}/log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().with_context(|| self.name)
    }

    /// Packets that it kept, from its file, or from what it said where that is compressed.
    pub fn kept(&self, out: &Path, said: &str) -> anyhow::Result<u64> {
        if let Some(line) = said.lines().find_map(|line| line.strip_prefix("packets ")) {
            return Ok(line.split_whitespace().next().unwrap_or_default().parse()?);
        }
        let file = ["out.pcap", "out.pcapng"].map(|name| out.join(name)).into_iter().find(|file| file.exists());
        let Some(file) = file else { bail!("{} left nothing in {}", self.name, out.display()) };
        count(&fs::read(file)?).with_context(|| format!("{} left something else", self.name))
    }
}

/// Packets of a pcap or pcapng file of this machine's byte order.
fn count(file: &[u8]) -> Option<u64> {
    let word = |at: usize| file.get(at..at + 4)?.first_chunk().copied().map(u32::from_ne_bytes);
    let is_pcapng = word(0)? == 0x0a0d_0d0a;
    let (mut at, mut packets) = (if is_pcapng { 0 } else { 24 }, 0);
    while at < file.len() {
        let (is_packet, length) = match is_pcapng {
            true => (word(at)? == 6, word(at + 4)?.max(12)),
            false => (true, 16 + word(at + 8)?),
        };
        packets += u64::from(is_packet);
        at += length as usize;
    }
    Some(packets)
}
