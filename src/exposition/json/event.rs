//! The row of an event: the same in the stream and in `/api/v1/events`.

use crate::model::recent_events::RecentEvent;
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// An event of a pair or a container. A text is empty where it does not apply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EventRow<'a> {
    /// The number of the event since the exporter's start.
    pub id: u64,
    /// Seconds since 1970 began.
    pub time: f64,
    /// The kind in one word: `appeared`, `gone` ...
    pub kind: &'a str,
    pub runtime: &'a str,
    /// The name of the workload in one word.
    pub workload: Cow<'a, str>,
    /// The name of the port, if it exists when the event is reported.
    pub device: Cow<'a, str>,
    pub interface: Cow<'a, str>,
    pub network: Cow<'a, str>,
    /// The description of the event, in a few words.
    pub text: Cow<'a, str>,
    /// The stream's identifier of the pair, if it exists; absent elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<u64>,
}

impl<'a> EventRow<'a> {
    /// Returns the row of an event; `epoch` is the zero of the view's times since 1970 began.
    pub(crate) fn new(event: &'a RecentEvent, epoch: Duration) -> EventRow<'a> {
        let RecentEvent { id, at, kind, subject, network, text } = event;
        EventRow {
            id: *id,
            time: (epoch + *at).as_millis() as f64 / 1e3,
            kind: kind.as_str(),
            runtime: subject.runtime.map_or("", |runtime| runtime.as_str()),
            workload: (&*subject.workload).into(),
            device: (&*subject.device).into(),
            interface: (&*subject.interface).into(),
            network: network.into(),
            text: text.into(),
            pair: None,
        }
    }
}
