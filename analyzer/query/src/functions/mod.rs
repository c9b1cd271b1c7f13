//! The SQL functions of Remora, beside those of the engine.

mod body;
mod json;
mod length;
mod net;
mod text;

use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use std::sync::Arc;

/// All of them.
pub fn all() -> Vec<ScalarUDF> {
    // As they are read (see `types.rs`): other texts end at 2 GiB in a batch.
    let text = DataType::Utf8View;
    let body = DataType::BinaryView;
    let mut all = vec![
        udf("cidr_contains", vec![text.clone(), text.clone()], DataType::Boolean, net::cidr_contains),
        udf("header", vec![pairs(), text.clone()], text.clone(), header),
        udf("hexdump", vec![body.clone()], text.clone(), body::hexdump),
        udf("json_get", vec![text.clone(), text.clone()], text.clone(), json::json_get),
        udf("protobuf", vec![body.clone()], text.clone(), body::protobuf),
        udf("sha256", vec![body.clone()], text.clone(), body::sha256),
        udf("text", vec![body], text.clone(), body::text),
        udf("url_decode", vec![text.clone()], text, text::url_decode),
    ];
    all.extend(length::all());
    all
}

type Body = fn(&[Arc<dyn Array>]) -> Result<Arc<dyn Array>>;

fn udf(name: &str, arguments: Vec<DataType>, returns: DataType, body: Body) -> ScalarUDF {
    let call = move |values: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(values)?;
        Ok(ColumnarValue::Array(body(&arrays)?))
    };
    create_udf(name, arguments, returns, Volatility::Immutable, Arc::new(call))
}

fn pairs() -> DataType {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let pair = DataType::Struct(Fields::from(vec![text("name"), text("value")]));
    DataType::List(Arc::new(Field::new("item", pair, true)))
}

/// `header(headers, 'name')`: the first value of that name, whatever its case (RFC 9110 §5.1).
fn header(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let (lists, names) = (arguments[0].as_list::<i32>(), arguments[1].as_string_view());
    let mut found = StringViewBuilder::new();
    for (list, name) in lists.iter().zip(names) {
        let value = list.zip(name).and_then(|(list, name)| {
            let pairs = list.as_struct();
            let (keys, values) = (pairs.column(0).as_string::<i32>(), pairs.column(1).as_string::<i32>());
            let at = keys.iter().position(|key| key.is_some_and(|key| key.eq_ignore_ascii_case(name)))?;
            values.is_valid(at).then(|| values.value(at).to_owned())
        });
        found.append_option(value);
    }
    Ok(Arc::new(found.finish()))
}
