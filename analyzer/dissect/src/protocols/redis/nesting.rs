//! Values within each other, on a stack of our own.
//!
//! Enters: what aggregates begin, and values that end. Leaves: the outermost value, once it ends or as far as it was read.
//! Refused: aggregates deeper than Redis has them; of values past what is kept there is a count.

use super::node::{Kind, Node};

/// Aggregates within each other. Redis's own replies have below ten, those of modules some more.
const DEPTH_MAX: usize = 64;

/// Values kept of one message: 16 Ki of 56 bytes, below 1 MiB. Further ones are read and counted.
const ELEMENTS_KEPT_MAX: usize = 16 << 10;

/// An aggregate of which values are still to come.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// Values still to come; a streamed one does not say.
    left: Option<u64>,
    items: Vec<Node>,
    left_out: u64,
    attribute: Option<Node>,
}

/// The aggregates that are open, the innermost last.
#[derive(Debug, Default)]
pub struct Nesting {
    stack: Vec<Frame>,
    /// About the outermost value.
    attribute: Option<Node>,
    /// Values kept of it.
    elements: usize,
}

impl Nesting {
    /// Whether no aggregate is open.
    pub fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    /// Bytes held, but for those of texts.
    pub fn held_bytes(&self) -> usize {
        self.elements * size_of::<Node>() + self.stack.len() * size_of::<Frame>()
    }

    /// An aggregate begins, of so many values if it says so; the value, where it has none.
    pub fn begin(&mut self, kind: Kind, left: Option<u64>) -> Result<Option<Node>, &'static str> {
        let frame = Frame { kind, left, items: Vec::new(), left_out: 0, attribute: None };
        if left == Some(0) {
            return Ok(self.close(frame));
        }
        if self.stack.len() >= DEPTH_MAX {
            return Err("nested too deeply");
        }
        self.stack.push(frame);
        Ok(None)
    }

    /// An aggregate that did not say how many values it has ends.
    pub fn end_streamed(&mut self) -> Result<Option<Node>, &'static str> {
        match self.stack.pop_if(|frame| frame.left.is_none()) {
            Some(frame) => Ok(self.close(frame)),
            None => Err("an end of nothing"),
        }
    }

    /// An aggregate that ended; an attribute waits for the value it is about.
    fn close(&mut self, frame: Frame) -> Option<Node> {
        let node = Node::aggregate(frame.kind, frame.items, frame.left_out).with(frame.attribute);
        if frame.kind != Kind::Attribute {
            return Some(node);
        }
        match self.stack.last_mut() {
            Some(frame) => frame.attribute = Some(node),
            None => self.attribute = Some(node),
        }
        None
    }

    /// A value that ended, and with it perhaps those around it. The outermost is returned.
    pub fn complete(&mut self, mut node: Node) -> Option<Node> {
        loop {
            let Some(frame) = self.stack.last_mut() else {
                self.elements = 0;
                return Some(node.with(self.attribute.take()));
            };
            let node_with = node.with(frame.attribute.take());
            if self.elements < ELEMENTS_KEPT_MAX {
                self.elements += 1;
                frame.items.push(node_with);
            } else {
                frame.left_out += 1;
            }
            frame.left = frame.left.map(|left| left - 1);
            let frame = self.stack.pop_if(|frame| frame.left == Some(0))?;
            node = self.close(frame)?;
        }
    }

    /// Gives up what is open; `part` is what was read of the innermost value.
    pub fn abandon(&mut self, mut part: Option<Node>) -> Option<Node> {
        while let Some(mut frame) = self.stack.pop() {
            if let Some(part) = part {
                frame.items.push(part);
                frame.left = frame.left.map(|left| left.saturating_sub(1));
            }
            frame.left_out = frame.left_out.saturating_add(frame.left.unwrap_or(0));
            part = Some(Node::aggregate(frame.kind, frame.items, frame.left_out));
        }
        self.elements = 0;
        let attribute = self.attribute.take();
        part.map(|part| part.with(attribute))
    }
}
