//! Explanations as JSON: the document of `/api/v1/explain` and of `explain --format json`, and the parameters
//! of the former.

use super::query::{decoded, set};
use crate::model::explain::ends::LinkPosition;
use crate::model::explain::{Explained, Finding};
use serde::Serialize;

/// The parameters of a request for an explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExplainQuery {
    /// The first end; `None` for everything on the host.
    pub(crate) from: Option<AskedEnd>,
    /// The other end; only beside a first one.
    pub(crate) to: Option<AskedEnd>,
}

/// An end as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AskedEnd {
    /// `@4/10` or `@host/11`: a link by the nsid of its namespace and its ifindex.
    Link(LinkPosition),
    /// A name, a device or an address, perhaps with a port.
    Text(String),
}

impl ExplainQuery {
    /// Reads the part of an URL behind its `?`.
    ///
    /// # Errors
    /// Fails with a message for the client: it names the parameter that is not known, is given twice, has a
    /// value without a meaning, or is `to` without `from`.
    pub(crate) fn parse(text: &str) -> Result<ExplainQuery, String> {
        let mut query = ExplainQuery::default();
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let place = match name.as_str() {
                "from" => &mut query.from,
                "to" => &mut query.to,
                _ => return Err(format!("there is no parameter {name:?}; there are from, to")),
            };
            set(place, &name, AskedEnd::parse(&name, value)?)?;
        }
        match query {
            ExplainQuery { from: None, to: Some(_) } => Err("to is given without from".to_owned()),
            query => Ok(query),
        }
    }
}

impl AskedEnd {
    fn parse(name: &str, value: String) -> Result<AskedEnd, String> {
        // No device has a slash in its name, and no container an @ at the beginning of its own.
        let Some((nsid, ifindex)) = value.strip_prefix('@').and_then(|link| link.split_once('/')) else {
            return match value.trim() {
                "" => Err(format!("{name}={value}: there is no name")),
                _ => Ok(AskedEnd::Text(value)),
            };
        };
        let number =
            |text: &str| Some(text).filter(|text| is_number(text)).and_then(|text| text.parse().ok());
        let nsid = if nsid == "host" { Some(None) } else { number(nsid).map(Some) };
        match (nsid, number(ifindex)) {
            (Some(nsid), Some(ifindex)) => Ok(AskedEnd::Link((nsid, ifindex))),
            _ => {
                Err(format!("{name}={value}: a link is @NSID/IFINDEX, as in /api/v1/pairs, or @host/IFINDEX"))
            }
        }
    }
}

/// Returns true for digits alone, without a sign.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The document of all explanations.
#[derive(Debug, Serialize)]
pub(crate) struct ExplanationsDocument<'a> {
    explanations: Vec<ExplanationRow<'a>>,
}

/// The findings on the way between two ends, and what could not be read.
#[derive(Debug, Serialize)]
struct ExplanationRow<'a> {
    /// Empty for the problems of the host.
    from: &'a str,
    /// Empty without another end.
    to: &'a str,
    /// The links that a packet passes, in its order.
    way: &'a [String],
    findings: Vec<FindingRow<'a>>,
    unread: Vec<UnreadRow<'a>>,
    not_checked: &'a [String],
}

/// A reason, a symptom or a possibility, with its remedy.
#[derive(Debug, Serialize)]
struct FindingRow<'a> {
    /// `reason`, `symptom` or `possibility`.
    grade: &'static str,
    rule: &'static str,
    text: &'a str,
    by_hand: &'a str,
    remedy: &'a [String],
}

/// A fact that could not be read.
#[derive(Debug, Serialize)]
struct UnreadRow<'a> {
    what: &'a str,
    reason: &'a str,
}

impl<'a> ExplanationsDocument<'a> {
    /// Returns the document of these explanations, in their order.
    pub(crate) fn of(documents: &'a [Explained]) -> ExplanationsDocument<'a> {
        let rows = documents.iter().map(|document| {
            let explanation = &document.explanation;
            let unread = explanation.unread.iter();
            ExplanationRow {
                from: &document.from,
                to: &document.to,
                way: &explanation.way,
                findings: explanation.findings.iter().map(FindingRow::of).collect(),
                unread: unread.map(|of| UnreadRow { what: &of.what, reason: &of.reason }).collect(),
                not_checked: &explanation.not_checked,
            }
        });
        ExplanationsDocument { explanations: rows.collect() }
    }
}

impl<'a> FindingRow<'a> {
    fn of(finding: &'a Finding) -> FindingRow<'a> {
        FindingRow {
            grade: finding.grade.as_str(),
            rule: finding.rule,
            text: &finding.text,
            by_hand: &finding.by_hand,
            remedy: &finding.remedy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(nsid: Option<u32>, ifindex: u32) -> Option<AskedEnd> {
        Some(AskedEnd::Link((nsid, ifindex)))
    }

    fn text(text: &str) -> Option<AskedEnd> {
        Some(AskedEnd::Text(text.to_owned()))
    }

    #[test]
    fn an_end_is_a_text_or_a_link_by_its_numbers() {
        for (query, from, to) in [
            ("", None, None),
            ("from=web", text("web"), None),
            ("from=web:80&to=a+b%26", text("web:80"), text("a b&")),
            ("to=@host/11&from=%404%2F2", link(Some(4), 2), link(None, 11)),
            ("from=@4", text("@4"), None),
            ("from=veth1@if2", text("veth1@if2"), None),
            ("from=docker/web", text("docker/web"), None),
        ] {
            assert_eq!(ExplainQuery::parse(query), Ok(ExplainQuery { from, to }), "{query}");
        }
    }

    #[test]
    fn a_parameter_without_a_meaning_is_refused_by_its_name() {
        for (query, wrong) in [
            ("form=web", "\"form\""),
            ("from=", "from="),
            ("from", "from="),
            ("from=+", "from="),
            ("from=a&to=", "to="),
            ("to=a", "to is given without from"),
            ("from=a&from=b", "from is given more than once"),
            ("from=@/2", "from=@/2"),
            ("from=@4/", "from=@4/"),
            ("from=@4/+2", "from=@4/ 2"),
            ("from=@-1/2", "from=@-1/2"),
            ("from=@4/4294967296", "from=@4/4294967296"),
            ("from=%ff", "UTF-8"),
        ] {
            let error = ExplainQuery::parse(query).unwrap_err();
            assert!(error.contains(wrong), "{query}: {error}");
        }
    }
}
