//! The page in a browser, by what a reader sees and does.

use std::path::Path;

use serde_json::{Value, json};
use tests::browser::Browser;
use tests::http::percent_encoded;

use crate::collector::{API, Collector};

/// The page of a collector in a browser.
pub(crate) struct View {
    pub(crate) browser: Browser,
}

impl View {
    /// Visits the page with these parameters of its address; `None` where there is no browser.
    pub(crate) fn of(
        collector: &Collector,
        parameters: &[(&str, &str)],
        (width, height): (u32, u32),
    ) -> Option<Self> {
        let browser = Browser::visit(&collector.page(), width, height)?;
        let view = Self { browser };
        view.browser.complaints();
        view.open(parameters);
        Some(view)
    }

    /// The CPU time of `api`, in twenty minutes around its profiles.
    pub(crate) fn of_api(collector: &Collector) -> Option<Self> {
        let view = Self::of(collector, &api(collector), (1300, 800))?;
        view.settle();
        Some(view)
    }

    /// Loads the page anew with these parameters.
    pub(crate) fn open(&self, parameters: &[(&str, &str)]) {
        let query = parameters.iter().map(|(key, value)| format!("{key}={}", percent_encoded(value)));
        self.browser.open(&format!("?{}", query.collect::<Vec<_>>().join("&")));
    }

    /// Waits until a profile is shown and nothing is on its way.
    pub(crate) fn settle(&self) {
        self.browser.wait_until("globalThis.loopscope?.work.profile && loopscope.isSettled");
    }

    /// Does something in the page and waits until what it leads to is shown.
    pub(crate) fn after(&self, act: impl FnOnce(&Browser)) {
        act(&self.browser);
        // What was done has been handled when the next picture is drawn.
        self.browser.run("return new Promise((done) => requestAnimationFrame(() => setTimeout(done)))");
        self.settle();
    }

    /// Clicks on an element.
    pub(crate) fn click(&self, selector: &str) {
        self.after(|browser| {
            browser.run(&format!("document.querySelector({}).click()", json!(selector)));
        });
    }

    /// Clicks on the first frame of a function.
    pub(crate) fn click_frame(&self, function: &str) {
        let place = self.frame(function);
        self.after(|browser| browser.point("mouse", place, true));
    }

    /// The middle of the first frame of a function.
    pub(crate) fn frame(&self, function: &str) -> (f64, f64) {
        let found = self.browser.run(&format!(
            "const {{ graph, profile: {{ names, layout }} }} = loopscope.work;
             const node = layout.name.findIndex((name, node) => names[name] === {} && graph.boxOf(node));
             const box = graph.boxOf(node);
             return box && [box.x + box.width / 2, box.y + box.height / 2];",
            json!(function)
        ));
        pair(&found).unwrap_or_else(|| panic!("no frame of {function}: {found}"))
    }

    /// A point of the timeline: this many seconds after `began`, in its middle.
    pub(crate) fn moment(&self, collector: &Collector, seconds: u64) -> (f64, f64) {
        let found = self.browser.run(&format!(
            "const box = document.querySelector('#plot').getBoundingClientRect();
             const [from, until] = loopscope.window;
             return [box.x + box.width * ({} - from) / (until - from), box.y + 60];",
            collector.began + seconds
        ));
        pair(&found).expect("a point")
    }

    /// The text of an element, its lines in one.
    pub(crate) fn text(&self, selector: &str) -> String {
        self.browser
            .run(&format!("return document.querySelector({}).innerText", json!(selector)))
            .as_str()
            .unwrap()
            .replace('\n', " ")
    }

    /// The rows of the table in sight, each with its cells.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.browser.run(
            "return [...document.querySelectorAll('#table .row')]
                 .map((row) => [...row.querySelectorAll('[role=cell]')].map((cell) => cell.innerText.replaceAll('\\n', ' ')));",
        );
        serde_json::from_value(rows).unwrap()
    }

    /// The row of a function.
    pub(crate) fn row(&self, function: &str) -> Vec<String> {
        let rows = self.rows();
        rows.iter()
            .find(|row| row[0] == function)
            .cloned()
            .unwrap_or_else(|| panic!("no {function} in {rows:?}"))
    }

    /// A parameter of the address.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let found =
            self.browser.run(&format!("return new URLSearchParams(location.search).get({})", json!(name)));
        found.as_str().map(str::to_owned)
    }

    /// Fails if the browser has complained. A collector without lag says so by the status 404, which a browser tells.
    #[track_caller]
    pub(crate) fn expect_no_complaints(&self) {
        let mut complaints = self.browser.complaints();
        complaints.retain(|complaint| !(complaint.contains("/api/v1/lag") && complaint.contains("404")));
        assert!(complaints.is_empty(), "{complaints:?}");
    }

    /// Writes what the window shows into the folder that `LOOPSCOPE_SCREENSHOTS` names, if it does.
    pub(crate) fn screenshot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("LOOPSCOPE_SCREENSHOTS") {
            self.browser.screenshot(&Path::new(&folder).join(format!("{name}.png")));
        }
    }
}

/// The parameters that show the CPU time of `api` in all of its time.
pub(crate) fn api(collector: &Collector) -> Vec<(&'static str, &'static str)> {
    let time = |seconds: i64| -> &'static str { (collector.began as i64 + seconds).to_string().leak() };
    vec![("query", API), ("from", time(-300)), ("until", time(900))]
}

fn pair(value: &Value) -> Option<(f64, f64)> {
    Some((value[0].as_f64()?, value[1].as_f64()?))
}
