//! The dashboards and rules of the repository, as whoever imports them gets them: read from the files, with no help of what made them.

use std::fs;
use std::path::{Path, PathBuf};

use model::catalogue::{Kind, Metric};
use promql_parser::label::Matcher;
use promql_parser::parser::{self, Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector};
use serde_json::Value;

use crate::fixture;

/// A dashboard.
#[derive(Debug)]
pub struct Dashboard {
    /// Its file's name.
    pub file: String,
    /// What stands in it.
    pub json: Value,
}

/// A question that a panel asks.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The dashboard's title.
    pub dashboard: &'a str,
    /// The panel's title.
    pub panel: &'a str,
    /// Its letter.
    pub letter: &'a str,
    /// What is asked, with variables.
    pub expression: &'a str,
    /// What its series are called, with their labels in double braces.
    pub legend: &'a str,
}

/// A rule of the committed rules.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The recorded series, or the alert.
    pub name: String,
    /// What is asked.
    pub expression: String,
    /// All of it.
    pub json: Value,
}

/// A file or folder below `dashboards/`.
pub fn path(name: &str) -> PathBuf {
    root().join("dashboards").join(name)
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository")
}

/// A configuration of the agent by which it measures, of the programs on libuv, those of the fixtures alone: what else runs on this machine makes
/// scrapes no longer.
pub fn configuration(budget: &str) -> String {
    let fixtures = fixture::path("node");
    format!(
        "tier = 'all'\nbudget = '{budget}'\n[[rule]]\ncommand = '*{}/*'\n[[rule]]\ninclude = false\n",
        fixtures.display()
    )
}

/// Every dashboard, by file name.
///
/// # Panics
/// If there is none, or one is no JSON.
pub fn all() -> Vec<Dashboard> {
    let entries = fs::read_dir(path("grafana")).expect("there are dashboards");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.sort();
    let read = |file: PathBuf| Dashboard {
        json: serde_json::from_slice(&fs::read(&file).expect("it can be read")).expect("a dashboard is JSON"),
        file: file.file_name().expect("it has a name").to_string_lossy().into_owned(),
    };
    let all: Vec<_> = files.into_iter().map(read).collect();
    assert!(!all.is_empty(), "there is no dashboard");
    all
}

/// Every rule, in their order.
///
/// # Panics
/// If the file is not as Prometheus wants it.
pub fn rules() -> Vec<Rule> {
    let text = fs::read_to_string(path("prometheus/rules.yml")).expect("there are rules");
    let all: Value = serde_saphyr::from_str(&text).expect("rules are YAML");
    let groups = list(&all["groups"]).iter().flat_map(|group| list(&group["rules"]));
    let rule = |json: &Value| Rule {
        name: [&json["record"], &json["alert"]]
            .into_iter()
            .find_map(Value::as_str)
            .expect("a name")
            .to_owned(),
        expression: text_of(&json["expr"]).to_owned(),
        json: json.clone(),
    };
    groups.map(rule).collect()
}

impl Dashboard {
    /// Its title.
    pub fn title(&self) -> &str {
        text_of(&self.json["title"])
    }

    /// Its panels without the rows, those of collapsed rows included.
    pub fn panels(&self) -> Vec<&Value> {
        let panels = list(&self.json["panels"]).iter();
        panels
            .flat_map(|panel| {
                if panel["type"] == "row" { list(&panel["panels"]).iter().collect() } else { vec![panel] }
            })
            .collect()
    }

    /// Its variables.
    pub fn variables(&self) -> &[Value] {
        list(&self.json["templating"]["list"])
    }

    /// Everything that its panels ask.
    pub fn questions(&self) -> Vec<Question<'_>> {
        let asked = self
            .panels()
            .into_iter()
            .flat_map(|panel| list(&panel["targets"]).iter().map(move |it| (panel, it)));
        asked
            .map(|(panel, target)| Question {
                dashboard: self.title(),
                panel: text_of(&panel["title"]),
                letter: text_of(&target["refId"]),
                expression: text_of(&target["expr"]),
                legend: text_of(&target["legendFormat"]),
            })
            .collect()
    }
}

/// An expression as Grafana sends it: each variable replaced by its choice, or by all values, and `$__rate_interval` by a time.
pub fn substituted(expression: &str, rate_interval: &str, choices: &[(&str, &str)]) -> String {
    let mut text = expression.replace("$__rate_interval", rate_interval);
    for (variable, choice) in choices {
        text = text.replace(&format!("\"${variable}\""), &format!("\"{choice}\""));
    }
    for variable in ["job", "instance", "service", "pid", "loop", "runtime"] {
        text = text.replace(&format!("\"${variable}\""), "\".+\"");
    }
    assert!(!text.contains('$'), "a variable that is not known in {text}");
    text
}

/// A selector of series in an expression, and what it stands in.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The name.
    pub name: String,
    /// What labels must be.
    pub matchers: Vec<Matcher>,
    /// The time in brackets behind it, in seconds.
    pub range_seconds: Option<f64>,
    /// The function that it is given to, from the inside: nothing where something else stands between.
    pub function: Option<String>,
}

/// Every selector in an expression.
///
/// # Panics
/// If it cannot be parsed.
#[track_caller]
pub fn selectors(expression: &str) -> Vec<Selector> {
    let parsed = parser::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut found = Vec::new();
    collect(&parsed, None, &mut found);
    found
}

fn collect(expression: &Expr, function: Option<&str>, found: &mut Vec<Selector>) {
    let mut add = |selector: &VectorSelector, range_seconds| {
        found.push(Selector {
            name: selector.name.clone().unwrap_or_default(),
            matchers: selector.matchers.matchers.clone(),
            range_seconds,
            function: function.map(str::to_owned),
        });
    };
    match expression {
        Expr::VectorSelector(selector) => add(selector, None),
        Expr::MatrixSelector(MatrixSelector { vs, range }) => add(vs, Some(range.as_secs_f64())),
        Expr::Call(Call { func, args }) => {
            for argument in &args.args {
                collect(argument, Some(func.name), found);
            }
        }
        Expr::Aggregate(aggregate) => {
            collect(&aggregate.expr, None, found);
            if let Some(parameter) = &aggregate.param {
                collect(parameter, None, found);
            }
        }
        Expr::Binary(binary) => {
            collect(&binary.lhs, None, found);
            collect(&binary.rhs, None, found);
        }
        Expr::Paren(paren) => collect(&paren.expr, function, found),
        Expr::Unary(unary) => collect(&unary.expr, None, found),
        Expr::Subquery(SubqueryExpr { expr, .. }) => collect(expr, None, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        Expr::Extension(_) => unreachable!("we parse PromQL and nothing else"),
    }
}

/// The metric of the catalogue whose series have this name; `None` where there is none.
pub fn metric(series: &str) -> Option<&'static Metric> {
    let of_histogram = |suffix| {
        Metric::by_name(series.strip_suffix(suffix)?).filter(|metric| metric.kind == Kind::Histogram)
    };
    Metric::by_name(series).or_else(|| ["_bucket", "_sum", "_count"].into_iter().find_map(of_histogram))
}

/// The members of a list; none of what is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text.
///
/// # Panics
/// If it is none.
#[track_caller]
pub fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, and not {value}"))
}
