//! Which fields a message has in which version, read once from the tables in `schemas/`.

use std::collections::HashMap;
use std::sync::LazyLock;

const TABLES: [&str; 6] = [
    include_str!("schemas/data.txt"),
    include_str!("schemas/group.txt"),
    include_str!("schemas/transaction.txt"),
    include_str!("schemas/session.txt"),
    include_str!("schemas/admin.txt"),
    include_str!("schemas/cluster.txt"),
];

/// Versions, the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    first: i16,
    last: i16,
}

impl Versions {
    const NONE: Self = Self { first: 0, last: -1 };

    /// Whether `version` is among them.
    pub fn contain(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    fn read(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::NONE);
        }
        let (first, last) = match (text.strip_suffix('+'), text.split_once('-')) {
            (Some(first), _) => (first.parse().ok()?, i16::MAX),
            (_, Some((first, last))) => (first.parse().ok()?, last.parse().ok()?),
            _ => (text.parse().ok()?, text.parse().ok()?),
        };
        Some(Self { first, last })
    }
}

/// What a value is.
#[derive(Debug, PartialEq)]
pub enum Kind {
    Bool,
    Bytes,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Records,
    String,
    Struct(Vec<Field>),
    UInt16,
    UInt32,
    Uuid,
}

/// What a field means to the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Acks,
    /// Holds an assignment of a consumer.
    Assignment,
    ErrorCode,
    Group,
    Other,
    Partition,
    Secret,
    /// Holds a subscription of a consumer.
    Subscription,
    Topic,
    TopicId,
}

/// One field.
#[derive(Debug, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub list: bool,
    pub versions: Versions,
    pub nullable: Versions,
    pub tagged: Versions,
    pub tag: u32,
    pub role: Role,
}

impl Field {
    /// Whether it stands in its place in `version`.
    pub fn is_in_place(&self, version: i16) -> bool {
        self.versions.contain(version) && !self.tagged.contain(version)
    }
}

/// A request or a response.
#[derive(Debug, PartialEq)]
pub struct Message {
    pub versions: Versions,
    pub flexible: Versions,
    pub fields: Vec<Field>,
}

/// What a client may ask for.
#[derive(Debug)]
pub struct Api {
    pub key: i16,
    pub name: &'static str,
    pub request: Message,
    pub response: Message,
}

/// The key of ApiVersions: its response has always the oldest header, whatever the version (KIP-511).
pub const API_VERSIONS: i16 = 18;
/// The key of ControlledShutdown, whose first version has no client id.
pub const CONTROLLED_SHUTDOWN: i16 = 7;
/// The key of Fetch.
pub const FETCH: i16 = 1;
/// The key of Produce.
pub const PRODUCE: i16 = 0;
/// The key of SaslHandshake.
pub const SASL_HANDSHAKE: i16 = 17;

/// What consumers tell each other inside of JoinGroup and SyncGroup.
#[derive(Debug)]
pub struct Embedded {
    pub subscription: Message,
    pub assignment: Message,
}

/// The key such messages have in the tables.
const EMBEDDED: i16 = -1;

struct Schema {
    apis: Vec<Option<Api>>,
    embedded: Embedded,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let mut messages: HashMap<(i16, &str), (&str, Message)> = HashMap::new();
    for line in TABLES.iter().flat_map(|table| Lines::of(table).messages()) {
        messages.insert((line.key, line.direction), (line.name, line.message));
    }
    let last = messages.keys().map(|(key, _)| *key).max().unwrap_or_default();
    let api = |key| {
        let (name, request) = messages.remove(&(key, "request"))?;
        let (_, response) = messages.remove(&(key, "response"))?;
        Some(Api { key, name, request, response })
    };
    let apis = (0..=last).map(api).collect();
    let mut embedded = |name| {
        let (_, message) = messages.remove(&(EMBEDDED, name)).unwrap_or_else(|| unreachable!("no {name}"));
        message
    };
    let embedded = Embedded { subscription: embedded("subscription"), assignment: embedded("assignment") };
    Schema { apis, embedded }
});

/// What consumers tell each other.
pub fn embedded() -> &'static Embedded {
    &SCHEMA.embedded
}

/// The API of that key.
pub fn api(key: i16) -> Option<&'static Api> {
    SCHEMA.apis.get(usize::try_from(key).ok()?)?.as_ref()
}

/// Every API there is.
pub fn apis() -> impl Iterator<Item = &'static Api> {
    SCHEMA.apis.iter().flatten()
}

struct Entry {
    key: i16,
    name: &'static str,
    direction: &'static str,
    message: Message,
}

/// The lines of a table, with how deep each is indented.
struct Lines {
    lines: std::iter::Peekable<std::vec::IntoIter<(usize, &'static str)>>,
}

impl Lines {
    fn of(table: &'static str) -> Self {
        let lines: Vec<_> = table
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| ((line.len() - line.trim_start().len()) / 2, line.trim_start()))
            .collect();
        Self { lines: lines.into_iter().peekable() }
    }

    fn messages(mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Some((_, line)) = self.lines.next() {
            let fields = self.fields(1);
            let entry = Self::message(line, fields).unwrap_or_else(|| unreachable!("no message: {line}"));
            entries.push(entry);
        }
        entries
    }

    fn message(line: &'static str, fields: Vec<Field>) -> Option<Entry> {
        let mut words = line.split(' ');
        let (key, name, direction) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let versions = Versions::read(words.next()?)?;
        let flexible = Versions::read(words.nth(1)?)?;
        Some(Entry { key, name, direction, message: Message { versions, flexible, fields } })
    }

    fn fields(&mut self, depth: usize) -> Vec<Field> {
        let mut fields = Vec::new();
        while let Some((_, line)) = self.lines.next_if(|(at, _)| *at == depth) {
            let inner = self.fields(depth + 1);
            let field = Self::field(line, inner).unwrap_or_else(|| unreachable!("no field: {line}"));
            fields.push(field);
        }
        fields
    }

    fn field(line: &'static str, inner: Vec<Field>) -> Option<Field> {
        let mut words = line.split(' ');
        let (name, kind) = (words.next()?, words.next()?);
        let (list, kind) = kind.strip_prefix("[]").map_or((false, kind), |kind| (true, kind));
        let versions = Versions::read(words.next()?)?;
        let kind = match kind {
            "" | "{}" => Kind::Struct(inner),
            "bool" => Kind::Bool,
            "bytes" => Kind::Bytes,
            "float64" => Kind::Float64,
            "int8" => Kind::Int8,
            "int16" => Kind::Int16,
            "int32" => Kind::Int32,
            "int64" => Kind::Int64,
            "records" => Kind::Records,
            "string" => Kind::String,
            "uint16" => Kind::UInt16,
            "uint32" => Kind::UInt32,
            "uuid" => Kind::Uuid,
            _ => return None,
        };
        let role = match (name, &kind) {
            ("acks", Kind::Int16) => Role::Acks,
            ("error_code" | "partition_error_code" | "acknowledge_error_code", Kind::Int16) => Role::ErrorCode,
            ("index" | "partition" | "partition_index", Kind::Int32) if !list => Role::Partition,
            ("topic_id", Kind::Uuid) => Role::TopicId,
            _ => Role::Other,
        };
        let mut field =
            Field { name, kind, list, versions, nullable: Versions::NONE, tagged: Versions::NONE, tag: 0, role };
        for word in words {
            match (word, word.split_once('=')) {
                (_, Some(("null", versions))) => field.nullable = Versions::read(versions)?,
                (_, Some(("tag", tag))) => {
                    let (tag, versions) = tag.split_once(':')?;
                    field.tag = tag.parse().ok()?;
                    field.tagged = Versions::read(versions)?;
                }
                ("assignment", _) => field.role = Role::Assignment,
                ("group", _) => field.role = Role::Group,
                ("secret", _) => field.role = Role::Secret,
                ("subscription", _) => field.role = Role::Subscription,
                ("topic", _) => field.role = Role::Topic,
                _ => return None,
            }
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_both_directions_in_the_same_versions() {
        assert_eq!(apis().count(), 94);
        for api in apis() {
            let name = api.name;
            assert_eq!(api.request.versions, api.response.versions, "{name}");
            assert_eq!(api.request.versions.first, 0, "{name}");
        }
    }

    #[test]
    fn tags_belong_to_flexible_versions() {
        fn check(message: &Message, fields: &[Field], name: &str) {
            for field in fields {
                for version in 0..=message.versions.last {
                    let tagged = field.tagged.contain(version);
                    assert!(!tagged || message.flexible.contain(version), "{name} {} v{version}", field.name);
                }
                if let Kind::Struct(inner) = &field.kind {
                    assert!(!inner.is_empty(), "{name} {} is empty", field.name);
                    check(message, inner, name);
                }
            }
        }
        for api in apis() {
            check(&api.request, &api.request.fields, api.name);
            check(&api.response, &api.response.fields, api.name);
        }
    }
}
