//! How things are with a recorder, from memory alone: also when its disk hangs.

use super::{Desk, Running};
use crate::control::request::{RunStatus, SpoolStatus, Status, WindowStatus};
use jiff::Timestamp;

impl Desk {
    pub(super) fn status(&self) -> Status {
        let run = |running: &Running| {
            let (written, past) = (running.orders.written(), running.orders.past());
            RunStatus {
                recording: running.recording().map(|id| id.folder()),
                since: past.since.unwrap_or(running.id.start.time()),
                ends: Some(running.orders.ends().unwrap_or(running.ends)).filter(|ends| *ends != Timestamp::MAX),
                packets: written.packets,
                bytes: written.bytes,
                lost_packets: running.orders.lost_packets(),
                unrecorded: running.orders.unrecorded(),
            }
        };
        let windows = self.agenda.windows().map(|(window, next)| WindowStatus {
            name: window.name.clone(),
            when: window.when.to_string(),
            next,
            failure: self.seen.failures.get(window.name.as_str()).cloned(),
            again: self.agenda.again(window.name.as_str()),
            // What is about to be kept ready is not yet.
            runs: self.of_window(&window.name).filter(|running| running.has_begun()).map(run).collect(),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            since: self.since,
            configuration_sha256: self.configuration_sha256,
            reload: self.reload.clone(),
            spool: SpoolStatus {
                folder: self.spool_config.folder.display().to_string(),
                bytes: self.seen.spool_bytes,
                bytes_max: self.spool_config.bytes_max.0,
            },
            stores: self.seen.stores.clone(),
            windows: windows.collect(),
            pinned: self.pins.known(),
        }
    }
}
