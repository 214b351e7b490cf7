//! `--annotate.alias`: the names of workloads as aliases of ports. `veth-exporter annotate --clear` removes
//! what a killed exporter has left.

use super::oneshot::print;
use crate::collector::Handle;
use crate::kernel::AliasWriter;
use crate::model::alias::{self, Aliases};
use crate::model::host::LookFailure;
use crate::model::view::Scene;
use crate::sandbox::Tier;
use anyhow::{anyhow, bail};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time after which the aliases are compared again although no name has changed: another program may
/// have changed one.
const AGAIN: Duration = Duration::from_secs(30);

const NO_CAPABILITY: &str = "--annotate.alias: no CAP_NET_ADMIN, which writing an alias needs: give it with --cap-add \
                             NET_ADMIN, AmbientCapabilities=CAP_NET_ADMIN in systemd, or run as root";

/// Removes every alias that carries the exporter's marker, and prints their number.
///
/// # Errors
/// Fails if the links cannot be read, or without CAP_NET_ADMIN if there is an alias to remove.
pub(super) fn clear() -> anyhow::Result<()> {
    let mut writer = AliasWriter::open()?;
    let removed = write_changes(&mut writer, &Aliases::new()).map_err(|why| anyhow!(why))?;
    print(&format!("removed {removed} {}\n", if removed == 1 { "alias" } else { "aliases" }))
}

/// Gives the links the wanted aliases, and returns the number of those that were written. After a failure the
/// other links are written all the same.
///
/// # Errors
/// Returns the first failure in one line.
fn write_changes(writer: &mut AliasWriter, wanted: &Aliases) -> Result<usize, String> {
    let present = writer.read().map_err(|failure| match failure {
        LookFailure::Failed(reason) => reason,
        LookFailure::Denied | LookFailure::Gone => "the host's links cannot be read".to_owned(),
    })?;
    let changes = alias::changes(wanted, &present);
    let written = changes.iter().map(|(&ifindex, alias)| writer.write(ifindex, alias));
    let written: Result<Vec<()>, _> = written.collect::<Vec<_>>().into_iter().collect();
    written.map(|_| changes.len()).map_err(|error| format!("cannot write an alias: {error}"))
}

/// A socket for aliases, opened while the process may do so.
pub(super) struct Annotation(AliasWriter);

impl Annotation {
    /// Opens the socket.
    ///
    /// # Errors
    /// Fails with one line if the process has no CAP_NET_ADMIN.
    pub(super) fn open(tier: Tier) -> anyhow::Result<Annotation> {
        match tier {
            Tier::AllNamespaces => Ok(Annotation(AliasWriter::open()?)),
            Tier::HostOnly => bail!(NO_CAPABILITY),
        }
    }

    /// Starts the thread that writes aliases, and follows the collector. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// Fails if the system cannot start a thread.
    pub(super) fn follow(self, collector: Handle) -> io::Result<Annotator> {
        let (orders, received) = channel();
        let work = move || write_all(self.0, &received);
        let thread = thread::Builder::new().name("aliases".into()).spawn(work)?;
        tokio::spawn(follow_names(collector, orders.clone()));
        Ok(Annotator { orders, thread })
    }
}

/// A message to the thread that writes aliases.
enum AliasOrder {
    Write(Aliases),
    /// Remove all, and end.
    Clear,
}

/// The thread that writes aliases.
pub(super) struct Annotator {
    orders: Sender<AliasOrder>,
    thread: JoinHandle<()>,
}

impl Annotator {
    /// Removes the exporter's aliases, and waits for the end of the thread.
    pub(super) fn clear(self) {
        // Both fail only if the thread has ended by a panic, which is reported.
        let _ = self.orders.send(AliasOrder::Clear);
        let _ = self.thread.join();
    }
}

/// Orders the aliases of each tick in which a name has changed, until the collector stops.
async fn follow_names(collector: Handle, orders: Sender<AliasOrder>) {
    let mut last: Option<(Arc<Scene>, Instant)> = None;
    while let Some(snapshot) = collector.next_tick().await {
        let Some(view) = &snapshot.view else { continue };
        let is_same =
            |(scene, at): &(Arc<Scene>, Instant)| Arc::ptr_eq(scene, &view.scene) && at.elapsed() < AGAIN;
        if last.as_ref().is_some_and(is_same) {
            continue;
        }
        last = Some((Arc::clone(&view.scene), Instant::now()));
        if orders.send(AliasOrder::Write(alias::wanted(&view.scene))).is_err() {
            return;
        }
    }
}

/// Performs the orders. A failure is reported once, until an order succeeds again.
fn write_all(mut writer: AliasWriter, orders: &Receiver<AliasOrder>) {
    let mut failing = false;
    while let Ok(mut order) = orders.recv() {
        // Only the newest names count.
        while let (AliasOrder::Write(_), Ok(newer)) = (&order, orders.try_recv()) {
            order = newer;
        }
        let (wanted, ends) = match order {
            AliasOrder::Write(wanted) => (wanted, false),
            AliasOrder::Clear => (Aliases::new(), true),
        };
        let written = write_changes(&mut writer, &wanted);
        match &written {
            Ok(0) => {}
            Ok(aliases) => tracing::debug!(aliases, "aliases were written"),
            Err(reason) if failing => tracing::debug!(reason, "aliases are not written"),
            Err(reason) => tracing::warn!(reason, "aliases are not written"),
        }
        failing = written.is_err();
        if ends {
            return;
        }
    }
}
