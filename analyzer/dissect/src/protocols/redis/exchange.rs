//! What a row of `redis` says.

/// One row of `redis`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exchange {
    /// Version of RESP.
    pub resp_version: Option<u8>,
    /// The command, or what a push is about.
    pub command: Option<String>,
    /// Key, or channel.
    pub key: Option<String>,
    /// Arguments.
    pub args: Option<Vec<String>>,
    /// Type of the reply.
    pub reply_type: Option<&'static str>,
    /// The reply as JSON text.
    pub reply: Option<String>,
    /// Text of an error.
    pub error: Option<String>,
    /// Whether it answers nothing.
    pub is_push: bool,
    /// Database.
    pub db: Option<i32>,
    /// Length of the command.
    pub request_bytes: Option<u64>,
    /// Length of the reply, or of the push.
    pub reply_bytes: Option<u64>,
}

impl Exchange {
    /// Bytes of its texts.
    pub fn held_bytes(&self) -> usize {
        let texts = [&self.command, &self.key, &self.reply, &self.error].into_iter().flatten();
        let args = self.args.iter().flatten().map(|arg| size_of_val(arg) + arg.len());
        texts.map(String::len).sum::<usize>() + args.sum::<usize>()
    }
}
