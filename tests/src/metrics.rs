//! A scrape in text form, to ask for values.

/// A scrape.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Takes the text of a scrape.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The sum of the values of all series of this name that have these labels; `None` where there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (own, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            let has = |label: &String| own.split(',').any(|pair| pair == label);
            wanted.iter().all(has).then(|| value.parse::<f64>().expect("a number"))
        });
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// How much the value has grown since an earlier scrape; what was not there before counts as zero.
    pub fn growth(&self, before: &Self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.value(name, labels).unwrap_or(0.0) - before.value(name, labels).unwrap_or(0.0)
    }
}
