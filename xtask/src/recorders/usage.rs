//! What a process has used, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Time on a processor by thread name, and the most memory that was resident.
#[derive(Debug, Default)]
pub struct Usage {
    pub threads: BTreeMap<String, Duration>,
    pub resident_bytes: u64,
}

impl Usage {
    /// Of a process that runs.
    pub fn of(process: u32) -> Self {
        let mut usage = Self::default();
        for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            // Documentation/scheduler/sched-stats.rst: nanoseconds on the processor first.
            let spent_ns = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
            *usage.threads.entry(read("comm").trim().to_owned()).or_default() += Duration::from_nanos(spent_ns);
        }
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        usage.resident_bytes = most.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() << 10;
        usage
    }

    /// Of all threads.
    pub fn total(&self) -> Duration {
        self.threads.values().sum()
    }

    /// Of the thread that takes packets: ours has a name, the others have one thread.
    pub fn capture(&self) -> Duration {
        self.threads.get("capture").copied().unwrap_or_else(|| self.total())
    }
}
