//! A dashboard: rows of panels, the variables that choose what they show, and what leads from one dashboard to the next.
//!
//! The layout is that of the rows: panels of one row are as high as each other and fill the 24 columns, so there are no holes.

pub(super) mod panel;

use model::catalogue::Metric;

use super::json::{Json, list, object};
use super::query::Asker;
use panel::Panel;

/// The version of Grafana's schema that the dashboards are written in.
const SCHEMA_VERSION: u32 = 42;

/// The columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// The plugin that the data comes through.
const PROMETHEUS: &str = "prometheus";

/// How all dashboards are found, and find each other.
const TAG: &str = "loopscope";

/// The window of a rate in a panel: Grafana's own, which follows the interval of scrapes and the width of the panel.
pub(super) const RATE_INTERVAL: &str = "$__rate_interval";

/// One dashboard.
#[derive(Debug)]
pub(super) struct Dashboard {
    /// Its address; never changed, so that links stay good.
    pub(super) uid: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) variables: Vec<Variable>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) rows: Vec<Row>,
}

/// Panels beside each other, or several rows of them, under a title.
#[derive(Debug)]
pub(super) struct Row {
    /// Shown above it; nothing without one.
    pub(super) title: Option<&'static str>,
    /// Whether it is closed until somebody opens it.
    pub(super) is_collapsed: bool,
    /// Each: how high, and the panels.
    pub(super) lines: Vec<(u32, Vec<Panel>)>,
}

/// A choice of what is shown: the values of one label.
#[derive(Debug)]
pub(super) struct Variable {
    /// The label, and the variable's name.
    pub(super) name: &'static str,
    /// The series that have it.
    pub(super) values_of: String,
    pub(super) description: &'static str,
}

/// Marks on the time axis.
#[derive(Debug)]
pub(super) struct Annotation {
    pub(super) name: &'static str,
    pub(super) color: &'static str,
    pub(super) expression: String,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// Whether the value is the time, in milliseconds.
    pub(super) value_is_time: bool,
}

impl Variable {
    /// A choice among the values of a label of a metric's series.
    pub(super) fn of(name: &'static str, metric: &Metric, matchers: &str, description: &'static str) -> Self {
        let series = if matchers.is_empty() {
            metric.name.to_owned()
        } else {
            format!("{}{{{matchers}}}", metric.name)
        };
        Self { name, values_of: format!("label_values({series}, {name})"), description }
    }

    fn to_json(&self) -> Json {
        object! {
            "name": self.name,
            "label": self.name,
            "description": self.description,
            "type": "query",
            "datasource": data_source(),
            "query": object! { "query": self.values_of.as_str(), "refId": format!("variable-{}", self.name) },
            "refresh": 2,
            "regex": "",
            "sort": 1,
            "multi": true,
            "includeAll": true,
            "allValue": ".+",
            "hide": 0,
            "skipUrlSync": false,
            "current": object! { "selected": true, "text": list!["All"], "value": list!["$__all"] },
            "options": Json::List(Vec::new()),
        }
    }
}

impl Annotation {
    /// Firing alerts of ours, where the rules are installed.
    pub(super) fn alerts(asker: Asker) -> Self {
        Self {
            name: "Alerts",
            color: "red",
            expression: format!("ALERTS{{{}, alertstate=\"firing\", source=\"loopscope\"}}", asker.agent),
            title: "{{alertname}}",
            text: "{{service}} {{pid}} {{loop}}",
            value_is_time: false,
        }
    }

    fn to_json(&self) -> Json {
        object! {
            "name": self.name,
            "datasource": data_source(),
            "enable": true,
            "hide": false,
            "iconColor": self.color,
            "expr": self.expression.as_str(),
            "step": "60s",
            "titleFormat": self.title,
            "textFormat": self.text,
            "tagKeys": "severity",
            "useValueForTime": self.value_is_time,
        }
    }
}

impl Dashboard {
    /// The file that Grafana imports.
    pub(super) fn to_json(&self) -> String {
        let variables = self.variables.iter().map(Variable::to_json);
        let variables = std::iter::once(data_source_variable()).chain(variables).collect();
        let annotations = self.annotations.iter().map(Annotation::to_json);
        let annotations = std::iter::once(grafanas_own_annotations()).chain(annotations).collect();
        let dashboard = object! {
            "uid": self.uid,
            "title": self.title,
            "description": format!("{} Made by `cargo xtask generate` from the catalogue of metrics.", self.description),
            "tags": list![TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            // What is changed in the browser would be lost with the next version; a copy can be edited.
            "editable": false,
            "graphTooltip": 1,
            "fiscalYearStartMonth": 0,
            "refresh": "30s",
            "time": object! { "from": "now-1h", "to": "now" },
            "timepicker": object! {},
            "timezone": "browser",
            "weekStart": "",
            "links": list![links()],
            "templating": object! { "list": Json::List(variables) },
            "annotations": object! { "list": Json::List(annotations) },
            "panels": Json::List(self.panels()),
        };
        dashboard.pretty()
    }

    fn panels(&self) -> Vec<Json> {
        let mut panels = Vec::new();
        let (mut id, mut y) = (0, 0);
        for row in &self.rows {
            let mut inner = Vec::new();
            let row_at = (id + 1, y);
            if row.title.is_some() {
                (id, y) = (id + 1, y + 1);
            }
            for (height, line) in &row.lines {
                let widths: u32 = line.iter().map(|panel| panel.width).sum();
                assert_eq!(widths, COLUMNS, "a line of {} in {:?}", self.title, row.title);
                let mut x = 0;
                for panel in line {
                    id += 1;
                    inner.push(panel.to_json(id, position(x, y, panel.width, *height)));
                    x += panel.width;
                }
                y += height;
            }
            let Some(title) = row.title else {
                panels.append(&mut inner);
                continue;
            };
            // What is collapsed lies in its row, all else behind it.
            let within = if row.is_collapsed { std::mem::take(&mut inner) } else { Vec::new() };
            panels.push(object! {
                "id": row_at.0,
                "type": "row",
                "title": title,
                "collapsed": row.is_collapsed,
                "gridPos": position(0, row_at.1, COLUMNS, 1),
                "panels": Json::List(within),
            });
            panels.append(&mut inner);
        }
        panels
    }
}

fn position(x: u32, y: u32, width: u32, height: u32) -> Json {
    object! { "h": height, "w": width, "x": x, "y": y }
}

/// The data source that the variable of this name chooses.
fn data_source() -> Json {
    object! { "type": PROMETHEUS, "uid": "${datasource}" }
}

fn data_source_variable() -> Json {
    object! {
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes the agents.",
        "type": "datasource",
        "query": PROMETHEUS,
        "refresh": 1,
        "regex": "",
        "multi": false,
        "includeAll": false,
        "hide": 0,
        "skipUrlSync": false,
        "options": Json::List(Vec::new()),
    }
}

/// To all dashboards of ours, with the time and the choices kept.
fn links() -> Json {
    object! {
        "title": "Loopscope",
        "type": "dashboards",
        "tags": list![TAG],
        "asDropdown": false,
        "icon": "external link",
        "includeVars": true,
        "keepTime": true,
        "targetBlank": false,
        "tooltip": "",
        "url": "",
    }
}

fn grafanas_own_annotations() -> Json {
    object! {
        "name": "Annotations & Alerts",
        "datasource": object! { "type": "grafana", "uid": "-- Grafana --" },
        "type": "dashboard",
        "builtIn": 1,
        "enable": true,
        "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)",
    }
}
