//! Names that a stranger chose.

use super::{Host, NAMES, SOON, assert_content, cell, open, row, shows};
use lab::{DockerEngine, Exporter, checkout, needs_engine};

/// What the file system takes of `<script>alert(1)</script>`, and what would end an attribute, a text in JSON or a selector.
const HOSTILE: [&str; 5] =
    ["<script>alert(1)<", "\"}{", "<img src=x onerror=alert(1)>", "${alert(1)}", "'];alert(1)\\u2028"];

#[test]
fn hostile_names_are_shown_as_text() {
    let mut host = Host::new();
    for name in HOSTILE {
        host.add(name);
    }
    host.netns.ip(["link", "set", "veth0", "down"]);
    host.netns.ip(["link", "set", "veth0", "name", "<b>\"'&}{"]);
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &format!("({NAMES}).length === {}", HOSTILE.len()));
    for name in HOSTILE {
        // A backslash is doubled, as in the metrics.
        let shown = name.replace('\\', "\\\\");
        page.wait_until(SOON, &shows(&shown));
        assert!(
            page.value(&format!(
                "[...document.querySelectorAll('#picture title')].some((title) => title.textContent === {})",
                serde_json::json!(shown)
            )) == true,
            "{name} in the picture"
        );
        page.click(&row(&shown));
        page.wait_until(
            SOON,
            &format!("document.getElementById('detail-title')?.textContent === {}", serde_json::json!(shown)),
        );
        page.press("Escape");
    }
    assert_eq!(page.text(&cell(HOSTILE[0], "device")), "<b>\"'&}{");
    assert_eq!(page.value("document.querySelectorAll('script').length"), 2);
    assert_eq!(page.value("document.querySelectorAll('img, b').length"), 0);
    assert_content(&mut page);
}

/// The vectors are those that `list`, `top` and the log are tested with.
#[test]
fn the_page_follows_the_programs_rule_for_text_that_misleads() {
    let mut host = Host::new();
    host.add("a\u{202e}b\u{200b}c");
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &shows(r"a\u{202e}b\u{200b}c"));
    let vectors = std::fs::read_to_string(checkout().join("src/model/text/vectors.json")).unwrap();
    let shown = page.value(&format!(
        "import(document.querySelector('script[type=module]').src.replace('main.js', 'format.js'))
            .then(({{ harmless }}) => {vectors}.map((vector) => [vector.text, harmless(vector.text), vector.page]))"
    ));
    let shown = shown.as_array().unwrap();
    assert!(shown.len() >= 20);
    for vector in shown {
        assert_eq!(vector[1], vector[2], "{vector}");
    }
    assert_content(&mut page);
}

#[test]
fn a_container_with_hostile_labels_is_shown_as_text() {
    needs_engine!();
    let engine = DockerEngine::get();
    let hostile = "<script>alert(1)</script>\"}{";
    let labels =
        [format!("com.docker.compose.project={hostile}"), format!("com.docker.compose.service={hostile}")];
    let container = engine.run_idle("labelled", &["--label", &labels[0], "--label", &labels[1]]);
    let exporter = Exporter::for_engine(engine, &[]);
    let mut page = open(&exporter, engine.netns());
    page.press("/");
    page.write(container.name());
    page.wait_until(SOON, &format!("({NAMES}).join() === '{}'", container.name()));
    page.press("Enter");
    page.press("Enter");
    let shown = serde_json::json!(format!("{hostile} / {hostile}"));
    page.wait_until(SOON, &format!("document.getElementById('detail').textContent.includes({shown})"));
    assert_eq!(page.value("document.querySelectorAll('script').length"), 2);
    assert_content(&mut page);
}
