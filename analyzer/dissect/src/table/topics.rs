//! Topics of Kafka that rows have by their ids get the names that any connection showed, until the rows are written.

use super::waiting::Lot;
use crate::protocols::kafka;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StringViewArray};
use arrow::datatypes::DataType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics remembered, about 150 bytes each. Those of the least ids are kept: which they are does not depend on who
/// saw them first.
const TOPICS_MAX: usize = 16 << 10;

/// Names by ids, as rows have these.
#[derive(Debug, Default)]
pub struct Topics {
    names: BTreeMap<String, String>,
}

impl Topics {
    /// Takes note of a name.
    pub fn learn(&mut self, id: [u8; 16], name: &str) {
        self.add(kafka::topic_id(&id), name.to_owned());
    }

    /// Takes over what another learned.
    pub fn absorb(&mut self, other: &mut Self) {
        std::mem::take(&mut other.names).into_iter().for_each(|(id, name)| self.add(id, name));
    }

    /// Gives rows the names that are known.
    pub fn name(&self, lots: &mut [Lot]) {
        if self.names.is_empty() {
            return;
        }
        for lot in lots {
            match lot.table {
                "kafka" => self.column(lot, "topics"),
                "kafka_records" => self.column(lot, "topic"),
                _ => {}
            }
        }
    }

    /// An id has one name; were it shown with two, the order of threads must not choose.
    fn add(&mut self, id: String, name: String) {
        match self.names.get_mut(&id) {
            Some(known) if *known > name => *known = name,
            Some(_) => {}
            None => {
                self.names.insert(id, name);
                if self.names.len() > TOPICS_MAX {
                    self.names.pop_last();
                }
            }
        }
    }

    fn column(&self, lot: &mut Lot, name: &str) {
        let Some((at, field)) = lot.batch.schema_ref().column_with_name(name) else { return };
        let column = match field.data_type() {
            DataType::List(_) => self.lists(lot.batch.column(at).as_list::<i32>()),
            _ => self.texts(lot.batch.column(at).as_string_view()).map(|texts| Arc::new(texts) as ArrayRef),
        };
        if let Some(column) = column {
            let mut columns = lot.batch.columns().to_vec();
            columns[at] = column;
            let batch = RecordBatch::try_new(lot.batch.schema(), columns);
            lot.batch = batch.unwrap_or_else(|error| unreachable!("{name} is as it was: {error}"));
        }
    }

    fn lists(&self, lists: &ListArray) -> Option<ArrayRef> {
        let DataType::List(field) = lists.data_type() else { return None };
        let texts = self.texts(lists.values().as_string_view())?;
        Some(Arc::new(ListArray::new(field.clone(), lists.offsets().clone(), Arc::new(texts), lists.nulls().cloned())))
    }

    /// The same with names, where there are any.
    fn texts(&self, texts: &StringViewArray) -> Option<StringViewArray> {
        let name = |text: &str| self.names.get(text).map(String::as_str);
        texts.iter().flatten().any(|text| name(text).is_some()).then_some(())?;
        Some(texts.iter().map(|text| text.map(|text| name(text).unwrap_or(text))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, ListBuilder, StringViewBuilder};

    fn lot(table: &'static str, column: &str, values: ArrayRef) -> Lot {
        let other = Arc::new(Int32Array::from_iter_values(0..values.len() as i32)) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([("other", other, true), (column, values, true)]).unwrap();
        Lot { table, batch, order: Vec::new() }
    }

    #[test]
    fn ids_get_their_names_wherever_they_were_shown() {
        let (mut topics, mut elsewhere) = (Topics::default(), Topics::default());
        elsewhere.learn([7; 16], "orders");
        elsewhere.learn([8; 16], "b");
        topics.learn([8; 16], "a");
        topics.absorb(&mut elsewhere);
        let [orders, unknown] = [[7; 16], [9; 16]].map(|id| kafka::topic_id(&id));
        let texts = StringViewArray::from(vec![Some(orders.as_str()), None, Some(unknown.as_str()), Some("orders")]);
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        lists.append_value([Some("x"), Some(orders.as_str())]);
        lists.append_null();
        let mut lots = [
            lot("kafka_records", "topic", Arc::new(texts.clone())),
            lot("kafka", "topics", Arc::new(lists.finish())),
            lot("redis", "topic", Arc::new(texts)),
        ];
        topics.name(&mut lots);
        let named: Vec<_> = lots[0].batch.column(1).as_string_view().iter().collect();
        assert_eq!(named, [Some("orders"), None, Some(unknown.as_str()), Some("orders")]);
        let lists = lots[1].batch.column(1).as_list::<i32>();
        assert_eq!(lists.value(0).as_string_view().iter().collect::<Vec<_>>(), [Some("x"), Some("orders")]);
        assert!(lists.is_null(1));
        assert_eq!(lots[2].batch.column(1).as_string_view().value(0), orders);
        assert_eq!(topics.names[&kafka::topic_id(&[8; 16])], "a");
    }

    #[test]
    fn what_is_kept_does_not_depend_on_the_order() {
        let ids = |ids: &mut dyn Iterator<Item = u32>| {
            let mut topics = Topics::default();
            for id in ids {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&id.to_be_bytes());
                topics.learn(bytes, "x");
            }
            topics.names
        };
        let most = TOPICS_MAX as u32 + 100;
        assert_eq!(ids(&mut (0..most)), ids(&mut (0..most).rev()));
    }
}
