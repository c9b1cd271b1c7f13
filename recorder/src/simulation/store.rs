//! A store in memory that is slow, down, forbids, and loses answers.

use super::random::Random;
use async_trait::async_trait;
use formats::store::RecordingId;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;
use std::task::Poll;

#[derive(Debug)]
pub struct SimStore {
    pub inside: InMemory,
    /// Whether its credentials can only write.
    pub write_only: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// One of so many requests fails; none where all is well.
    fails_one_of: Option<u64>,
    is_down: bool,
    /// One of so many objects is damaged on its way here; only of stores that can be read, for others compare.
    damages_one_of: Option<u64>,
    damaged: u64,
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated")
    }
}

/// Comes back later.
pub async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

fn failed(what: &str) -> Error {
    Error::Generic { store: "simulated", source: what.into() }
}

fn denied(location: &Path) -> Error {
    Error::PermissionDenied { path: location.to_string(), source: "403 Forbidden".into() }
}

impl SimStore {
    pub fn new(random: Random, write_only: bool) -> Self {
        let state = State { random, fails_one_of: None, is_down: false, damages_one_of: None, damaged: 0 };
        Self { inside: InMemory::new(), write_only, state: Mutex::new(state) }
    }

    pub fn set(&self, fails_one_of: Option<u64>, is_down: bool) {
        let mut state = self.state.lock().expect("no panic with it in hand");
        (state.fails_one_of, state.is_down) = (fails_one_of, is_down);
    }

    /// Damages one of so many objects from here on. Whoever dies before it has looked does not know that it is its own.
    pub fn damage(&self, one_of: Option<u64>) {
        self.state.lock().expect("no panic with it in hand").damages_one_of = one_of;
    }

    /// How many were damaged.
    pub fn damaged(&self) -> u64 {
        self.state.lock().expect("no panic with it in hand").damaged
    }

    fn is_damaged(&self) -> bool {
        let state = &mut *self.state.lock().expect("no panic with it in hand");
        let is_damaged = !self.write_only && state.damages_one_of.is_some_and(|of| state.random.chance(1, of));
        state.damaged += u64::from(is_damaged);
        is_damaged
    }

    fn random<T>(&self, of: impl FnOnce(&mut Random) -> T) -> T {
        of(&mut self.state.lock().expect("no panic with it in hand").random)
    }

    fn goes_wrong(&self) -> bool {
        let state = &mut *self.state.lock().expect("no panic with it in hand");
        state.is_down || state.fails_one_of.is_some_and(|of| state.random.chance(1, of))
    }

    /// The way to the store: takes its time, and may end in an error.
    async fn request(&self, location: &Path) -> Result<()> {
        for _ in 0..self.random(|random| random.below(4)) {
            pause().await;
        }
        if !self.goes_wrong() {
            return Ok(());
        }
        Err(match self.random(|random| random.below(4)) {
            0 => failed("503 Slow Down"),
            1 => denied(location),
            2 => failed("400 BadDigest"),
            _ => failed("connection refused"),
        })
    }

    /// The way back, on which an answer may be lost.
    async fn answer(&self) -> Result<()> {
        for _ in 0..self.random(|random| random.below(3)) {
            pause().await;
        }
        if self.goes_wrong() { Err(failed("connection reset")) } else { Ok(()) }
    }
}

#[async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.request(location).await?;
        if !self.write_only && self.goes_wrong() {
            // It says yes and keeps nothing: who can read finds out.
            return Ok(PutResult { e_tag: None, version: None });
        }
        let mut bytes: Vec<u8> = payload.into_iter().flatten().collect();
        if self.is_damaged() {
            bytes.reverse();
        }
        let put = self.inside.put_opts(location, bytes.into(), options).await;
        self.answer().await?;
        put
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(failed("segments here are smaller than a part"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.request(location).await?;
        if self.write_only {
            return Err(denied(location));
        }
        let is_head = options.head;
        let mut found = self.inside.get_opts(location, options).await?;
        if is_head || !self.goes_wrong() {
            return Ok(found);
        }
        // The connection is cut, or the bytes are not what is stored.
        let range = found.range.clone();
        let meta = found.meta.clone();
        let attributes = std::mem::take(&mut found.attributes);
        let mut bytes = found.bytes().await?.to_vec();
        let pieces = match self.random(|random| random.chance(1, 2)) {
            true => {
                bytes.truncate(bytes.len() / 2);
                vec![Ok(bytes.into()), Err(failed("connection reset"))]
            }
            false => {
                bytes.reverse();
                vec![Ok(bytes.into())]
            }
        };
        Ok(GetResult { payload: GetResultPayload::Stream(stream::iter(pieces).boxed()), meta, range, attributes })
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(failed("nothing is ever deleted")) }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { Err(failed("nobody needs a list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(failed("nobody needs a list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failed("nothing is ever copied"))
    }
}

/// What lies in a folder: names and bytes.
pub fn folder(store: &SimStore, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let listed: Vec<ObjectMeta> =
        store.inside.list(Some(folder)).map(|found| found.expect("memory")).collect().now_or_never().expect("memory");
    let read = |meta: ObjectMeta| {
        let bytes = async { store.inside.get_opts(&meta.location, GetOptions::default()).await?.bytes().await };
        let bytes = bytes.now_or_never().expect("memory").expect("memory");
        (meta.location.filename().expect("a file").to_owned(), bytes.to_vec())
    };
    listed.into_iter().map(read).collect()
}

/// All recordings of which something is stored.
pub fn recordings(store: &SimStore, prefix: &Path) -> BTreeSet<RecordingId> {
    let listed: Vec<ObjectMeta> =
        store.inside.list(Some(prefix)).map(|found| found.expect("memory")).collect().now_or_never().expect("memory");
    let folder = |meta: &ObjectMeta| {
        let parts: Vec<_> = meta.location.prefix_match(prefix)?.map(|part| part.as_ref().to_owned()).collect();
        RecordingId::parse_folder(&parts.get(..4)?.join("/")).ok()
    };
    listed.iter().filter_map(folder).collect()
}
