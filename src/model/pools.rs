//! The IPv4 addresses of networks: those that an engine can give out in a subnet, and those that it has
//! given out.
//!
//! Docker takes the gateway's and the auxiliary addresses from the same pool as those of containers: a pool
//! is full, and a start is refused with `no available IPv4 addresses`, when all of its addresses are used.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 subnet, as engines write it: `172.18.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet {
    /// The lowest address, which is the network's own.
    address: u32,
    /// The length of the prefix: 0 to 32.
    prefix: u8,
}

impl Subnet {
    /// Parses an address and the length of its prefix, `172.18.0.0/16`. Bits behind the prefix are ignored,
    /// as engines ignore them.
    pub fn parse(text: &str) -> Option<Subnet> {
        let (address, prefix) = text.split_once('/')?;
        let is_number = !prefix.is_empty() && prefix.len() <= 2 && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u8 = prefix.parse().ok().filter(|prefix| is_number && *prefix <= 32)?;
        let address: Ipv4Addr = address.parse().ok()?;
        let subnet = Subnet { address: 0, prefix };
        Some(Subnet { address: address.to_bits() & !subnet.host_bits(), prefix })
    }

    fn host_bits(self) -> u32 {
        u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or_default()
    }

    /// Returns the lowest and the highest address.
    pub fn range(self) -> (Ipv4Addr, Ipv4Addr) {
        (Ipv4Addr::from_bits(self.address), Ipv4Addr::from_bits(self.address | self.host_bits()))
    }

    /// Returns the lowest and the highest address that an interface can have: a subnet of more than two
    /// addresses has one that names it and one for all of its interfaces (RFC 3021).
    fn of_interfaces(self) -> (u32, u32) {
        let (first, last) = (self.address, self.address | self.host_bits());
        if self.prefix > 30 { (first, last) } else { (first + 1, last - 1) }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.address), self.prefix)
    }
}

/// The gateway of a subnet, as its engine reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubnetGateway {
    At(Ipv4Addr),
    /// The engine has taken the first address that it could give out, and does not report it.
    First,
    #[default]
    None,
}

/// The addresses of a subnet that an engine gives to containers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressPool {
    pub subnet: Subnet,
    /// The lowest and the highest address that the engine gives out by itself; `None` for all of the subnet.
    pub range: Option<(Ipv4Addr, Ipv4Addr)>,
    pub gateway: SubnetGateway,
    /// The addresses that the engine must not give out.
    pub auxiliary: Vec<Ipv4Addr>,
}

impl AddressPool {
    /// Returns the lowest and the highest address; `None` if there is none.
    fn bounds(&self) -> Option<(u32, u32)> {
        let (first, last) = self.subnet.of_interfaces();
        let (first, last) = match self.range {
            Some((from, to)) => (first.max(from.to_bits()), last.min(to.to_bits())),
            None => (first, last),
        };
        (first <= last).then_some((first, last))
    }

    /// Returns the number of addresses, that of the gateway included.
    pub fn size(&self) -> u64 {
        self.bounds().map_or(0, |(first, last)| u64::from(last - first) + 1)
    }

    /// Returns the gateway's address, also one that the engine has chosen.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        match self.gateway {
            SubnetGateway::At(address) => Some(address),
            SubnetGateway::First => self.bounds().map(|(first, _)| Ipv4Addr::from_bits(first)),
            SubnetGateway::None => None,
        }
    }

    /// Returns how many addresses are used, if the engine has given these to containers. An address outside
    /// of the pool, as a user may choose one, takes none of the pool's.
    pub fn used(&self, given: impl IntoIterator<Item = Ipv4Addr>) -> u64 {
        let Some((first, last)) = self.bounds() else { return 0 };
        let own = self.gateway().into_iter().chain(self.auxiliary.iter().copied());
        let used = own.chain(given).map(Ipv4Addr::to_bits).filter(|address| (first..=last).contains(address));
        used.collect::<BTreeSet<u32>>().len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: Option<&str>, gateway: SubnetGateway, auxiliary: &[&str]) -> AddressPool {
        let auxiliary = auxiliary.iter().map(|address| address.parse().unwrap()).collect();
        let range = range.map(|range| Subnet::parse(range).unwrap().range());
        AddressPool { subnet: Subnet::parse(subnet).unwrap(), range, gateway, auxiliary }
    }

    /// Docker 20.10 was seen to do this: so many containers had an address when the next was refused, and the lowest of
    /// them. A gateway that the user has not chosen is not in the engine's answer.
    #[test]
    fn a_pool_is_full_when_docker_refuses_the_next_container() {
        use SubnetGateway::{At, First};
        let outside = At(Ipv4Addr::new(10, 92, 0, 1));
        for (subnet, range, gateway, auxiliary, containers, lowest) in [
            ("10.91.0.0/29", None, First, &[][..], 5, "10.91.0.2"),
            ("10.92.0.0/24", Some("10.92.0.128/29"), First, &[], 7, "10.92.0.129"),
            // The range has the subnet's own address, or that for all.
            ("10.92.0.0/24", Some("10.92.0.0/29"), First, &[], 6, "10.92.0.2"),
            ("10.92.0.0/24", Some("10.92.0.248/29"), First, &[], 6, "10.92.0.249"),
            ("10.92.0.0/24", Some("10.92.0.16/29"), outside, &[], 8, "10.92.0.16"),
            ("10.93.0.0/29", None, First, &["10.93.0.3", "10.93.0.4"], 3, "10.93.0.2"),
            ("10.93.0.0/24", Some("10.93.0.64/29"), First, &["10.93.0.3", "10.93.0.66"], 6, "10.93.0.65"),
            ("10.94.0.0/30", None, First, &[], 1, "10.94.0.2"),
            ("10.94.0.0/24", Some("10.94.0.6/31"), First, &[], 1, "10.94.0.7"),
            ("10.94.0.0/24", Some("10.94.0.7/32"), First, &[], 0, "10.94.0.8"),
            // The range is larger than the subnet.
            ("10.94.0.0/28", Some("10.94.0.0/24"), First, &[], 13, "10.94.0.2"),
        ] {
            let pool = pool(subnet, range, gateway, auxiliary);
            let lowest: u32 = lowest.parse::<Ipv4Addr>().unwrap().to_bits();
            let free =
                (lowest..).map(Ipv4Addr::from_bits).filter(|address| !pool.auxiliary.contains(address));
            let given: Vec<Ipv4Addr> = free.take(containers).collect();
            assert_eq!(pool.used(given.clone()), pool.size(), "{pool:?}");
            if let Some((_, most)) = given.split_last() {
                assert_eq!(pool.used(most.iter().copied()), pool.size() - 1, "{pool:?}");
            }
        }
    }

    #[test]
    fn an_address_counts_once_and_only_in_its_pool() {
        let pool = pool("10.0.0.0/24", Some("10.0.0.64/26"), SubnetGateway::None, &["10.0.0.65"]);
        let given =
            ["10.0.0.1", "10.0.0.65", "10.0.0.66", "10.0.0.66", "10.0.0.127", "10.0.0.128", "10.1.0.66"];
        assert_eq!(pool.used(given.map(|address| address.parse().unwrap())), 3);
        assert_eq!(pool.size(), 64);
    }

    #[test]
    fn subnets_of_every_size_have_the_addresses_that_interfaces_can_have() {
        for (subnet, size, gateway) in [
            ("0.0.0.0/0", (1 << 32) - 2, "0.0.0.1"),
            ("10.0.0.0/8", (1 << 24) - 2, "10.0.0.1"),
            ("172.17.0.0/16", 65_534, "172.17.0.1"),
            ("192.0.2.0/30", 2, "192.0.2.1"),
            ("192.0.2.0/31", 2, "192.0.2.0"),
            ("192.0.2.7/32", 1, "192.0.2.7"),
            ("255.255.255.255/32", 1, "255.255.255.255"),
            ("255.255.255.254/31", 2, "255.255.255.254"),
        ] {
            let pool = pool(subnet, None, SubnetGateway::First, &[]);
            assert_eq!((pool.size(), pool.used([])), (size, 1), "{subnet}");
            assert_eq!(pool.gateway().unwrap().to_string(), gateway, "{subnet}");
        }
    }

    #[test]
    fn a_range_outside_of_its_subnet_is_a_pool_without_addresses() {
        for (from, to) in [("10.1.0.0", "10.1.0.9"), ("10.0.0.9", "10.0.0.1"), ("10.0.0.255", "10.0.0.255")] {
            let range = Some((from.parse().unwrap(), to.parse().unwrap()));
            let pool = AddressPool { range, ..pool("10.0.0.0/24", None, SubnetGateway::First, &[]) };
            assert_eq!((pool.size(), pool.used(["10.0.0.9".parse().unwrap()])), (0, 0), "{from} to {to}");
            assert_eq!(pool.gateway(), None);
        }
    }

    #[test]
    fn a_text_that_is_no_ipv4_subnet_is_none() {
        for text in [
            "",
            "/",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/008",
            "10.0.0/8",
            "fd00::/64",
            "10.0.0.0/-1",
        ] {
            assert_eq!(Subnet::parse(text), None, "{text}");
        }
        assert_eq!(Subnet::parse("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
