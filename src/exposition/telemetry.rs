//! The exporter's own metrics: a registry of the `prometheus` crate.

use super::lives;
use super::process::OwnProcess;
use crate::model::ledger::RestoredPairs;
use crate::model::pairing::EndState;
use crate::model::state::StateStatus;
use crate::model::view::{Condition, SeriesStatus, ShownDrops, Status, View};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The exporter's own metrics.
pub struct Telemetry {
    registry: Registry,
    process: OwnProcess,
    collector_success: IntGaugeVec,
    collector_duration: GaugeVec,
    ends: IntGaugeVec,
    series: IntGaugeVec,
    series_limit: IntGauge,
    resyncs: IntCounterVec,
    engine_requests: IntCounterVec,
    events: IntCounter,
    lost: IntCounter,
    corrections: IntCounter,
    bad_messages: IntCounter,
    claims_rejected: IntCounter,
    stale_scrapes: IntCounter,
    late_ticks: IntCounter,
}

impl Telemetry {
    /// Registers all metrics. `sandbox` has the labels that describe the confinement of the process.
    ///
    /// # Errors
    /// Fails if two metrics have one name: a mistake in this file.
    pub fn new(sandbox: &[(&'static str, &str)]) -> Result<Telemetry, prometheus::Error> {
        let registry = Registry::new();
        let build = opts("build_info", "Always 1: the exporter's version.");
        let build = registered(&registry, IntGaugeVec::new(build, &["version"])?)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let (names, values): (Vec<&str>, Vec<&str>) = sandbox.iter().copied().unzip();
        let confined = opts("sandbox_info", "Always 1: what the exporter may still do.");
        registered(&registry, IntGaugeVec::new(confined, &names)?)?.with_label_values(&values).set(1);
        let counter = |name, help| registered(&registry, IntCounter::with_opts(opts(name, help))?);
        Ok(Telemetry {
            collector_success: registered(
                &registry,
                IntGaugeVec::new(
                    opts("collector_success", "1 if the source answered when it was last asked, else 0."),
                    &["collector"],
                )?,
            )?,
            collector_duration: registered(
                &registry,
                GaugeVec::new(
                    opts("collector_duration_seconds", "How long the source's last answer took."),
                    &["collector"],
                )?,
            )?,
            ends: registered(
                &registry,
                IntGaugeVec::new(
                    opts("ends", "Veth ends by state: paired, or why there is no pair."),
                    &["state"],
                )?,
            )?,
            series: registered(
                &registry,
                IntGaugeVec::new(
                    opts(
                        "series",
                        "Series of veths in the metrics (shown), and those that there would be beyond --limits.series: summed in the rest, or left_out of /metrics/cadvisor.",
                    ),
                    &["state"],
                )?,
            )?,
            series_limit: registered(
                &registry,
                IntGauge::with_opts(opts(
                    "series_limit",
                    "How many series are shown at most: --limits.series.",
                ))?,
            )?,
            resyncs: registered(
                &registry,
                IntCounterVec::new(
                    opts("resyncs_total", "How often all was read again although events tell what changes."),
                    &["reason"],
                )?,
            )?,
            engine_requests: registered(
                &registry,
                IntCounterVec::new(
                    opts(
                        "engine_requests_total",
                        "Requests to container engines, by the kind of request; at rest two a minute to each.",
                    ),
                    &["engine", "call"],
                )?,
            )?,
            events: counter("netlink_events_total", "Events of links and namespaces that arrived.")?,
            lost: counter(
                "netlink_lost_total",
                "How often events or last counters of links were missed: what died then is not exact.",
            )?,
            corrections: counter(
                "resync_corrections_total",
                "Links whose state at a resync differed from what events had reported. Above 0 means lost or reordered events.",
            )?,
            bad_messages: counter("bad_messages_total", "Messages of the kernel that could not be read.")?,
            claims_rejected: counter(
                "claims_rejected_total",
                "Claims that fit no namespace: other MAC addresses are there, or the file is no network namespace.",
            )?,
            late_ticks: counter(
                "late_ticks_total",
                "Ticks that began over half an interval late: a peak is then the rate of a longer span.",
            )?,
            stale_scrapes: counter(
                "stale_scrapes_total",
                "Scrapes that got the counters of the last tick, because new ones took over 50 ms.",
            )?,
            registry,
            process: OwnProcess::new(),
        })
    }

    /// Returns all families, sorted by name, as they are now.
    pub fn gather(
        &self,
        status: &Status,
        view: Option<&View>,
        state: Option<&StateStatus>,
    ) -> Vec<MetricFamily> {
        let scene = view.map(|view| &*view.scene);
        for (source, asked) in &status.sources {
            let success = self.collector_success.with_label_values(&[source.as_str()]);
            success.set(i64::from(asked.result.is_ok()));
            let duration = self.collector_duration.with_label_values(&[source.as_str()]);
            duration.set(asked.took.as_secs_f64());
        }
        let mut families = self.source_info(status);
        for state in scene.iter().flat_map(|_| EndState::ALL) {
            let count = scene.and_then(|scene| scene.ends.get(&state)).copied().unwrap_or(0);
            self.ends.with_label_values(&[state.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let SeriesStatus { limit, shown, summed, left_out, .. } = status.series;
        for (state, series) in [("shown", shown), ("summed", summed), ("left_out", left_out)] {
            self.series.with_label_values(&[state]).set(i64::try_from(series).unwrap_or(i64::MAX));
        }
        self.series_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
        for ((engine, call), &total) in &status.engine_requests {
            let counter = self.engine_requests.with_label_values(&[engine.as_str(), call]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        for (reason, &total) in &status.resyncs {
            let counter = self.resyncs.with_label_values(&[reason]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        for (counter, total) in [
            (&self.events, status.events),
            (&self.lost, status.lost),
            (&self.corrections, status.corrections),
            (&self.bad_messages, status.bad_messages),
            (&self.claims_rejected, status.claims_rejected),
            (&self.stale_scrapes, status.stale_scrapes),
            (&self.late_ticks, status.late_ticks),
        ] {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        families.extend(self.process.families());
        if let Some(view) = view {
            let Condition { problems, problem_counts, .. } = &view.condition;
            families.push(lives::problems(problem_counts));
            families.extend(lives::container_problems(problems, view.scene.pods));
            families.extend(view.condition.drops.iter().flat_map(drop_families));
        }
        families.extend(state.into_iter().flat_map(state_families));
        families.extend(self.registry.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
    }

    /// Returns the family of the sources' states: one series for a source that works, else one for each thing
    /// that it lacks. Each call makes the family anew, as two calls may overlap.
    fn source_info(&self, status: &Status) -> Vec<MetricFamily> {
        let info = opts(
            "source_info",
            "Always 1: a source of the exporter's knowledge, its state (works, limited, failed), and the reason of what it lacks.",
        );
        // A registry sorts the series, and leaves out a family without any.
        let registry = Registry::new();
        let info = IntGaugeVec::new(info, &["source", "state", "reason"]);
        let Ok(info) = info.and_then(|info| registered(&registry, info)) else { return Vec::new() };
        for (source, status) in &status.sources {
            let mut reasons: Vec<&str> = status.lacks().map(|lack| lack.reason.as_str()).collect();
            if reasons.is_empty() {
                reasons.push("");
            }
            for reason in reasons {
                info.with_label_values(&[source.as_str(), status.state(), reason]).set(1);
            }
        }
        registry.gather()
    }
}

/// Returns the families of the saved state. Each call makes them anew, as they are there only with a state.
fn state_families(state: &StateStatus) -> Vec<MetricFamily> {
    let registry = Registry::new();
    let made = (|| {
        let counter = |name, help| registered(&registry, IntCounter::with_opts(opts(name, help))?);
        let help = "When the state on disk was last up to date; 0 if it has not been since the start.";
        let written =
            registered(&registry, Gauge::with_opts(opts("state_last_write_timestamp_seconds", help))?)?;
        written.set(state.written.unwrap_or_default().as_secs_f64());
        counter("state_write_errors_total", "Writes of the state that failed.")?.inc_by(state.errors);
        let help = "Files that were renamed instead of used (damaged, of another program or version, or not readable at the start): totals began at 0.";
        counter("state_files_discarded_total", help)?.inc_by(state.discarded);
        let help = "Pairs that were there before the exporter, by what is booked: resumed (since the last write), made_meanwhile (all), unknown (from now on); and saved pairs that are gone.";
        let pairs = IntCounterVec::new(opts("state_pairs_total", help), &["outcome"])?;
        let pairs = registered(&registry, pairs)?;
        let RestoredPairs { resumed, made_meanwhile, unknown, gone } = state.pairs;
        for (outcome, count) in
            [("resumed", resumed), ("made_meanwhile", made_meanwhile), ("unknown", unknown), ("gone", gone)]
        {
            pairs.with_label_values(&[outcome]).inc_by(count);
        }
        Ok::<_, prometheus::Error>(())
    })();
    if made.is_ok() { registry.gather() } else { Vec::new() }
}

/// Returns the family about the counts of dropped packets, which is there only with `--bpf.drops`.
fn drop_families(drops: &ShownDrops) -> Vec<MetricFamily> {
    let registry = Registry::new();
    let help = "Dropped packets that are in no series by reason, as the kernel's map of counts was full.";
    let made = IntCounter::with_opts(opts("stack_drops_lost_total", help))
        .and_then(|counter| registered(&registry, counter))
        .map(|counter| counter.inc_by(drops.lost));
    if made.is_ok() { registry.gather() } else { Vec::new() }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("veth_exporter")
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lack::{Lack, LackReason};
    use crate::model::view::{Source, SourceStatus};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn source_info(telemetry: &Telemetry, sources: BTreeMap<Source, SourceStatus>) -> Vec<String> {
        let families = telemetry.gather(&Status { sources, ..Status::default() }, None, None);
        assert!(families.is_sorted_by_key(|family| family.name().to_owned()));
        let info = families.iter().filter(|family| family.name() == "veth_exporter_source_info");
        let series = info.flat_map(|family| family.get_metric()).map(|metric| {
            let labels = metric.get_label().iter();
            labels.map(|label| label.value().to_owned()).collect::<Vec<_>>().join(" ")
        });
        series.collect()
    }

    #[test]
    fn a_source_has_one_series_for_each_thing_that_it_lacks_and_one_without_a_reason_if_it_works() {
        let telemetry = Telemetry::new(&[]).unwrap();
        let lack = |reason| Lack::new(reason, "what");
        let limits = vec![lack(LackReason::CallRefused), lack(LackReason::Failed)];
        let status = |result, limits| SourceStatus { limits, ..SourceStatus::new(result, Duration::ZERO) };
        let sources = BTreeMap::from([
            (Source::Links, status(Ok(()), Vec::new())),
            (Source::Docker, status(Ok(()), limits)),
            (Source::Podman, status(Err(lack(LackReason::EngineDown)), Vec::new())),
        ]);
        let series = source_info(&telemetry, sources);
        // The labels are sorted by name: reason, source, state.
        let wanted = [
            " links works",
            "call_refused docker limited",
            "engine_down podman failed",
            "failed docker limited",
        ];
        assert_eq!(series, wanted);
        // A state that is over has no series, and without sources there is no family.
        let works = BTreeMap::from([(Source::Docker, status(Ok(()), Vec::new()))]);
        assert_eq!(source_info(&telemetry, works), [" docker works"]);
        assert_eq!(source_info(&telemetry, BTreeMap::new()), [""; 0]);
    }
}
