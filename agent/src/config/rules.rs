//! Rules: the first that fits a process decides whether and how it is measured from outside.

use attach::libuv::tiers::Tiers;
use attach::target::Facts;
use serde::{Deserialize, Deserializer};
use wildmatch::WildMatch;

use super::reference::{About, table};
use super::user::User;

/// The rules, in order.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    tiers: Tiers,
    rules: Vec<Written>,
    /// Whether what no rule tells of is profiled.
    profile: bool,
}

table! {
    /// A rule as it is written. Patterns know `*` and `?`; those that are not given fit every process.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Written {
        /// The file name of the program that is executed (`node`), or the name of its main thread (`comm`, as `ps -o comm` shows it):
        /// it fits if either does, so `node` also fits Node.js 24 and newer, whose main thread is `MainThread`.
        #[serde(default, deserialize_with = "pattern")]
        pub(super) name: Option<WildMatch> => About::without("pattern", "any", "'node'"),
        /// The service's name as it would be told.
        #[serde(default, deserialize_with = "pattern")]
        pub(super) service: Option<WildMatch> => About::without("pattern", "any", "'shop*'").more("[names](attach.md#names)"),
        /// The command line, its words parted by spaces.
        #[serde(default, deserialize_with = "pattern")]
        pub(super) command: Option<WildMatch> => About::without("pattern", "any", "'*/server.js*'"),
        /// The path of a control group, as any of the lines of `/proc/PID/cgroup` has it.
        #[serde(default, deserialize_with = "pattern")]
        pub(super) cgroup: Option<WildMatch> => About::without("pattern", "any", "'*/kubepods*'"),
        /// The container's id of 64 hexadecimal digits; empty where no control group has one.
        #[serde(default, deserialize_with = "pattern")]
        pub(super) container: Option<WildMatch> => About::without("pattern", "any", "'?*'"),
        /// The user that it runs as: the number, or a name of the agent's own `/etc/passwd`.
        pub(super) user: Option<User> => About::without("number or text", "any", "1000"),
        /// Whether the process is measured.
        #[serde(default = "yes")]
        pub(super) include: bool => About::with_default("`true` or `false`", || yes().to_string()),
        /// How deep, instead of what holds for all.
        #[serde(default, deserialize_with = "super::parsed")]
        pub(super) tier: Option<Tiers> => About::without("text", "the key `tier` of the file", "'all'"),
        /// The label `service` that it gets, instead of what the agent would call it.
        pub(super) rename: Option<String> => About::without("text", "none", "'shop'"),
        /// Whether it is profiled all the time, instead of what holds for all; also of a process that publishes telemetry.
        pub(super) profile: Option<bool> => About::without("`true` or `false`", "`enabled` in `[profiling]`", "true")
            .more("[profiling](profiling.md)"),
    }
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<WildMatch>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(WildMatch::new(&text)))
}

const fn yes() -> bool {
    true
}

/// What the rules say of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is left alone.
    Exclude,
    /// It is measured.
    Measure {
        /// How deep.
        tiers: Tiers,
        /// The label `service`, where a rule gives it.
        service: Option<String>,
    },
}

impl Rules {
    /// These rules, with the tiers of what none of them fits.
    pub(crate) fn new(tiers: Tiers, rules: Vec<Written>) -> Self {
        Self { tiers, rules, profile: false }
    }

    /// Whether processes are profiled of which no rule says whether they are.
    pub(super) fn profile_unless_told(&mut self, profile: bool) {
        self.profile = profile;
    }

    /// Whether some process may be profiled all the time.
    pub(super) fn ask_for_profiles(&self) -> bool {
        self.profile || self.rules.iter().any(|rule| rule.profile == Some(true))
    }

    /// Whether all processes are profiled, or none, whatever they are; `None` where it depends on them.
    pub(crate) fn profile_all(&self) -> Option<bool> {
        let is_usual = |rule: &Written| rule.profiles(self.profile) == self.profile;
        self.rules.iter().all(is_usual).then_some(self.profile)
    }

    /// Whether a process is profiled all the time.
    pub(crate) fn profiles(&self, facts: &Facts) -> bool {
        match self.rules.iter().find(|rule| rule.fits(facts)) {
            Some(rule) => rule.profiles(self.profile),
            None => self.profile,
        }
    }

    /// The tiers of what no rule fits.
    pub(super) fn tiers(&self) -> Tiers {
        self.tiers
    }

    /// The rules, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Written> {
        self.rules.iter()
    }

    /// Whether some process may be measured by probes.
    pub(crate) fn ask_for_probes(&self) -> bool {
        let of_rules = self.rules.iter().filter_map(|rule| rule.tier);
        of_rules.chain([self.tiers]).any(|tiers| !tiers.probes().is_empty())
    }

    /// Decides about a process.
    pub(crate) fn decide(&self, facts: &Facts) -> Decision {
        match self.rules.iter().find(|rule| rule.fits(facts)) {
            Some(rule) if !rule.include => Decision::Exclude,
            Some(rule) => {
                Decision::Measure { tiers: rule.tier.unwrap_or(self.tiers), service: rule.rename.clone() }
            }
            None => Decision::Measure { tiers: self.tiers, service: None },
        }
    }
}

impl Written {
    /// Whether what it fits is profiled, where that is usual or not.
    fn profiles(&self, usual: bool) -> bool {
        self.include && self.profile.unwrap_or(usual)
    }

    fn fits(&self, facts: &Facts) -> bool {
        let fits =
            |pattern: &Option<WildMatch>, text: &str| pattern.as_ref().is_none_or(|it| it.matches(text));
        // Who writes `node` means the program; the main thread of Node.js 24 is called otherwise.
        (fits(&self.name, &facts.program) || fits(&self.name, &facts.name))
            && fits(&self.service, &facts.service)
            && fits(&self.command, &facts.command)
            && (facts.cgroups.iter().any(|path| fits(&self.cgroup, path)) || self.cgroup.is_none())
            && fits(&self.container, facts.container.as_deref().unwrap_or(""))
            && self.user.as_ref().is_none_or(|user| facts.user == Some(user.number))
    }
}
