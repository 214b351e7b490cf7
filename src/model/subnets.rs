//! Subnets of both families: an address and the length of its prefix in bits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns true if a subnet contains the address.
pub(crate) fn is_in(address: IpAddr, subnet: IpAddr, prefix: u8) -> bool {
    address.is_ipv4() == subnet.is_ipv4() && network(address, prefix) == network(subnet, prefix)
}

/// Returns the first address of the subnet that an address is in. A prefix that is longer than the address
/// is taken for the whole address.
pub(crate) fn network(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !host))
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_has_the_addresses_that_begin_alike() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (address, network, prefix, wanted) in [
            ("10.5.255.1", "10.5.0.0", 16, true),
            ("10.6.0.1", "10.5.0.0", 16, false),
            ("10.6.0.1", "0.0.0.0", 0, true),
            ("fd97::ffff", "fd97::", 64, true),
            ("fd97:0:0:1::1", "fd97::", 64, false),
            ("10.5.0.1", "::", 0, false),
            ("10.5.0.1", "10.5.0.1", 32, true),
        ] {
            assert_eq!(is_in(ip(address), ip(network), prefix), wanted, "{address} {network}/{prefix}");
        }
    }

    #[test]
    fn the_first_address_of_a_subnet_has_no_bit_behind_the_prefix() {
        let first = |text: &str, prefix| network(text.parse().unwrap(), prefix).to_string();
        assert_eq!(first("10.5.255.1", 16), "10.5.0.0");
        assert_eq!(first("10.5.255.1", 0), "0.0.0.0");
        assert_eq!(first("10.5.255.1", 40), "10.5.255.1");
        assert_eq!(first("fd97:0:0:1::1", 48), "fd97::");
        assert_eq!(first("fd97::1", 200), "fd97::1");
    }
}
