//! What the columns want of a body: gathered while it passes.

use super::json::{self, Json};
use super::schema::{self, Message, Role};
use super::topic_id;
use super::walk::{Event, Scalar, Walk};
use crate::protocols::Sink;
use formats::bytes::Reader;
use std::borrow::Cow;
use std::collections::HashMap;

/// The longest JSON text of a body: metadata of a large cluster has megabytes.
const JSON_BYTES_MAX: usize = 64 << 10;

/// Topics a row names. A request for all metadata gets thousands.
const TOPICS_MAX: usize = 256;

/// Bytes of their names: as many of the longest that brokers take, 249 bytes, fit.
const TOPIC_NAMES_BYTES_MAX: usize = 64 << 10;

/// Topic ids a connection remembers the names of, about 100 bytes each.
const TOPIC_IDS_MAX: usize = 4096;

/// Names of topics by their ids, as a connection shows them.
#[derive(Debug, Default)]
pub struct TopicNames {
    names: HashMap<[u8; 16], String>,
    bytes: usize,
    /// Ids whose names others were not told.
    untold: Vec<[u8; 16]>,
}

impl TopicNames {
    /// The name behind an id.
    pub fn get(&self, id: &[u8; 16]) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// Tells `out` what was learned since the last time.
    pub fn tell(&mut self, out: &mut dyn Sink) {
        for id in self.untold.drain(..) {
            if let Some(name) = self.names.get(&id) {
                out.topic(id, name);
            }
        }
    }

    fn learn(&mut self, id: [u8; 16], name: &str) {
        if self.get(&id) == Some(name) {
            return;
        }
        if self.names.len() < TOPIC_IDS_MAX || self.names.contains_key(&id) {
            let before = self.names.insert(id, name.to_owned());
            self.bytes += name.len() + 64;
            self.bytes -= before.map_or(0, |before| before.len() + 64);
            self.untold.push(id);
        }
    }
}

/// A topic, by whichever of the two the message gives.
#[derive(Debug, Default)]
struct Topic {
    name: Option<String>,
    id: Option<[u8; 16]>,
    /// How deep in the body it stands.
    depth: usize,
}

/// What was gathered of a body.
#[derive(Debug)]
pub struct Body {
    json: Json,
    depth: usize,
    topic: Topic,
    partition: Option<i32>,
    /// Topics it names, each once, in order.
    pub topics: Vec<String>,
    /// Bytes of their names.
    topic_bytes: usize,
    /// The first group it names.
    pub group_id: Option<String>,
    /// The first error code that is one, else 0; nothing where it has none.
    pub error_code: Option<i16>,
    /// Acknowledgements a Produce asks for.
    pub acks: Option<i64>,
    /// Records in it.
    pub records: Option<u64>,
}

impl Body {
    /// Nothing passed yet; rows want at most `body_bytes_max` bytes of it.
    pub fn new(body_bytes_max: usize) -> Self {
        Self {
            json: Json::new(body_bytes_max.min(JSON_BYTES_MAX)),
            depth: 0,
            topic: Topic::default(),
            partition: None,
            topics: Vec::new(),
            topic_bytes: 0,
            group_id: None,
            error_code: None,
            acks: None,
            records: None,
        }
    }

    /// Takes in what comes next.
    pub fn event(&mut self, event: &Event<'_>, names: &mut TopicNames) {
        match *event {
            Event::End | Event::Records { .. } => {}
            Event::Enter { name, list } => {
                self.depth += 1;
                self.json.enter(name, list);
                if self.topic.depth >= self.depth {
                    self.topic = Topic::default();
                }
            }
            Event::Leave => {
                self.depth = self.depth.saturating_sub(1);
                self.json.leave();
            }
            Event::Unknown { tag, bytes } => self.json.length(Some(&format!("tag {tag}")), bytes),
            Event::Value { name, field, value } => {
                self.role(field.role, value, names);
                match (field.role, value) {
                    (Role::Secret, Scalar::Bytes(secret)) => self.json.length(name, secret.len() as u64),
                    (Role::Assignment, Scalar::Bytes(bytes)) => {
                        self.embedded(name, &schema::embedded().assignment, bytes, names);
                    }
                    (Role::Subscription, Scalar::Bytes(bytes)) => {
                        self.embedded(name, &schema::embedded().subscription, bytes, names);
                    }
                    _ => self.json.value(name, value),
                }
            }
        }
    }

    /// Takes note of records that passed.
    pub fn records(&mut self, name: &str, bytes: u64, records: u64) {
        *self.records.get_or_insert(0) += records;
        self.json.records(name, bytes, records);
    }

    /// The topic that was named last, by its id where the name is not known, and the partition.
    pub fn place<'a>(&'a self, names: &'a TopicNames) -> (Option<Cow<'a, str>>, Option<i32>) {
        let by_id = |id: [u8; 16]| names.get(&id).map_or_else(|| topic_id(&id).into(), Cow::Borrowed);
        let name = self.topic.name.as_deref().map(Cow::Borrowed);
        (name.or_else(|| self.topic.id.map(by_id)), self.partition)
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let names = [&self.group_id, &self.topic.name].into_iter().flatten().map(String::len).sum::<usize>();
        self.json.len() + names + self.topic_bytes + self.topics.capacity() * size_of::<String>()
    }

    /// The JSON text.
    pub fn json(self, whole: bool) -> Option<String> {
        self.json.end(whole)
    }

    /// Names a further topic.
    pub fn add_topic(&mut self, name: &str) {
        add_topic(&mut self.topics, &mut self.topic_bytes, name);
    }

    /// Takes in bytes as the message they hold; as bytes where they are none, for members need not be consumers.
    fn embedded(&mut self, name: Option<&str>, message: &'static Message, bytes: &[u8], names: &mut TopicNames) {
        let mut input = Reader::new(bytes);
        let version = input.u16_be().ok().and_then(|version| i16::try_from(version).ok());
        let version = version.filter(|&version| message.versions.contain(version));
        let events = version.and_then(|version| embedded_events(message, version, input));
        let Some((version, events)) = version.zip(events) else {
            return self.json.value(name, Scalar::Bytes(bytes));
        };
        self.depth += 1;
        self.json.enter(name, false);
        self.json.value(Some("version"), Scalar::Int(version.into()));
        // The last of them leaves what was entered here.
        events.iter().for_each(|event| self.event(event, names));
    }

    fn role(&mut self, role: Role, value: Scalar<'_>, names: &mut TopicNames) {
        match (role, value) {
            (Role::Acks, Scalar::Int(acks)) => self.acks = Some(acks),
            (Role::ErrorCode, Scalar::Int(code)) if matches!(self.error_code, None | Some(0)) => {
                self.error_code = i16::try_from(code).ok();
            }
            (Role::Group, Scalar::Text(group)) if self.group_id.is_none() && !group.is_empty() => {
                self.group_id = Some(String::from_utf8_lossy(group).into_owned());
            }
            (Role::Partition, Scalar::Int(partition)) => self.partition = i32::try_from(partition).ok(),
            (Role::Topic, Scalar::Text(name)) if !name.is_empty() => {
                self.enter_topic();
                let name = String::from_utf8_lossy(name).into_owned();
                if let Some(id) = self.topic.id {
                    names.learn(id, &name);
                    let unnamed = json::uuid(&id);
                    let gone = self.topics.pop_if(|last| last == unnamed.as_str());
                    self.topic_bytes -= gone.map_or(0, |gone| gone.len());
                }
                self.add_topic(&name);
                self.topic.name = Some(name);
            }
            (Role::TopicId, Scalar::Uuid(id)) if id != [0; 16] => {
                self.enter_topic();
                self.topic.id = Some(id);
                match &self.topic.name {
                    Some(name) => names.learn(id, name),
                    None => {
                        let unnamed = json::uuid(&id);
                        self.add_topic(names.get(&id).unwrap_or(unnamed.as_str()));
                    }
                }
            }
            _ => {}
        }
    }

    /// A name and an id belong together where they stand in the same structure.
    fn enter_topic(&mut self) {
        if self.topic.depth != self.depth {
            self.topic = Topic { depth: self.depth, ..Topic::default() };
        }
    }
}

/// What a whole message says, if it is one.
fn embedded_events<'a>(message: &'static Message, version: i16, mut input: Reader<'a>) -> Option<Vec<Event<'a>>> {
    let mut walk = Walk::new(message, version);
    let mut events = Vec::new();
    loop {
        let room = input.left() as u64;
        match walk.next(&mut input, room).ok()? {
            Event::End if room == 0 => return Some(events),
            Event::End => return None,
            event => events.push(event),
        }
    }
}

/// Names a topic, once, as long as there is room for it besides the `bytes` of the others.
pub fn add_topic(topics: &mut Vec<String>, bytes: &mut usize, name: &str) {
    let room = topics.len() < TOPICS_MAX && *bytes + name.len() <= TOPIC_NAMES_BYTES_MAX;
    if room && !topics.iter().any(|known| known == name) {
        *bytes += name.len();
        topics.push(name.to_owned());
    }
}
