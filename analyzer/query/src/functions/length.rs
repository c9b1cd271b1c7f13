//! Lengths of texts and of bytes, in place of the engine's, which reads bytes as text and fails where they are none.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// Both functions: `length(text)` counts characters, and has the engine's other names; `octet_length` counts bytes. Of
/// bytes either counts bytes, as in PostgreSQL.
pub fn all() -> [ScalarUDF; 2] {
    let aliases = ["char_length", "character_length"].map(str::to_owned).to_vec();
    let of = |name, characters, aliases| {
        ScalarUDF::from(Length { name, characters, aliases, signature: Signature::user_defined(Volatility::Immutable) })
    };
    [of("length", true, aliases), of("octet_length", false, Vec::new())]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    name: &'static str,
    /// Of a text, its characters; or else its bytes.
    characters: bool,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [given] = types else { return plan_err!("{} takes one text, or bytes", self.name) };
        Ok(vec![if given.is_binary() { DataType::BinaryView } else { DataType::Utf8View }])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let lengths: Int64Array = match arrays.as_slice() {
            [bytes] if bytes.data_type().is_binary() => count(bytes.as_binary_view().iter(), <[u8]>::len),
            [texts] if self.characters => count(texts.as_string_view().iter(), |text: &str| text.chars().count()),
            [texts] => count(texts.as_string_view().iter(), str::len),
            _ => return exec_err!("{} takes one argument", self.name),
        };
        Ok(ColumnarValue::Array(Arc::new(lengths) as ArrayRef))
    }
}

fn count<'a, T: ?Sized + 'a>(values: impl Iterator<Item = Option<&'a T>>, length: impl Fn(&T) -> usize) -> Int64Array {
    values.map(|value| i64::try_from(length(value?)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::SessionContext;

    #[tokio::test]
    async fn texts_have_characters_and_bytes_have_bytes() {
        let context = SessionContext::new();
        all().into_iter().for_each(|udf| context.register_udf(udf));
        for (sql, want) in [
            ("length('Ångström')", Some(8)),
            ("char_length('Ångström')", Some(8)),
            ("octet_length('Ångström')", Some(10)),
            ("length(x'ff0080')", Some(3)),
            ("octet_length(x'ff0080')", Some(3)),
            ("length(arrow_cast(x'ff0080', 'BinaryView'))", Some(3)),
            ("length(1234)", Some(4)),
            ("length(null)", None),
        ] {
            let batches = context.sql(&format!("select {sql}")).await.unwrap().collect().await.unwrap();
            let lengths = batches[0].column(0).as_primitive::<arrow::datatypes::Int64Type>();
            assert_eq!(lengths.iter().next().flatten(), want, "{sql}");
        }
        assert!(context.sql("select length('a', 'b')").await.is_err());
    }
}
