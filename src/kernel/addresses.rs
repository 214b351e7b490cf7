//! RTM_GETADDR: the IP addresses of a namespace's interfaces.

use super::links::{Resolver, look_failure};
use super::wire;
use crate::model::host::LookFailure;
use crate::model::link::IpAddress;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};

impl Resolver {
    /// Dumps the addresses of the host (`None`) or of the namespace with this nsid (IFA_TARGET_NETNSID,
    /// which needs CAP_NET_ADMIN in that namespace).
    ///
    /// # Errors
    /// Fails as [`links`](Resolver::links) does.
    pub fn addresses(&mut self, nsid: Option<u32>) -> Result<Vec<IpAddress>, LookFailure> {
        let mut request = AddressMessage::default();
        if let Some(nsid) = nsid {
            let id = i32::try_from(nsid).map_err(|_| LookFailure::Gone)?;
            request.attributes.push(AddressAttribute::TargetNetNsId(id));
        }
        let request = RouteNetlinkMessage::GetAddress(request);
        let mut found = Vec::new();
        self.socket
            .dump("RTM_GETADDR", request, &mut found, Vec::clear, |found, message| {
                if message.kind == wire::RTM_NEWADDR
                    && let Some(read) = wire::address(message.payload)
                    && read.target == nsid
                {
                    found.push(read.address);
                }
            })
            .map_err(look_failure)?;
        Ok(found)
    }
}
