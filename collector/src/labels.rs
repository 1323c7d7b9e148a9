//! The labels that tell one series of profiles from another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The label of the profile's type: what was counted, as [`crate::profile_type::ProfileType`] writes it.
pub const PROFILE_TYPE: &str = "__profile_type__";
/// The label of the service.
pub const SERVICE: &str = "service";
/// What Pyroscope calls [`SERVICE`].
pub const SERVICE_NAME: &str = "service_name";

/// Labels, by name; each name once. Cheap to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(own, _)| (**own).cmp(name));
        found.ok().map(|position| &*self.0[position].1)
    }

    /// All labels, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// These labels alone, as far as they exist.
    pub fn only(&self, names: &[String]) -> Self {
        self.iter().filter(|(name, _)| names.iter().any(|wanted| wanted == name)).collect()
    }

    /// The profile's type; empty where there is none.
    pub fn profile_type(&self) -> &str {
        self.get(PROFILE_TYPE).unwrap_or("")
    }

    /// How much memory they take, about.
    pub fn size_bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len() + 2 * size_of::<Box<str>>()).sum()
    }
}

impl<N: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(N, V)> for Labels {
    /// Of two labels of one name the later counts; a label without a value is none.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(labels: I) -> Self {
        let by_name: BTreeMap<Box<str>, Box<str>> =
            labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self(by_name.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl fmt::Display for Labels {
    /// As Prometheus writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, (name, value)) in self.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}
