//! Telling a configuration back, as it was understood.

use std::fmt;

use super::Settings;
use super::rules::Written;
use crate::agent::Names;

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self.names {
            Names::Loopscope => "loopscope",
            Names::PromClient => "prom-client",
            Names::Both => "loopscope, prom-client",
        };
        writeln!(f, "listen   {}", self.listen)?;
        writeln!(f, "tier     {}", self.rules.tiers())?;
        writeln!(f, "budget   {}% of a core for each process", rounded(100.0 * self.budget))?;
        writeln!(f, "slow     {}", humantime::format_duration(self.slow))?;
        writeln!(f, "names    {names}")?;
        if let Some(export) = &self.export {
            writeln!(f, "otlp     {export}")?;
        }
        if let Some(traces) = &self.traces {
            writeln!(f, "traces   {traces}")?;
        }
        if let Some(profiling) = &self.profiling {
            writeln!(f, "profile  {profiling}")?;
        }
        for (number, rule) in self.rules.iter().enumerate() {
            writeln!(f, "{:<9}{rule}", format!("rule {}", number + 1))?;
        }
        Ok(())
    }
}

/// A percentage without the noise of its multiplication.
fn rounded(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = [
            ("name", &self.name),
            ("service", &self.service),
            ("command", &self.command),
            ("cgroup", &self.cgroup),
            ("container", &self.container),
        ];
        let patterns = patterns.iter().filter_map(|(of, it)| it.as_ref().map(|it| format!("{of} '{it}'")));
        let user = self.user.as_ref().map(|user| format!("user {user}"));
        let conditions: Vec<_> = patterns.chain(user).collect();
        f.write_str(if conditions.is_empty() { "every process" } else { "" })?;
        write!(f, "{}: ", conditions.join(" and "))?;
        if !self.include {
            return f.write_str("left out");
        }
        f.write_str("measured")?;
        if let Some(tiers) = self.tier {
            write!(f, ", tier {tiers}")?;
        }
        match self.profile {
            Some(true) => f.write_str(", profiled")?,
            Some(false) => f.write_str(", not profiled")?,
            None => {}
        }
        if let Some(service) = &self.rename {
            write!(f, ", as service '{service}'")?;
        }
        Ok(())
    }
}
