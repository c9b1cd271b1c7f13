//! What the server sends that answers no command: pushes, and what a master sends its replica.
//!
//! A push of RESP2 looks like a reply: it is told from one by what the connection asked for.

use super::{Open, Rows};
use crate::protocols::redis::command::Command;
use crate::protocols::redis::effect::Effect;
use crate::protocols::redis::exchange::Exchange;
use crate::protocols::redis::message::Message;
use crate::protocols::redis::node::{Kind, Node, escape};
use crate::protocols::redis::session::Push;
use crate::protocols::{Call, Row, Sink};

impl Rows {
    /// Whether it answers nothing. What RESP2 sends is told from a reply by what the connection asked for.
    pub(super) fn is_push(&self, push: &Push<'_>, kind: Kind) -> bool {
        if kind == Kind::Push {
            return true;
        }
        let idle = self.waiting.is_empty() && self.owed == 0;
        match push.confirms {
            _ if push.word == b"monitor" => self.session.monitors || idle,
            _ if self.session.resp_version == Some(3) => false,
            Some(_) => idle || self.session.is_subscribed() || self.confirmed(push).is_some(),
            None => idle || self.session.is_subscribed(),
        }
    }

    /// The command in front, if the push confirms it. One that may be any is held to be the one confirmed.
    fn confirmed(&self, push: &Push<'_>) -> Option<&Open> {
        self.waiting.front().filter(|open| {
            let name = open.command.name.as_deref().unwrap_or_default();
            let is_it = name.as_bytes().eq_ignore_ascii_case(push.word) || open.command.effect == Effect::Unknown;
            push.confirms.is_some() && is_it
        })
    }

    pub(super) fn push(&mut self, message: &Message<Node>, out: &mut dyn Sink) {
        let Some((push, _)) = Push::of(&message.content) else { return };
        let mut row = self.row(None, Some(message));
        row.is_push = true;
        row.command = Some(escape(push.word).to_ascii_uppercase()).filter(|word| !word.is_empty());
        row.key = push.channel.and_then(Node::bytes).map(escape);
        let call = Call::new(None, Some(message.stamp));
        out.row(&if message.cut { call.cut() } else { call }, Row::Redis(&row));
        if let Some(count) = push.confirms {
            self.session.subscribes(push.word, count);
        }
        self.session.monitors |= push.word == b"monitor";
        if self.confirmed(&push).is_some()
            && let Some(open) = self.waiting.front_mut()
        {
            open.confirmed.get_or_insert(message.stamp);
            open.confirmations_left = open.confirmations_left.saturating_sub(1);
            open.answered = open.confirmations_left > 0;
        }
    }

    /// A command of a master to its replica.
    pub fn replicated(&mut self, message: &Message<Command>, out: &mut dyn Sink) {
        let command = &message.content;
        let row = Exchange {
            command: command.name.clone(),
            key: command.key.clone(),
            args: command.args.clone(),
            is_push: true,
            db: self.session.db,
            reply_bytes: Some(message.bytes),
            ..Exchange::default()
        };
        let call = Call::new(None, Some(message.stamp));
        out.row(&if message.cut { call.cut() } else { call }, Row::Redis(&row));
        if let Effect::Select(db) = command.effect {
            self.session.db = db;
        }
    }

    /// A snapshot a master sent.
    pub fn snapshot(&mut self, message: &Message<()>, out: &mut dyn Sink) {
        let row = Exchange {
            command: Some("RDB".to_owned()),
            is_push: true,
            reply_bytes: Some(message.bytes),
            ..Exchange::default()
        };
        let call = Call::new(None, Some(message.stamp));
        out.row(&if message.cut { call.cut() } else { call }, Row::Redis(&row));
    }
}
