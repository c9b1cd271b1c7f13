//! Header and trailer fields (RFC 9110 §6.3).

/// Fields in order, with case and repeats; one allocation for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    bytes: Vec<u8>,
    /// Ends of each name and value in `bytes`.
    ends: Vec<(u32, u32)>,
    /// Places of the fields whose names are not known, in order, and whether their values are.
    unknown: Vec<(u32, bool)>,
}

impl Fields {
    /// Adds a field at the end.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len() as u32));
    }

    /// Adds a field whose name is not known: a header of HTTP/2 that stands for one we did not see.
    pub fn push_unknown(&mut self, value: Option<&[u8]>) {
        self.unknown.push((self.ends.len() as u32, value.is_some()));
        self.push(&[], value.unwrap_or_default());
    }

    /// Adds to the value of the last field, with a space between (RFC 9112 §5.2).
    pub fn fold(&mut self, more: &[u8]) {
        if let Some((name_end, value_end)) = self.ends.last_mut() {
            if name_end != value_end {
                self.bytes.push(b' ');
            }
            self.bytes.extend_from_slice(more);
            *value_end = self.bytes.len() as u32;
        }
    }

    /// Makes room for fields of so many bytes.
    pub fn reserve(&mut self, bytes: usize, fields: usize) {
        self.bytes.reserve(bytes);
        self.ends.reserve(fields);
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.unknown.clear();
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Name and value of each field, in order, as far as they are known.
    pub fn known(&self) -> impl Iterator<Item = (Option<&[u8]>, Option<&[u8]>)> {
        let mut unknown = self.unknown.iter().peekable();
        self.iter().zip(0..).map(move |((name, value), place)| match unknown.next_if(|field| field.0 == place) {
            Some(&(_, valued)) => (None, valued.then_some(value)),
            None => (Some(name), Some(value)),
        })
    }

    /// Name and value of each field, in order; empty where they are not known.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let (name_end, value_end) = (name_end as usize, value_end as usize);
            let field = (
                self.bytes.get(begin..name_end).unwrap_or_default(),
                self.bytes.get(name_end..value_end).unwrap_or_default(),
            );
            begin = value_end;
            field
        })
    }

    /// The first value of that name, whatever its case (RFC 9110 §5.1).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// All values of that name, whatever its case, as one list (RFC 9110 §5.3).
    pub fn list(&self, name: &str) -> String {
        let named = self.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| String::from_utf8_lossy(value)).collect::<Vec<_>>().join(", ")
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let unknown = self.unknown.len() * size_of::<(u32, bool)>();
        self.bytes.len() + self.ends.len() * size_of::<(u32, u32)>() + unknown
    }
}
