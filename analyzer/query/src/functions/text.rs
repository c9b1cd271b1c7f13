//! Functions over text.

use arrow::array::{Array, AsArray, StringViewArray};
use datafusion::common::Result;
use std::sync::Arc;

/// `url_decode(text)`: percent-encoding undone, and '+' read as a space (WHATWG URL §5.1).
pub fn url_decode(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let texts: StringViewArray = arguments[0].as_string_view().iter().map(|text| text.map(decode)).collect();
    Ok(Arc::new(texts))
}
