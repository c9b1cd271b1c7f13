//! What goes in, what is asked for, what is said at the end: the library's door.

use crate::limits;
use crate::protocols::grpc::Protos;
use crate::read::{Damage, Interface, ReadError};
use crate::redact::Redaction;
use formats::seal::Volume;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// Opens an input when its turn comes.
pub type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// One capture.
pub struct Input {
    /// Its name without folder, as the tables show it.
    pub name: String,
    /// Where it came from, where a store says so.
    pub origin: Origin,
    /// How it is opened.
    pub open: Open,
}

/// What a store knows of a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Node that recorded it.
    pub node: Option<String>,
    /// Window it was recorded in.
    pub window: Option<String>,
    /// Recording it belongs to.
    pub recording: Option<String>,
    /// What its seal says did not come into it; empty where no seal was read.
    pub not_kept: Vec<NotKept>,
    /// What its seal says is in it: what of that is not read stands in `coverage` too. None where no seal was read.
    pub sealed: Option<Volume>,
}

/// Packets that did not come into a capture, as its recorder counted them: rows of `coverage` beside those of what
/// was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotKept {
    /// The recorder's stage: 'kernel', 'ring', 'filter', 'disk', 'upload', 'clock' or 'store'.
    pub stage: &'static str,
    /// What became of them: a short phrase in lower case.
    pub reason: Cow<'static, str>,
    /// The target they were of, where that is known.
    pub target: Option<String>,
    /// How many, where they were counted.
    pub packets: Option<u64>,
    /// Their bytes, where they were counted.
    pub bytes: Option<u64>,
}

/// Captures that follow each other in time on one node: a connection may go on from one to the next.
/// The unit of work: its flows are complete in itself.
pub struct Unit {
    /// The captures, in order.
    pub inputs: Vec<Input>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Folder of the dataset.
    pub out: PathBuf,
    /// Tables to make, by name.
    pub tables: BTreeSet<&'static str>,
    /// Most bytes of a body that a row keeps; 0 keeps none.
    pub body_bytes_max: usize,
    /// What is known of gRPC services: it names the fields of their messages.
    pub protos: Option<Protos>,
    /// What nobody is to read in the rows.
    pub redaction: Option<Arc<Redaction>>,
    /// Whether captures are hashed: for `captures.sha256`, and the names of the files. It is half of what it costs to make a
    /// table of little traffic.
    pub digests: bool,
    /// Worker threads; the result is the same for any number.
    pub threads: usize,
}

impl Plan {
    /// All tables but those made on request, default limits, all cores.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            tables: formats::tables::TABLES.iter().filter(|table| !table.on_request).map(|table| table.name).collect(),
            body_bytes_max: limits::BODY_BYTES_DEFAULT,
            protos: None,
            redaction: None,
            digests: true,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Told how far it is.
pub trait Progress: Sync {
    /// So many more bytes of input, as stored, were read.
    fn read_bytes(&self, bytes: u64);
}

/// Tells nobody.
impl Progress for () {
    fn read_bytes(&self, _: u64) {}
}

/// What was made of a unit.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each input that was read, in order.
    pub captures: Vec<CaptureReport>,
    /// Inputs that could not be read at all.
    pub refused: Vec<ReadError>,
    /// Rows written, by table.
    pub rows: Vec<(&'static str, u64)>,
    /// The Parquet files, in order of their names.
    pub files: Vec<PathBuf>,
}

/// What was made of one input.
#[derive(Debug)]
pub struct CaptureReport {
    /// Its name.
    pub capture: String,
    /// Frames read.
    pub packets: u64,
    /// Captured bytes of these frames.
    pub bytes: u64,
    /// Its interfaces, by the numbers in `packets.interface`.
    pub interfaces: Vec<Interface>,
    /// What was wrong with the file and could be stepped over.
    pub damage: Vec<Damage>,
}
