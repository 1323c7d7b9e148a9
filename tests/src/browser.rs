//! Chromium without a window, driven through chromedriver by the WebDriver protocol: HTTP with JSON, one request at a
//! time, which takes no more than a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::deadline::{SOON, wait_for};
use crate::folder::Folder;
use crate::requirement;

/// Keys as WebDriver writes them.
pub mod key {
    #![expect(missing_docs, reason = "keys are called what is written on them")]

    pub const CONTROL: &str = "\u{e009}";
    pub const SHIFT: &str = "\u{e008}";
    pub const ENTER: &str = "\u{e007}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const LEFT: &str = "\u{e012}";
    pub const UP: &str = "\u{e013}";
    pub const RIGHT: &str = "\u{e014}";
    pub const DOWN: &str = "\u{e015}";
    pub const F3: &str = "\u{e033}";
    pub const TAB: &str = "\u{e004}";
}

/// A browser that shows one page.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    folder: Folder,
    address: String,
}

impl Browser {
    /// Shows an SVG in a window of this size; `None`, after saying that the story is skipped, where there is no Chromium.
    ///
    /// # Panics
    /// If the browser does not start.
    #[track_caller]
    pub fn show(svg: &str, width: u32, height: u32) -> Option<Self> {
        let mut browser = Self::start(width, height)?;
        let file = browser.folder.file("picture.svg");
        std::fs::write(&file, svg).expect("the folder is ours");
        browser.address = format!("file://{}", file.display());
        browser.open("");
        Some(browser)
    }

    /// Visits an address with a window of this size; `None`, after saying that the story is skipped, where there is no
    /// Chromium.
    ///
    /// # Panics
    /// If the browser does not start.
    #[track_caller]
    pub fn visit(address: &str, width: u32, height: u32) -> Option<Self> {
        let mut browser = Self::start(width, height)?;
        address.clone_into(&mut browser.address);
        browser.open("");
        Some(browser)
    }

    #[track_caller]
    fn start(width: u32, height: u32) -> Option<Self> {
        let chromium = requirement::program("chromium")?;
        let driver = requirement::program("chromedriver")?;
        let folder = Folder::new("browser");
        let mut driver =
            Command::new(driver).arg("--port=0").stdout(Stdio::piped()).spawn().expect("it is a program");
        let port = port_of(&mut driver);
        let mut browser = Self { driver, port, session: String::new(), folder, address: String::new() };
        let profile = format!("--user-data-dir={}", browser.folder.file("profile").display());
        let size = format!("--window-size={width},{height}");
        // Containers give no sandbox; the rest keeps the browser from calling home.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
            &size,
        ];
        let options = json!({ "binary": chromium, "args": arguments });
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.request("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser.resize(width, height);
        browser.prefer("reduced-motion", "reduce");
        Some(browser)
    }

    /// Loads the page with this behind its address: a query, a fragment.
    pub fn open(&self, behind: &str) {
        // From elsewhere, for a change of the fragment alone loads nothing.
        self.post("/url", json!({ "url": "about:blank" }));
        self.post("/url", json!({ "url": format!("{}{behind}", self.address) }));
    }

    /// Gives the window this size.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.developer_tools("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the browser has complained of on its console since it was last asked: errors of scripts, breaches of a
    /// content-security policy, what could not be loaded.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" }));
        let complaints = entries.as_array().into_iter().flatten().filter(|entry| entry["level"] != "INFO");
        complaints.filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect()
    }

    /// Pretends that the user prefers something, such as `color-scheme` `dark`.
    pub fn prefer(&self, what: &str, value: &str) {
        let feature = json!({ "name": format!("prefers-{what}"), "value": value });
        self.developer_tools("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Sends a command of the Chrome DevTools Protocol.
    pub fn developer_tools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    /// Runs a function's body in the page; what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Panics
    /// If it does not become true.
    #[track_caller]
    pub fn wait_until(&self, condition: &str) {
        wait_for(condition, SOON, || (self.run(&format!("return !!({condition})")) == true).then_some(()));
    }

    /// The text of the first element that matches a selector, as it is in the document.
    ///
    /// # Panics
    /// If there is none.
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).textContent", Value::from(selector));
        self.run(&script).as_str().unwrap().to_owned()
    }

    /// Moves a pointer of this type (`mouse`, `touch`) to a point of the window and, if wanted, clicks there.
    pub fn point(&self, pointer: &str, (x, y): (f64, f64), click: bool) {
        let mut actions = vec![moved_to((x, y), 0)];
        if click {
            actions.push(json!({ "type": "pointerDown", "button": 0 }));
            actions.push(json!({ "type": "pointerUp", "button": 0 }));
        }
        self.act(pointer, &actions);
    }

    /// Presses a pointer of this type at a point of the window, moves it to another and lets it go.
    pub fn drag(&self, pointer: &str, from: (f64, f64), to: (f64, f64)) {
        let (down, up) =
            (json!({ "type": "pointerDown", "button": 0 }), json!({ "type": "pointerUp", "button": 0 }));
        self.act(pointer, &[moved_to(from, 0), down, moved_to(to, 50), up]);
    }

    /// Puts two fingers on a line of the window, this far left and right of a point, and moves them to another distance.
    pub fn pinch(&self, (x, y): (f64, f64), from: f64, to: f64) {
        let finger = |id: &str, side: f64| {
            let (down, up) =
                (json!({ "type": "pointerDown", "button": 0 }), json!({ "type": "pointerUp", "button": 0 }));
            let actions = [moved_to((x + side * from, y), 0), down, moved_to((x + side * to, y), 100), up];
            json!({ "type": "pointer", "id": id, "parameters": { "pointerType": "touch" }, "actions": actions })
        };
        self.post("/actions", json!({ "actions": [finger("left", -1.0), finger("right", 1.0)] }));
    }

    fn act(&self, pointer: &str, actions: &[Value]) {
        let source = json!({
            "type": "pointer", "id": pointer, "parameters": { "pointerType": pointer }, "actions": actions,
        });
        self.post("/actions", json!({ "actions": [source] }));
    }

    /// Presses keys one after the other; those after [`key::CONTROL`] or [`key::SHIFT`] together with it.
    pub fn press(&self, keys: &[&str]) {
        let mut actions = Vec::new();
        let mut held = Vec::new();
        for key in keys.iter().flat_map(|keys| keys.split_inclusive(|_| true)) {
            actions.push(json!({ "type": "keyDown", "value": key }));
            if [key::CONTROL, key::SHIFT].contains(&key) {
                held.push(key);
            } else {
                actions.push(json!({ "type": "keyUp", "value": key }));
            }
        }
        actions.extend(held.iter().map(|key| json!({ "type": "keyUp", "value": key })));
        self.post(
            "/actions",
            json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        );
    }

    /// Writes what the window shows into a PNG file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn screenshot(&self, file: &Path) {
        let shot = self.developer_tools("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::write(file, decode_base64(shot["data"].as_str().unwrap())).unwrap();
    }

    /// Goes back in the history.
    pub fn back(&self) {
        self.post("/back", json!({}));
    }

    fn post(&self, path: &str, body: Value) -> Value {
        self.request("POST", &format!("/session/{}{path}", self.session), &body)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = exchange(self.port, method, path, &body.to_string());
        let answer = answer.unwrap_or_else(|error| panic!("chromedriver: {method} {path}: {error}"));
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{method} {path} {body}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; without a session there is none, and then the driver complains, which does not matter.
        _ = exchange(self.port, "DELETE", &format!("/session/{}", self.session), "");
        _ = self.driver.kill();
        _ = self.driver.wait();
        _ = std::fs::remove_dir_all(self.folder.path());
    }
}

fn exchange(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(2 * SOON))?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes())?;
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while answer.read_line(&mut line)? > 0 && line != "\r\n" {
        if let Some(("content-length", value)) = line.to_ascii_lowercase().split_once(':') {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// The port that a chromedriver listens on, which it says once it does.
fn port_of(driver: &mut Child) -> u16 {
    let mut said = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = said.find(|line| line.contains("started successfully on port")).expect("chromedriver starts");
    let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap();
    // Goes on reading, so that the driver never waits for us.
    std::thread::spawn(move || said.for_each(drop));
    port
}

fn moved_to((x, y): (f64, f64), duration_ms: u32) -> Value {
    json!({ "type": "pointerMove", "duration": duration_ms, "x": x.round() as i64, "y": y.round() as i64 })
}

fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, &byte| bits << 6 | u32::from(digit(byte)));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
