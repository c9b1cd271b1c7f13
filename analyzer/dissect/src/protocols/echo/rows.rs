//! Requests wait here for their answers.

use crate::protocols::{Call, Row, Side, Sink, Stamp};
use std::collections::VecDeque;

/// Requests that may wait on one connection; the oldest is handed on unanswered past that.
const WAITING_MAX: usize = 64;

#[derive(Default)]
pub struct Rows {
    waiting: VecDeque<(Stamp, String)>,
    ended_sides: u8,
}

impl Rows {
    pub fn message(&mut self, from: Side, stamp: Stamp, text: &str, out: &mut dyn Sink) {
        match from {
            Side::Client => {
                self.waiting.push_back((stamp, text.to_owned()));
                if self.waiting.len() > WAITING_MAX {
                    self.give_up_oldest(out);
                }
            }
            Side::Server => match self.waiting.pop_front() {
                Some((request, asked)) => out.row(&Call::new(Some(request), Some(stamp)), Row::Echo(&asked)),
                None => out.row(&Call::new(None, Some(stamp)), Row::Echo(text)),
            },
        }
    }

    pub fn end(&mut self, _: Side, out: &mut dyn Sink) {
        self.ended_sides += 1;
        while self.ended_sides == 2 && !self.waiting.is_empty() {
            self.give_up_oldest(out);
        }
    }

    pub fn held_bytes(&self) -> usize {
        self.waiting.iter().map(|(_, text)| text.len()).sum()
    }

    fn give_up_oldest(&mut self, out: &mut dyn Sink) {
        if let Some((request, asked)) = self.waiting.pop_front() {
            out.row(&Call::new(Some(request), None), Row::Echo(&asked));
        }
    }
}
