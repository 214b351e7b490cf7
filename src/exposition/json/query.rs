//! The query of a client: filters, order and number of the pairs.

use super::row::RowSource;
use crate::model::ledger::LabelSet;
use crate::model::pairing::Role;
use crate::model::view::{ShownPair, ShownSide, View};
use crate::model::workload::Workload;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::cmp::Ordering;

/// The parameters of a request. Two that are equal are answered by one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// The filters and their values. A row fits if of each name that is given one value fits.
    filters: Vec<(FilterField, String)>,
    sort: Option<Sort>,
    /// The highest number of rows.
    limit: Option<usize>,
}

/// The field that is compared with a filter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FilterField {
    Container,
    Runtime,
    Network,
    Device,
    Namespace,
    Pod,
}

const FILTERS: [(&str, FilterField); 6] = [
    ("container", FilterField::Container),
    ("device", FilterField::Device),
    ("namespace", FilterField::Namespace),
    ("network", FilterField::Network),
    ("pod", FilterField::Pod),
    ("runtime", FilterField::Runtime),
];

const RUNTIMES: [&str; 8] = ["cri", "docker", "lxc", "named", "nspawn", "podman", "process", "unknown"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sort {
    /// The index in [`SORTS`].
    by: usize,
    falling: bool,
}

/// A field that pairs are sorted by.
#[derive(Clone, Copy)]
enum SortKey {
    /// The name of the port, or of either end.
    Device,
    Text(fn(&LabelSet) -> &str),
    /// A number of one side of a pair; the arguments are the indices of the pair and of the side.
    Number(fn(RowSource<'_>, usize, usize) -> Option<u64>),
}

const SORTS: [(&str, SortKey); 13] = [
    ("container", SortKey::Text(|labels| &labels.container)),
    ("device", SortKey::Device),
    ("namespace", SortKey::Text(|labels| &labels.namespace)),
    ("network", SortKey::Text(|labels| &labels.network)),
    ("pod", SortKey::Text(|labels| &labels.pod)),
    ("receive", SortKey::Number(|rows, pair, side| Some(rows.rates(pair, side)?.receive_bytes))),
    ("receive_packets", SortKey::Number(|rows, pair, side| Some(rows.rates(pair, side)?.receive_packets))),
    ("receive_peak", SortKey::Number(|rows, pair, side| Some(rows.peaks(pair, side)?.receive_bytes))),
    ("receive_total", SortKey::Number(|rows, pair, side| Some(rows.traffic(pair, side)?.receive.bytes))),
    ("transmit", SortKey::Number(|rows, pair, side| Some(rows.rates(pair, side)?.transmit_bytes))),
    ("transmit_packets", SortKey::Number(|rows, pair, side| Some(rows.rates(pair, side)?.transmit_packets))),
    ("transmit_peak", SortKey::Number(|rows, pair, side| Some(rows.peaks(pair, side)?.transmit_bytes))),
    ("transmit_total", SortKey::Number(|rows, pair, side| Some(rows.traffic(pair, side)?.transmit.bytes))),
];

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(u64),
    Text(String),
}

impl Query {
    /// Reads the part of an URL behind its `?`.
    ///
    /// # Errors
    /// Fails with a message for the client: it names the parameter that is not known, is given twice, or has
    /// a value without a meaning.
    pub(crate) fn parse(text: &str) -> Result<Query, String> {
        let mut query = Query::default();
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            match name.as_str() {
                "sort" => set(&mut query.sort, &name, sort(&value)?)?,
                "limit" => {
                    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                    let limit = Some(&value).filter(|_| digits).and_then(|value| value.parse().ok());
                    let limit = limit.ok_or_else(|| {
                        format!("limit={value}: not a whole number from 0 to {}", usize::MAX)
                    })?;
                    set(&mut query.limit, &name, limit)?;
                }
                _ => query.filters.push((filter(&name, &value)?, value)),
            }
        }
        Ok(query)
    }

    /// Returns the number of pairs that fit, and the indices of those to be shown, in their order.
    pub(crate) fn choose(&self, rows: RowSource<'_>) -> (usize, Vec<usize>) {
        let pairs = &rows.view().scene.pairs;
        let mut chosen: Vec<usize> =
            (0..pairs.len()).filter(|&pair| self.wants(&pairs[pair].sides)).collect();
        let matched = chosen.len();
        if let Some(sort) = self.sort {
            chosen.sort_by_cached_key(|&pair| sort.rank(rows, pair));
        }
        chosen.truncate(self.limit.unwrap_or(matched));
        (matched, chosen)
    }

    /// Returns the indices in [`Scene::single`](crate::model::view::Scene::single) of the ends that are asked
    /// for; hidden ones are left out.
    pub(crate) fn choose_unpaired(&self, view: &View) -> impl Iterator<Item = usize> {
        let ends = view.scene.single.iter().enumerate();
        let wanted = ends.filter(|(_, (side, _))| !side.hidden && self.wants(std::slice::from_ref(&**side)));
        wanted.map(|(index, _)| index).take(self.limit.unwrap_or(usize::MAX))
    }

    fn wants(&self, sides: &[ShownSide]) -> bool {
        FILTERS.iter().all(|(_, filter)| {
            let mut values = self.filters.iter().filter(|(of, _)| of == filter).peekable();
            values.peek().is_none()
                || values.any(|(filter, value)| sides.iter().any(|side| filter.fits(side, value)))
        })
    }
}

impl FilterField {
    /// Returns true if a side has this value; a hidden side has none.
    fn fits(self, side: &ShownSide, value: &str) -> bool {
        if side.hidden {
            return false;
        }
        let workloads = || {
            side.ownership
                .iter()
                .flat_map(|ownership| std::iter::once(&ownership.owner).chain(&ownership.members))
        };
        let any = |of: fn(&Workload) -> &str| workloads().any(|workload| of(workload) == value);
        match self {
            FilterField::Container => any(|workload| &workload.name),
            FilterField::Namespace => any(|workload| &workload.namespace),
            FilterField::Pod => any(|workload| &workload.pod),
            // Traffic without an owner has a runtime too.
            FilterField::Runtime => {
                side.labels.as_ref().is_some_and(|labels| labels.runtime.as_str() == value)
                    || any(|workload| workload.runtime.as_str())
            }
            FilterField::Network => side.labels.as_ref().is_some_and(|labels| labels.network == value),
            FilterField::Device => {
                side.role == Role::Port && side.link.is_some_and(|link| link.name.to_string() == value)
            }
        }
    }
}

impl Sort {
    /// Returns the position of a pair: one without a value comes last either way.
    fn rank(self, rows: RowSource<'_>, index: usize) -> Rank {
        let pair: &ShownPair = &rows.view().scene.pairs[index];
        let shown = pair.sides.iter().filter(|side| !side.hidden);
        let labels = shown.filter_map(|side| side.labels.as_ref());
        let value = match SORTS[self.by].1 {
            SortKey::Device => {
                let ports = pair.ports().filter(|(_, port, _)| !port.hidden);
                let ports = ports.filter_map(|(_, port, _)| port.link);
                ports.map(|link| Value::Text(link.name.to_string())).min()
            }
            SortKey::Text(text) => labels
                .map(text)
                .filter(|text| !text.is_empty())
                .map(|text| Value::Text(text.to_owned()))
                .min(),
            // Of a pair between two workloads, the busier one's.
            SortKey::Number(number) => {
                let shown = (0..2).filter(|&side| !pair.sides[side].hidden);
                shown.filter_map(|side| number(rows, index, side)).map(Value::Number).max()
            }
        };
        Rank { value, falling: self.falling }
    }
}

#[derive(PartialEq, Eq)]
struct Rank {
    value: Option<Value>,
    falling: bool,
}

impl Ord for Rank {
    fn cmp(&self, other: &Rank) -> Ordering {
        match (&self.value, &other.value) {
            (Some(one), Some(another)) if self.falling => another.cmp(one),
            (Some(one), Some(another)) => one.cmp(another),
            (one, another) => one.is_none().cmp(&another.is_none()),
        }
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Rank) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Sets a parameter.
///
/// # Errors
/// Fails if it is set already, with a message for the client.
pub(super) fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given more than once")),
    }
}

fn filter(name: &str, value: &str) -> Result<FilterField, String> {
    let Some(&(_, filter)) = FILTERS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = FILTERS.iter().map(|(known, _)| *known).chain(["sort", "limit"]).collect();
        return Err(format!("there is no parameter {name:?}; there are {}", known.join(", ")));
    };
    if filter == FilterField::Runtime && !RUNTIMES.contains(&value) {
        return Err(format!("runtime={value}: there are {}", RUNTIMES.join(", ")));
    }
    Ok(filter)
}

fn sort(value: &str) -> Result<Sort, String> {
    let (falling, name) = value.strip_prefix('-').map_or((false, value), |name| (true, name));
    match SORTS.iter().position(|(known, _)| *known == name) {
        Some(by) => Ok(Sort { by, falling }),
        None => {
            let known: Vec<&str> = SORTS.iter().map(|(known, _)| *known).collect();
            Err(format!("sort={value}: there are {}, each also with - before it", known.join(", ")))
        }
    }
}

/// Decodes a text as forms encode it: `%41` is an A and `+` a space.
///
/// # Errors
/// Fails with a message for the client.
pub(super) fn decoded(text: &str) -> Result<String, String> {
    let broken = text.split('%').skip(1).any(|behind| {
        let digits = behind.as_bytes().get(..2);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(format!("{text:?}: a % without two hexadecimal digits behind it"));
    }
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().map(Cow::into_owned);
    decoded
        .map_err(|_| format!("{text:?}: not UTF-8; bytes that are not are written \\xNN, as in the metrics"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::Runtime;

    #[test]
    fn parameters_are_read_as_forms_encode_them() {
        let query = Query::parse("container=a%26b+c&container=d&sort=-receive&limit=3&").unwrap();
        let values: Vec<&str> = query.filters.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["a&b c", "d"]);
        assert!(query.sort.is_some_and(|sort| SORTS[sort.by].0 == "receive" && sort.falling));
        assert_eq!(query.limit, Some(3));
        assert_eq!(Query::parse(""), Ok(Query::default()));
        assert_eq!(Query::parse("pod=").unwrap().filters, [(FilterField::Pod, String::new())]);
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_name() {
        for (text, wrong) in [
            ("contianer=web", "\"contianer\""),
            ("Container=web", "\"Container\""),
            ("=web", "\"\""),
            ("sort=speed", "sort=speed"),
            ("sort=--receive", "sort=--receive"),
            ("sort=receive&sort=device", "sort is given more than once"),
            ("limit=2&limit=2", "limit is given more than once"),
            ("limit=-1", "limit=-1"),
            ("limit=", "limit="),
            ("limit=1e3", "limit=1e3"),
            ("runtime=dokcer", "runtime=dokcer"),
            ("pod=%", "%"),
            ("pod=%4", "%4"),
            ("pod=%zz", "%zz"),
            ("pod=%ff", "%ff"),
        ] {
            let error = Query::parse(text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }

    #[test]
    fn the_tables_are_sorted_and_know_every_runtime() {
        assert!(FILTERS.iter().map(|(name, _)| name).is_sorted());
        assert!(SORTS.iter().map(|(name, _)| name).is_sorted());
        for runtime in Runtime::ALL {
            assert!(RUNTIMES.contains(&runtime.as_str()), "{runtime:?}");
        }
    }

    #[test]
    fn what_has_no_value_comes_last_whichever_way_is_sorted() {
        for falling in [false, true] {
            let mut ranks: Vec<Rank> =
                [None, Some(1), None, Some(2)].map(|n| Rank { value: n.map(Value::Number), falling }).into();
            ranks.sort();
            assert!(ranks[2].value.is_none() && ranks[3].value.is_none());
            assert_eq!(ranks[0].value == Some(Value::Number(2)), falling);
        }
    }
}
