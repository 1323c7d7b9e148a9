//! `push.v1.PushRequest`.

use crate::decode::{DecodeError, Limits, Message};

/// Profiles of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushedSeries<'a> {
    /// The labels: with `__name__`, the kind of profile.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Profiles as pprof, compressed or not.
    pub profiles: Vec<&'a [u8]>,
}

/// Reads what was pushed.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn push<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<PushedSeries<'a>>, DecodeError> {
    let mut request = Message::new("a push request", bytes);
    let mut all = Vec::new();
    let mut profiles = 0;
    while let Some((number, field)) = request.next()? {
        if number != 1 {
            continue;
        }
        let mut message = request.message("a series", field)?;
        let mut series = PushedSeries::default();
        while let Some((number, field)) = message.next()? {
            match number {
                1 => {
                    series.labels.push(label(message.message("a label", field)?)?);
                    limits.check("labels of a series", series.labels.len(), limits.labels * 2)?;
                }
                2 => {
                    let mut sample = message.message("a profile of a series", field)?;
                    while let Some((number, field)) = sample.next()? {
                        if number == 1 {
                            series.profiles.push(sample.bytes(field)?);
                            profiles += 1;
                            limits.check("profiles of a request", profiles, limits.strings)?;
                        }
                    }
                }
                _ => {}
            }
        }
        all.push(series);
        limits.check("series of a request", all.len(), limits.label_sets)?;
    }
    Ok(all)
}

fn label(mut message: Message<'_>) -> Result<(&str, &str), DecodeError> {
    let mut label = ("", "");
    while let Some((number, field)) = message.next()? {
        match number {
            1 => label.0 = message.text(field)?,
            2 => label.1 = message.text(field)?,
            _ => {}
        }
    }
    Ok(label)
}
