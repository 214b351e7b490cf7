//! The texts of /proc/PID/net with TCP figures. Pure.
//!
//! A section of snmp and netstat is two lines that begin with its name: the names of its columns, and their
//! values (`snmp_seq_show` and `netstat_seq_show` in net/ipv4/proc.c). Kernels add columns, sections and
//! lines. What is not known here is skipped, and a figure that is missing stays absent.

use crate::model::tcp::{TcpCounter, TcpFigures};

/// The columns of section `Tcp` in snmp.
const OF_TCP: [(&[u8], TcpCounter); 5] = [
    (b"OutSegs", TcpCounter::SegmentsSent),
    (b"RetransSegs", TcpCounter::SegmentsRetransmitted),
    (b"OutRsts", TcpCounter::ResetsSent),
    (b"AttemptFails", TcpCounter::AttemptsFailed),
    (b"EstabResets", TcpCounter::ConnectionsReset),
];

/// The columns of section `TcpExt` in netstat.
const OF_TCP_EXT: [(&[u8], TcpCounter); 3] = [
    (b"TCPTimeouts", TcpCounter::Timeouts),
    (b"ListenOverflows", TcpCounter::ListenOverflows),
    (b"ListenDrops", TcpCounter::ListenDrops),
];

/// Adds the counters of /proc/PID/net/snmp.
pub fn add_snmp(text: &[u8], figures: &mut TcpFigures) {
    add_section(text, b"Tcp:", &OF_TCP, figures);
}

/// Adds the counters of /proc/PID/net/netstat.
pub fn add_netstat(text: &[u8], figures: &mut TcpFigures) {
    add_section(text, b"TcpExt:", &OF_TCP_EXT, figures);
}

/// Adds the sockets in use of /proc/PID/net/sockstat or sockstat6: `TCP: inuse 3 orphan 0 ...`, `TCP6: inuse
/// 1` (`sockstat_seq_show` in net/ipv4/proc.c, `sockstat6_seq_show` in net/ipv6/proc.c).
pub fn add_sockstat(text: &[u8], figures: &mut TcpFigures) {
    let mut lines = text.split(|byte| *byte == b'\n');
    let Some(words) = lines.find_map(|line| line.strip_prefix(b"TCP:").or(line.strip_prefix(b"TCP6:")))
    else {
        return;
    };
    let mut words = words_of(words);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name == b"inuse" {
            if let Some(value) = number(value) {
                figures.add_sockets(value);
            }
            return;
        }
    }
}

/// Adds the known columns of a section, the first one of its name.
fn add_section(text: &[u8], section: &[u8], columns: &[(&[u8], TcpCounter)], figures: &mut TcpFigures) {
    let mut lines = text.split(|byte| *byte == b'\n').skip_while(|line| !line.starts_with(section));
    let mut line = || lines.next()?.strip_prefix(section);
    let (Some(names), Some(values)) = (line(), line()) else { return };
    for (name, value) in words_of(names).zip(words_of(values)) {
        let known = columns.iter().find(|(column, _)| *column == name);
        if let Some(((_, counter), value)) = known.zip(number(value)) {
            figures.set_counter(*counter, value);
        }
    }
}

fn words_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Returns a value of an unsigned column. Some columns have negative values (MaxConn of Tcp is -1).
fn number(word: &[u8]) -> Option<u64> {
    let digits = word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests;
