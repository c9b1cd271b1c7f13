//! Which reply answers which command where messages may be missing.
//!
//! * Commands from before a loss of commands are answered first, in order. A command whose name is damaged is such a
//!   loss, for it may be one that gets no reply, or silences others.
//! * Behind a loss of replies, reading goes on with the first bytes that came after a command was sent. The newest
//!   command sent before them is held to be the one answered, for clients that wait for each reply have no older one
//!   open.
//! * A command is answered by no reply that is seen where both its own may be lost and commands behind it are missing: that
//!   reply may as well be theirs.
//! * Where order is in doubt, one command and one reply are held to be a pair unless the next message is another reply, or
//!   a command that was sent before it.
//! * With a client that was seen to pipeline, or with several commands open and no reply known to be lost, nothing
//!   is paired: commands and replies become rows of their own.
//! * Order is certain again with the first command sent after the server spoke, for nothing is open then; with a
//!   client that was seen to send more while replies to others were coming in, only if it was also quiet before for
//!   longer than replies take. Until then pairs say behind a gap that they are damaged.
//!
//! So a wrong pair needs a client that goes on sending while replies to others come in, one for one, and was never seen to
//! do so. Behind a gap it says that it is damaged; where we joined in the middle it does not.

use super::{Open, Rows};
use crate::protocols::redis::effect::Effect;
use crate::protocols::redis::message::Missing;
use crate::protocols::{Sink, Stamp};

impl Rows {
    /// Commands may be missing before the next one.
    pub fn missing_commands(&mut self, why: Missing, out: &mut dyn Sink) {
        self.settle_early(out);
        match &self.unsure {
            Some(pair) if pair.0.reply_lost => self.part_unsure(out),
            _ => self.settle_unsure(None, out),
        }
        self.waiting.iter_mut().for_each(|open| open.is_followed = true);
        self.doubt_order(why);
        self.session.missed();
        // What those before it choose may be undone by one that is missing.
        for open in &mut self.waiting {
            let effect = &mut open.command.effect;
            if matches!(effect, Effect::Discard | Effect::Hello(_) | Effect::Multi | Effect::Reset | Effect::Select(_))
            {
                *effect = Effect::None;
            }
        }
    }

    /// Replies may be missing before the next one.
    pub fn missing_replies(&mut self, why: Missing, out: &mut dyn Sink) {
        self.settle_early(out);
        self.settle_unsure(None, out);
        self.doubt_order(why);
        self.owed = 0;
        for open in &mut self.waiting {
            open.doubt = open.doubt.max(Some(why));
            open.reply_lost = true;
        }
        if self.waiting.iter().any(Open::greets) {
            self.session.resp_version = None;
        }
        // A client that waits has the lost replies before it asks again.
        self.spoke = true;
    }

    /// Since when a command must have been sent for the server to be held to begin its answer behind a loss, if that
    /// is not when it was last read.
    pub fn resumes_behind_ns(&self) -> Option<i64> {
        // Lost is a part of the only reply to come, or, with a pipeline, of any.
        let newest = self.waiting.back()?;
        (self.waiting.len() == 1 || self.pipelines).then_some(newest.stamp.last_ns)
    }

    /// When the server began to answer something, of which nothing was read since `since_ns`: the time of the
    /// first command sent after that and until `until_ns`.
    pub fn turn_ns(&self, since_ns: i64, until_ns: i64) -> Option<i64> {
        if self.doubt.is_some() && self.pipelines {
            return None;
        }
        let mut sent = self.waiting.iter().filter(|open| open.answered).map(|open| open.stamp.last_ns);
        sent.find(|&sent| sent > since_ns && sent <= until_ns)
    }

    /// The reply that begins at `first_ns` answers the newest command before it, unless order is certain; older ones
    /// are handed on.
    pub fn resume(&mut self, first_ns: i64, out: &mut dyn Sink) {
        while self.doubt.is_some() && self.waiting.get(1).is_some_and(|next| next.stamp.last_ns <= first_ns) {
            if let Some(open) = self.pop() {
                self.hand_on_unsure(open, out);
            }
        }
    }

    /// Order is not certain for commands sent from now on.
    pub(super) fn doubt_order(&mut self, why: Missing) {
        self.doubt = self.doubt.max(Some(why));
        self.spoke = false;
    }

    /// Order is certain again once a command is sent with nothing open: what was sent before the server spoke is
    /// answered, unless the client does not wait for that.
    pub(super) fn settle_order(&mut self, sent: &Stamp, out: &mut dyn Sink) {
        if self.doubt.is_none() || !std::mem::take(&mut self.spoke) {
            return;
        }
        let asked_ns = self.waiting.back().map_or(i64::MIN, |newest| newest.stamp.last_ns);
        let quiet_ns = sent.first_ns.saturating_sub(asked_ns.max(self.replied_ns));
        if quiet_ns < 0 || self.overlaps && quiet_ns <= self.slowest_ns {
            return;
        }
        while let Some(open) = self.pop() {
            self.hand_on_unsure(open, out);
        }
        self.owed = 0;
        self.doubt = None;
    }

    /// The command that a reply answers, if that is certain, or as good as that. Those before it are handed on.
    pub(super) fn answers(&mut self, reply: &Stamp, out: &mut dyn Sink) -> Option<Open> {
        while self.waiting.front().is_some_and(|open| open.reply_lost && open.is_followed) {
            if let Some(open) = self.pop() {
                self.hand_on_unsure(open, out);
            }
        }
        let front = self.waiting.front()?;
        let waits = self.waiting.len() == 1 && !self.pipelines && front.stamp.first_ns <= reply.first_ns;
        if front.doubt.is_none() || waits { self.pop() } else { None }
    }

    /// The pair that is not certain is one, unless the command that was sent next did not wait for its reply.
    pub(super) fn settle_unsure(&mut self, sent: Option<&Stamp>, out: &mut dyn Sink) {
        let waited = |reply: &Stamp| sent.is_none_or(|sent| sent.first_ns >= reply.first_ns);
        if let Some(pair) = self.unsure.take_if(|pair| waited(&pair.1.stamp)) {
            let (open, message) = *pair;
            self.unsure_bytes = 0;
            self.pair(open, message, out);
        }
        self.break_unsure(out);
    }

    /// The pair that is not certain is none: its reply answers a command of a client that does not wait.
    pub(super) fn break_unsure(&mut self, out: &mut dyn Sink) {
        self.pipelines |= self.unsure.is_some();
        self.part_unsure(out);
    }

    /// The pair that is not certain is none.
    fn part_unsure(&mut self, out: &mut dyn Sink) {
        if let Some(pair) = self.unsure.take() {
            let (open, message) = *pair;
            self.unsure_bytes = 0;
            self.hand_on_unsure(open, out);
            self.alone(&message, out);
        }
    }

    /// Notes how a client asks whose commands and replies are all seen: `asked` was taken from those that wait.
    pub(super) fn watch(&mut self, asked: &Stamp, reply: &Stamp) {
        self.slowest_ns = self.slowest_ns.max(reply.first_ns.saturating_sub(asked.last_ns));
        let sent_before = |open: &Open| open.answered && open.stamp.first_ns <= reply.first_ns;
        self.pipelines |= self.waiting.front().is_some_and(sent_before);
        let newest = self.waiting.back().filter(|open| sent_before(open));
        self.overlaps |=
            asked.last_ns <= self.replied_ns && newest.is_some_and(|newest| newest.stamp.first_ns > self.replied_ns);
    }

    /// Hands on a command whose reply was lost, or may be one that was handed on alone.
    pub(super) fn hand_on_unsure(&mut self, mut open: Open, out: &mut dyn Sink) {
        let lost = open.answered && open.reply_lost;
        open.stamp.damaged |= open.answered && !lost && open.doubt == Some(Missing::Lost);
        self.hand_on(open, lost, out);
    }
}
