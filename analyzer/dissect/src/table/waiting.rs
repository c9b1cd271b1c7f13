//! Rows that others may belong in front of: they wait until nothing older is to be expected.

use crate::limits;
use arrow::array::new_null_array;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray};
use arrow::compute::interleave;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

const DAY_NS: i64 = 86_400_000_000_000;

/// Where a row belongs: by its time [ns], then by its rank.
pub type Order = (i64, u64);

/// Rows of one table from one thread.
pub struct Lot {
    /// The table.
    pub table: &'static str,
    /// The rows.
    pub batch: RecordBatch,
    /// Where each belongs.
    pub order: Vec<Order>,
}

/// A lot of which some rows wait, or will.
struct Kept {
    batch: RecordBatch,
    /// The pass it came with.
    pass: u64,
}

/// A row: where it belongs, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    order: Order,
    lot: usize,
    row: usize,
}

/// Rows of one table that wait.
#[derive(Default)]
pub struct Waiting {
    lots: VecDeque<Kept>,
    /// Number of the first of them, counted over all there ever were.
    first: usize,
    /// The rows that wait, in order.
    places: Vec<Place>,
    pass: u64,
    /// What stands for a lot that is done with.
    empty: Option<RecordBatch>,
}

impl Waiting {
    /// Takes in the rows of a pass. Gives those that nothing belongs in front of any more, in order, by the days
    /// since the epoch that they belong to: all of them where it is the `last` pass.
    ///
    /// # Errors
    /// What Arrow says: a column of more than 2 GiB.
    pub fn settle(&mut self, lots: Vec<Lot>, last: bool) -> Result<Vec<(i64, RecordBatch)>, ArrowError> {
        self.pass += 1;
        let mut places = std::mem::take(&mut self.places);
        for Lot { batch, order, .. } in lots {
            let lot = self.first + self.lots.len();
            places.extend(order.into_iter().enumerate().map(|(row, order)| Place { order, lot, row }));
            self.lots.push_back(Kept { batch, pass: self.pass });
        }
        // Much is in order already: what waited, and the rows of each flow.
        places.sort();
        let newest_ns = places.last().map_or(i64::MIN, |newest| newest.order.0);
        let settled_ns = newest_ns.saturating_sub(limits::ROWS_WAIT_NS);
        let settled = places.partition_point(|place| place.order.0 <= settled_ns).max(places.len() / 2);
        let (now, later) = places.split_at(if last { places.len() } else { settled });
        let day = |place: &Place| place.order.0.div_euclid(DAY_NS);
        let days = now.chunk_by(|a, b| day(a) == day(b));
        let batches = days.map(|rows| Ok((rows.first().map_or(0, day), self.gather(rows)?)));
        let batches = batches.collect::<Result<_, ArrowError>>()?;
        self.keep(later)?;
        Ok(batches)
    }

    /// Has `later` wait, and lets everything else go.
    fn keep(&mut self, later: &[Place]) -> Result<(), ArrowError> {
        let old = self.lots.iter().take_while(|kept| self.pass - kept.pass >= limits::ROWS_WAIT_PASSES).count();
        let young = self.first + old;
        // A few rows that wait long would keep all the others that came with them.
        let long: Vec<Place> = later.iter().filter(|place| place.lot < young).copied().collect();
        let copy = self.first + self.lots.len();
        if !long.is_empty() {
            self.lots.push_back(Kept { batch: copied(&self.gather(&long)?), pass: self.pass });
        }
        let mut rows = 0..long.len();
        let moved = |place: &Place| match place.lot < young {
            true => Place { lot: copy, row: rows.next().unwrap_or_default(), ..*place },
            false => *place,
        };
        self.places = later.iter().map(moved).collect();
        self.lots.drain(..old);
        self.first = young;
        let needed: BTreeSet<usize> = self.places.iter().map(|place| place.lot).collect();
        let lots = (self.first..).zip(&mut self.lots);
        let not_needed = lots.filter(|(lot, kept)| kept.batch.num_rows() > 0 && !needed.contains(lot));
        not_needed.for_each(|(_, kept)| {
            let empty = self.empty.get_or_insert_with(|| RecordBatch::new_empty(kept.batch.schema()));
            kept.batch = empty.clone();
        });
        Ok(())
    }

    /// Rows in the order of `places`.
    fn gather(&self, places: &[Place]) -> Result<RecordBatch, ArrowError> {
        let batches: Vec<&RecordBatch> = self.lots.iter().map(|kept| &kept.batch).collect();
        let places: Vec<(usize, usize)> = places.iter().map(|place| (place.lot - self.first, place.row)).collect();
        let none = || ArrowError::ComputeError("places outside of all lots".into());
        let schema = batches.first().map(|batch| batch.schema()).ok_or_else(none)?;
        let columns = (0..schema.fields().len()).map(|at| {
            let columns: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
            // Of many columns nothing is known.
            if columns.iter().all(|column| column.null_count() == column.len()) {
                return Ok(new_null_array(schema.field(at).data_type(), places.len()));
            }
            interleave(&columns, &places)
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        RecordBatch::try_new(schema, columns)
    }
}

/// The same rows in memory of their own: what else their views point into may go.
fn copied(rows: &RecordBatch) -> RecordBatch {
    let columns = rows.columns().iter().map(copied_column).collect();
    RecordBatch::try_new(rows.schema(), columns)
        .unwrap_or_else(|error| unreachable!("columns are of the same type and length: {error}"))
}

fn copied_column(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        DataType::List(item) => {
            let list = column.as_list::<i32>();
            let values = copied_column(list.values());
            Arc::new(ListArray::new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::Struct(fields) => {
            let group = column.as_struct();
            let columns = group.columns().iter().map(copied_column).collect();
            Arc::new(StructArray::new(fields.clone(), columns, group.nulls().cloned()))
        }
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        _ => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringViewArray;
    use arrow::datatypes::{Field, Int64Type, Schema};

    /// A lot whose rows say where they belong.
    fn lot(order: &[Order]) -> Lot {
        let texts: StringViewArray = order.iter().map(|order| Some(format!("row {order:?}, and so on"))).collect();
        let lists = order.iter().map(|order| Some(vec![Some(order.0)]));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        let columns: Vec<ArrayRef> = vec![Arc::new(texts), Arc::new(lists)];
        let fields: Vec<Field> =
            columns.iter().map(|column| Field::new("c", column.data_type().clone(), true)).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        Lot { table: "t", batch, order: order.to_vec() }
    }

    fn told(batches: &[(i64, RecordBatch)]) -> Vec<String> {
        let texts = batches.iter().flat_map(|(_, rows)| rows.column(0).as_string_view().iter().flatten());
        texts.map(str::to_owned).collect()
    }

    #[test]
    fn rows_come_in_order_and_late_ones_from_far_back_are_copied() {
        let (mut waiting, mut all, mut given) = (Waiting::default(), Vec::new(), Vec::new());
        // Two rows came with a clock that is an hour ahead: they wait to the end.
        for pass in 0..20 {
            let at = |n: u64| (pass * limits::ROWS_WAIT_NS + n as i64, n);
            let mut orders = [vec![at(2), at(0)], vec![at(1), at(3), at(4)]];
            orders[0].extend((pass < 2).then_some((3_600_000_000_000 + pass, 99)));
            all.extend(orders.concat());
            given.extend(told(&waiting.settle(orders.iter().map(|orders| lot(orders)).collect(), false).unwrap()));
            assert!(waiting.lots.len() <= 3 * limits::ROWS_WAIT_PASSES as usize, "{}", waiting.lots.len());
        }
        given.extend(told(&waiting.settle(Vec::new(), true).unwrap()));
        all.sort();
        let all = lot(&all);
        assert_eq!(given, told(&[(0, all.batch)]));
        assert!(waiting.places.is_empty() && waiting.lots.iter().all(|kept| kept.batch.num_rows() == 0));
    }

    #[test]
    fn a_column_stays_null_only_where_no_lot_has_anything() {
        let of = |order: Order, text: Option<&str>| {
            let texts: ArrayRef = Arc::new(StringViewArray::from(vec![text]));
            let nothing: ArrayRef = Arc::new(StringViewArray::from(vec![None::<&str>]));
            let columns = [("a", texts, true), ("b", nothing, true)];
            Lot { table: "t", batch: RecordBatch::try_from_iter_with_nullable(columns).unwrap(), order: vec![order] }
        };
        let lots = vec![of((2, 0), Some("later")), of((1, 0), None)];
        let batches = Waiting::default().settle(lots, true).unwrap();
        let column = |at: usize| batches[0].1.column(at).as_string_view().iter().collect::<Vec<_>>();
        assert_eq!((column(0), column(1)), (vec![None, Some("later")], vec![None, None]));
    }

    #[test]
    fn days_are_told_apart() {
        let orders = [(-1, 0), (0, 1), (DAY_NS - 1, 2), (DAY_NS, 3)];
        let days = Waiting::default().settle(vec![lot(&orders)], true).unwrap();
        let days: Vec<_> = days.iter().map(|(day, rows)| (*day, rows.num_rows())).collect();
        assert_eq!(days, [(-1, 1), (0, 2), (1, 1)]);
    }
}
