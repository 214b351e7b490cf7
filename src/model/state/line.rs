//! The records of a state as lines of text: fields that a space separates.

use super::{Moment, SavedEnd, SavedPair, SavedStarts, SavedTotal};
use crate::model::ledger::{Flow, LabelSet, NetworkLabels, Traffic};
use crate::model::link::{Counters, Mac};
use crate::model::periods::{ByPeriod, ByteSums, Period, PeriodBases};
use crate::model::workload::{Runtime, WorkloadName};
use std::time::Duration;

/// The remainder of each byte, for [`checksum`].
const REMAINDERS: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ 0xedb8_8320 } else { rest >> 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

/// Returns the CRC-32 of IEEE 802.3.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let step = |rest: u32, byte: &u8| REMAINDERS[(rest as u8 ^ byte) as usize] ^ rest >> 8;
    !bytes.iter().fold(!0, step)
}

/// The room for a line's checksum and the space behind it.
const UNSEALED: &[u8; 9] = b"00000000 ";

/// Writes the checksums of lines, each of which has the room for it at its beginning.
pub(super) fn seal(lines: &mut [u8]) {
    for line in lines.split_mut(|&byte| byte == b'\n') {
        if let Some((room, payload)) = line.split_at_mut_checked(UNSEALED.len()) {
            let digits = format!("{:08x}", checksum(payload));
            room[..8].copy_from_slice(digits.as_bytes());
        }
    }
}

/// The word before the fields of periods, which version 1 does not have.
const PERIODS: &str = "@";
/// The word before the totals of a pair, which only a pair that is booked to one has.
const TOTALS: &str = ">";

/// One record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Workload(SavedTotal<LabelSet>),
    Network(SavedTotal<NetworkLabels>),
    Starts(SavedStarts),
    /// A pair, and the numbers of the records of its totals.
    Pair(SavedPair, [Option<u64>; 2]),
    /// The record with this number is gone.
    Gone,
}

/// Lines that are being written. The fields that identify a record come first in its line, and its number
/// last.
#[derive(Debug, Default)]
pub(super) struct RecordLines {
    pub(super) text: Vec<u8>,
}

impl RecordLines {
    /// Begins a line. Returns where its first field begins.
    pub(super) fn begin(&mut self) -> usize {
        self.text.extend_from_slice(UNSEALED);
        self.text.len()
    }

    /// Ends the line that was begun last.
    pub(super) fn end(&mut self) {
        self.text.push(b'\n');
    }

    /// Takes back the line of which the first field begins there.
    pub(super) fn withdraw(&mut self, begin: usize) {
        self.text.truncate(begin - UNSEALED.len());
    }

    fn space(&mut self) {
        if self.text.last() != Some(&b' ') {
            self.text.push(b' ');
        }
    }

    /// Adds a word without spaces.
    pub(super) fn word(&mut self, word: &str) -> &mut RecordLines {
        self.space();
        self.text.extend_from_slice(word.as_bytes());
        self
    }

    /// Adds a decimal number.
    pub(super) fn number(&mut self, mut number: u64) -> &mut RecordLines {
        self.space();
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.text.extend_from_slice(&digits[at..]);
        self
    }

    /// Adds any text: a dot, and then each byte that is no visible ASCII, and `%`, as `%` and two digits.
    pub(super) fn quoted(&mut self, text: &str) -> &mut RecordLines {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.space();
        self.text.push(b'.');
        for &byte in text.as_bytes() {
            match byte {
                b'!'..=b'~' if byte != b'%' => self.text.push(byte),
                _ => {
                    let digits = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
                    self.text.extend_from_slice(&[b'%', digits[0], digits[1]]);
                }
            }
        }
        self
    }

    /// Adds a time in nanoseconds since 1970.
    pub(super) fn time(&mut self, time: Duration) -> &mut RecordLines {
        self.number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn traffic(&mut self, traffic: &Traffic) -> &mut RecordLines {
        for flow in [traffic.receive, traffic.transmit] {
            self.number(flow.bytes).number(flow.packets).number(flow.dropped);
        }
        self
    }

    pub(super) fn workload_labels(&mut self, labels: &LabelSet) -> &mut RecordLines {
        self.word("w").word(labels.runtime.as_str()).quoted(&labels.container).quoted(&labels.namespace);
        self.quoted(&labels.pod).quoted(&labels.interface).quoted(&labels.network)
    }

    pub(super) fn network_labels(&mut self, labels: &NetworkLabels) -> &mut RecordLines {
        self.word("n").word(labels.runtime.as_str()).quoted(&labels.network)
    }

    pub(super) fn total(&mut self, traffic: &Traffic, begun: Duration, idle: Option<Duration>) {
        self.traffic(traffic).time(begun);
        match idle {
            Some(idle) => _ = self.time(idle),
            None => _ = self.word("-"),
        }
    }

    /// Adds the bases of a total that has any.
    pub(super) fn bases(&mut self, bases: &PeriodBases) {
        if *bases != PeriodBases::default() {
            self.word(PERIODS);
            for ByteSums { receive, transmit } in [bases.today, bases.month] {
                self.number(receive).number(transmit);
            }
        }
    }

    pub(super) fn starts_name(&mut self, name: &WorkloadName) -> &mut RecordLines {
        self.word("s").word(name.runtime.as_str()).quoted(&name.container).quoted(&name.namespace);
        self.quoted(&name.pod)
    }

    pub(super) fn pair_ends(&mut self, ends: &[SavedEnd; 2]) -> &mut RecordLines {
        self.word("p");
        for end in ends {
            match end.nsid {
                Some(nsid) => self.number(u64::from(nsid)),
                None => self.word("-"),
            };
            self.number(u64::from(end.ifindex));
            let address =
                end.address.map(|Mac(mac)| mac.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
            match address {
                Some(address) => self.number(address),
                None => self.word("-"),
            };
        }
        self
    }

    fn counters(&mut self, counters: &Counters) {
        self.number(counters.receive_bytes).number(counters.receive_packets);
        self.number(counters.receive_dropped).number(counters.transmit_bytes);
        self.number(counters.transmit_packets).number(counters.transmit_dropped);
    }

    pub(super) fn pair_counters(&mut self, highest: &[Counters; 2], unbooked: &[Traffic; 2]) {
        self.counters(&highest[0]);
        // Mostly one end of a veth has received what the other has sent, and nothing was dropped.
        if highest[1] == of_peer(&highest[0]) {
            self.word("=");
        } else {
            self.counters(&highest[1]);
        }
        match unbooked == &[Traffic::default(); 2] {
            true => _ = self.word("-"),
            false => unbooked.iter().for_each(|traffic| _ = self.traffic(traffic)),
        }
    }

    pub(super) fn pair_totals(&mut self, totals: [Option<u64>; 2]) {
        if totals != [None, None] {
            self.word(TOTALS);
            for total in totals {
                match total {
                    Some(total) => self.number(total),
                    None => self.word("-"),
                };
            }
        }
    }

    pub(super) fn commit(&mut self, lines: u64, moment: &Moment, periods: Option<&ByPeriod<Period>>) {
        self.word("c").number(lines).time(moment.taken).quoted(&moment.boot).number(moment.netns);
        self.number(u64::from(moment.highest));
        if let Some(ByPeriod { today, month }) = periods {
            self.word(PERIODS);
            for period in [today, month] {
                self.time(period.start).time(period.since);
            }
        }
    }
}

/// Returns the counters of the other end of a veth that has dropped nothing.
fn of_peer(counters: &Counters) -> Counters {
    Counters {
        receive_bytes: counters.transmit_bytes,
        receive_packets: counters.transmit_packets,
        receive_dropped: 0,
        transmit_bytes: counters.receive_bytes,
        transmit_packets: counters.receive_packets,
        transmit_dropped: 0,
    }
}

/// The fields of a line that is being read. A field that is missing or not as it must be is `None`.
pub(super) struct RecordFields<'a> {
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
}

impl<'a> RecordFields<'a> {
    pub(super) fn new(line: &'a str) -> RecordFields<'a> {
        RecordFields { rest: line.split(' ').peekable() }
    }

    pub(super) fn word(&mut self) -> Option<&'a str> {
        self.rest.next()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let word = self.word()?;
        word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// Reads a number, or the sign for none.
    fn optional(&mut self) -> Option<Option<u64>> {
        match self.rest.next_if_eq(&"-") {
            Some(_) => Some(None),
            None => self.number().map(Some),
        }
    }

    pub(super) fn quoted(&mut self) -> Option<String> {
        let mut bytes = self.word()?.strip_prefix('.')?.bytes();
        let mut text = Vec::new();
        while let Some(byte) = bytes.next() {
            text.push(match byte {
                b'%' => {
                    let mut digit = || (bytes.next()? as char).to_digit(16);
                    (digit()? << 4 | digit()?) as u8
                }
                byte => byte,
            });
        }
        String::from_utf8(text).ok()
    }

    fn time(&mut self) -> Option<Duration> {
        self.number().map(Duration::from_nanos)
    }

    fn runtime(&mut self) -> Option<Runtime> {
        let word = self.word()?;
        Runtime::ALL.into_iter().find(|runtime| runtime.as_str() == word)
    }

    fn traffic(&mut self) -> Option<Traffic> {
        let mut flow =
            || Some(Flow { bytes: self.number()?, packets: self.number()?, dropped: self.number()? });
        Some(Traffic { receive: flow()?, transmit: flow()? })
    }

    fn total<L>(&mut self, labels: L) -> Option<SavedTotal<L>> {
        let (traffic, begun) = (self.traffic()?, self.time()?);
        let idle = self.optional()?.map(Duration::from_nanos);
        Some(SavedTotal { labels, traffic, begun, idle, bases: PeriodBases::default() })
    }

    fn bases(&mut self) -> Option<PeriodBases> {
        if self.rest.next_if_eq(&PERIODS).is_none() {
            return Some(PeriodBases::default());
        }
        let mut bytes = || Some(ByteSums { receive: self.number()?, transmit: self.number()? });
        Some(PeriodBases { today: bytes()?, month: bytes()? })
    }

    /// Reads the periods of a commit; the inner `None` for those of version 1, which has none.
    fn periods(&mut self) -> Option<Option<ByPeriod<Period>>> {
        if self.rest.next_if_eq(&PERIODS).is_none() {
            return Some(None);
        }
        let mut period = || Some(Period { start: self.time()?, since: self.time()? });
        Some(Some(ByPeriod { today: period()?, month: period()? }))
    }

    fn workload(&mut self) -> Option<SavedTotal<LabelSet>> {
        let labels = LabelSet {
            runtime: self.runtime()?,
            container: self.quoted()?,
            namespace: self.quoted()?,
            pod: self.quoted()?,
            interface: self.quoted()?,
            network: self.quoted()?,
        };
        let total = self.total(labels)?;
        Some(SavedTotal { bases: self.bases()?, ..total })
    }

    fn network(&mut self) -> Option<SavedTotal<NetworkLabels>> {
        let labels = NetworkLabels { runtime: self.runtime()?, network: self.quoted()? };
        self.total(labels)
    }

    fn starts(&mut self) -> Option<SavedStarts> {
        let name = WorkloadName {
            runtime: self.runtime()?,
            container: self.quoted()?,
            namespace: self.quoted()?,
            pod: self.quoted()?,
        };
        let (count, begun) = (self.number()?, self.time()?);
        Some(SavedStarts { name, count, begun, is_shown: self.number()? == 1 })
    }

    fn end(&mut self) -> Option<SavedEnd> {
        let nsid = self.optional()?.map(u32::try_from).transpose().ok()?;
        let ifindex = self.small()?;
        let address = self.optional()?.map(|address| {
            let [0, 0, mac @ ..] = address.to_be_bytes() else { return None };
            Some(Mac(mac))
        });
        let address = match address {
            Some(None) => return None,
            address => address.flatten(),
        };
        Some(SavedEnd { nsid, ifindex, address })
    }

    fn counters(&mut self) -> Option<Counters> {
        Some(Counters {
            receive_bytes: self.number()?,
            receive_packets: self.number()?,
            receive_dropped: self.number()?,
            transmit_bytes: self.number()?,
            transmit_packets: self.number()?,
            transmit_dropped: self.number()?,
        })
    }

    fn pair(&mut self) -> Option<(SavedPair, [Option<u64>; 2])> {
        let ends = [self.end()?, self.end()?];
        let first = self.counters()?;
        let second = match self.rest.next_if_eq(&"=") {
            Some(_) => of_peer(&first),
            None => self.counters()?,
        };
        let highest = [first, second];
        let unbooked = match self.rest.next_if_eq(&"-") {
            Some(_) => Default::default(),
            None => [self.traffic()?, self.traffic()?],
        };
        let totals = match self.rest.next_if_eq(&TOTALS) {
            Some(_) => [self.optional()?, self.optional()?],
            None => [None, None],
        };
        Some((SavedPair { ends, highest, unbooked, totals: [None, None] }, totals))
    }

    /// Reads the fields of a record and its number; `None` if anything is not as it must be.
    pub(super) fn record(&mut self, kind: &str) -> Option<(u64, Record)> {
        let record = match kind {
            "w" => Record::Workload(self.workload()?),
            "n" => Record::Network(self.network()?),
            "s" => Record::Starts(self.starts()?),
            "p" => {
                let (pair, totals) = self.pair()?;
                Record::Pair(pair, totals)
            }
            "d" => Record::Gone,
            _ => return None,
        };
        let number = self.number()?;
        self.is_over().then_some((number, record))
    }

    /// Reads the fields of a commit: the number of its lines, the moment, and the periods.
    pub(super) fn commit(&mut self) -> Option<(u64, Moment, Option<ByPeriod<Period>>)> {
        let (lines, taken, boot) = (self.number()?, self.time()?, self.quoted()?);
        let moment = Moment { boot, netns: self.number()?, highest: self.small()?, taken };
        let periods = self.periods()?;
        self.is_over().then_some((lines, moment, periods))
    }

    fn is_over(&mut self) -> bool {
        self.rest.next().is_none()
    }
}
