//! Functions over bytes.

use arrow::array::{Array, AsArray, ByteView, StringViewArray, StringViewBuilder};
use datafusion::common::Result;
use dissect::protocols::grpc;
use formats::hash::Hash256;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// `text(body)`: as UTF-8, with what is none replaced. What is UTF-8 is not copied: a body may stand in thousands of rows,
/// and in the file once.
pub fn text(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let bodies = arguments[0].as_binary_view();
    if let Ok(texts) = bodies.clone().to_string_view() {
        return Ok(Arc::new(texts));
    }
    let mut texts = StringViewBuilder::new();
    let blocks: Vec<u32> = bodies.data_buffers().iter().map(|buffer| texts.append_block(buffer.clone())).collect();
    for (body, &view) in bodies.iter().zip(bodies.views()) {
        let view = ByteView::from(view);
        match (body.map(String::from_utf8_lossy), blocks.get(view.buffer_index as usize)) {
            (None, _) => texts.append_null(),
            (Some(Cow::Borrowed(text)), Some(&block)) if text.len() > INLINE_BYTES => {
                texts.try_append_view(block, view.offset, view.length)?;
            }
            (Some(text), _) => texts.append_value(text),
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// What stands in the view itself.
const INLINE_BYTES: usize = 12;

/// `sha256(body)`: 64 lower-case hex digits, as `sha256sum` has them.
pub fn sha256(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let hash = |bytes: &[u8]| Hash256::of(bytes).to_string();
    let hashes: StringViewArray = arguments[0].as_binary_view().iter().map(|bytes| bytes.map(hash)).collect();
    Ok(Arc::new(hashes))
}

/// `hexdump(body)`: sixteen bytes a line, with offset and characters.
pub fn hexdump(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let dumps: StringViewArray = arguments[0].as_binary_view().iter().map(|bytes| bytes.map(dump)).collect();
    Ok(Arc::new(dumps))
}

/// `protobuf(body)`: a Protocol Buffers message, or those in gRPC frames, as JSON by field number; NULL where it is none.
pub fn protobuf(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let texts: StringViewArray = arguments[0].as_binary_view().iter().map(|bytes| grpc::by_number(bytes?)).collect();
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
    fn texts_of_any_bytes() {
        let long = "as long as no view holds it";
        let cases: [(Option<&[u8]>, Option<&str>); 5] = [
            (Some(b"short"), Some("short")),
            (Some(long.as_bytes()), Some(long)),
            (None, None),
            (Some(b""), Some("")),
            (Some(b"\xff and what stands behind it"), Some("\u{fffd} and what stands behind it")),
        ];
        // With the last one, and without.
        for cases in [&cases[..], &cases[..4]] {
            let bodies: BinaryViewArray = cases.iter().map(|(body, _)| *body).collect();
            let texts = text(&[Arc::new(bodies)]).unwrap();
            assert!(texts.as_string_view().iter().eq(cases.iter().map(|(_, text)| *text)), "{texts:?}");
        }
    }

    #[test]
    fn one_body_in_many_rows_is_held_once() {
        let once = arrow::buffer::Buffer::from(vec![b'x'; 1 << 20]);
        let view = ByteView { length: 1 << 20, prefix: u32::from_le_bytes(*b"xxxx"), buffer_index: 0, offset: 0 };
        for last in [&b"x"[..], b"\xff"] {
            let mut bodies = arrow::array::BinaryViewBuilder::new();
            let block = bodies.append_block(once.clone());
            (0..4096).for_each(|_| bodies.try_append_view(block, view.offset, view.length).unwrap());
            bodies.append_value(last);
            let texts = text(&[Arc::new(bodies.finish())]).unwrap();
            assert!(texts.get_buffer_memory_size() < 4 << 20, "{}", texts.get_buffer_memory_size());
        }
    }

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
        for ((body, want), text) in cases.iter().zip(texts.as_string_view()) {
            assert_eq!(text, *want, "{body:x?}");
        }
    }
}
