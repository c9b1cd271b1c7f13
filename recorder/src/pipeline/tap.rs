//! The front of a recording: everything is open when it leaves here, and nothing runs yet.

use super::{RecordError, Settings};
use crate::capture::{CaptureError, Poll, RingOptions, Selection};
use crate::clock::SystemClock;
use crate::filter::Expression;
use crate::limits;
use crate::observe::Pulse;
use crate::orders::Orders;
use crate::rotate::{Batch, Pump, Sieve};
use crate::schedule::Recording;
use crate::targets::{Change, Scout};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// The rings of a window, open, with what reads them and the ends of the channels around it.
pub(crate) struct Tap {
    pub(super) scout: Scout,
    pub(super) tell: Sender<Change>,
    pub(super) closed: Receiver<u64>,
    pub(super) pump: Pump,
    pub(super) batches: Receiver<Batch>,
    pub(super) buffers: SyncSender<Vec<u8>>,
    pub(super) pulse: Pulse,
}

impl Tap {
    /// Opens the rings of the targets there are, unless it is told to end before.
    pub(crate) fn open(recording: &Recording, settings: &Settings, orders: &Orders) -> Result<Self, RecordError> {
        let window = &recording.window;
        let names: Vec<String> = window.interfaces.iter().map(|name| name.as_str().to_owned()).collect();
        let selection = Selection::new(&names)?;
        if settings.promiscuous && selection == Selection::Any {
            tracing::warn!("only interfaces that are named are asked for frames of others, not 'any'");
        }
        let filter = window.filter.as_deref().map(str::parse::<Expression>).transpose()?;
        let mut scout = Scout::new(
            &window.targets,
            &window.exclude,
            RingOptions {
                selection: selection.clone(),
                filter,
                snap_bytes: window.snap_length,
                ring_bytes: settings.ring_bytes,
                rings: window.rings,
                promiscuous: settings.promiscuous,
                must_exist: true,
            },
        );
        let (tell, changes) = channel();
        scout.begin(&tell, || orders.to_end().is_some())?;
        let pulse = settings.observer.open(window.name.as_str());
        pulse.targets(scout.recorded(), 0);
        let (tell_closed, closed) = channel();
        let (buffers, to_fill) = sync_channel(limits::BATCHES);
        let (to_write, batches) = sync_channel(limits::BATCHES);
        for _ in 0..limits::BATCHES {
            buffers.send(Vec::new()).expect("the channel has room for all, and its other end is here");
        }
        // On several interfaces of one node, too, the same packet is seen more than once.
        let sees_twice = scout.follows() || selection == Selection::Any || names.len() > 1;
        let sieve = Sieve::new(window.rate.packets_per_second.map(NonZero::get), sees_twice);
        let rings = Poll::new().map_err(|source| CaptureError::System { action: "wait for several rings", source })?;
        let waits = (Box::new(rings) as _, Arc::new(SystemClock) as _);
        let pump = Pump::new((changes, tell_closed), (to_write, to_fill), sieve, waits)?;
        Ok(Self { scout, tell, closed, pump, batches, buffers, pulse })
    }
}
