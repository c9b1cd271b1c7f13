//! Functions over bytes.

use arrow::array::{Array, AsArray, StringArray};
use datafusion::common::Result;
use std::fmt::Write;
use std::sync::Arc;

/// `text(body)`: as UTF-8, with what is none replaced.
pub fn text(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let texts: StringArray =
        arguments[0].as_binary_view().iter().map(|bytes| bytes.map(String::from_utf8_lossy)).collect();
    Ok(Arc::new(texts))
}

/// `hexdump(body)`: sixteen bytes a line, with offset and characters.
pub fn hexdump(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let dumps: StringArray = arguments[0].as_binary_view().iter().map(|bytes| bytes.map(dump)).collect();
    Ok(Arc::new(dumps))
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String =
            line.iter().map(|&byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '.' }).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:08x}  {:<47}  {shown}", at * 16, hex.join(" "));
    }
    text
}
