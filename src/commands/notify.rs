//! What systemd is told: sd_notify(3), for units of `Type=notify`. Elsewhere nobody listens, and nothing is
//! sent.

use crate::collector::Handle;
use sd_notify::NotifyState;
use std::time::Duration;

/// Until the first look at the host is over, it is looked for so often.
const LOOK: Duration = Duration::from_millis(20);

/// READY=1 once the host was looked at, then WATCHDOG=1 at twice the asked rate for as long as the
/// collector answers; for ever.
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
