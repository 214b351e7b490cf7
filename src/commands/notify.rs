//! Messages to systemd: sd_notify(3), for units of `Type=notify`. Without systemd no message is sent.

use crate::collector::Handle;
use sd_notify::NotifyState;
use std::time::Duration;

/// The interval of the checks whether the first reading of the host is over.
const LOOK: Duration = Duration::from_millis(20);

/// Sends READY=1 after the first reading of the host, then WATCHDOG=1 at twice the requested rate for as long
/// as the collector answers.
pub(super) async fn follow(collector: Handle) {
    // systemd sends no span as short as this.
    let asked = sd_notify::watchdog_enabled().filter(|limit| *limit >= LOOK);
    let mut alive = asked.map(|limit| tokio::time::interval(limit / 2));
    while !collector.is_ready() {
        tokio::time::sleep(LOOK).await;
    }
    tell(NotifyState::Ready);
    while let Some(interval) = &mut alive {
        interval.tick().await;
        if !collector.turns().await {
            return;
        }
        tell(NotifyState::Watchdog);
    }
}

pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify systemd by NOTIFY_SOCKET");
    }
}
