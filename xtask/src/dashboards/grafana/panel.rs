//! A panel: a question or some, and how its answer is drawn.

mod drawing;

use model::label::{LabelValue, Tier};

/// One panel.
#[derive(Debug)]
pub(in crate::dashboards) struct Panel {
    pub(in crate::dashboards) title: &'static str,
    pub(in crate::dashboards) description: String,
    pub(in crate::dashboards) unit: Unit,
    pub(in crate::dashboards) width: u32,
    shape: Shape,
    queries: Vec<Query>,
    /// From which value on it is yellow, and red.
    thresholds: Option<(f64, f64)>,
    /// Said where there is nothing to show.
    absent: Option<String>,
}

/// How a value is written. Grafana's own names.
#[derive(Clone, Copy, Debug)]
pub(in crate::dashboards) enum Unit {
    Seconds,
    Bytes,
    BytesPerSecond,
    /// One is all.
    Share,
    Count,
    PerSecond,
    PerMinute,
}

/// A question, and what its series are called.
#[derive(Debug)]
pub(in crate::dashboards) struct Query {
    pub(in crate::dashboards) expression: String,
    pub(in crate::dashboards) legend: &'static str,
}

/// A column of a table, of a query or of a label.
#[derive(Debug)]
pub(in crate::dashboards) struct Column {
    pub(in crate::dashboards) title: &'static str,
    pub(in crate::dashboards) unit: Unit,
    pub(in crate::dashboards) expression: String,
    pub(in crate::dashboards) thresholds: Option<(f64, f64)>,
}

#[derive(Debug)]
enum Shape {
    Lines,
    /// Areas on each other, up to this.
    Stacked(Option<f64>),
    Stat,
    /// A number with a state beside it, such as a version.
    Name,
    Heat,
    States,
    Table(Table),
}

#[derive(Debug)]
struct Table {
    labels: Vec<(&'static str, &'static str)>,
    columns: Vec<Column>,
    link: Option<(&'static str, String)>,
}

/// Builds queries: `q(expression, legend)`.
pub(in crate::dashboards) fn q(expression: impl Into<String>, legend: &'static str) -> Query {
    Query { expression: expression.into(), legend }
}

impl Panel {
    fn new(title: &'static str, unit: Unit, shape: Shape, queries: Vec<Query>) -> Self {
        Self {
            title,
            description: String::new(),
            unit,
            width: 12,
            shape,
            queries,
            thresholds: None,
            absent: None,
        }
    }

    /// Lines over time.
    pub(in crate::dashboards) fn lines(title: &'static str, unit: Unit, queries: Vec<Query>) -> Self {
        Self::new(title, unit, Shape::Lines, queries)
    }

    /// Areas on each other; `whole` is what they add up to, if that is known.
    pub(in crate::dashboards) fn stacked(
        title: &'static str,
        unit: Unit,
        whole: Option<f64>,
        queries: Vec<Query>,
    ) -> Self {
        Self::new(title, unit, Shape::Stacked(whole), queries)
    }

    /// One number.
    pub(in crate::dashboards) fn stat(title: &'static str, unit: Unit, query: Query) -> Self {
        Self::new(title, unit, Shape::Stat, vec![query]).width(4)
    }

    /// A name: the legend is shown, and not the value.
    pub(in crate::dashboards) fn name(title: &'static str, query: Query) -> Self {
        Self::new(title, Unit::Count, Shape::Name, vec![query]).width(4)
    }

    /// A distribution over time.
    pub(in crate::dashboards) fn heat(title: &'static str, expression: String) -> Self {
        Self::new(title, Unit::Seconds, Shape::Heat, vec![q(expression, "{{le}}")])
    }

    /// What is on and what is off, over time.
    pub(in crate::dashboards) fn states(title: &'static str, query: Query) -> Self {
        Self::new(title, Unit::Count, Shape::States, vec![query])
    }

    /// A row for each set of labels, the highest of the first column first. Labels: their name, and what stands above.
    pub(in crate::dashboards) fn table(
        title: &'static str,
        labels: Vec<(&'static str, &'static str)>,
        columns: Vec<Column>,
    ) -> Self {
        let letters = columns.iter().map(|column| q(column.expression.clone(), ""));
        let queries = letters.collect();
        Self::new(title, Unit::Count, Shape::Table(Table { labels, columns, link: None }), queries).width(24)
    }

    /// Where a table's rows lead: what it is called, and the address.
    pub(in crate::dashboards) fn link(mut self, title: &'static str, address: String) -> Self {
        if let Shape::Table(table) = &mut self.shape {
            table.link = Some((title, address));
        }
        self
    }

    /// What it means: what moves it, and what it leaves out.
    pub(in crate::dashboards) fn says(mut self, description: &str) -> Self {
        self.description = description.to_owned();
        self
    }

    /// The tier that measures it, of processes that are measured from outside.
    pub(in crate::dashboards) fn needs(mut self, tier: Tier) -> Self {
        let tier = tier.as_str();
        self.description += &format!(
            " Of processes that are measured from outside, it needs the tier `{tier}` (`loopscope agent --tier`); without it there is no data."
        );
        self.absent = Some(format!("needs tier {tier}"));
        self
    }

    /// What is shown where there is nothing.
    pub(in crate::dashboards) fn absent(mut self, text: &str) -> Self {
        self.absent = Some(text.to_owned());
        self
    }

    pub(in crate::dashboards) fn width(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// From which value on it is yellow, and red.
    pub(in crate::dashboards) fn thresholds(mut self, yellow: f64, red: f64) -> Self {
        self.thresholds = Some((yellow, red));
        self
    }
}

impl Unit {
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "binBps",
            Self::Share => "percentunit",
            Self::Count => "short",
            Self::PerSecond => "cps",
            Self::PerMinute => "cpm",
        }
    }
}
