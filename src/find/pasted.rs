//! The text that a user pastes, in the forms that other tools give to names. Pure.

use crate::model::cgroup as cgroup_path;
use crate::model::link::Mac;
use crate::model::subnets;
use crate::model::text::Readable;
use std::net::IpAddr;

/// The most forms of one text; a text of nested wrappings has no more.
const MOST_FORMS: usize = 24;

/// Characters around a name in the output of other tools, in JSON, in YAML and in prose.
const OPENING: &[char] = &['"', '\'', '`', '“', '‘', '«', '(', '<', '{'];
const CLOSING: &[char] = &['"', '\'', '`', '”', '’', '»', ')', '>', '}', ',', ';', '|', '.', '…'];

/// Words before a name: `network_mode` of Compose, `kubectl -o name`, `ss -p`.
const PREFIXES: &[&str] = &["container:", "service:", "pod:", "netns:", "pod/", "pods/", "dev ", "name="];

/// A text as the user typed it, and what is left of it when the wrappings of other tools are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pasted {
    /// The text for messages.
    pub(crate) text: String,
    /// The text itself, then without one wrapping, and so on. The first that names something is meant.
    pub(crate) forms: Vec<String>,
}

/// A process or a file that leads to a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PastedPlace {
    /// A process id in the exporter's own pid namespace.
    Pid(u32),
    /// The absolute path of a namespace's file.
    File(String),
}

/// A device as `ip link` and `list` write it: `12: veth1@if2:`, `12:veth1`, `veth1@if2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceText<'a> {
    pub(crate) ifindex: Option<u32>,
    pub(crate) name: Option<&'a str>,
    pub(crate) peer: Option<PeerText<'a>>,
}

/// The other end of a device, after the `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerText<'a> {
    /// An ifindex in another namespace: `if2`.
    Ifindex(u32),
    /// The name of a link in the same namespace.
    Name(&'a str),
}

impl Pasted {
    /// Reads a text of any bytes.
    pub(crate) fn read(raw: &[u8]) -> Pasted {
        let shown = Readable(raw).to_string();
        let text = String::from_utf8(raw.to_vec()).unwrap_or_else(|_| shown.clone());
        let mut forms = vec![text.clone()];
        if shown != text {
            forms.push(shown);
        }
        let mut at = 0;
        while let Some(form) = forms.get(at).cloned() {
            for bare in WRAPPINGS.iter().filter_map(|unwrap| unwrap(&form)) {
                if !bare.is_empty() && !forms.contains(&bare) && forms.len() < MOST_FORMS {
                    forms.push(bare);
                }
            }
            at += 1;
        }
        Pasted { text: text.trim().to_owned(), forms }
    }

    /// Returns true if a form is an IP address or a subnet.
    pub(crate) fn is_address(&self) -> bool {
        self.forms.iter().any(|form| address(form).is_some())
    }

    /// Returns the process or file that the text names.
    pub(crate) fn place(&self) -> Option<PastedPlace> {
        self.forms.iter().find_map(|form| place(form))
    }
}

/// Each removes one kind of wrapping, or returns `None`.
const WRAPPINGS: [fn(&str) -> Option<String>; 8] = [
    without_quotes,
    without_colon,
    without_slash,
    without_prefix,
    authority,
    without_port,
    without_zone,
    id_in_path,
];

fn without_quotes(text: &str) -> Option<String> {
    let bare = text.trim().trim_start_matches(OPENING).trim_end_matches(CLOSING).trim();
    (bare != text).then(|| bare.to_owned())
}

/// Removes the end of `veth1:`, as `ip link` and `ifconfig` end a name.
fn without_colon(text: &str) -> Option<String> {
    text.strip_suffix(':').map(str::to_owned)
}

/// Removes the slash of `/web-1`, as `docker inspect` writes a name.
fn without_slash(text: &str) -> Option<String> {
    text.strip_prefix('/').filter(|rest| !rest.contains('/')).map(str::to_owned)
}

fn without_prefix(text: &str) -> Option<String> {
    PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).map(str::to_owned)
}

/// Returns the host of a URL with its port, or the id of `docker://ID`.
fn authority(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let authority = rest.split(['/', '?', '#']).next().filter(|_| is_scheme)?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned())
}

/// Removes the port of `10.5.0.2:8080`, `[fe80::1]:80` and `web:80/tcp`, and the brackets of `[fe80::1]`.
fn without_port(text: &str) -> Option<String> {
    if let Some((host, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return Some(host.to_owned());
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.strip_suffix("/tcp").or_else(|| port.strip_suffix("/udp")).unwrap_or(port);
    (!host.contains(':') && port.parse::<u16>().is_ok()).then(|| host.to_owned())
}

/// Removes the interface of `fe80::1%eth0`.
fn without_zone(text: &str) -> Option<String> {
    let (address, _) = text.split_once('%')?;
    address.parse::<IpAddr>().is_ok().then(|| address.to_owned())
}

/// Returns the innermost container's id in a cgroup path or in a folder of an engine.
fn id_in_path(text: &str) -> Option<String> {
    cgroup_path::ids(text).next().filter(|id| *id != text).map(str::to_owned)
}

impl<'a> DeviceText<'a> {
    /// Reads a device with its ifindex or its peer; `None` for any other text, and for a name alone.
    pub(crate) fn read(text: &'a str) -> Option<DeviceText<'a>> {
        let numbered = text.split_once(':').and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
        let (ifindex, name) = match numbered {
            // Behind the name the line of `ip link` goes on.
            Some((ifindex, rest)) => (Some(ifindex), rest.split_whitespace().next().unwrap_or_default()),
            None => (None, text),
        };
        let name = name.strip_suffix(':').unwrap_or(name);
        let (name, peer) = match name.rsplit_once('@') {
            Some((name, peer)) => (name, PeerText::read(peer)),
            None => (name, None),
        };
        if ifindex.is_none() && peer.is_none() {
            return None;
        }
        let name = Some(name).filter(|name| !name.is_empty() && *name != "-");
        Some(DeviceText { ifindex, name, peer })
    }
}

impl<'a> PeerText<'a> {
    fn read(text: &'a str) -> Option<PeerText<'a>> {
        match text.strip_prefix("if").and_then(|number| number.parse().ok()) {
            Some(ifindex) => Some(PeerText::Ifindex(ifindex)),
            None => Some(PeerText::Name(text)).filter(|_| !text.is_empty() && text != "NONE"),
        }
    }
}

/// Reads an IP address, with or without the length of its prefix.
pub(crate) fn address(text: &str) -> Option<(IpAddr, Option<u8>)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map(str::parse::<u8>).transpose().ok()?.filter(|&prefix| prefix <= longest);
    (prefix.is_some() || !text.contains('/')).then(|| (address.to_canonical(), prefix))
}

/// Reads a subnet: an address without a bit after its prefix.
pub(crate) fn subnet(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = address(text)?;
    let prefix = prefix?;
    (subnets::network(address, prefix) == address).then_some((address, prefix))
}

/// Reads a MAC address with colons, dashes, dots or nothing between its bytes, in either case.
pub(crate) fn mac(text: &str) -> Option<Mac> {
    let separator = [':', '-', '.'].into_iter().find(|separator| text.contains(*separator));
    let groups: Vec<&str> = separator.map_or_else(|| vec![text], |separator| text.split(separator).collect());
    let width = match groups.len() {
        1 => 12,
        3 => 4,
        6 => 2,
        _ => return None,
    };
    let fits = |group: &&str| {
        let shortened = width == 2 && group.len() == 1;
        (group.len() == width || shortened) && group.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if !groups.iter().all(fits) {
        return None;
    }
    let digits: String = groups.iter().map(|group| format!("{group:0>width$}")).collect();
    let mut mac = [0; 6];
    for (at, byte) in mac.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Mac(mac))
}

/// Reads a cgroup path as /proc/PID/cgroup, the file system or systemd writes it.
pub(crate) fn cgroup(text: &str) -> Option<&str> {
    let of_process = text.splitn(3, ':').nth(2).filter(|_| text.starts_with(|c: char| c.is_ascii_digit()));
    let path = of_process.unwrap_or(text);
    let path = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path).trim_end_matches('/');
    let is_elsewhere =
        ["/proc", "/run", "/var", "/etc", "/dev"].iter().any(|folder| path.starts_with(folder));
    Some(path).filter(|path| path.starts_with('/') && !is_elsewhere)
}

/// Reads the nsid of `link-netnsid 4`, `nsid 4` or `nsid-4`.
pub(crate) fn nsid(text: &str) -> Option<u32> {
    let rest = text.strip_prefix("link-netnsid").or_else(|| text.strip_prefix("netnsid"));
    rest.or_else(|| text.strip_prefix("nsid"))?.trim_start_matches([' ', '-', ':', '=']).parse().ok()
}

/// Returns true if the text names a process or a file of a namespace.
pub(crate) fn is_place(text: &str) -> bool {
    place(text).is_some()
}

fn place(text: &str) -> Option<PastedPlace> {
    let of_process = |path: &str| path.split('/').next().and_then(|pid| pid.parse().ok());
    let explicit = ["pid ", "pid=", "pid:", "PID "].iter().find_map(|prefix| text.strip_prefix(prefix));
    // `ss -p` writes `pid=1234,fd=3`.
    let explicit = explicit.map(|rest| rest.split(',').next().unwrap_or_default());
    if let Some(pid) =
        text.strip_prefix("/proc/").and_then(of_process).or_else(|| explicit.unwrap_or(text).parse().ok())
    {
        return Some(PastedPlace::Pid(pid));
    }
    // The exporter's own container may have no link from /var/run to /run.
    let path = text.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(text);
    let is_plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    is_plain.then(|| PastedPlace::File(path.to_owned()))
}

/// Returns true if an image is meant by a text that may leave out the registry, the tag and the digest.
pub(crate) fn is_image(image: &str, wanted: &str) -> bool {
    let id = |text: &str| text.strip_prefix("sha256:").unwrap_or(text).to_owned();
    let digits = id(wanted);
    if digits.len() >= 7
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && image.starts_with("sha256:")
    {
        return id(image).starts_with(&digits);
    }
    let (image, wanted) = (ImageText::read(image), ImageText::read(wanted));
    let is_end = image.path.ends_with(&wanted.path) && !wanted.path.iter().any(|part| part.is_empty());
    let tagged = wanted.tag.is_none_or(|tag| tag == image.tag.unwrap_or("latest"));
    let same = wanted.digest.is_none() || image.digest.is_none() || wanted.digest == image.digest;
    is_end && tagged && same
}

/// An image's name in its parts.
struct ImageText<'a> {
    /// The registry and the folders, without those that are meant if none is written.
    path: Vec<&'a str>,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> ImageText<'a> {
    fn read(text: &'a str) -> ImageText<'a> {
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        // A colon before the last slash belongs to the registry's port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let name = name.strip_prefix("index.").unwrap_or(name);
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        let name = name.strip_prefix("library/").unwrap_or(name);
        ImageText { path: name.split('/').collect(), tag, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mac_is_read_in_the_notation_of_any_tool() {
        let wanted = Some(Mac([0x02, 0x42, 0xac, 0x12, 0x00, 0x02]));
        for text in [
            "02:42:ac:12:00:02",
            "02-42-AC-12-00-02",
            "0242.ac12.0002",
            "0242AC120002",
            "2:42:ac:12:0:2",
            "02:42:AC:12:00:02",
        ] {
            assert_eq!(mac(text), wanted, "{text}");
        }
        for text in [
            "",
            "02:42:ac:12:00",
            "02:42:ac:12:00:02:03",
            "zz:42:ac:12:00:02",
            "0242ac12000",
            "0242.ac12.002",
            "é2:42:ac:12:00:02",
            "02:42-ac:12:00:02",
        ] {
            assert_eq!(mac(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_is_a_subnet_if_nothing_is_behind_its_prefix() {
        for (text, wanted) in [
            ("10.5.0.0/16", Some("10.5.0.0")),
            ("10.5.0.2/16", None),
            ("10.5.0.2", None),
            ("10.5.0.2/32", Some("10.5.0.2")),
            ("0.0.0.0/0", Some("0.0.0.0")),
            ("fd97::/64", Some("fd97::")),
            ("fd97::2/64", None),
            ("::/0", Some("::")),
            ("10.5.0.0/33", None),
            ("10.5.0.0/", None),
            ("10.5.0.0/a", None),
        ] {
            assert_eq!(subnet(text).map(|(address, _)| address.to_string()).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn a_device_is_read_as_ip_link_and_list_write_it() {
        let read = |text| {
            let DeviceText { ifindex, name, peer } = DeviceText::read(text)?;
            let peer = match peer {
                Some(PeerText::Ifindex(ifindex)) => format!("if{ifindex}"),
                Some(PeerText::Name(name)) => name.to_owned(),
                None => String::new(),
            };
            Some((ifindex.unwrap_or_default(), name.unwrap_or_default(), peer))
        };
        for (text, ifindex, name, peer) in [
            ("veth1@if2", 0, "veth1", "if2"),
            ("12:veth1", 12, "veth1", ""),
            ("12: veth1@if2:", 12, "veth1", "if2"),
            ("12: veth1@if2: <BROADCAST,UP> mtu 1500 qdisc noqueue", 12, "veth1", "if2"),
            ("12: va@vb:", 12, "va", "vb"),
            ("12:-", 12, "", ""),
            ("7: tunl0@NONE:", 7, "tunl0", ""),
            ("@if12", 0, "", "if12"),
            ("a@b@if3", 0, "a@b", "if3"),
        ] {
            assert_eq!(read(text), Some((ifindex, name, peer.to_owned())), "{text}");
        }
        for text in ["veth1", "veth1:", "tunl0@NONE", "", "x:veth1"] {
            assert_eq!(DeviceText::read(text), None, "{text}");
        }
    }

    #[test]
    fn an_image_is_meant_with_or_without_its_registry_tag_and_digest() {
        for (image, wanted, is) in [
            ("nginx", "nginx", true),
            ("nginx:1.25", "nginx", true),
            ("nginx:1.25", "nginx:1.25", true),
            ("nginx:1.25", "nginx:1.26", false),
            ("nginx", "nginx:latest", true),
            ("nginx:1.25", "docker.io/library/nginx:1.25", true),
            ("docker.io/library/nginx:1.25", "nginx:1.25", true),
            ("ghcr.io/acme/web:2", "acme/web", true),
            ("ghcr.io/acme/web:2", "ghcr.io/acme/web", true),
            ("ghcr.io/acme/web:2", "web", true),
            ("acme/web:2", "ghcr.io/acme/web", false),
            ("ghcr.io/acme/myweb:2", "web", false),
            ("registry:5000/acme/web", "registry:5000/acme/web", true),
            ("registry:5000/acme/web", "acme/web:latest", true),
            ("nginx@sha256:ab", "nginx", true),
            ("nginx@sha256:ab", "nginx@sha256:ab", true),
            ("nginx@sha256:ab", "nginx@sha256:cd", false),
            ("sha256:0123456789abcdef", "0123456789ab", true),
            ("sha256:0123456789abcdef", "sha256:0123456789abcdef", true),
            ("sha256:0123456789abcdef", "0123", false),
            ("nginx", "", false),
            ("nginx", "/", false),
        ] {
            assert_eq!(is_image(image, wanted), is, "{image} {wanted}");
        }
    }

    #[test]
    fn a_process_or_a_file_of_a_namespace_is_a_place() {
        let file = |path: &str| Some(PastedPlace::File(path.to_owned()));
        for (text, wanted) in [
            ("1234", Some(PastedPlace::Pid(1234))),
            ("pid=1234,fd=3", Some(PastedPlace::Pid(1234))),
            ("pid 1234", Some(PastedPlace::Pid(1234))),
            ("/proc/1234/ns/net", Some(PastedPlace::Pid(1234))),
            ("/proc/1234", Some(PastedPlace::Pid(1234))),
            ("/var/run/docker/netns/abc", file("/run/docker/netns/abc")),
            ("/run/netns/web", file("/run/netns/web")),
            ("'/run/netns/web'", file("/run/netns/web")),
            ("/run/../etc/passwd", None),
            ("/srv/docker/netns/abc", file("/srv/docker/netns/abc")),
            ("run/netns/web", None),
            ("web", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            assert_eq!(Pasted::read(text.as_bytes()).place(), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_few_forms_and_none_is_empty_but_the_text_itself(raw: Vec<u8>) {
            let pasted = Pasted::read(&raw);
            prop_assert!((1..=MOST_FORMS).contains(&pasted.forms.len()));
            prop_assert!(pasted.forms[1..].iter().all(|form| !form.is_empty()));
            let _ = (pasted.place(), pasted.is_address());
            for form in &pasted.forms {
                let _ = (DeviceText::read(form), mac(form), subnet(form), nsid(form), is_image("a/b:c", form));
            }
        }

        #[test]
        fn wrappings_of_several_tools_around_one_another_are_removed(
            before in "[ \"'`]{0,2}", word in "[a-z][a-z0-9]{2,8}", behind in "[ \"',:]{0,3}",
        ) {
            let pasted = Pasted::read(format!("{before}{word}{behind}").as_bytes());
            prop_assert!(pasted.forms.contains(&word), "{:?}", pasted.forms);
        }
    }
}
