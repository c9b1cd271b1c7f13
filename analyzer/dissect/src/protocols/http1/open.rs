//! A request with its response, as far as they were seen.

use super::head::Asked;
use crate::protocols::http::{EndReason, Ended, Exchange, Fields, Message};
use crate::protocols::{Call, Sink, Stamp};

/// Why messages before another may not have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// We joined in the middle, or cannot tell where a message ends.
    Unseen,
    /// A gap.
    Lost,
}

/// A message that ended, or will not be seen any further.
pub struct Done {
    /// All of its bytes.
    pub stamp: Stamp,
    /// Its body.
    pub body: Ended,
    /// Its trailer fields.
    pub trailers: Fields,
    /// What ended it, where not its own end.
    pub reason: Option<EndReason>,
}

/// The head of a final response.
pub struct Answered<'a> {
    /// Status code.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'a [u8],
    /// Fields.
    pub fields: Fields,
}

/// How far the response is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answer {
    #[default]
    Awaited,
    Begun,
    Done,
}

/// What is open.
#[derive(Default)]
pub struct Open {
    pub exchange: Exchange,
    pub asked: Asked,
    pub request: Option<Stamp>,
    pub request_done: bool,
    pub response: Option<Stamp>,
    pub answer: Answer,
    /// Whether requests right before it may be missing.
    pub after: Option<Missing>,
    /// Whether a half of it ended before its end.
    pub cut: bool,
    /// Whether a gap makes the pair less than certain.
    pub doubtful: bool,
    /// Whether a gap may have taken its response.
    pub response_lost: bool,
    /// What it is counted with among what the connection holds.
    pub counted_bytes: usize,
}

impl Open {
    /// What the protocol that follows is told: the request alone, if it asks for HTTP/2; both heads of WebSocket.
    pub fn carried(&self) -> Option<Box<Exchange>> {
        let asked = &self.exchange;
        let (request, response) = (asked.request.as_ref(), asked.response.as_ref());
        let names = |message: Option<&Message>, known: &str| {
            let named = message.and_then(|message| message.headers.get("upgrade")).unwrap_or_default();
            named.split(|&byte| byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes()))
        };
        let websocket = names(response, "websocket");
        (websocket || names(request, "h2c")).then(|| {
            Box::new(Exchange {
                method: asked.method.clone(),
                scheme: asked.scheme.clone(),
                host: asked.host.clone(),
                path: asked.path.clone(),
                query: asked.query.clone(),
                request: asked.request.clone(),
                response: asked.response.clone().filter(|_| websocket),
                ..Exchange::default()
            })
        })
    }

    pub fn ends_at_or_behind(&self, ns: i64) -> bool {
        self.request.is_some_and(|request| request.last_ns >= ns)
    }

    pub fn sent_before(&self, ns: i64) -> bool {
        self.request.is_some_and(|request| request.first_ns <= ns)
    }

    /// Brings `open_bytes` up to what it holds now.
    pub fn count(&mut self, open_bytes: &mut usize) {
        *open_bytes -= self.counted_bytes;
        self.counted_bytes = size_of::<Self>() + self.exchange.held_bytes();
        *open_bytes += self.counted_bytes;
    }

    pub fn answered(&mut self, done: Done) {
        self.response = Some(done.stamp);
        self.answer = Answer::Done;
        let message = self.exchange.response.get_or_insert_default();
        let note = message.fill(done.body, done.trailers);
        self.end(done.reason, note, "response");
    }

    /// Its response was not seen, or not known for its own.
    pub fn unanswered(&mut self, why: Option<Missing>) {
        self.cut = true;
        self.end((why == Some(Missing::Lost)).then_some(EndReason::Gap), None, "");
    }

    pub fn end(&mut self, reason: Option<EndReason>, note: Option<String>, half: &str) {
        self.cut |= reason.is_some_and(EndReason::is_cut);
        self.exchange.end_reason = self.exchange.end_reason.or(reason);
        if let Some(note) = note {
            let note = format!("{half} body: {note}");
            self.exchange.body_note = Some(match self.exchange.body_note.take() {
                Some(before) => format!("{before}; {note}"),
                None => note,
            });
        }
    }

    pub fn hand_on(mut self, out: &mut dyn Sink) {
        for stamp in [&mut self.request, &mut self.response].into_iter().flatten() {
            stamp.damaged |= self.doubtful;
        }
        let call = Call::new(self.request, self.response);
        self.exchange.hand_on(&if self.cut { call.cut() } else { call }, out);
    }
}
