//! The text of /proc/net/dev, of which few lines are wanted.

use super::link::{Counters, Name};

/// The counters of all links of a namespace, as /proc/net/dev has them (proc(5)): lines of `name:`, then
/// eight numbers received and eight sent, each beginning with bytes, packets, errors and drops. Lines are
/// parsed when they are wanted: at a death one link of hundreds is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceTable(Vec<u8>);

impl DeviceTable {
    /// Returns the table with this text. A line without its newline is incomplete and is skipped.
    pub fn new(text: Vec<u8>) -> DeviceTable {
        DeviceTable(text)
    }

    /// Returns the counters of the link with this name.
    pub fn get(&self, name: &Name) -> Option<Counters> {
        let whole = self.0.split_inclusive(|&b| b == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
        let mut numbers = whole.filter_map(|line| numbers_of(line, name.as_bytes()));
        counters(numbers.next()?)
    }
}

/// Returns the numbers of a line, if it is that of the link. A name has neither blanks nor colons.
fn numbers_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    line.trim_ascii_start().strip_prefix(name)?.strip_prefix(b":")
}

fn counters(numbers: &[u8]) -> Option<Counters> {
    let numbers = numbers.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut numbers = numbers.map(|word| std::str::from_utf8(word).ok()?.parse::<u64>().ok());
    let mut four = || Some([numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??]);
    let [receive_bytes, receive_packets, _, receive_dropped] = four()?;
    four()?;
    let [transmit_bytes, transmit_packets, _, transmit_dropped] = four()?;
    Some(Counters {
        receive_bytes,
        receive_packets,
        receive_dropped,
        transmit_bytes,
        transmit_packets,
        transmit_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of a namespace as Linux 6.18 writes it.
    const TABLE: &[u8] = b"Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
 veth1:    1146      13    0    1    0     0          0         0      810       9    0    2    0     0       0          0
veth12:       7       1    0    0    0     0          0         0        8       1    0    0    0     0       0          0
veth2:        9       1    0    0";

    fn of(name: &str) -> Option<Counters> {
        DeviceTable::new(TABLE.to_vec()).get(&Name::from_bytes(name.as_bytes())?)
    }

    #[test]
    fn a_links_line_is_found_by_its_whole_name() {
        let veth1 = Counters {
            receive_bytes: 1146,
            receive_packets: 13,
            receive_dropped: 1,
            transmit_bytes: 810,
            transmit_packets: 9,
            transmit_dropped: 2,
        };
        assert_eq!(of("veth1"), Some(veth1));
        assert_eq!(of("veth12").map(|counters| counters.transmit_bytes), Some(8));
        assert_eq!(of("veth"), None);
        assert_eq!(of(" face |bytes"), None);
    }

    #[test]
    fn a_line_that_was_cut_off_is_no_line() {
        assert_eq!(of("veth2"), None);
    }
}
