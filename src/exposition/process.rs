//! Figures of the exporter's own process (`process_*`), under the names that all Prometheus clients use.

use procfs::process::{LimitValue, Process};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
use rustix::time::{ClockId, clock_gettime};

/// The exporter's own process.
pub(super) struct OwnProcess {
    /// Seconds since the epoch. Read once: the kernel's boot time moves when the clock is set, and a start
    /// time that moves reads as a restart.
    start_time: Option<u64>,
}

impl OwnProcess {
    /// Reads the start time of the process.
    pub(super) fn new() -> OwnProcess {
        let start_time = || {
            let ticks = Process::myself()?.stat()?.starttime;
            procfs::boot_time_secs().map(|boot| boot + ticks / procfs::ticks_per_second())
        };
        OwnProcess { start_time: start_time().ok() }
    }

    /// Returns the process's families as they are now, sorted by name. A figure that cannot be read has no
    /// family.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let process = Process::myself().ok();
        let stat = process.as_ref().and_then(|process| process.stat().ok());
        let open = process.as_ref().and_then(|process| process.fd_count().ok());
        let most = process.and_then(|process| match process.limits().ok()?.max_open_files.soft_limit {
            LimitValue::Value(most) => Some(most),
            LimitValue::Unlimited => None,
        });
        let resident = stat.as_ref().map(|stat| stat.rss * procfs::page_size());
        let gauges = [
            ("process_max_fds", "Maximum number of open file descriptors.", most.map(|most| most as f64)),
            ("process_open_fds", "Number of open file descriptors.", open.map(|open| open as f64)),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                resident.map(|bytes| bytes as f64),
            ),
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                self.start_time.map(|seconds| seconds as f64),
            ),
            (
                "process_threads",
                "Number of OS threads in the process.",
                stat.as_ref().map(|stat| stat.num_threads as f64),
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                stat.as_ref().map(|stat| stat.vsize as f64),
            ),
        ];
        let gauges = gauges.into_iter().filter_map(|(name, help, value)| Some(gauge(name, help, value?)));
        std::iter::once(cpu_seconds()).chain(gauges).collect()
    }
}

/// Reads the CPU time of all threads from a clock: /proc/self/stat counts in hundredths.
fn cpu_seconds() -> MetricFamily {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let mut counter = Counter::default();
    counter.set_value(spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    let help = "Total user and system CPU time spent in seconds.";
    family("process_cpu_seconds_total", help, MetricType::COUNTER, metric)
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    family(name, help, MetricType::GAUGE, Metric::from_gauge(gauge))
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn all_seven_figures_are_those_of_this_process() {
        let families = OwnProcess::new().families();
        let names: Vec<&str> = families.iter().map(MetricFamily::name).collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_open_fds",
                "process_resident_memory_bytes",
                "process_start_time_seconds",
                "process_threads",
                "process_virtual_memory_bytes",
            ]
        );
        let value = |family: &MetricFamily| match family.get_field_type() {
            MetricType::COUNTER => family.get_metric()[0].get_counter().get_value(),
            _ => family.get_metric()[0].get_gauge().get_value(),
        };
        let values: BTreeMap<&str, f64> =
            families.iter().map(|family| (family.name(), value(family))).collect();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
        assert_eq!(values["process_max_fds"], limit as f64);
        assert!(values["process_open_fds"] >= 3.0, "{values:?}");
        assert!(values["process_threads"] >= 2.0, "the test's and the harness's: {values:?}");
        let resident = values["process_resident_memory_bytes"];
        assert!(resident > 65_536.0 && resident < values["process_virtual_memory_bytes"], "{values:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - values["process_start_time_seconds"];
        assert!((-2.0..600.0).contains(&age), "{age}");
        let cpu = values["process_cpu_seconds_total"];
        assert!(cpu > 0.0 && cpu.fract() != 0.0, "{cpu}");
    }
}
