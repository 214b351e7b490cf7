//! A real Chromium, driven by the DevTools protocol over a pipe: commands on its descriptor 3, answers and events from 4, each a JSON
//! text that ends with a NUL.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Netns, Process, empty_folder, wait_for};

/// Any answer of the browser comes within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets the events of a click through only if it began on the element that was aimed at, and notes whether it has ended there.
const CLICKS: &str = "window.clicks ??= (() => {
    const clicks = { hit: false, aim(find) {
        const element = find();
        element.scrollIntoView({ block: 'center' });
        [clicks.find, clicks.hit, clicks.pressed] = [find, false, false];
        const { x, y, width, height } = element.getBoundingClientRect();
        return [x + width / 2, y + height / 2];
    } };
    const guard = (event) => {
        if (event.type === 'pointerdown' || event.type === 'click') {
            const element = clicks.find();
            const within = (element?.closest('[role=button]') ?? element)?.contains(event.target) ?? false;
            clicks.pressed = within && (clicks.pressed || event.type === 'pointerdown');
        }
        if (event.type === 'click') clicks.hit ||= clicks.pressed;
        if (clicks.pressed) return;
        event.preventDefault();
        event.stopImmediatePropagation();
    };
    for (const type of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click']) addEventListener(type, guard, { capture: true });
    return clicks;
})(), 0";

/// An expression for what a page shows: the element with the focus and its text, the names of the rows, and all texts.
const SEEN: &str = "[
    `focus: ${document.hasFocus()} ${document.activeElement?.id} ${JSON.stringify(document.activeElement?.value)}`,
    `rows: ${[...document.querySelectorAll('.rows .row:not([hidden]) .title')].map((cell) => cell.textContent).join()}`,
    document.body?.innerText,
].join('\\n')";

/// A running browser with an empty profile. It is killed when this goes.
pub struct Browser {
    process: Process,
    commands: ChildStdin,
    messages: Receiver<Value>,
    next: u64,
}

/// A tab of it, and what it has complained of so far.
pub struct Page {
    browser: Browser,
    session: String,
    origin: String,
    complaints: Vec<String>,
    requests: Vec<String>,
}

impl Browser {
    /// Starts it in a network namespace.
    pub fn start(netns: &Netns) -> Browser {
        let profile = empty_folder("chromium");
        // The descriptors that the protocol wants are made by the shell, which becomes the browser.
        let mut command = netns.command("sh");
        command.args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "chromium"]).args([
            "--remote-debugging-pipe",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", profile.display()),
        ]);
        let home = profile.display().to_string();
        command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).env("XDG_CACHE_HOME", &home);
        let (process, commands, answers) = Process::start_with_streams("chromium", &mut command);
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            let mut text = Vec::new();
            while answers.read_until(0, &mut text).is_ok_and(|length| length > 0) {
                let message = serde_json::from_slice(text.strip_suffix(b"\0").unwrap_or(&text));
                // Whoever asked may be gone.
                if !message.is_ok_and(|message| sender.send(message).is_ok()) {
                    return;
                }
                text.clear();
            }
        });
        Browser { process, commands, messages, next: 1 }
    }

    /// Opens a page in a tab, and takes the browser for it.
    pub fn open(mut self, url: &str) -> Page {
        let target = self.call(None, "Target.createTarget", &json!({ "url": "about:blank" }), &mut |_| ());
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call(None, "Target.attachToTarget", &attach, &mut |_| ());
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let mut page = Page { browser: self, session, origin, complaints: Vec::new(), requests: Vec::new() };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.go(url);
        page
    }

    fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: &Value,
        heard: &mut dyn FnMut(&Value),
    ) -> Value {
        let id = self.next;
        self.next += 1;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let text = format!("{command}\0");
        self.commands.write_all(text.as_bytes()).expect("a browser that listens");
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).unwrap_or_else(|error| {
                panic!("no answer to {method}: {error}\n{}", self.process.log().join("\n"))
            });
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            heard(&message);
        }
    }
}

impl Page {
    /// Goes to an address.
    pub fn go(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// A command of the protocol.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let Page { browser, session, origin, complaints, requests } = self;
        browser.call(Some(session), method, &parameters, &mut |event| {
            let of = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => complaints.push(of["exceptionDetails"].to_string()),
                "Log.entryAdded" if of["entry"]["level"] == "error" => {
                    complaints.push(of["entry"].to_string())
                }
                "Runtime.consoleAPICalled" => complaints.push(of.to_string()),
                "Network.requestWillBeSent" => {
                    let url = of["request"]["url"].as_str().unwrap_or_default();
                    if !url.starts_with(&format!("{origin}/")) {
                        complaints.push(format!("a request to {url}"));
                    }
                    requests.push(url.to_owned());
                }
                _ => {}
            }
        })
    }

    /// What an expression gives, as JSON.
    pub fn value(&mut self, expression: &str) -> Value {
        self.evaluate(expression).unwrap_or_else(|exception| panic!("{expression}: {exception}"))
    }

    /// Returns what an expression gives, as JSON, or what it has thrown.
    fn evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", parameters);
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].clone()),
            details => Err(format!("{details:#}")),
        }
    }

    /// What an expression gives, as text.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Waits until an expression is true; says what the page shows if it does not become so. An expression that throws is not true
    /// yet: the element that it asks may come.
    pub fn wait_until(&mut self, within: Duration, expression: &str) {
        wait_for(within, expression, || match self.evaluate(expression) {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(other) => Err(format!("{other}\n{}", self.text(SEEN))),
            Err(exception) => Err(format!("{exception}\n{}", self.text(SEEN))),
        });
    }

    /// Waits until a person could see the page: a browser throws away what is pressed, typed and clicked before its first paint.
    fn wait_until_painted(&mut self) {
        self.wait_until(PATIENCE, "performance.getEntriesByName('first-contentful-paint').length > 0");
    }

    /// Presses a key: `ArrowDown`, `/`.
    pub fn press(&mut self, key: &str) {
        self.wait_until_painted();
        let text = if key.chars().count() == 1 { key } else { "" };
        let text = if key == "Enter" { "\r" } else { text };
        let event = |kind: &str| json!({ "type": kind, "key": key, "text": text, "code": key });
        self.call("Input.dispatchKeyEvent", event(if text.is_empty() { "rawKeyDown" } else { "keyDown" }));
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "code": key }));
    }

    /// Types into the field that has the focus.
    pub fn write(&mut self, text: &str) {
        self.wait_until(PATIENCE, "document.hasFocus() && document.activeElement?.value !== undefined");
        self.call("Input.insertText", json!({ "text": text }));
        self.wait_until(PATIENCE, &format!("document.activeElement.value.includes({})", json!(text)));
    }

    /// Clicks into the middle of the element that an expression gives. What the page shows may move in the meantime: a press on
    /// anything else has no effect, and is tried again.
    pub fn click(&mut self, element: &str) {
        self.wait_until_painted();
        self.value(CLICKS);
        wait_for(PATIENCE, &format!("a click on {element}"), || {
            let middle = self.value(&format!("clicks.aim(() => {element})"));
            for kind in ["mousePressed", "mouseReleased"] {
                let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
                self.call("Input.dispatchMouseEvent", event);
            }
            match self.value("clicks.hit") {
                Value::Bool(true) => Ok(()),
                _ => Err("it has always moved away"),
            }
        });
    }

    /// How large its window is, CSS pixels, and whether its user likes it dark.
    pub fn look(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Writes what its window shows to a file, as PNG.
    pub fn screenshot(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let text = answer["data"].as_str().expect("a picture");
        std::fs::write(file, from_base64(text)).expect("a file for the picture");
    }

    /// What the console has said, what went wrong, and what was asked of others than the exporter.
    pub fn complaints(&mut self) -> &mut Vec<String> {
        // What has happened until now has been told when this is answered.
        self.value("0");
        &mut self.complaints
    }

    /// All that was asked for.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }
}

/// RFC 4648, chapter 4: what the browser sends has no other letters.
fn from_base64(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters = text.trim_end_matches('=').as_bytes();
    let bytes = |four: &[u8]| {
        let bits = four.iter().fold(0, |bits, letter| bits << 6 | u32::from(digit(*letter)));
        let bits = bits << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    letters.chunks(4).flat_map(bytes).collect()
}
