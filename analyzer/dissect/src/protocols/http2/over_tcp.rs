//! HTTP/2 over TCP: frames of both sides, one after the other (RFC 9113 §4).
//!
//!     Preface ──▶ Frame ──DATA──▶ Data ──▶ Frame         Frame ──no frame──▶ Seeking ──frames──▶ Frame
//!                 Frame ──too long, or of no use──▶ Skip ──▶ Frame
//!     Preface ──a client's first bytes are something else──▶ Switch
//!
//! A gap inside a frame of known length is stepped over; any other leads to Seeking. A lost header block makes the
//! table of its side unknown, which then reveals itself again.

use super::blocks::{Blocks, Whole};
use super::rows::Rows;
use super::seek;
use super::stream::At;
use super::wire::{self, Frame, HEADER_BYTES, PREFACE, flag, kind, setting};
use crate::protocols::http::{EndReason, Exchange};
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink, Start};

/// Longest payload that is read as a whole; DATA passes piece by piece. Header blocks are split into frames of 16 KiB,
/// and no server takes more than 64 KiB of fields.
const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// The most bytes it waits for: a frame that is read whole, or what a search looks at.
pub const UNREAD_BYTES_MAX: usize = 2 * HEADER_BYTES + PAYLOAD_BYTES_MAX + HEADER_BYTES * 4;
const _: () = assert!(UNREAD_BYTES_MAX > seek::SEEK_BYTES_MAX);

#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// In DATA of which so much is left.
    Data(Data),
    /// Before a frame.
    Frame,
    /// Before what a side begins with: the client's preface, the server's settings (§3.4).
    Preface,
    /// Order was lost.
    Seeking,
    /// In a frame that is not read.
    Skip { left: u32 },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    pub stream: u32,
    pub left: u32,
    pub padding: u32,
    pub ends: bool,
}

/// One side.
pub(super) struct Reading {
    pub state: State,
    pub blocks: Blocks,
    /// Most bytes the other side's table may have.
    pub table_bytes_max: u32,
    /// Whether it is read from its first byte, as far as we know.
    from_start: bool,
    /// Whether anything of it was seen, or is known to be lost.
    seen: bool,
}

/// One connection.
pub struct OverTcp {
    pub(super) sides: PerSide<Reading>,
    pub(super) rows: Rows,
    ended: PerSide<Option<End>>,
}

/// Unread bytes, and how many of them are done with.
pub(super) struct Input<'a> {
    pub unread: &'a [u8],
    pub at: usize,
    /// Whether nothing follows them.
    pub ends: bool,
}

impl<'a> Input<'a> {
    pub fn rest(&self) -> &'a [u8] {
        self.unread.get(self.at..).unwrap_or_default()
    }
}

/// What to do after a step.
enum Next {
    Again,
    /// What is next is another protocol.
    Leave,
    /// Wait for so many unread bytes.
    Wait(usize),
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        self.sides[from].seen = true;
        let mut input = Input { unread, at: 0, ends: false };
        match self.read(from, &mut input, out) {
            Some(wanted) => Progress::Continue { consumed: input.at, wanted },
            None => Progress::Switch { consumed: input.at },
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        let mut input = Input { unread, at: 0, ends: true };
        self.read(from, &mut input, out);
        self.sides[from].seen = true;
        out.anomaly(input.at..unread.len(), Anomaly::with("http2_gap", format!("{lost_bytes} bytes")));
        self.lose(from, &mut input, lost_bytes, out);
    }

    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink) {
        let mut input = Input { unread, at: 0, ends: true };
        self.read(from, &mut input, out);
        if !input.rest().is_empty() && !matches!(self.sides[from].state, State::Seeking) {
            out.anomaly(input.at..unread.len(), Anomaly::new("http2_unfinished"));
            if let Some(frame) = Frame::read(input.rest()) {
                self.front(from, &frame, &input, false, out);
            }
        }
        self.sides[from].blocks.forget(false);
        self.ended[from] = Some(how);
        if let Some(other) = self.ended[from.other()] {
            let reset = how == End::Reset || other == End::Reset;
            // What was asked stays unanswered because of how the server ended.
            let answering = if from == Side::Server { how } else { other };
            self.rows.end(end_reason(if reset { End::Reset } else { answering }), out);
        }
    }

    fn take_over(&mut self, request: Box<Exchange>) {
        // Its HTTP2-Settings field allowed a size too (RFC 7540 §3.2.1).
        self.sides.client.table_bytes_max = u32::MAX;
        self.rows.upgraded(*request);
    }

    fn held_bytes(&self) -> usize {
        self.rows.held_bytes() + self.sides.client.blocks.held_bytes() + self.sides.server.blocks.held_bytes()
    }
}

impl OverTcp {
    /// For a connection about to be read.
    pub fn new(start: &Start) -> Self {
        let reading = |from| Reading {
            state: if start.from_start { State::Preface } else { State::Seeking },
            blocks: Blocks::new(from, start.from_start),
            table_bytes_max: super::hpack::INITIAL_BYTES,
            from_start: start.from_start,
            seen: false,
        };
        Self {
            sides: PerSide { client: reading(Side::Client), server: reading(Side::Server) },
            rows: Rows::new(start.from_start, start.options.body_bytes_max),
            ended: PerSide::default(),
        }
    }

    /// Takes what is whole; says how many unread bytes are wanted, or nothing where another protocol begins.
    fn read(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Option<usize> {
        loop {
            let next = match self.sides[from].state {
                State::Data(data) => self.data(from, data, input.at, input, out),
                State::Frame => self.frame(from, input, out),
                State::Preface => self.preface(from, input, out),
                State::Seeking => self.seek(from, input),
                State::Skip { left } => self.skip(from, left, input, out),
            };
            match next {
                Next::Again => {}
                Next::Leave => return None,
                Next::Wait(wanted) => return Some(wanted),
            }
        }
    }

    fn preface(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let rest = input.rest();
        let seen = rest.len().min(PREFACE.len());
        let mut is_none = false;
        let begins = if from == Side::Server {
            let Some(frame) = Frame::read(rest) else { return Next::Wait(HEADER_BYTES) };
            frame.kind == kind::SETTINGS && !frame.has(flag::ACK)
        } else if rest.get(..seen) != PREFACE.get(..seen) {
            let Some(frame) = Frame::read(rest) else { return Next::Wait(HEADER_BYTES) };
            is_none = !frame.plausible(rest.get(5).is_some_and(|byte| byte & 0x80 != 0));
            false
        } else if seen < PREFACE.len() {
            return Next::Wait(PREFACE.len());
        } else {
            out.stamp(input.at..input.at + seen);
            input.at += seen;
            true
        };
        let reading = &mut self.sides[from];
        reading.state = State::Frame;
        if begins {
            return Next::Again;
        }
        if !reading.from_start {
            reading.state = State::Seeking;
            reading.blocks.forget(false);
            return Next::Again;
        }
        out.anomaly(input.at..input.at, Anomaly::new("http2_no_preface"));
        // Some servers speak first, to clients that take them for something else.
        if is_none { Next::Leave } else { Next::Again }
    }

    fn frame(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let rest = input.rest();
        let Some(frame) = Frame::read(rest) else { return Next::Wait(HEADER_BYTES) };
        let begin = input.at;
        if let Some(why) = frame.malformed() {
            out.anomaly(begin..begin + HEADER_BYTES, Anomaly::with("http2_not_a_frame", why));
            self.lose_order(from, false);
            return Next::Again;
        }
        if self.sides[from].blocks.interrupts(&frame) {
            out.anomaly(begin..begin + HEADER_BYTES, Anomaly::new("http2_interrupted_block"));
            let most = self.table_bytes_max(from);
            let whole = self.sides[from].blocks.finish(true, begin..begin, most, out);
            self.block(whole, out);
        }
        let length = frame.length as usize;
        match frame.kind {
            kind::DATA => self.begin_data(from, &frame, input, out),
            kind::HEADERS..=kind::CONTINUATION if length <= PAYLOAD_BYTES_MAX => {
                let Some(payload) = rest.get(HEADER_BYTES..HEADER_BYTES + length) else {
                    return Next::Wait(HEADER_BYTES + length);
                };
                input.at += HEADER_BYTES + length;
                self.whole(from, &frame, payload, begin..input.at, out);
                Next::Again
            }
            _ => {
                if matches!(frame.kind, kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION) {
                    let header = begin..begin + HEADER_BYTES;
                    out.anomaly(header.clone(), Anomaly::new("http2_header_block_too_large"));
                    let most = self.table_bytes_max(from);
                    let whole = self.sides[from].blocks.front(&frame, &[], true, header, most, out);
                    self.block(whole, out);
                }
                // Types that are not known are extensions, and ignored (RFC 9113 §5.5).
                out.stamp(begin..begin + HEADER_BYTES);
                input.at += HEADER_BYTES;
                self.sides[from].state = State::Skip { left: frame.length };
                Next::Again
            }
        }
    }

    fn begin_data(&mut self, from: Side, frame: &Frame, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let begin = input.at;
        let (mut left, mut padding, mut header) = (frame.length, 0, HEADER_BYTES);
        if frame.has(flag::PADDED) {
            header += 1;
            let Some(&bytes) = input.rest().get(HEADER_BYTES) else { return Next::Wait(header) };
            left -= 1;
            if u32::from(bytes) > left {
                out.anomaly(begin..begin + header, Anomaly::with("http2_bad_frame", "padding longer than its frame"));
            }
            padding = left.min(bytes.into());
            left -= padding;
        }
        input.at += header;
        let data = Data { stream: frame.stream, left, padding, ends: frame.has(flag::END_STREAM) };
        self.data(from, data, begin, input, out)
    }

    /// Passes on what there is of a DATA frame; its unread bytes, the header too at first, begin at `begin`.
    fn data(&mut self, from: Side, mut data: Data, begin: usize, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let rest = input.rest();
        let size = rest.len().min(data.left as usize);
        let (bytes, rest) = rest.split_at_checked(size).unwrap_or_default();
        let padding = rest.len().min(data.padding as usize);
        data.left -= size as u32;
        data.padding -= padding as u32;
        input.at += size + padding;
        let done = data.left == 0 && data.padding == 0;
        if begin < input.at || done {
            let stamp = out.stamp(begin..input.at);
            let at = At { from, stream: data.stream, stamp, ends: done && data.ends, damaged: false };
            self.rows.data(at, bytes, out);
        }
        self.sides[from].state = if done { State::Frame } else { State::Data(data) };
        if done { Next::Again } else { Next::Wait(1) }
    }

    /// A frame of the usual length, other than DATA.
    fn whole(&mut self, from: Side, frame: &Frame, payload: &[u8], span: std::ops::Range<usize>, out: &mut dyn Sink) {
        match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                let most = self.table_bytes_max(from);
                let whole = self.sides[from].blocks.frame(frame, payload, span, most, out);
                self.block(whole, out);
            }
            kind::RST_STREAM => {
                let now_ns = out.stamp(span).last_ns;
                self.rows.reset(from, frame.stream, wire::error_code(payload).unwrap_or_default(), now_ns, out);
            }
            kind::SETTINGS => {
                out.stamp(span);
                let sizes = wire::settings(payload).filter(|(id, _)| *id == setting::HEADER_TABLE_SIZE);
                let reading = &mut self.sides[from];
                // The other side learns of a smaller size later: the largest is what it may use.
                reading.table_bytes_max = sizes.fold(reading.table_bytes_max, |most, (_, size)| most.max(size));
            }
            kind::GOAWAY => {
                let (last, code, about) = wire::goaway(payload).unwrap_or_default();
                if code != 0 {
                    const ABOUT_BYTES_MAX: usize = 120;
                    let about = String::from_utf8_lossy(about.get(..ABOUT_BYTES_MAX).unwrap_or(about));
                    let detail = format!("error code {code:#x}, last stream {last}: {about}");
                    out.anomaly(span, Anomaly::with("http2_goaway", detail.trim_end_matches([':', ' '])));
                } else {
                    out.stamp(span);
                }
                self.rows.goaway(from, last, code, out);
            }
            _ => {
                out.stamp(span);
            }
        }
    }

    /// Most bytes that the table of `from` may have; none where it is not known for certain.
    pub(super) fn table_bytes_max(&self, from: Side) -> Option<u32> {
        self.rows.is_exact().then(|| self.sides[from.other()].table_bytes_max)
    }

    /// Hands on a header block that is whole.
    pub(super) fn block(&mut self, whole: Option<Whole>, out: &mut dyn Sink) {
        match whole {
            Some(Whole { at, block, is_promise: true }) => self.rows.promise(at, block, out),
            Some(Whole { at, block, is_promise: false }) => self.rows.block(at, block, out),
            None => {}
        }
    }

    fn skip(&mut self, from: Side, left: u32, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let size = input.rest().len().min(left as usize);
        out.stamp(input.at..input.at + size);
        input.at += size;
        let left = left - size as u32;
        self.sides[from].state = if left == 0 { State::Frame } else { State::Skip { left } };
        if left == 0 { Next::Again } else { Next::Wait(1) }
    }

    fn seek(&mut self, from: Side, input: &mut Input<'_>) -> Next {
        let rest = input.rest();
        let found = seek::next(rest, input.ends);
        input.at += found.unwrap_or_else(|undecided| undecided);
        if found.is_err() {
            return Next::Wait(input.rest().len() + 1);
        }
        let begins = from == Side::Client && input.rest().starts_with(PREFACE);
        self.sides[from].state = if begins { State::Preface } else { State::Frame };
        if begins {
            self.begins_here();
        }
        Next::Again
    }

    /// The client's preface was found: nothing was sent before it, so the tables are known.
    fn begins_here(&mut self) {
        self.rows.begins();
        self.sides.client.blocks = Blocks::new(Side::Client, true);
        let server = &mut self.sides.server;
        if !server.seen {
            server.state = State::Preface;
            server.blocks = Blocks::new(Side::Server, true);
        }
    }
}

fn end_reason(how: End) -> EndReason {
    match how {
        End::Closed => EndReason::Closed,
        End::Cut => EndReason::InputEnd,
        End::Reset => EndReason::Reset,
    }
}
