//! RTM_GETQDISC: the numbers of the root queue disciplines of the host's links.
//!
//! The request needs no capability, and cannot name another namespace: tc_get_qdisc in net/sched/sch_api.c.

use super::answer::AnswerMessage;
use super::error::Error;
use super::stats::Sampler;
use super::wire;
use crate::model::queues::{QueueReading, QueueSamples};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcHandle, TcMessage};
use nix::errno::Errno;

const RTM_GETQDISC: &str = "RTM_GETQDISC";

impl Sampler {
    /// Reads the queue disciplines that `queues` wants, on a host with this many links: by a request for
    /// each, or by one dump where that costs less. A link that is gone is not in the answer. Without a
    /// wanted link, nothing is requested.
    pub fn sample_queues(&mut self, links: usize, queues: &mut QueueSamples) {
        queues.clear_answer();
        let result = match queues.wants_dump(links) {
            true => self.dump_queues(queues),
            false => self.ask_for_queues(queues),
        };
        queues.failure = result.err().map(|error| error.to_string());
    }

    /// Dumps the queue disciplines of all links, those below a root included.
    fn dump_queues(&mut self, queues: &mut QueueSamples) -> Result<(), Error> {
        let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
        let mut unreadable = false;
        // An interrupted dump is usable: the numbers of each queue discipline are correct by themselves.
        self.socket.dump_once(RTM_GETQDISC, request, |message| match read(&message) {
            Some(Some(reading)) => queues.take_dumped(reading),
            Some(None) => {}
            None => unreadable = true,
        })?;
        match unreadable {
            true => Err(Error::Malformed { request: RTM_GETQDISC, what: "unreadable message" }),
            false => Ok(()),
        }
    }

    fn ask_for_queues(&mut self, queues: &mut QueueSamples) -> Result<(), Error> {
        let QueueSamples { wanted, read, .. } = queues;
        for &ifindex in wanted.iter() {
            read.extend(self.queue(ifindex)?.filter(|reading| reading.ifindex == ifindex));
        }
        Ok(())
    }

    /// Reads the root queue discipline of one link; `None` if the link is gone, or has none that the kernel
    /// shows.
    fn queue(&mut self, ifindex: u32) -> Result<Option<QueueReading>, Error> {
        let mut request = TcMessage::with_index(ifindex.cast_signed());
        request.header.parent = TcHandle::ROOT;
        let request = RouteNetlinkMessage::GetQueueDiscipline(request);
        match self.socket.ask_for_any(RTM_GETQDISC, request, |message| read(&message)) {
            Ok(answer) => Ok(answer.flatten()),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns true for a link or queue discipline that is not there. The kernel answers EINVAL where the root is
/// noop (tc_qdisc_dump_ignore).
fn is_gone(error: &Error) -> bool {
    matches!(error.errno(), Some(Errno::ENODEV | Errno::ENOENT | Errno::EINVAL))
}

fn read(message: &AnswerMessage<'_>) -> Option<Option<QueueReading>> {
    if message.kind == wire::RTM_NEWQDISC { wire::qdisc(message.payload) } else { None }
}
