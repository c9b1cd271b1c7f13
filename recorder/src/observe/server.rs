//! Who answers over HTTP, and sounds the alarm: a thread of its own, since one that uploads may wait for a disk.

use super::look;
use super::metrics;
use super::state::{Observer, State};
use super::trigger::Door;
use crate::limits;
use crate::spool::Spool;
use crate::sync::lock;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

/// Tells and watches until it is dropped.
#[derive(Debug)]
pub struct Observing {
    address: Option<SocketAddr>,
    _stop: oneshot::Sender<()>,
}

impl Observing {
    /// Where it listens; nowhere unless it was asked to.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// Begins to watch for stalls, and to answer on `listen`; to look at `spool`, which may hold so many bytes; windows can be
/// triggered there through `door`.
///
/// # Errors
/// When the address is taken or not ours.
pub fn start(
    observer: &Observer,
    listen: Option<SocketAddr>,
    spool: Option<(&Spool, u64)>,
    door: Option<Door>,
) -> io::Result<Observing> {
    let state = observer.0.clone();
    let listener = listen.map(TcpListener::bind).transpose()?;
    let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(listener) = &listener {
        listener.set_nonblocking(true)?;
    }
    if let Some((spool, bytes_max)) = spool {
        lock(&state.look).bytes_max = bytes_max;
        let (last, spool) = (Arc::downgrade(&state.look), spool.clone());
        std::thread::Builder::new().name("look".into()).spawn(move || look::keep_looking(&last, &spool))?;
    }
    let (stop, stopped) = oneshot::channel();
    std::thread::Builder::new().name("observe".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = watch(&state) => {}
                Err(error) = serve(listener, &state, door.map(Arc::new)) => tracing::error!(%error, "nobody is answered any more"),
            }
        });
    })?;
    if let Some(address) = address {
        tracing::info!(%address, "answering /metrics, /healthz and /readyz");
    }
    Ok(Observing { address, _stop: stop })
}

async fn watch(state: &State) {
    let mut ticks = tokio::time::interval(limits::ALARM);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.sound_alarm(Instant::now());
    }
}

/// A connection that is served.
struct Served {
    since: tokio::time::Instant,
    asked: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Served {
    /// Whether it only keeps its place.
    fn is_silent(&self) -> bool {
        !self.asked.load(Ordering::Relaxed) && !self.task.is_finished()
    }

    /// Closes the oldest of them, once it is old enough.
    async fn close_oldest(silent: &mut VecDeque<Self>) {
        while let Some(oldest) = silent.front() {
            tokio::time::sleep_until(oldest.since + limits::OBSERVER_GRACE).await;
            if let Some(oldest) = silent.pop_front().filter(Self::is_silent) {
                return oldest.task.abort();
            }
        }
        std::future::pending().await
    }
}

/// Answers one request of each connection; a connection that takes its time is closed, and where all places are taken, the
/// oldest that has not asked for anything.
async fn serve(listener: Option<TcpListener>, state: &Arc<State>, door: Option<Arc<Door>>) -> io::Result<Infallible> {
    let Some(listener) = listener else { return std::future::pending().await };
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(limits::OBSERVERS));
    let mut silent = VecDeque::new();
    loop {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            // Who hung up again, or too many open files: the next may be luckier.
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(limits::ALARM).await;
                continue;
            }
        };
        silent.retain(Served::is_silent);
        let mut place = pin!(room.clone().acquire_owned());
        let permit = tokio::select! {
            biased;
            permit = &mut place => permit,
            () = Served::close_oldest(&mut silent) => place.await,
        };
        // Closed by nobody.
        let Ok(permit) = permit else { return std::future::pending().await };
        let (state, door, asked) = (state.clone(), door.clone(), Arc::new(AtomicBool::new(false)));
        let its_asked = asked.clone();
        let task = tokio::spawn(async move {
            let service = service_fn(|request| {
                its_asked.store(true, Ordering::Relaxed);
                let (state, door) = (state.clone(), door.clone());
                async move { Ok::<_, Infallible>(answer(&state, door.as_deref(), &request).await) }
            });
            let mut http = http1::Builder::new();
            http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(limits::REQUEST).max_buf_size(8 << 10);
            let served = http.serve_connection(TokioIo::new(connection), service);
            if !matches!(tokio::time::timeout(2 * limits::REQUEST, served).await, Ok(Ok(()))) {
                tracing::debug!("a connection ended before its answer");
            }
            drop(permit);
        });
        silent.push_back(Served { since: tokio::time::Instant::now(), asked, task: task.abort_handle() });
    }
}

async fn answer(state: &Arc<State>, door: Option<&Door>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let now = Instant::now();
    let (status, media_type, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => verdict(&state.complaints(now)),
        (&Method::GET | &Method::HEAD, "/readyz") => verdict(&state.missing(now)),
        (&Method::GET | &Method::HEAD, "/metrics") => match metrics::render(state) {
            Ok(text) => (StatusCode::OK, metrics::MEDIA_TYPE, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
        },
        (_, "/healthz" | "/readyz" | "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET, please\n".to_owned()),
        (method, path) => match (path.strip_prefix("/trigger/"), door) {
            (Some(window), Some(door)) => {
                let (status, said) = door.ask(method, request.headers(), window).await;
                (status, PLAIN, said)
            }
            _ => (StatusCode::NOT_FOUND, PLAIN, "there are /metrics, /healthz and /readyz\n".to_owned()),
        },
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        state.refused_triggers.fetch_add(1, Ordering::Relaxed);
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // RFC 9110 §15.5.6: it says what is allowed.
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = if request.uri().path().starts_with("/trigger/") { "POST" } else { "GET, HEAD" };
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn verdict(wrong: &[String]) -> (StatusCode, &'static str, String) {
    match wrong {
        [] => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        wrong => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, wrong.join("\n") + "\n"),
    }
}
