//! `loopscope upload`: sends profiles that lie in files to a collector, or to a Pyroscope.
//!
//! Each file is one request of Pyroscope's `/ingest`, which both take. What it is told by its content, not by its name.

mod connection;
mod receiver;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use formats::decode::Format;

use crate::console;
use crate::error::Error;
use receiver::{Receiver, ReceiverOptions};

const EXAMPLES: &str = "\
Examples:
  loopscope upload cpu.pprof --to http://127.0.0.1:4040 --service shop
  loopscope upload before.folded --to http://collector:4040 --service shop --label version=1.2 --frequency 999
  loopscope upload cpu.pprof --to https://collector:4040 --certificate authority.crt --user shop --password-file password --service shop

The formats that are read: pprof, folded stacks, and Firefox Profiler's (samply's, perf's by way of it).";

/// Send profiles from files to a collector
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UploadOptions {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    receiver: ReceiverOptions,
    /// The service that was profiled
    #[arg(long, value_name = "NAME", value_parser = service)]
    service: String,
    /// A label of all of it, such as version=1.2; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Of folded stacks: samples for each second of CPU time [default: 100]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..))]
    frequency: Option<u32>,
}

/// Sends all files, the first that is refused ends it.
pub(crate) fn run(options: &UploadOptions) -> Result<(), Error> {
    let receiver = Receiver::new(&options.receiver)?;
    for path in &options.files {
        let failed = |message: String| Error::Upload { path: path.clone(), message };
        let content = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let format = Format::detect(&content);
        let format = format.ok_or_else(|| {
            failed("is no profile that is read here: pprof, folded stacks or Firefox Profiler's".to_owned())
        })?;
        let target = target(options, path, format);
        let sent = connection::post(&receiver, &target, content);
        sent.map_err(|why| failed(format!("{} did not take it: {why}", receiver.authority())))?;
        console::line(format_args!("{}: sent as a profile of {}", path.display(), options.service));
    }
    Ok(())
}

/// The path of a request with what is said of the file.
fn target(options: &UploadOptions, path: &Path, format: Format) -> String {
    let labels: Vec<String> = options.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let name = format!("{}{{{}}}", options.service, labels.join(","));
    let (format, told) = match format {
        Format::Pprof => ("pprof", false),
        Format::Folded => ("folded", false),
        Format::Firefox => ("firefox", true),
    };
    let mut target = format!(
        "{}/ingest?name={}&format={format}&spyName=loopscope",
        options.receiver.to.path().trim_end_matches('/'),
        encoded(&name)
    );
    if let Some(frequency) = options.frequency {
        target.push_str(&format!("&sampleRate={frequency}"));
    }
    // What does not tell when it began is as old as its file.
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    if let (Some(since), false) = (since, told) {
        target.push_str(&format!("&from={}", since.as_secs()));
    }
    target
}

/// Percent-encoded, as within a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn service(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['{', '}', ',']) {
        return Err("a service's name is not empty and has no braces or commas".to_owned());
    }
    Ok(text.to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a label is NAME=VALUE")?;
    if name.is_empty() || [name, value].iter().any(|part| part.contains(['{', '}', ',', '='])) {
        return Err("a label's name and value have no braces, commas or equals signs".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_name_is_refused() {
        assert!(service("shop-1").is_ok() && service("").is_err() && service("a{b").is_err());
        assert!(
            label("a=b").is_ok() && label("a").is_err() && label("a=b,c=d").is_err() && label("=b").is_err()
        );
        assert_eq!(encoded("a{b=ü}"), "a%7Bb%3D%C3%BC%7D");
    }
}
