//! Columns of texts and bytes under construction.
//!
//! Enters: a value a row, or none. Leaves: an array of views, for which of rows without a value in front of the first nothing was built.

use arrow::array::{ArrayBuilder, ArrayRef, GenericByteViewArray, GenericByteViewBuilder};
use arrow::datatypes::ByteViewType;
use std::sync::Arc;

/// Bytes of a block that values of a column share, where they are too long for their views; a longer value has its own.
/// The allocator keeps such blocks for the next rows, which it does not with those that grow.
const BLOCK_BYTES: u32 = 8 << 10;

/// Texts or bytes. Of many columns nothing is known, as of pods where the traffic is of none: those in front of the first
/// value are counted alone.
pub struct Views<T: ByteViewType> {
    unknown: usize,
    values: GenericByteViewBuilder<T>,
}

impl<T: ByteViewType> Default for Views<T> {
    fn default() -> Self {
        Self { unknown: 0, values: values_builder(0) }
    }
}

fn values_builder<T: ByteViewType>(room: usize) -> GenericByteViewBuilder<T> {
    GenericByteViewBuilder::with_capacity(room).with_fixed_block_size(BLOCK_BYTES)
}

impl<T: ByteViewType> Views<T> {
    /// A row with that value.
    pub fn append_value(&mut self, value: impl AsRef<T::Native>) {
        (0..std::mem::take(&mut self.unknown)).for_each(|_| self.values.append_null());
        self.values.append_value(value);
    }

    /// A row without one.
    pub fn append_null(&mut self) {
        if self.values.is_empty() {
            self.unknown += 1;
        } else {
            self.values.append_null();
        }
    }

    /// A row with that value, if there is one.
    pub fn append_option(&mut self, value: Option<impl AsRef<T::Native>>) {
        match value {
            Some(value) => self.append_value(value),
            None => self.append_null(),
        }
    }

    /// The column so far; the next begins with as much room.
    pub fn finish(&mut self) -> ArrayRef {
        if self.values.is_empty() {
            return Arc::new(GenericByteViewArray::<T>::new_null(std::mem::take(&mut self.unknown)));
        }
        let room = values_builder(self.values.len());
        Arc::new(std::mem::replace(&mut self.values, room).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::StringViewType;

    #[test]
    fn what_is_not_known_in_front_of_the_first_text_is_null() {
        let mut column = Views::<StringViewType>::default();
        for texts in [&[None, None, Some("a"), None][..], &[None; 3], &[], &[Some("b"), None]] {
            texts.iter().for_each(|&text| column.append_option(text));
            let built = column.finish();
            assert_eq!(built.as_string_view().iter().collect::<Vec<_>>(), texts);
        }
    }
}
