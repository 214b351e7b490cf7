//! The text format 0.0.4 of Prometheus, read strictly: what a lenient scraper would let pass is an error here.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::collections::{BTreeMap, BTreeSet};

/// One sample: its whole name, its labels, its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// One family: a block with its help, its type and its samples in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    pub name: String,
    pub help: String,
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// A whole exposition.
#[derive(Debug, Clone)]
pub struct Exposition {
    /// As it was read.
    pub text: String,
    /// In their order.
    pub families: Vec<Family>,
}

impl Exposition {
    /// Reads an exposition. `Err` names the first line that is not as the format, and this project, want it: a family is one block
    /// of HELP, TYPE and samples; no series twice; no timestamps; one space between words; a counter is a number and not negative.
    pub fn parse(text: &str) -> Result<Exposition, String> {
        let mut reader = Reader::default();
        let lines = match text.strip_suffix('\n') {
            Some(lines) => lines.split('\n'),
            None if text.is_empty() => return Ok(Exposition { text: String::new(), families: Vec::new() }),
            None => return Err("the last line does not end".to_owned()),
        };
        for (number, line) in lines.enumerate() {
            reader.line(line).map_err(|wrong| format!("line {}: {wrong}: {line}", number + 1))?;
        }
        if let Some(family) = reader.families.iter().find(|family| family.kind.is_empty()) {
            return Err(format!("{} has no TYPE", family.name));
        }
        Ok(Exposition { text: text.to_owned(), families: reader.families })
    }

    /// A family by its name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// Every sample of this name: its labels and its value.
    pub fn all(&self, name: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        self.samples(name).map(|sample| (sample.labels.clone(), sample.value)).collect()
    }

    /// The value of the one sample of this name that has at least these labels; panics and shows them if there are several.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found: Vec<&Sample> = self
            .samples(name)
            .filter(|sample| {
                labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
            })
            .collect();
        assert!(found.len() < 2, "{name} with {labels:?} is not one series: {found:#?}");
        found.first().map(|sample| sample.value)
    }

    /// Every sample of every family that has this label, with its name and its labels.
    pub fn with_label(&self, key: &str, value: &str) -> Vec<&Sample> {
        let samples = self.families.iter().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.labels.get(key).is_some_and(|have| have == value)).collect()
    }

    /// `veth_exporter_collector_success` of a collector; `None` if it has no series.
    pub fn collector_success(&self, collector: &str) -> Option<bool> {
        self.value("veth_exporter_collector_success", &[("collector", collector)]).map(|value| value == 1.0)
    }

    fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples).filter(move |sample| sample.name == name)
    }
}

#[derive(Default)]
struct Reader {
    families: Vec<Family>,
    series: BTreeSet<(String, Vec<(String, String)>)>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("HELP without a text")?;
            let help = unescape(help, false)?;
            self.begin(name)?.help = help;
            Ok(())
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("TYPE without a type")?;
            if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                return Err(format!("no such type as {kind}"));
            }
            self.typed(name, kind)
        } else if line.starts_with('#') {
            Err("a comment that is neither HELP nor TYPE".to_owned())
        } else {
            self.sample(parse_sample(line)?)
        }
    }

    /// HELP comes first and begins a family.
    fn begin(&mut self, name: &str) -> Result<&mut Family, String> {
        check_name(name, true)?;
        if self.families.iter().any(|family| family.name == name) {
            return Err(format!("{name} has begun before: a family is one block with one HELP"));
        }
        let (name, kind) = (name.to_owned(), String::new());
        self.families.push(Family { name, help: String::new(), kind, samples: Vec::new() });
        self.families.last_mut().ok_or_else(|| "no family".to_owned())
    }

    fn typed(&mut self, name: &str, kind: &str) -> Result<(), String> {
        match self.families.last_mut() {
            Some(family) if family.name == name && family.kind.is_empty() && family.samples.is_empty() => {
                family.kind = kind.to_owned();
                Ok(())
            }
            _ => Err(format!("TYPE of {name} does not stand between its HELP and its samples, once")),
        }
    }

    fn sample(&mut self, sample: Sample) -> Result<(), String> {
        let Some(family) = self.families.last_mut().filter(|family| belongs(&sample.name, family)) else {
            return Err(format!("a sample of {} outside its family's block", sample.name));
        };
        if family.kind.is_empty() {
            return Err(format!("a sample of {} before its TYPE", sample.name));
        }
        if family.kind == "counter" && (sample.value.is_nan() || sample.value < 0.0) {
            return Err("a counter that is negative or not a number".to_owned());
        }
        let labels = sample.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if !self.series.insert((sample.name.clone(), labels)) {
            return Err("this series was there before".to_owned());
        }
        family.samples.push(sample);
        Ok(())
    }
}

fn belongs(name: &str, family: &Family) -> bool {
    let suffixes: &[&str] = match family.kind.as_str() {
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["", "_sum", "_count"],
        _ => &[""],
    };
    name.strip_prefix(family.name.as_str()).is_some_and(|suffix| suffixes.contains(&suffix))
}

fn parse_sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("neither labels nor a value")?;
    let (name, rest) = line.split_at(end);
    check_name(name, true)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    Ok(Sample { name: name.to_owned(), labels, value: parse_value(value)? })
}

/// Labels from behind the opening brace; what is left is behind the closing one.
fn parse_labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, behind) = rest.split_once("=\"").ok_or("a label without a quoted value")?;
        check_name(name, false)?;
        let end = end_of_quoted(behind).ok_or("a label's value without its closing quote")?;
        let value = unescape(&behind[..end], true)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name} twice"));
        }
        rest = &behind[end + 1..];
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok((labels, behind));
        }
        rest = rest.strip_prefix(',').ok_or("neither a comma nor the end after a label")?;
    }
}

fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

/// The escapes are `\\` and `\n`, and in label values `\"`; there is no other.
fn unescape(text: &str, in_label: bool) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        plain.push(match letters.next() {
            Some('\\') => '\\',
            Some('n') => '\n',
            Some('"') if in_label => '"',
            other => {
                return Err(format!("no such escape: \\{}", other.map(String::from).unwrap_or_default()));
            }
        });
    }
    Ok(plain)
}

fn check_name(name: &str, of_metric: bool) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (of_metric && byte == b':');
    let good = name.bytes().enumerate().all(|(at, byte)| letter(byte) || (at > 0 && byte.is_ascii_digit()));
    // Prometheus keeps label names that begin with two underscores for itself.
    if name.is_empty() || !good || (!of_metric && name.starts_with("__")) {
        return Err(format!("not a name: {name:?}"));
    }
    Ok(())
}

fn parse_value(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => Ok(f64::NAN),
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        // Rust would read `inf` and `nan` in any spelling as well.
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => {
            text.parse().map_err(|_| format!("not a value: {text:?}"))
        }
        _ => Err(format!("not a value, or a timestamp behind it: {text:?}")),
    }
}
