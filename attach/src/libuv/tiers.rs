//! How deep a process is measured: a set of tiers.

use std::fmt;
use std::str::FromStr;

use model::label::{LabelValue, Tier};

/// A set of tiers, written as a list such as `observe,loop`, or `all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tiers(u8);

impl Tiers {
    /// No tier.
    pub const NONE: Self = Self(0);
    /// Every tier.
    pub const ALL: Self = Self((1 << Tier::ALL.len()) - 1);

    /// One tier.
    pub const fn only(tier: Tier) -> Self {
        Self(1 << tier as u8)
    }

    /// These tiers and one more.
    #[must_use]
    pub const fn with(self, tier: Tier) -> Self {
        Self(self.0 | 1 << tier as u8)
    }

    /// These tiers without one.
    #[must_use]
    pub const fn without(self, tier: Tier) -> Self {
        Self(self.0 & !(1 << tier as u8))
    }

    /// Whether a tier is in the set.
    pub const fn has(self, tier: Tier) -> bool {
        self.0 & (1 << tier as u8) != 0
    }

    /// Whether no tier is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The tiers that need probes.
    #[must_use]
    pub const fn probes(self) -> Self {
        self.without(Tier::Observe)
    }

    /// These tiers with those that they bring with them: phases are told within iterations.
    #[must_use]
    pub const fn with_needed(self) -> Self {
        if self.has(Tier::Phases) { self.with(Tier::Loop) } else { self }
    }

    /// The tiers of the set, the cheapest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Tier> {
        Tier::ALL.iter().copied().filter(move |&tier| self.has(tier))
    }
}

impl fmt::Display for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (position, tier) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{tier}")?;
        }
        Ok(())
    }
}

impl FromStr for Tiers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut tiers = Self::NONE;
        for name in text.split(',').map(str::trim) {
            match Tier::ALL.iter().find(|tier| tier.as_str() == name) {
                Some(&tier) => tiers = tiers.with(tier),
                None if name == "all" => tiers = Self::ALL,
                None => {
                    let known: Vec<&str> = Tier::ALL.iter().map(|tier| tier.as_str()).collect();
                    return Err(format!("{name:?} is no tier; give a list of {}, or all", known.join(", ")));
                }
            }
        }
        Ok(tiers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written() {
        for text in ["observe", "observe,loop", "observe,loop,phases,pool"] {
            assert_eq!(text.parse::<Tiers>().unwrap().to_string(), text);
        }
        assert_eq!("all".parse(), Ok(Tiers::ALL));
        assert_eq!(" pool , loop ".parse::<Tiers>().unwrap().to_string(), "loop,pool");
    }

    #[test]
    fn what_is_no_tier_is_refused_with_those_that_are() {
        let error = "observe,everything".parse::<Tiers>().unwrap_err();
        assert!(error.contains("everything") && error.contains("phases"), "{error}");
        assert!("".parse::<Tiers>().is_err());
    }
}
