//! The language of the source: plain technical English, measured. A table of today's figures may only fall.
//!
//! tests/repo/language.tsv has a line for each room of src and each measure. A figure above its line fails, and so does one below, so that the line
//! falls with it; `UPDATE_GOLDEN=1` lowers lines and never raises one. A room without a line must have none of what is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lab::checkout;

const TABLE: &str = "tests/repo/language.tsv";

/// A comment's lines end before this column.
const WIDEST: usize = 110;

/// Of a hundred documentation blocks of a room so many may begin without a subject or a verb.
const PERCENT_OF_OPENINGS: usize = 3;

/// A documentation block that begins with one of these has neither a subject nor a verb in front: interrogatives, pronouns, prepositions.
const OPENINGS: &[&str] = &[
    "who", "whom", "whose", "whoever", "what", "whatever", "which", "how", "where", "when", "why", "whether",
    "this", "that", "these", "those", "such", "it", "its", "they", "them", "their", "he", "him", "his",
    "she", "we", "of", "as", "so", "for", "by", "in", "on", "at", "from", "to", "with", "without", "within",
    "under", "over", "behind", "before", "after", "between", "into", "until", "since", "while", "because",
    "nobody", "somebody", "besides",
];

/// Types and modules that the glossary has replaced, in lower case without underscores.
const RETIRED_NAMES: &[&str] = &[
    "mourner",
    "lastwords",
    "unmourned",
    "parting",
    "tenant",
    "home",
    "residents",
    "inhabitant",
    "inhabitants",
    "newcomer",
    "newcomers",
    "searches",
    "backroom",
    "backrooms",
    "estate",
    "estates",
    "clue",
    "heard",
    "told",
    "suspicions",
    "echo",
    "turns",
    "questions",
    "round",
    "rounds",
    "judging",
    "anybody",
    "place",
    "places",
    "room",
    "desk",
    "ready",
    "shown",
    "order",
    "givenway",
    "begun",
    "sent",
    "watched",
    "word",
    "rest",
    "listing",
    "showing",
    "wishes",
    "look",
];

/// Functions that the glossary has replaced, or whose name is a verb without its object.
const RETIRED_FUNCTIONS: &[&str] = &[
    "mourn",
    "mourn_all",
    "judge",
    "heir",
    "inherit",
    "orphaned",
    "is_thinkable",
    "is_made_up",
    "strange_pids",
    "settle",
    "call",
    "give",
    "join",
    "take",
    "keep",
    "turn",
    "note",
];

/// Words that are terms of nothing here.
const RETIRED_WORDS: &[&str] = &[
    "told",
    "whose",
    "whom",
    "nobody",
    "nobody's",
    "whoever",
    "somebody",
    "somebody's",
    "anybody",
    "mourner",
    "mourned",
    "heir",
    "heirs",
    "estate",
    "estates",
    "tenant",
    "tenants",
    "inhabitant",
    "inhabitants",
    "newcomer",
    "newcomers",
    "backroom",
    "backrooms",
    "clue",
    "clues",
    "suspicion",
    "suspicions",
    "orphaned",
];

/// Types that several modules may define.
const COMMON_TYPES: &[&str] = &["Error", "Config"];

/// A unit alone is a documentation that says something.
const UNITS: &[&str] =
    &["bytes", "packets", "seconds", "milliseconds", "kib", "mib", "columns", "characters"];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    Opening,
    RetiredName,
    RetiredWord,
    TwiceDefined,
    WideComment,
    ShortBlock,
}

use Measure::{Opening, RetiredName, RetiredWord, ShortBlock, TwiceDefined, WideComment};

impl Measure {
    const ALL: [Measure; 6] = [Opening, RetiredName, RetiredWord, TwiceDefined, WideComment, ShortBlock];

    /// Its name in the table.
    fn name(self) -> &'static str {
        match self {
            Opening => "opening",
            RetiredName => "retired-name",
            RetiredWord => "retired-word",
            TwiceDefined => "twice-defined",
            WideComment => "wide-comment",
            ShortBlock => "short-block",
        }
    }

    /// What to do about it.
    fn remedy(self) -> &'static str {
        match self {
            Opening => {
                "begin the documentation with a verb in the third person (a function) or a noun (a type)"
            }
            RetiredName => "name the type, module or function with the glossary's word",
            RetiredWord => "name the thing: a namespace has an owner, a source reports, a link is deleted",
            TwiceDefined => "give one of the types a name of its own",
            WideComment => "break the line",
            ShortBlock => "say what the name does not, or leave the documentation out",
        }
    }
}

/// One place in the source.
type Finding = (Measure, String);

/// What was found in one room, and how many documentation blocks it has.
#[derive(Debug, Default)]
struct Room {
    findings: Vec<Finding>,
    blocks: usize,
}

/// Returns the code before a file's own tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// Returns the documentation blocks of a file, each with the number of its first line.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, &str, String)> = Vec::new();
    let mut open = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let found = ["///", "//!"].into_iter().find_map(|mark| Some((mark, line.strip_prefix(mark)?)));
        match found {
            Some((mark, rest)) if open == Some(mark) => {
                if let Some((_, _, block)) = blocks.last_mut() {
                    block.push(' ');
                    block.push_str(rest.trim());
                }
            }
            Some((mark, rest)) => blocks.push((number + 1, mark, rest.trim().to_owned())),
            None => {}
        }
        open = found.map(|(mark, _)| mark);
    }
    blocks.into_iter().map(|(number, _, block)| (number, block)).collect()
}

/// Returns the words of a text in lower case, without what marks code in it.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    // Every second part stands between backquotes.
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            words.push("`".to_owned());
            continue;
        }
        let split = part.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '-' && c != '_');
        words.extend(split.filter(|word| !word.is_empty()).map(str::to_lowercase));
    }
    words
}

fn is_unit(words: &[String]) -> bool {
    words.iter().all(|word| word == "in" || UNITS.contains(&word.as_str()))
}

/// Returns what a line defines: `struct`, `enum`, `trait`, `type`, `mod` or `fn`, and its name.
fn definition(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub")
            || ["const", "async", "unsafe", "extern"].contains(word)
            || word.starts_with("in ")
            || word.ends_with(')')
    });
    let kind = words.next().filter(|word| ["struct", "enum", "trait", "type", "mod", "fn"].contains(word))?;
    let name = words.next()?.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    Some((kind, name)).filter(|(_, name)| !name.is_empty())
}

fn is_retired(kind: &str, name: &str) -> bool {
    match kind {
        "fn" => RETIRED_FUNCTIONS.contains(&name),
        _ => RETIRED_NAMES.contains(&name.replace('_', "").to_lowercase().as_str()),
    }
}

/// Measures one file; also returns the types that it defines.
fn measure(path: &str, text: &str, room: &mut Room) -> Vec<(String, String)> {
    let text = without_tests(text);
    let mut types = Vec::new();
    for (number, block) in blocks(text) {
        room.blocks += 1;
        let words = words(&block);
        if words.first().is_some_and(|word| OPENINGS.contains(&word.as_str())) && !is_unit(&words) {
            room.findings.push((Opening, format!("{path}:{number}: {block}")));
        }
        if words.len() <= 3 && !is_unit(&words) {
            room.findings.push((ShortBlock, format!("{path}:{number}: {block}")));
        }
    }
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line)) {
        let place = format!("{path}:{number}");
        if let Some(comment) = line.trim_start().strip_prefix("//") {
            if line.chars().count() > WIDEST {
                room.findings.push((WideComment, place.clone()));
            }
            let retired = words(comment).into_iter().filter(|word| RETIRED_WORDS.contains(&word.as_str()));
            room.findings.extend(retired.map(|word| (RetiredWord, format!("{place}: {word}"))));
        } else if let Some((kind, name)) = definition(line) {
            if is_retired(kind, name) {
                room.findings.push((RetiredName, format!("{place}: {kind} {name}")));
            }
            // An alias within a trait or an implementation is indented.
            let is_alias = kind == "type" && line.starts_with(' ');
            if ["struct", "enum", "trait", "type"].contains(&kind)
                && !is_alias
                && !COMMON_TYPES.contains(&name)
            {
                types.push((name.to_owned(), place));
            }
        }
    }
    types
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found.sort();
}

/// Measures src: each top-level folder with the file of its name is a room, and so are the files that have none.
fn rooms() -> BTreeMap<String, Room> {
    let root = checkout().join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut rooms: BTreeMap<String, Room> = BTreeMap::new();
    let mut types: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let name = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let path = format!("src/{}", inside.display());
        let room = rooms.entry(name.clone()).or_default();
        for (defined, place) in measure(&path, &fs::read_to_string(&file).unwrap(), room) {
            types.entry(defined).or_default().push((name.clone(), place));
        }
    }
    for (defined, places) in types.into_iter().filter(|(_, places)| places.len() > 1) {
        for (room, place) in places {
            rooms.entry(room).or_default().findings.push((TwiceDefined, format!("{place}: {defined}")));
        }
    }
    rooms
}

/// Returns how many findings a measure may have in a room that is at its targets.
fn target(measure: Measure, room: &Room) -> usize {
    if measure == Opening { room.blocks * PERCENT_OF_OPENINGS / 100 } else { 0 }
}

fn table() -> BTreeMap<(String, String), usize> {
    let lines = fs::read_to_string(checkout().join(TABLE)).unwrap_or_default();
    let line = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [room, measure, most] => ((room.to_owned(), measure.to_owned()), most.parse().unwrap()),
        _ => panic!("{TABLE}: {line}"),
    };
    lines.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

fn write(rows: &BTreeMap<(String, String), usize>) {
    let lines = rows.iter().map(|((room, measure), most)| format!("{room}\t{measure}\t{most}\n"));
    let head = "# room of src\tmeasure (tests/repo/language.rs)\tmost of it: may only fall\n".to_owned();
    fs::write(checkout().join(TABLE), head + &lines.collect::<String>()).unwrap();
}

#[test]
fn the_source_is_written_in_plain_technical_english() {
    let (rooms, mut rows) = (rooms(), table());
    let update = std::env::var("UPDATE_GOLDEN").is_ok_and(|set| set == "1");
    let is_new = !checkout().join(TABLE).exists();
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for (name, room) in &rooms {
        for measure in Measure::ALL {
            let key = (name.clone(), measure.name().to_owned());
            let found: Vec<&String> =
                room.findings.iter().filter(|(kind, _)| *kind == measure).map(|(_, place)| place).collect();
            let target = target(measure, room);
            let most = rows.get(&key).copied();
            known.insert(key.clone());
            let allowed = most.unwrap_or(target);
            if found.len() > allowed && !(update && is_new) {
                let places: Vec<&str> = found.iter().take(40).map(|place| place.as_str()).collect();
                wrong.push(format!(
                    "src/{name}: {} of {}, and {allowed} allowed: {}. All of them:\n  {}",
                    found.len(),
                    measure.name(),
                    measure.remedy(),
                    places.join("\n  ")
                ));
            } else if update && found.len() <= target {
                rows.remove(&key);
            } else if update {
                rows.insert(key, found.len());
            } else if most.is_some_and(|most| found.len() < most) {
                wrong.push(format!(
                    "src/{name}: {} of {}, and {TABLE} still has {allowed}: lower it (UPDATE_GOLDEN=1)",
                    found.len(),
                    measure.name()
                ));
            }
        }
    }
    let gone: Vec<_> = rows.keys().filter(|key| !known.contains(*key)).cloned().collect();
    if update {
        rows.retain(|key, _| known.contains(key));
        write(&rows);
    } else {
        wrong.extend(
            gone.iter()
                .map(|(room, _)| format!("{TABLE}: there is no src/{room} any more: take its lines out")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn measured(text: &str) -> Vec<Measure> {
    let mut room = Room::default();
    measure("x.rs", text, &mut room);
    room.findings.into_iter().map(|(measure, _)| measure).collect()
}

#[test]
fn each_measure_finds_what_it_is_for_and_nothing_else() {
    let wide = format!("// {}", "long ".repeat(30));
    for (text, found) in [
        ("/// Returns the number of links that a dump has.\nfn count() {}", vec![]),
        ("/// What a runtime last said about its containers.", vec![Opening]),
        ("/// `None` if the link is gone and stays away.", vec![]),
        ("/// In bytes.", vec![]),
        ("/// The kind.", vec![ShortBlock]),
        ("/// Of whom.", vec![Opening, ShortBlock, RetiredWord]),
        ("// A link of which nobody has told.", vec![RetiredWord, RetiredWord]),
        ("// The field `told` is kept.", vec![]),
        ("let told = \"nobody\";", vec![]),
        ("pub(super) struct Tenant {", vec![RetiredName]),
        ("mod suspicions;", vec![RetiredName]),
        ("    pub fn take(&mut self) {}", vec![RetiredName]),
        ("    pub fn take_links(&mut self) {}", vec![]),
        (wide.as_str(), vec![WideComment]),
        ("fn x() {}\n#[cfg(test)]\nmod tests {\n    /// What nobody told.\n}", vec![]),
    ] {
        assert_eq!(measured(text), found, "{text}");
    }
}

#[test]
fn lines_of_one_mark_are_one_block_and_a_blank_line_ends_it() {
    let text = "//! One\n//! two.\n\n/// Three\n    /// four.\nfn x() {}\n/// Five.";
    let expected = [(1, "One two."), (4, "Three four."), (7, "Five.")];
    assert_eq!(blocks(text), expected.map(|(line, text)| (line, text.to_owned())));
}
