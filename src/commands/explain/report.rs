//! Explanations as a text for people, a line for each fact.

use crate::model::explain::{Explained, Grade};
use crate::model::text::printable;
use std::fmt::Write;

/// Returns all explanations as a text for people.
pub(super) fn text(documents: &[Explained]) -> String {
    let texts: Vec<String> = documents.iter().map(of_document).filter(|text| !text.is_empty()).collect();
    match texts.as_slice() {
        [] => "nothing was found that stops a packet\n".to_owned(),
        texts => texts.join("\n"),
    }
}

fn of_document(Explained { from, to, explanation }: &Explained) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", printable(&line));
    };
    match (from.as_str(), to.as_str()) {
        ("", _) => {}
        (from, "") => line(from.to_owned()),
        (from, to) => line(format!("{from} to {to}")),
    }
    if explanation.way.len() > 1 {
        line(format!("  way       {}", explanation.way.join(" > ")));
    }
    for finding in &explanation.findings {
        let word = match finding.grade {
            Grade::Reason => "reason",
            Grade::Symptom => "symptom",
            Grade::Possibility => "possible",
        };
        line(format!("{word:<10}  {}", finding.text));
        if !finding.by_hand.is_empty() {
            line(format!("  by hand   {}", finding.by_hand));
        }
        for remedy in &finding.remedy {
            line(format!("  remedy    {remedy}"));
        }
    }
    if !from.is_empty() && !explanation.has_finding() && explanation.unread.is_empty() {
        line("nothing was found that stops a packet".to_owned());
    }
    for unread in &explanation.unread {
        line(format!("not read    {}: {}", unread.what, unread.reason));
    }
    for fact in &explanation.not_checked {
        line(format!("not checked {fact}"));
    }
    text
}
