//! The table of docs/explain.md: every rule has a row, and every row a scene that is there and treats the rule as the row says.

use std::collections::BTreeSet;
use std::path::Path;

use veth_exporter::testing::model::explain::RULE_WORDS;

/// Returns the text of a file of the checkout.
fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the lines of a test, or of one case of the scenes in virtual machines.
fn body_of(file: &str, scene: &str) -> String {
    let text = text_of(file);
    let (start, end) = match file.ends_with(".rs") {
        true => (format!("\n#[test]\nfn {scene}("), "\n}\n"),
        false => (format!("\n    {scene})\n"), "\n        ;;\n"),
    };
    let begin = text.find(&start).unwrap_or_else(|| panic!("no scene {scene} in {file}"));
    let rest = &text[begin..];
    rest[..rest.find(end).unwrap()].to_owned()
}

/// Returns true if a scene runs the remedies of this rule as they are printed.
fn runs_remedies(body: &str, rule: &str) -> bool {
    let checked = ["check_bridged(", "check_routed(", ".check("];
    // The remedy is read after the rule was named.
    let named = body.find(&format!("\"{rule}\"")).unwrap_or(body.len());
    checked.iter().any(|call| body.contains(&format!("{call}\"{rule}\"")))
        || body.contains(&format!("mends {rule} "))
        || body[named..].contains("[\"remedy\"]")
}

#[test]
fn every_rule_has_a_scene_that_treats_it_as_the_table_says() {
    let page = text_of("docs/explain.md");
    let (_, table) = page.split_once("| rule | scene | named first | mended |\n").unwrap();
    let mut rules = BTreeSet::new();
    for line in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [rule, scene, _, mended] = cells[..] else { panic!("four columns: {line}") };
        let rule = rule.trim_matches('`');
        let named: Vec<&str> = scene.split('`').skip(1).step_by(2).collect();
        let [file, scene] = named[..] else { panic!("a file and a scene: {line}") };
        let body = body_of(file, scene);
        let is_named = body.contains(&format!("\"{rule}\"")) || body.contains(&format!("mends {rule} "));
        assert!(is_named, "{scene} does not name {rule}");
        assert_eq!(mended == "as printed", runs_remedies(&body, rule), "{scene}: {rule} is mended {mended}");
        rules.insert(rule.to_owned());
    }
    let wanted: BTreeSet<String> = RULE_WORDS.iter().map(|rule| (*rule).to_owned()).collect();
    assert_eq!(rules, wanted, "the rules of the table, and those that there are");
    let found: Vec<&str> =
        RULE_WORDS.into_iter().filter(|rule| !page.contains(&format!("`{rule}`"))).collect();
    assert_eq!(found, [""; 0], "rules without a description");
}
