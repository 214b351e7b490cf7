//! RTM_GETSTATS: the counters of the host's links, at a fifth of a microsecond per link.

use super::error::Error;
use super::socket::NetlinkSocket;
use super::wire;
use crate::model::host::Samples;
use crate::model::link::Counters;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::stats::{StatsFilterMask, StatsMessage};
use nix::errno::Errno;

/// A reader of counters, with a socket of its own.
pub struct Sampler {
    pub(super) socket: NetlinkSocket,
}

impl Sampler {
    /// Opens the socket in the namespace of the calling thread.
    pub fn open() -> Result<Sampler, Error> {
        Ok(Sampler { socket: NetlinkSocket::open()? })
    }

    /// Reads the counters of one link of the host; `None` if no link has this ifindex.
    ///
    /// # Errors
    /// If the kernel gives another answer.
    pub fn sample_link(&mut self, ifindex: u32) -> Result<Option<Counters>, Error> {
        let mut request = StatsMessage::default();
        request.header.filter_mask = StatsFilterMask::Link64;
        request.header.ifindex = ifindex;
        let request = RouteNetlinkMessage::GetStats(request);
        let answer = self.socket.ask("RTM_GETSTATS", request, |message| {
            let stats = (message.kind == wire::RTM_NEWSTATS).then(|| wire::stats(message.payload)).flatten();
            stats.filter(|(index, _)| *index == ifindex).map(|(_, counters)| counters)
        });
        match answer {
            Ok(counters) => Ok(Some(counters)),
            Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Dumps IFLA_STATS_LINK_64 of every link of the host (Linux 4.7) into `samples`, and reuses its
    /// memory.
    pub fn sample(&mut self, samples: &mut Samples) -> Result<(), Error> {
        let mut request = StatsMessage::default();
        request.header.filter_mask = StatsFilterMask::Link64;
        let request = RouteNetlinkMessage::GetStats(request);
        samples.clear();
        // An interrupted dump is usable: each counter is correct by itself, and a link that is made or
        // deleted meanwhile does no harm.
        self.socket.dump_once("RTM_GETSTATS", request, |message| match wire::stats(message.payload) {
            Some(sample) if message.kind == wire::RTM_NEWSTATS => samples.counters.push(sample),
            _ => samples.bad_messages += 1,
        })
    }
}
