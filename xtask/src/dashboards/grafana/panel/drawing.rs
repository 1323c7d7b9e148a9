//! How a panel stands in a dashboard's file: what Grafana's plugins of panels want to have.

use super::super::super::json::{Json, list, object};
use super::super::data_source;
use super::{Panel, Shape, Table, Unit};

impl Panel {
    pub(in crate::dashboards::grafana) fn to_json(&self, id: u32, position: Json) -> Json {
        let mut panel = object! {
            "id": id,
            "type": self.kind(),
            "title": self.title,
            "description": self.description.as_str(),
            "datasource": data_source(),
            "gridPos": position,
            "fieldConfig": object! { "defaults": self.defaults(), "overrides": Json::List(self.overrides()) },
            "options": self.options(),
            "targets": Json::List(self.targets()),
        };
        if let Shape::Table(table) = &self.shape {
            panel.insert("transformations", table.transformations());
        }
        panel
    }

    fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Lines | Shape::Stacked(_) => "timeseries",
            Shape::Stat | Shape::Name => "stat",
            Shape::Heat => "heatmap",
            Shape::States => "state-timeline",
            Shape::Table(_) => "table",
        }
    }

    fn targets(&self) -> Vec<Json> {
        let is_now = matches!(self.shape, Shape::Table(_) | Shape::Stat | Shape::Name);
        let format = match self.shape {
            Shape::Table(_) => "table",
            Shape::Heat => "heatmap",
            _ => "time_series",
        };
        let targets = self.queries.iter().zip('A'..).map(|(query, letter)| {
            object! {
                "refId": letter.to_string(),
                "datasource": data_source(),
                "editorMode": "code",
                "expr": query.expression.as_str(),
                "format": format,
                "instant": is_now,
                "range": !is_now,
                "legendFormat": if query.legend.is_empty() { "__auto" } else { query.legend },
            }
        });
        targets.collect()
    }

    fn defaults(&self) -> Json {
        let mut defaults = object! {
            "unit": self.unit.id(),
            "color": object! { "mode": self.color_mode() },
            "thresholds": thresholds(self.thresholds),
            "mappings": Json::List(self.mappings()),
            "custom": self.custom(),
        };
        if let Some(absent) = &self.absent {
            defaults.insert("noValue", absent.as_str());
        }
        if matches!(self.shape, Shape::Lines | Shape::Stacked(_)) {
            defaults.insert("min", 0);
        }
        if let Shape::Stacked(Some(whole)) = self.shape {
            defaults.insert("max", whole);
        }
        defaults
    }

    fn color_mode(&self) -> &'static str {
        match self.shape {
            Shape::Stat | Shape::States | Shape::Table(_) => "thresholds",
            Shape::Name => "fixed",
            Shape::Lines | Shape::Stacked(_) | Shape::Heat => "palette-classic",
        }
    }

    fn mappings(&self) -> Vec<Json> {
        if !matches!(self.shape, Shape::States) {
            return Vec::new();
        }
        vec![object! {
            "type": "value",
            "options": object! {
                "0": object! { "text": "off", "color": "orange", "index": 0 },
                "1": object! { "text": "on", "color": "green", "index": 1 },
            },
        }]
    }

    fn custom(&self) -> Json {
        let fill = |opacity: u32, stacking: &str| {
            object! {
                "drawStyle": "line",
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "fillOpacity": opacity,
                "showPoints": "never",
                "spanNulls": false,
                "axisPlacement": "auto",
                "stacking": object! { "mode": stacking, "group": "A" },
                "thresholdsStyle": object! { "mode": if self.thresholds.is_some() { "dashed" } else { "off" } },
            }
        };
        match self.shape {
            Shape::Lines => fill(10, "none"),
            Shape::Stacked(_) => fill(60, "normal"),
            Shape::States => object! { "fillOpacity": 70, "lineWidth": 0 },
            Shape::Table(_) => {
                object! { "align": "auto", "cellOptions": object! { "type": "auto" }, "filterable": true }
            }
            Shape::Stat | Shape::Name | Shape::Heat => object! {},
        }
    }

    fn options(&self) -> Json {
        let legend = object! { "displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": list!["lastNotNull", "max"] };
        let tooltip = object! { "mode": "multi", "sort": "desc" };
        let reduce = object! { "calcs": list!["lastNotNull"], "fields": "", "values": false };
        match &self.shape {
            Shape::Lines | Shape::Stacked(_) => object! { "legend": legend, "tooltip": tooltip },
            Shape::Stat | Shape::Name => object! {
                "reduceOptions": reduce,
                "orientation": "auto",
                "colorMode": if self.thresholds.is_some() { "background" } else { "value" },
                "graphMode": "none",
                "justifyMode": "auto",
                "textMode": if matches!(self.shape, Shape::Name) { "name" } else { "value" },
                "percentChangeColorMode": "standard",
                "showPercentChange": false,
                "wideLayout": true,
            },
            Shape::Heat => object! {
                // Both shapes of histograms are buckets already.
                "calculate": false,
                "cellGap": 1,
                "color": object! { "mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "exponent": 0.5, "reverse": false, "steps": 64, "scale": "exponential" },
                "exemplars": object! { "color": "rgba(255,0,255,0.7)" },
                "filterValues": object! { "le": 1e-9 },
                "legend": object! { "show": true },
                "rowsFrame": object! { "layout": "auto" },
                "showValue": "never",
                "tooltip": object! { "mode": "single", "yHistogram": true, "showColorScale": true },
                "yAxis": object! { "axisPlacement": "left", "unit": Unit::Seconds.id() },
            },
            Shape::States => object! {
                "mergeValues": true,
                "showValue": "auto",
                "alignValue": "left",
                "rowHeight": 0.8,
                "legend": object! { "displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": Json::List(Vec::new()) },
                "tooltip": object! { "mode": "single", "sort": "none" },
            },
            Shape::Table(table) => object! {
                "showHeader": true,
                "cellHeight": "sm",
                "frameIndex": 0,
                "sortBy": list![object! { "displayName": table.columns[0].title, "desc": true }],
            },
        }
    }

    fn overrides(&self) -> Vec<Json> {
        let Shape::Table(table) = &self.shape else { return Vec::new() };
        let columns = table.columns.iter().map(|column| {
            let mut properties = vec![property("unit", column.unit.id())];
            if let Some(bounds) = column.thresholds {
                properties.push(property("thresholds", thresholds(Some(bounds))));
                properties.push(property(
                    "custom.cellOptions",
                    object! { "type": "color-background", "mode": "basic" },
                ));
            }
            by_name(column.title, properties)
        });
        let link = table.link.iter().flat_map(|(title, address)| {
            table.labels.iter().map(move |(_, shown)| {
                let link = object! { "title": *title, "url": address.as_str() };
                by_name(shown, vec![property("links", list![link])])
            })
        });
        columns.chain(link).collect()
    }
}

impl Table {
    /// One row for what has the same labels, and its columns named.
    fn transformations(&self) -> Json {
        let values: Vec<String> = match self.columns.as_slice() {
            [_] => vec!["Value".to_owned()],
            columns => columns.iter().zip('A'..).map(|(_, letter)| format!("Value #{letter}")).collect(),
        };
        let shown = self.labels.iter().map(|(label, title)| ((*label).to_owned(), *title));
        let shown = shown.chain(values.into_iter().zip(self.columns.iter().map(|column| column.title)));
        let shown: Vec<(String, &str)> = shown.collect();
        let indexes = shown.iter().zip(0..).map(|((name, _), index)| (leaked(name), Json::from(index)));
        let titles = shown.iter().map(|(name, title)| (leaked(name), Json::from(*title)));
        list![
            object! { "id": "merge", "options": object! {} },
            object! {
                "id": "organize",
                "options": object! {
                    "excludeByName": object! { "Time": true },
                    "indexByName": Json::Object(indexes.collect()),
                    "renameByName": Json::Object(titles.collect()),
                },
            },
        ]
    }
}

/// Keys are constants but for these few, of a program that ends at once.
fn leaked(name: &str) -> &'static str {
    String::leak(name.to_owned())
}

fn property(id: &'static str, value: impl Into<Json>) -> Json {
    let value: Json = value.into();
    object! { "id": id, "value": value }
}

fn by_name(name: &str, properties: Vec<Json>) -> Json {
    object! { "matcher": object! { "id": "byName", "options": name }, "properties": Json::List(properties) }
}

fn thresholds(bounds: Option<(f64, f64)>) -> Json {
    let mut steps = vec![object! { "color": "green", "value": Json::Null }];
    if let Some((yellow, red)) = bounds {
        steps.push(object! { "color": "yellow", "value": yellow });
        steps.push(object! { "color": "red", "value": red });
    }
    object! { "mode": "absolute", "steps": Json::List(steps) }
}
