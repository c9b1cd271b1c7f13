//! What is said on standard error: as text, or as one JSON object a line, as tracing writes them. Where nobody can listen, for
//! it is closed or full, nothing is said and the work goes on.

use crate::common::{Common, LogFormat};
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Display;
use std::io::Write;
use std::sync::OnceLock;

/// How it is said, and whether only errors are.
static HOW: OnceLock<(LogFormat, bool)> = OnceLock::new();

/// From here on as the flags say.
pub fn begin(common: &Common) {
    let _ = HOW.set((common.log_format, common.quiet));
}

/// Something failed.
pub fn error(text: impl Display) {
    say("ERROR", "remora: ", &text);
}

/// Something failed that was typed at the prompt, where nobody asks who speaks.
pub fn reply(text: impl Display) {
    say("ERROR", "", &text);
}

/// Something is wrong with what was read.
pub fn warning(text: impl Display) {
    say("WARN", "remora: warning: ", &text);
}

/// Something to know about an answer.
pub fn note(text: impl Display) {
    say("INFO", "remora: note: ", &text);
}

/// What was done.
pub fn done(text: impl Display) {
    say("INFO", "remora: ", &text);
}

fn say(level: &str, before: &str, text: &dyn Display) {
    let (format, quiet) = HOW.get().copied().unwrap_or((LogFormat::Text, false));
    if quiet && level != "ERROR" {
        return;
    }
    let line = match format {
        LogFormat::Json => json(Timestamp::now(), level, &text.to_string()),
        LogFormat::Text => format!("{before}{text}\n"),
    };
    // At once: what others write meanwhile stands before or behind it.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn json(now: Timestamp, level: &str, text: &str) -> String {
    format!("{{\"timestamp\":\"{now:.6}\",\"level\":\"{level}\",\"message\":{}}}\n", Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_line() {
        let now = Timestamp::from_microsecond(1_790_000_000_250_000).unwrap();
        let want = "{\"timestamp\":\"2026-09-21T14:13:20.250000Z\",\"level\":\"WARN\",\
                    \"message\":\"two\\nlines of \\\"SQL\\\"\"}\n";
        assert_eq!(json(now, "WARN", "two\nlines of \"SQL\""), want);
    }
}
