//! The program that counts dropped packets: loading it, and reading its counts.

use super::btf::KernelTypes;
use crate::model::drops::{DropKey, DropReading, DropReasons, DropsRequest, NetnsCookie};
use crate::model::lack::{Lack, LackReason};
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use aya::programs::{BtfTracePoint, Iter};
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The programs, built from `bpf/drops.bpf.c`.
const OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/drops.bpf.o");

/// The running kernel's types.
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's enumeration of reasons, since Linux 5.17.
const REASONS: &str = "skb_drop_reason";

/// The structures of which `bpf/core.h` names fields, and what the programs are attached to.
const NEEDED_TYPES: [&str; 17] = [
    "bpf_iter_task",
    "btf_trace_kfree_skb",
    "dst_entry",
    "idr",
    "net",
    "net_device",
    "ns_common",
    "nsproxy",
    "possible_net_t",
    "sk_buff",
    "sock",
    "sock_common",
    "task_struct",
    "xa_node",
    "xarray",
    "radix_tree_root",
    "skb_drop_reason",
];

/// The limit of the list of namespaces, in bytes: 65,536 of them.
const LIST_AT_MOST: u64 = 1 << 20;

/// The error of a missing capability, as asm-generic/errno-base.h has it.
const EPERM: i32 = 1;

/// The length of `struct netns_row`.
const NETNS_ROW: usize = 16;

/// The counts of dropped packets. The programs stay in the kernel until this is dropped.
pub struct DropReader {
    /// The programs and what holds them.
    programs: Ebpf,
    /// A key is the cookie, and a word with the ifindex in its lower half and the reason in its upper one.
    drops: HashMap<MapData, [u64; 2], u64>,
    lost: Array<MapData, u64>,
}

impl DropReader {
    /// Loads the programs and begins to count. Returns the kernel's reasons too.
    ///
    /// # Errors
    /// The kernel is too old, was built without its types, or does not permit it.
    pub fn load() -> Result<(DropReader, DropReasons), Lack> {
        // malloc gives memory back that is freed behind all else: these two are the largest parts.
        let kernel = read_kernel()?;
        let (types, names) = choose_types(&kernel)?;
        let reasons = DropReasons::new(&names);
        let load = || -> Result<DropReader, Box<dyn Error>> {
            let types = Btf::parse(&types, Endianness::default())?;
            let (left_out, unspecified) = (reasons.left_out(), reasons.unspecified());
            let mut programs = EbpfLoader::new()
                .btf(Some(&types))
                .override_global("ignored", &left_out, true)
                .override_global("unspecified", &unspecified, true)
                .load(OBJECT)?;
            let list: &mut Iter = program(&mut programs, "namespaces")?.try_into()?;
            list.load("task", &types)?;
            let count: &mut BtfTracePoint = program(&mut programs, "kfree_skb")?.try_into()?;
            count.load("kfree_skb", &types)?;
            count.attach()?;
            let drops = HashMap::try_from(map(&mut programs, "drops")?)?;
            let lost = Array::try_from(map(&mut programs, "lost")?)?;
            Ok(DropReader { programs, drops, lost })
        };
        let mut reader = load().map_err(|error| refusal(&*error))?;
        // A kernel may permit to load, and later refuse to list.
        reader.namespaces().map_err(|error| refusal(&*error))?;
        Ok((reader, reasons))
    }

    /// Removes the counts that are to be forgotten, and reads all others.
    ///
    /// # Errors
    /// The kernel refuses a call.
    pub(crate) fn read(&mut self, request: &DropsRequest) -> Result<DropReading, Lack> {
        self.try_read(request).map_err(|error| refusal(&*error))
    }

    fn try_read(&mut self, request: &DropsRequest) -> Result<DropReading, Box<dyn Error>> {
        let mut reading = DropReading::default();
        for (key, packets) in &request.forget {
            let raw = to_raw(key);
            match self.drops.get(&raw, 0) {
                Ok(now) if now == *packets => {
                    self.drops.remove(&raw)?;
                    reading.forgotten.push(*key);
                }
                Ok(_) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The list first: a namespace that has come since has an id of which the model will know.
        if request.with_namespaces {
            reading.namespaces = Some(self.namespaces()?);
        }
        // Where keys are added meanwhile, the kernel may begin anew: the last value of each counts.
        let mut counts = BTreeMap::new();
        for count in self.drops.iter() {
            let (raw, packets) = count?;
            counts.insert(from_raw(raw), packets);
        }
        reading.counts = counts.into_iter().collect();
        reading.lost = self.lost.get(&0, 0)?;
        Ok(reading)
    }

    /// Lists the namespaces that have an id in the exporter's, and that one.
    fn namespaces(&mut self) -> Result<Vec<NetnsCookie>, Box<dyn Error>> {
        let list: &mut Iter = program(&mut self.programs, "namespaces")?.try_into()?;
        let link = list.attach()?;
        let file = list.take_link(link)?.into_file()?;
        let mut bytes = Vec::new();
        file.take(LIST_AT_MOST).read_to_end(&mut bytes)?;
        Ok(bytes.as_chunks::<NETNS_ROW>().0.iter().map(netns_cookie).collect())
    }
}

fn program<'a>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::programs::Program, String> {
    programs.program_mut(name).ok_or_else(|| format!("the object has no program {name}"))
}

fn map(programs: &mut Ebpf, name: &str) -> Result<Map, String> {
    programs.take_map(name).ok_or_else(|| format!("the object has no map {name}"))
}

fn to_raw(key: &DropKey) -> [u64; 2] {
    let (ifindex, reason) = (key.ifindex.to_ne_bytes(), key.reason.to_ne_bytes());
    let mut word = [0; 8];
    word[..4].copy_from_slice(&ifindex);
    word[4..].copy_from_slice(&reason);
    [key.cookie, u64::from_ne_bytes(word)]
}

fn from_raw([cookie, word]: [u64; 2]) -> DropKey {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    DropKey { cookie, ifindex: u32::from_ne_bytes([a, b, c, d]), reason: u32::from_ne_bytes([e, f, g, h]) }
}

/// Reads a `struct netns_row`: the id, -1 for the own namespace; the inode; the cookie.
fn netns_cookie(row: &[u8; NETNS_ROW]) -> NetnsCookie {
    let [a, b, c, d, _, _, _, _, cookie @ ..] = *row;
    let nsid = i32::from_ne_bytes([a, b, c, d]);
    NetnsCookie { nsid: u32::try_from(nsid).ok(), cookie: u64::from_ne_bytes(cookie) }
}

/// Reads the kernel's types.
fn read_kernel() -> Result<Vec<u8>, Lack> {
    fs::read(KERNEL_TYPES).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Lack::new(
            LackReason::Kernel,
            format!("there is no {KERNEL_TYPES}: the kernel was built without CONFIG_DEBUG_INFO_BTF"),
        ),
        ErrorKind::PermissionDenied => {
            Lack::new(LackReason::Permission, format!("cannot read {KERNEL_TYPES}: {error}"))
        }
        _ => Lack::new(LackReason::Kernel, format!("cannot read {KERNEL_TYPES}: {error}")),
    })
}

/// Returns the types that the programs need, and the kernel's reasons.
fn choose_types(kernel: &[u8]) -> Result<(Vec<u8>, BTreeMap<u32, String>), Lack> {
    let unreadable = |error| Lack::new(LackReason::Kernel, format!("cannot read {KERNEL_TYPES}: {error}"));
    let types = KernelTypes::parse(kernel).map_err(unreadable)?;
    let reasons = types.enumeration(REASONS).ok_or_else(|| {
        Lack::new(
            LackReason::Kernel,
            "the kernel has no reasons for dropped packets (enum skb_drop_reason): Linux 5.17 is needed",
        )
    })?;
    Ok((types.only(&NEEDED_TYPES), reasons))
}

/// Returns why the kernel refused, in one line.
fn refusal(error: &(dyn Error + 'static)) -> Lack {
    let mut denied = false;
    let mut next = Some(error);
    let mut words = String::new();
    while let Some(error) = next {
        let system = error.downcast_ref::<io::Error>();
        // EACCES is the verifier's.
        denied |= system.is_some_and(|error| error.raw_os_error() == Some(EPERM));
        let text = error.to_string();
        let line = first_and_cause(&text);
        if !words.contains(&line) {
            words = if words.is_empty() { line } else { format!("{words}: {line}") };
        }
        next = error.source();
    }
    if denied && let Some(why) = forbidden() {
        return Lack::new(LackReason::Kernel, format!("cannot count dropped packets: {words} ({why})"));
    }
    let reason = if denied { LackReason::Capability } else { LackReason::Kernel };
    Lack::new(reason, format!("cannot count dropped packets: {words}"))
}

/// Returns the first line of an error, and of the verifier's log behind it the last line that is no number of
/// its own.
fn first_and_cause(text: &str) -> String {
    let is_number = |line: &&str| {
        ["verification time", "stack depth", "processed", "mark_"].iter().any(|n| line.starts_with(n))
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let cause = lines.rfind(|line| !is_number(line));
    cause.map_or_else(|| first.to_owned(), |cause| format!("{first} ... {cause}"))
}

/// Returns the setting of the kernel that forbids programs to read its memory, if one does.
fn forbidden() -> Option<&'static str> {
    let lockdown = fs::read_to_string(Path::new("/sys/kernel/security/lockdown")).ok()?;
    lockdown.contains("[confidentiality]").then_some("the kernel is locked down: lockdown=confidentiality")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_behind_its_raw_form() {
        let key = DropKey { cookie: 1 << 63 | 5, ifindex: 7, reason: 0x1_0003 };
        assert_eq!(from_raw(to_raw(&key)), key);
    }

    #[test]
    fn the_own_namespace_has_no_id() {
        let row = |nsid: i32| {
            let mut row = [0; NETNS_ROW];
            row[..4].copy_from_slice(&nsid.to_ne_bytes());
            row[8..].copy_from_slice(&9_u64.to_ne_bytes());
            netns_cookie(&row)
        };
        assert_eq!(row(-1), NetnsCookie { nsid: None, cookie: 9 });
        assert_eq!(row(3), NetnsCookie { nsid: Some(3), cookie: 9 });
    }

    #[test]
    fn a_refusal_for_want_of_rights_names_the_capabilities_and_any_other_the_kernel() {
        let denied = refusal(&io::Error::from_raw_os_error(EPERM));
        assert!([LackReason::Capability, LackReason::Kernel].contains(&denied.reason), "{denied}");
        let other = refusal(&io::Error::from(ErrorKind::InvalidInput));
        assert_eq!(other.reason, LackReason::Kernel, "{other}");
        assert!(other.what.starts_with("cannot count dropped packets: "), "{other}");
    }
}
