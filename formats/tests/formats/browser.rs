//! Chromium without a window, driven through chromedriver by the WebDriver protocol: HTTP with JSON, one request at a
//! time, which takes no more than a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::outside;

/// How long a condition may take to become true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keys as WebDriver writes them.
pub(crate) mod key {
    pub(crate) const CONTROL: &str = "\u{e009}";
    pub(crate) const SHIFT: &str = "\u{e008}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const ESCAPE: &str = "\u{e00c}";
    pub(crate) const LEFT: &str = "\u{e012}";
    pub(crate) const UP: &str = "\u{e013}";
    pub(crate) const RIGHT: &str = "\u{e014}";
    pub(crate) const DOWN: &str = "\u{e015}";
    pub(crate) const F3: &str = "\u{e033}";
    pub(crate) const TAB: &str = "\u{e004}";
}

/// A browser that shows one file.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    folder: PathBuf,
}

impl Browser {
    /// Shows an SVG in a window of this size; `None` where there is no Chromium.
    pub(crate) fn show(svg: &str, width: u32, height: u32) -> Option<Self> {
        let chromium = outside::program("chromium", "Debian's package `chromium`")?;
        let driver = outside::program("chromedriver", "Debian's package `chromium-driver`")?;
        let folder = new_folder();
        std::fs::write(folder.join("picture.svg"), svg).unwrap();
        let mut driver = Command::new(driver).arg("--port=0").stdout(Stdio::piped()).spawn().unwrap();
        let port = port_of(&mut driver);
        let mut browser = Self { driver, port, session: String::new(), folder };
        let profile = format!("--user-data-dir={}", browser.folder.join("profile").display());
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
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.request("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser.developer_tools(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        browser.prefer("reduced-motion", "reduce");
        browser.open("");
        Some(browser)
    }

    /// Loads the file with this fragment.
    pub(crate) fn open(&self, fragment: &str) {
        // From elsewhere, for a change of the fragment alone loads nothing.
        self.post("/url", json!({ "url": "about:blank" }));
        let file = self.folder.join("picture.svg");
        self.post("/url", json!({ "url": format!("file://{}{fragment}", file.display()) }));
    }

    /// Pretends that the user prefers something, such as `color-scheme` `dark`.
    pub(crate) fn prefer(&self, what: &str, value: &str) {
        let feature = json!({ "name": format!("prefers-{what}"), "value": value });
        self.developer_tools("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Sends a command of the Chrome DevTools Protocol.
    pub(crate) fn developer_tools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    /// Runs a function's body in the page; what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page.
    pub(crate) fn wait_until(&self, condition: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(&format!("return !!({condition})")) != true {
            assert!(Instant::now() < deadline, "{condition} does not become true");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text of the first element that matches a selector, as it is in the document.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).textContent", Value::from(selector));
        self.run(&script).as_str().unwrap().to_owned()
    }

    /// Moves a pointer of this type (`mouse`, `touch`) to a point of the window and, if wanted, clicks there.
    pub(crate) fn point(&self, pointer: &str, (x, y): (f64, f64), click: bool) {
        let mut actions = vec![
            json!({ "type": "pointerMove", "duration": 0, "x": x.round() as i64, "y": y.round() as i64 }),
        ];
        if click {
            actions.push(json!({ "type": "pointerDown", "button": 0 }));
            actions.push(json!({ "type": "pointerUp", "button": 0 }));
        }
        let source = json!({
            "type": "pointer", "id": pointer, "parameters": { "pointerType": pointer }, "actions": actions,
        });
        self.post("/actions", json!({ "actions": [source] }));
    }

    /// Presses keys one after the other; those after [`key::CONTROL`] or [`key::SHIFT`] together with it.
    pub(crate) fn press(&self, keys: &[&str]) {
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
    pub(crate) fn screenshot(&self, file: &Path) {
        let shot = self.developer_tools("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::write(file, decode_base64(shot["data"].as_str().unwrap())).unwrap();
    }

    pub(crate) fn back(&self) {
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
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn exchange(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(2 * PATIENCE))?;
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

fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("browser-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
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
