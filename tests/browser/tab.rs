//! A tab of the browser as a person uses it: it is looked at, typed into and clicked, and it keeps
//! an account of everything that goes wrong in it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::pipe::Browser;
use crate::support::eventually::{WAIT_MAX, within};

/// Frames in which something that is clicked comes to rest.
const FRAMES_MAX: u32 = 300;
/// A tab with cookies of its own.
pub struct Tab<'a> {
    browser: &'a Browser,
    context: String,
    session: String,
    /// What every address that is asked for begins with.
    origin: String,
    /// What went wrong so far.
    problems: Vec<String>,
}

/// Keys that are no text: name, code.
const KEYS: [(&str, u32); 4] = [("Enter", 13), ("Escape", 27), ("Tab", 9), ("End", 35)];

impl<'a> Tab<'a> {
    /// An empty tab for pages of one server.
    pub fn new(browser: &'a Browser, origin: &str) -> Tab<'a> {
        let own = |value: Value, name: &str| value[name].as_str().unwrap().to_owned();
        let context = browser.call("", "Target.createBrowserContext", json!({})).unwrap();
        let context = own(context, "browserContextId");
        let target = json!({"url": "about:blank", "browserContextId": context});
        let target = browser.call("", "Target.createTarget", target).unwrap();
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("", "Target.attachToTarget", target).unwrap();
        let session = own(session, "sessionId");
        let tab = Tab { browser, context, session, origin: origin.into(), problems: Vec::new() };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab.size(1280, 860);
        tab
    }

    fn call(&self, method: &str, parameters: Value) -> Value {
        let answer = self.browser.call(&self.session, method, parameters);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The window's size in pixels.
    pub fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
                          "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// From now on, addresses that end like this cannot be reached; with none, all can.
    pub fn block(&self, ends: &[&str]) {
        let urls: Vec<String> = ends.iter().map(|end| format!("*{end}")).collect();
        self.call("Network.setBlockedURLs", json!({ "urls": urls }));
    }

    /// What the person likes better: `prefers-color-scheme` and its like.
    pub fn prefer(&self, name: &str, value: &str) {
        let features = json!({"features": [{"name": name, "value": value}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Opens an address of the server.
    pub fn open(&self, path: &str) {
        self.call("Page.navigate", json!({"url": format!("{}{path}", self.origin)}));
    }

    /// The value of an expression; waits for a promise.
    ///
    /// Panics with what it throws.
    pub fn value(&self, expression: &str) -> Value {
        self.try_value(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The same as text.
    pub fn text(&self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value} is no text")).to_owned()
    }

    fn try_value(&self, expression: &str) -> Result<Value, String> {
        let parameters =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.browser.call(&self.session, "Runtime.evaluate", parameters)?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details["exception"]["description"].to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until an expression is true. While a page is left for another one, nothing is.
    #[track_caller]
    pub fn wait(&self, condition: &str) {
        let expression = format!("!!({condition})");
        let value = || self.try_value(&expression).is_ok_and(|value| value == true).then_some(());
        let what = || format!("{condition}\n{}", self.try_value(SEEN).unwrap_or_default());
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            within(WAIT_MAX, condition, value)
        }));
        assert!(seen.is_ok(), "not seen: {}", what());
    }

    /// Presses and releases a key.
    pub fn press(&self, key: &str) {
        let code = KEYS.iter().find(|(name, _)| *name == key).map(|(_, code)| *code);
        let text = match key {
            "Enter" => "\r",
            _ if code.is_some() => "",
            text => text,
        };
        let code = code.unwrap_or_else(|| u32::from(key.to_ascii_uppercase().as_bytes()[0]));
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types a text where the focus is.
    pub fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Clicks on the middle of an element, once it is there.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let quoted = Value::from(selector);
        self.wait(&format!("document.querySelector({quoted})"));
        // What still moves would be missed: it must be in the same place for two frames.
        let place = self.value(&format!(
            "(async () => {{ const find = () => document.querySelector({quoted});
                 find().scrollIntoView({{ block: 'center', behavior: 'instant' }});
                 let before = '';
                 for (let frame = 0; frame < {FRAMES_MAX}; frame++) {{
                     const box = find()?.getBoundingClientRect();
                     const place = box && [box.x + box.width / 2, box.y + box.height / 2];
                     if (place && `${{place}}` === before) return place;
                     before = `${{place}}`;
                     await new Promise((next) => requestAnimationFrame(next));
                 }}
                 throw new Error('it does not stand still'); }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left",
                               "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Keeps what is seen as a file below `target`.
    pub fn picture(&self, name: &str) {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let folder = pictures();
        fs::create_dir_all(&folder).unwrap();
        let bytes = base64(picture["data"].as_str().unwrap());
        fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// Lets go of a problem that was expected: one whose text has these words.
    pub fn expect_problem(&mut self, words: &str) {
        self.collect();
        let before = self.problems.len();
        self.problems.retain(|problem| !problem.contains(words));
        assert!(self.problems.len() < before, "no problem says {words}: {:?}", self.problems);
    }

    /// Panics when anything went wrong: a script, the policy, the console, or a request to
    /// another host.
    #[track_caller]
    pub fn check(&mut self) {
        self.collect();
        assert!(self.problems.is_empty(), "{}", self.problems.join("\n"));
    }

    fn collect(&mut self) {
        for event in self.browser.events(&self.session) {
            let what = &event["params"];
            let problem = match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => Some(what["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" => Some(what.to_string()),
                "Log.entryAdded" if what["entry"]["level"] != "info" => {
                    let entry = &what["entry"];
                    Some(format!("{} {} {}", entry["level"], entry["text"], entry["url"]))
                }
                "Page.javascriptDialogOpening" => Some(format!("a dialog: {what}")),
                "Network.requestWillBeSent" => self.foreign(&what["request"]["url"]),
                "Network.webSocketCreated" => Some(what.to_string()),
                _ => None,
            };
            self.problems.extend(problem);
        }
    }

    fn foreign(&self, url: &Value) -> Option<String> {
        let url = url.as_str().unwrap_or_default();
        let is_own = url.strip_prefix(&self.origin).is_some_and(|rest| rest.starts_with('/'));
        let is_local = ["data:", "blob:", "about:"].iter().any(|scheme| url.starts_with(scheme));
        (!is_own && !is_local).then(|| format!("asked for {url}"))
    }
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        let context = json!({"browserContextId": self.context});
        let _ = self.browser.call("", "Target.disposeBrowserContext", context);
    }
}

/// What a page shows, for whoever waited for something else.
const SEEN: &str = "location.href + '\\n' + document.body.innerText.slice(0, 2000)";

/// Where pictures are kept.
pub fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser")
}

/// The bytes of base64 (RFC 4648, 4).
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for part in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = part.iter().fold(0, |bits, byte| bits << 6 | u32::from(value(*byte)));
        let bits = bits << (6 * (4 - part.len()));
        bytes.extend(&bits.to_be_bytes()[1..part.len()]);
    }
    bytes
}
