//! Functions over bytes.

use arrow::array::{Array, AsArray, StringArray};
use datafusion::common::Result;
use dissect::protocols::grpc;
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

/// `protobuf(body)`: a Protocol Buffers message, or those in gRPC frames, as JSON by field number; NULL where it is none.
pub fn protobuf(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let texts: StringArray = arguments[0].as_binary_view().iter().map(|bytes| grpc::by_number(bytes?)).collect();
    Ok(Arc::new(texts))
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::BinaryViewArray;

    #[test]
    fn messages_by_field_number() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"\x08\x96\x01", Some(r#"{"1":150}"#)),
            (b"\x12\x02hi", Some(r#"{"2":"hi"}"#)),
            (b"\0\0\0\0\x02\x08\x01\0\0\0\0\0", Some(r#"[{"1":1},{}]"#)),
            (b"\0\0\0\0\x09\x08\x01", None),
            (b"\xff\xff", None),
        ];
        let bodies: BinaryViewArray = cases.iter().map(|(body, _)| Some(*body)).collect();
        let texts = protobuf(&[Arc::new(bodies)]).unwrap();
        for ((body, want), text) in cases.iter().zip(texts.as_string::<i32>()) {
            assert_eq!(text, *want, "{body:x?}");
        }
    }
}
