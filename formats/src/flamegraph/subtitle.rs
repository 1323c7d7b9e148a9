//! What was recorded, and what is missing from the picture.

use model::label::LabelValue;
use model::profile::{Profile, Weight};

use super::Options;
use super::amount::{Amounts, counted, grouped, share, time};
use super::picture::Picture;

/// One line, and another if anything is missing.
pub(super) fn lines(
    profile: &Profile,
    amounts: &Amounts,
    picture: &Picture<'_>,
    options: &Options,
) -> Vec<String> {
    let told = options.subtitle.clone();
    let mut lines = vec![told.unwrap_or_else(|| recorded(profile, amounts, picture.total()))];
    let missing: Vec<_> =
        [lost(profile, picture.total()), cut_off(profile), left_out(picture, options.min_width)]
            .into_iter()
            .flatten()
            .collect();
    if !missing.is_empty() {
        lines.push(missing.join(" · "));
    }
    lines
}

fn recorded(profile: &Profile, amounts: &Amounts, total: u64) -> String {
    let samples = profile.samples.len() as u64;
    let how_much = match amounts.weight {
        Weight::CpuSamples { period_ns } => {
            let hz = 1e9 / period_ns.max(1) as f64;
            format!("{} at {hz:.0} Hz", counted(total, &amounts.count_name))
        }
        Weight::OffCpuNs => {
            format!("{} off the CPU in {}", amounts.describe(total), counted(samples, "waits"))
        }
        Weight::AllocatedBytes => {
            format!("{} allocated, {}", amounts.describe(total), counted(samples, "samples"))
        }
    };
    let threads = counted(profile.threads.len() as u64, "threads");
    format!("{how_much} · {} · {threads}", time(profile.recording.duration_ns))
}

fn lost(profile: &Profile, total: u64) -> Option<String> {
    let lost = profile.losses.total();
    let taken = match profile.recording.weight {
        Weight::CpuSamples { .. } => total,
        Weight::OffCpuNs | Weight::AllocatedBytes => profile.samples.len() as u64,
    };
    let of_all = share(lost, lost.saturating_add(taken));
    let causes: Vec<_> = (profile.losses.samples.iter().filter(|(_, count)| *count > 0))
        .map(|(cause, count)| format!("{} {}", grouped(*count), cause.as_str().replace('_', " ")))
        .collect();
    (lost > 0).then(|| format!("{} lost ({of_all}: {})", counted(lost, "samples"), causes.join(", ")))
}

fn cut_off(profile: &Profile) -> Option<String> {
    let stacks = profile.losses.truncated_stacks;
    (stacks > 0).then(|| format!("{} without outermost frames", counted(stacks, "stacks")))
}

fn left_out(picture: &Picture<'_>, min_width: f64) -> Option<String> {
    let share = share(picture.left_out_weight, picture.total());
    let frames = grouped(picture.left_out as u64);
    (picture.left_out > 0).then(|| format!("{frames} frames narrower than {min_width} px left out ({share})"))
}
