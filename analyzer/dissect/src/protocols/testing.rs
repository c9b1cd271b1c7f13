//! Plays the stream room for one dissector and holds it to every promise of the contract.

mod connected;

use super::*;
pub use connected::connected;

/// What happens on one side.
#[derive(Debug, Clone)]
pub enum Step {
    /// Bytes arrive.
    Bytes(Side, Vec<u8>),
    /// Bytes are lost.
    Gap(Side, u64),
    /// The side ends.
    End(Side, End),
}

pub fn client(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(Side::Client, bytes.as_ref().to_vec())
}

pub fn server(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(Side::Server, bytes.as_ref().to_vec())
}

/// What came out.
#[derive(Debug, Default)]
pub struct Played {
    /// A line a row or anomaly, as `render` of the protocol's tests wants them.
    pub lines: Vec<String>,
    /// Whether it asked for a switch.
    pub switched: bool,
    /// Bytes consumed that nothing named.
    pub skipped_bytes: u64,
}

struct Recorder<'a> {
    side: Side,
    at: u64,
    clock: Clock,
    unread: usize,
    covered_to: u64,
    damaged: bool,
    lines: &'a mut Vec<String>,
    render: fn(&Call, Row<'_>) -> String,
}

impl Recorder<'_> {
    fn cover(&mut self, span: &Range<usize>) {
        assert!(span.start <= span.end && span.end <= self.unread, "span {span:?} of {} unread bytes", self.unread);
        self.covered_to = self.covered_to.max(self.at + span.end as u64);
    }
}

impl Sink for Recorder<'_> {
    fn stamp(&mut self, span: Range<usize>) -> Stamp {
        self.cover(&span);
        let place = self.at + span.start as u64;
        Stamp {
            first_ns: self.clock.ns(place),
            last_ns: self.clock.ns((self.at + span.end as u64).saturating_sub(1).max(place)),
            damaged: self.damaged,
            ..Stamp::whole(self.side, place, span.len() as u64)
        }
    }
    fn row(&mut self, call: &Call, row: Row<'_>) {
        self.lines.push((self.render)(call, row));
    }
    fn anomaly(&mut self, span: Range<usize>, anomaly: Anomaly) {
        self.cover(&span);
        self.lines.push(format!("!{}", anomaly.kind));
    }
}

/// When the bytes of one side came. One clock for both sides counts the bytes of either, so that times order
/// what the sides said and cutting elsewhere changes nothing.
#[derive(Debug, Clone, Default)]
struct Clock {
    /// Place of a byte that others follow, and its time.
    runs: Vec<(u64, i64)>,
}

impl Clock {
    fn ns(&self, place: u64) -> i64 {
        let run = self.runs.iter().rev().find(|run| run.0 <= place);
        run.map_or(0, |&(begin, ns)| ns + (place - begin) as i64)
    }
}

#[derive(Default)]
struct Stream {
    clock: Clock,
    unread: Vec<u8>,
    at: u64,
    wanted: usize,
    stopped: bool,
    ended: bool,
    covered_to: u64,
}

/// Runs the steps, then ends both sides as cut where no step did.
pub fn drive(
    dissector: &mut dyn Dissector,
    unread_bytes_max: usize,
    steps: &[Step],
    render: fn(&Call, Row<'_>) -> String,
) -> Played {
    let mut played = Played::default();
    let mut streams: PerSide<Stream> = PerSide::default();
    let mut now_ns = 0;
    let ends = [Step::End(Side::Client, End::Cut), Step::End(Side::Server, End::Cut)];
    for step in steps.iter().chain(&ends) {
        let (Step::Bytes(side, _) | Step::Gap(side, _) | Step::End(side, _)) = step;
        let stream = &mut streams[*side];
        if stream.ended || played.switched {
            continue;
        }
        if let Step::Bytes(_, bytes) = step {
            stream.clock.runs.push((stream.at + stream.unread.len() as u64, now_ns));
            now_ns += bytes.len() as i64;
        }
        let mut sink = Recorder {
            side: *side,
            at: stream.at,
            clock: stream.clock.clone(),
            unread: stream.unread.len(),
            covered_to: stream.covered_to,
            damaged: false,
            lines: &mut played.lines,
            render,
        };
        match step {
            Step::Bytes(..) if stream.stopped => {}
            Step::Bytes(_, bytes) => {
                stream.unread.extend_from_slice(bytes);
                while stream.unread.len() >= stream.wanted.max(1) {
                    sink.at = stream.at;
                    sink.unread = stream.unread.len();
                    let progress = dissector.bytes(*side, &stream.unread, &mut sink);
                    let (consumed, wanted) = match progress {
                        Progress::Continue { consumed, wanted } => (consumed, wanted),
                        Progress::Stop => (stream.unread.len(), 1),
                        Progress::Switch { consumed } => (consumed, 1),
                    };
                    assert!(consumed <= stream.unread.len(), "consumed more than there was");
                    let end = stream.at + consumed as u64;
                    played.skipped_bytes += end.saturating_sub(sink.covered_to.max(stream.at));
                    sink.covered_to = sink.covered_to.max(end);
                    stream.at = end;
                    stream.unread.drain(..consumed);
                    stream.stopped |= progress == Progress::Stop;
                    played.switched |= matches!(progress, Progress::Switch { .. });
                    if stream.stopped || played.switched {
                        break;
                    }
                    assert!(wanted > stream.unread.len(), "wants {wanted} and has {}", stream.unread.len());
                    stream.wanted = wanted;
                    if wanted > unread_bytes_max {
                        sink.at = stream.at;
                        sink.unread = stream.unread.len();
                        dissector.gap(*side, &stream.unread, 0, &mut sink);
                        stream.at += stream.unread.len() as u64;
                        stream.unread.clear();
                        stream.wanted = 1;
                    }
                }
            }
            Step::Gap(_, lost) => {
                if !stream.stopped {
                    dissector.gap(*side, &stream.unread, *lost, &mut sink);
                }
                stream.at += stream.unread.len() as u64 + lost;
                stream.unread.clear();
                stream.wanted = 1;
            }
            Step::End(_, how) => {
                dissector.end(*side, &stream.unread, *how, &mut sink);
                stream.ended = true;
            }
        }
        stream.covered_to = sink.covered_to;
    }
    assert!(played.switched || dissector.held_bytes() == 0, "holds bytes after its end");
    played
}

/// The same steps with every run of bytes cut into pieces of `size`.
pub fn cut(steps: &[Step], size: usize) -> Vec<Step> {
    let mut pieces = Vec::new();
    for step in steps {
        match step {
            Step::Bytes(side, bytes) => {
                pieces.extend(bytes.chunks(size).map(|piece| Step::Bytes(*side, piece.to_vec())));
            }
            other => pieces.push(other.clone()),
        }
    }
    pieces
}
