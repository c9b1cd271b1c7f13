//! Losses: inside of a frame of known length the next boundary is known, past it order is lost.

use super::over_tcp::{Data, Input, OverTcp, State};
use super::stream::At;
use super::wire::{Frame, HEADER_BYTES, flag, kind};
use crate::protocols::{Side, Sink, Stamp};

impl OverTcp {
    /// Where a frame begins is not known any more, and which ones were between neither.
    pub(super) fn lose_order(&mut self, from: Side, lost: bool) {
        self.rows.missing(from);
        let reading = &mut self.sides[from];
        reading.state = State::Seeking;
        reading.blocks.forget(lost);
    }

    /// Takes note that `lost` bytes are missing behind `input`, the begin of something unfinished.
    pub(super) fn lose(&mut self, from: Side, input: &mut Input<'_>, lost: u64, out: &mut dyn Sink) {
        let left = match self.sides[from].state {
            State::Data(data) => {
                self.lose_data(from, data, lost, out);
                u64::from(data.left) + u64::from(data.padding)
            }
            State::Skip { left } => left.into(),
            State::Frame => match Frame::read(input.rest()) {
                Some(frame) => {
                    self.front(from, &frame, input, true, out);
                    let whole = HEADER_BYTES as u64 + u64::from(frame.length);
                    whole.saturating_sub(input.rest().len() as u64)
                }
                None => 0,
            },
            State::Preface | State::Seeking => 0,
        };
        let state = &mut self.sides[from].state;
        match left.checked_sub(lost) {
            Some(_) if left == 0 => self.lose_order(from, true),
            Some(0) => *state = State::Frame,
            Some(left) if !matches!(state, State::Data(_)) => *state = State::Skip { left: left as u32 },
            Some(_) => {}
            None => self.lose_order(from, true),
        }
    }

    fn lose_data(&mut self, from: Side, mut data: Data, lost: u64, out: &mut dyn Sink) {
        let of_body = lost.min(data.left.into());
        let of_padding = (lost - of_body).min(data.padding.into());
        data.left -= of_body as u32;
        data.padding -= of_padding as u32;
        let ends = data.ends && data.left == 0 && data.padding == 0;
        let at = At { from, stream: data.stream, stamp: lost_behind(0..0, out), ends, damaged: true };
        self.rows.lose(at, of_body, out);
        self.sides[from].state = State::Data(data);
    }

    /// Reads the front of a frame that will not be seen to its end, because of a loss or of the end.
    pub(super) fn front(&mut self, from: Side, frame: &Frame, input: &Input<'_>, lost: bool, out: &mut dyn Sink) {
        let span = input.at..input.unread.len();
        let payload = input.rest().get(HEADER_BYTES..).unwrap_or_default();
        match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                let most = self.table_bytes_max(from);
                let whole = self.sides[from].blocks.front(frame, payload, lost, span, most, out);
                self.block(whole, out);
            }
            // Its padding is not known, so neither is how much of it was body.
            kind::DATA if lost => {
                let ends = frame.has(flag::END_STREAM);
                let at = At { from, stream: frame.stream, stamp: lost_behind(span, out), ends, damaged: true };
                self.rows.lose(at, 0, out);
            }
            _ if lost => self.rows.doubt(from, frame.stream),
            _ => {}
        }
    }
}

/// Where those bytes are that a loss follows.
fn lost_behind(span: std::ops::Range<usize>, out: &mut dyn Sink) -> Stamp {
    let mut stamp = out.stamp(span);
    stamp.lose();
    stamp
}
