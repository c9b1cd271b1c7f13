//! Columns that grow by a row at a time.

use super::schema::{TEXT, item, pair_fields, record_fields};
use super::views::Views;
use arrow::array::{
    Array, ArrayBuilder, ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListArray,
    NullBufferBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{BinaryViewType, ByteViewType, DataType, StringViewType};
use std::borrow::Cow;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

pub type BigInt = Int64Builder;
pub type Blob = Views<BinaryViewType>;
pub type Boolean = BooleanBuilder;
pub type Double = Float64Builder;
pub type Int = Int32Builder;
pub type Text = Views<StringViewType>;

/// A column under construction.
pub trait Build {
    /// All rows so far; begins anew.
    fn build(&mut self) -> ArrayRef;
}

/// Columns begin anew with room for as many rows: growing step by step copies all of them again.
macro_rules! build_with_room {
    ($($builder:ty),*) => {
        $(impl Build for $builder {
            fn build(&mut self) -> ArrayRef {
                let room = Self::with_capacity(self.len());
                Arc::new(std::mem::replace(self, room).finish())
            }
        })*
    };
}
build_with_room!(BigInt, Boolean, Double, Int);

impl<T: ByteViewType> Build for Views<T> {
    fn build(&mut self) -> ArrayRef {
        self.finish()
    }
}

/// Declares a group of columns by name and type: a struct that grows by a row at a time.
macro_rules! columns {
    ($(#[$doc:meta])* $group:ident { $($column:ident: $builder:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $group { $(pub $column: $builder),* }

        impl $group {
            /// The columns so far, in the order of the contract.
            pub fn build(&mut self) -> Vec<arrow::array::ArrayRef> {
                vec![$(crate::table::builders::Build::build(&mut self.$column)),*]
            }

            /// Their names.
            #[cfg(test)]
            pub fn names(&self) -> Vec<&'static str> {
                vec![$(stringify!($column)),*]
            }
        }
    };
}
pub(crate) use columns;

/// Declares rows that are made of groups of columns.
macro_rules! groups {
    ($(#[$doc:meta])* $rows:ident { $($group:ident: $columns:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $rows { $($group: $columns),* }

        impl $rows {
            /// The columns so far, in the order of the contract.
            pub fn build(&mut self) -> Vec<arrow::array::ArrayRef> {
                [$(self.$group.build()),*].concat()
            }

            /// Their names.
            #[cfg(test)]
            pub fn names(&self) -> Vec<&'static str> {
                [$(self.$group.names()),*].concat()
            }
        }
    };
}
pub(crate) use groups;

/// Text as the wire has it: what is no UTF-8 is replaced.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Nearly all is, and that is seen in many bytes at once.
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Appends text as the wire has it, or NULL.
pub fn append_text(to: &mut Text, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => to.append_value(text(bytes)),
        None => to.append_null(),
    }
}

/// Appends an address: nearly all are of IPv4, and formatting is slower than all else about them.
pub fn append_ip(to: &mut Text, ip: IpAddr) {
    /// An address of IPv6, eight groups of four digits; those that hold one of IPv4 are shorter.
    const BYTES_MAX: usize = 39;
    let (mut text, mut length) = ([0; BYTES_MAX + 1], 0);
    match ip {
        IpAddr::V4(ip) => {
            for octet in ip.octets() {
                for power in [100, 10, 1] {
                    if octet >= power || power == 1 {
                        text[length] = b'0' + octet / power % 10;
                        length += 1;
                    }
                }
                text[length] = b'.';
                length += 1;
            }
            length -= 1;
        }
        IpAddr::V6(ip) => {
            let mut rest = text.as_mut_slice();
            // There is room for all of it.
            let _ = write!(rest, "{ip}");
            let left = rest.len();
            length = text.len() - left;
        }
    }
    to.append_value(text.get(..length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default());
}

/// Milliseconds of a time in nanoseconds.
pub fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// Times, from nanoseconds.
#[derive(Default)]
pub struct Time {
    us: Vec<i64>,
    known: Known,
}

impl Time {
    pub fn append_ns(&mut self, ns: i64) {
        self.us.push(ns.div_euclid(1000));
        self.known.append(true);
    }

    pub fn append_option_ns(&mut self, ns: Option<i64>) {
        self.us.push(ns.unwrap_or_default().div_euclid(1000));
        self.known.append(ns.is_some());
    }

    /// For times that nanoseconds cannot count: certificates last until the year 9999.
    pub fn append_option_s(&mut self, s: Option<i64>) {
        let us = s.and_then(|s| s.checked_mul(1_000_000));
        self.us.push(us.unwrap_or_default());
        self.known.append(us.is_some());
    }
}

impl Build for Time {
    fn build(&mut self) -> ArrayRef {
        let room = Vec::with_capacity(self.us.len());
        let us = ScalarBuffer::from(std::mem::replace(&mut self.us, room));
        Arc::new(TimestampMicrosecondArray::new(us, self.known.finish()).with_timezone("UTC"))
    }
}

/// Which rows are not NULL.
struct Known(NullBufferBuilder);

impl Default for Known {
    fn default() -> Self {
        Self(NullBufferBuilder::new(0))
    }
}

impl Known {
    fn append(&mut self, known: bool) {
        self.0.append(known);
    }
    fn finish(&mut self) -> Option<arrow::buffer::NullBuffer> {
        self.0.finish()
    }
}

/// The lists of a column: where each ends, and which are NULL.
#[derive(Default)]
struct Lists {
    lengths: Vec<usize>,
    known: Known,
}

impl Lists {
    fn append(&mut self, length: Option<usize>) {
        self.lengths.push(length.unwrap_or_default());
        self.known.append(length.is_some());
    }
    fn build(&mut self, of: DataType, values: ArrayRef) -> ArrayRef {
        let offsets = OffsetBuffer::from_lengths(self.lengths.drain(..));
        Arc::new(ListArray::new(item(of), offsets, values, self.known.finish()))
    }
}

/// Lists of numbers.
#[derive(Default)]
pub struct IntList {
    lists: Lists,
    values: Int,
}

impl IntList {
    /// NULL where there are none.
    pub fn append(&mut self, values: impl Iterator<Item = i32>) {
        let before = self.values.values_slice().len();
        values.for_each(|value| self.values.append_value(value));
        let length = self.values.values_slice().len() - before;
        self.lists.append((length > 0).then_some(length));
    }
}

impl Build for IntList {
    fn build(&mut self) -> ArrayRef {
        let values = self.values.build();
        self.lists.build(DataType::Int32, values)
    }
}

/// Lists of text.
#[derive(Default)]
pub struct TextList {
    lists: Lists,
    values: Text,
}

impl TextList {
    pub fn append<'a>(&mut self, values: impl Iterator<Item = &'a str>) {
        let mut length = 0;
        for value in values {
            self.values.append_value(value);
            length += 1;
        }
        self.lists.append(Some(length));
    }

    /// NULL where there is no list.
    pub fn append_option<'a>(&mut self, values: Option<impl Iterator<Item = &'a str>>) {
        match values {
            Some(values) => self.append(values),
            None => self.lists.append(None),
        }
    }
}

impl Build for TextList {
    fn build(&mut self) -> ArrayRef {
        let values = self.values.build();
        self.lists.build(TEXT, values)
    }
}

/// Lists of name and value pairs.
#[derive(Default)]
pub struct Pairs {
    lists: Lists,
    names: Text,
    values: Text,
}

impl Pairs {
    /// Appends a list; what of it is `None` is not known.
    pub fn append<'a, T: Into<Option<&'a [u8]>>>(&mut self, pairs: Option<impl Iterator<Item = (T, T)>>) {
        let length = pairs.map(|pairs| {
            pairs.fold(0, |length, (name, value)| {
                append_text(&mut self.names, name.into());
                append_text(&mut self.values, value.into());
                length + 1
            })
        });
        self.lists.append(length);
    }
}

impl Build for Pairs {
    fn build(&mut self) -> ArrayRef {
        let columns = vec![self.names.build(), self.values.build()];
        let pairs = StructArray::new(pair_fields(&TEXT), columns, None);
        self.lists.build(pairs.data_type().clone(), Arc::new(pairs))
    }
}

/// A DNS resource record in presentation form.
pub struct Record<'a> {
    pub name: &'a str,
    pub kind: Cow<'static, str>,
    pub ttl: i64,
    pub data: &'a str,
}

/// Lists of DNS resource records.
#[derive(Default)]
pub struct Records {
    lists: Lists,
    names: Text,
    kinds: Text,
    ttls: BigInt,
    data: Text,
}

impl Records {
    pub fn append<'a>(&mut self, records: Option<impl Iterator<Item = Record<'a>>>) {
        let length = records.map(|records| {
            records.fold(0, |length, record| {
                self.names.append_value(record.name);
                self.kinds.append_value(record.kind);
                self.ttls.append_value(record.ttl);
                self.data.append_value(record.data);
                length + 1
            })
        });
        self.lists.append(length);
    }
}

impl Build for Records {
    fn build(&mut self) -> ArrayRef {
        let columns = vec![self.names.build(), self.kinds.build(), self.ttls.build(), self.data.build()];
        let records = StructArray::new(record_fields(&TEXT), columns, None);
        self.lists.build(records.data_type().clone(), Arc::new(records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;

    #[test]
    fn addresses_read_as_usual() {
        let mut column = Text::default();
        let v4 = (0..=255u8).map(|octet| IpAddr::from([octet, 9, 255 - octet, 100]));
        let v6 = ["::", "::1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "fe80::ffff:ffff:ffff:ffff"];
        let longest = IpAddr::from([0xffff_u16; 8]);
        let all: Vec<IpAddr> = v4.chain(v6.map(|ip| ip.parse().unwrap())).chain([longest]).collect();
        all.iter().for_each(|&ip| append_ip(&mut column, ip));
        let column = column.build();
        let shown: Vec<&str> = column.as_string_view().iter().flatten().collect();
        assert_eq!(shown, all.iter().map(IpAddr::to_string).collect::<Vec<_>>());
    }
}
