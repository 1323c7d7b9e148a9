//! The collector's configuration: what the command line says, then the file, then what is usual.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use formats::decode::Limits;
use serde::{Deserialize, Deserializer};
use serve::suggestion::with_suggestion;

use crate::cli::Cli;
use crate::error::Error;
use crate::store::embedded::Options;

/// Pyroscope's port: its SDKs, and Grafana's data source, know it. Loopback only, because there are no passwords unless somebody asks for them.
const LISTEN: &str = "127.0.0.1:4040";
const DATA: &str = "loopscope-data";

/// How the collector behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it serves.
    pub listen: SocketAddr,
    /// Who may send and ask, and over what; everybody and in the clear where there is none.
    pub web_config: Option<PathBuf>,
    /// Whether it ends when its standard input does.
    pub until_input_ends: bool,
    /// Whether it removes its data at the end.
    pub remove_data: bool,
    /// How it stores.
    pub store: Options,
    /// What it accepts.
    pub limits: Limits,
    /// The body of a request, as it is sent.
    pub body_bytes_max: usize,
    /// Bodies of requests that are held at the same time.
    pub bodies_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_time_max: Duration,
}

/// The file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    web_config: Option<PathBuf>,
    bucket: Option<String>,
    #[serde(deserialize_with = "parsed_duration")]
    retention: Option<Duration>,
    #[serde(deserialize_with = "parsed_size")]
    max_disk: Option<u64>,
    limits: FileLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileLimits {
    #[serde(deserialize_with = "parsed_size")]
    body: Option<u64>,
    #[serde(deserialize_with = "parsed_duration")]
    body_time: Option<Duration>,
    #[serde(deserialize_with = "parsed_size")]
    profile: Option<u64>,
    #[serde(deserialize_with = "parsed_size")]
    memory: Option<u64>,
    samples: Option<usize>,
    depth: Option<usize>,
    strings: Option<usize>,
    series: Option<usize>,
    #[serde(deserialize_with = "parsed_duration")]
    future: Option<Duration>,
}

impl Settings {
    /// What is asked for.
    ///
    /// # Errors
    /// [`Error::Config`] with what is wrong in the file.
    pub fn new(options: &Cli) -> Result<Self, Error> {
        let file = match &options.config {
            None => File::default(),
            Some(path) => read(path)?,
        };
        let folder = options.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        // Named in the file, it lies beside the file, wherever the program was started.
        let data = options.data.clone().or(file.data.map(|data| folder.join(data)));
        let mut store = Options::new(data.unwrap_or_else(|| DATA.into()));
        store.retention = options.retention.or(file.retention).unwrap_or(store.retention);
        store.bucket = options.bucket.clone().or(file.bucket);
        store.disk_bytes_max = options.max_disk.or(file.max_disk);
        store.series_max = file.limits.series.unwrap_or(store.series_max);
        store.future_max = file.limits.future.unwrap_or(store.future_max);
        let number =
            |size: Option<u64>, usual| size.map_or(usual, |size| usize::try_from(size).unwrap_or(usize::MAX));
        store.head_bytes_max = number(file.limits.memory, store.head_bytes_max);
        let usual = Limits::default();
        let limits = Limits {
            profile_bytes: number(file.limits.profile, usual.profile_bytes),
            samples: file.limits.samples.unwrap_or(usual.samples),
            depth: file.limits.depth.unwrap_or(usual.depth),
            strings: file.limits.strings.unwrap_or(usual.strings),
            ..usual
        };
        let body_bytes_max = number(file.limits.body, 16 << 20);
        Ok(Self {
            listen: options.listen.or(file.listen).unwrap_or_else(|| LISTEN.parse().expect("an address")),
            web_config: options.web_config.clone().or(file.web_config.map(|path| folder.join(path))),
            until_input_ends: options.until_input_ends,
            remove_data: options.remove_data,
            store,
            limits,
            body_bytes_max,
            bodies_bytes_max: body_bytes_max.max(64 << 20),
            body_time_max: file.limits.body_time.unwrap_or(Duration::from_secs(30)),
        })
    }
}

fn read(path: &Path) -> Result<File, Error> {
    let error = |message| Error::Config { path: path.to_owned(), message };
    let text = std::fs::read_to_string(path).map_err(|source| error(source.to_string()))?;
    toml::from_str(&text).map_err(|wrong| error(with_suggestion(&wrong.to_string())))
}

/// A duration as it is written, such as `30d` or `12h`.
///
/// # Errors
/// What may be written.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("a duration is longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; give a duration such as 12h or 30d")),
    }
}

/// A size in bytes as it is written: `512MiB`, `20GB`, `1000`.
///
/// # Errors
/// What may be written.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; give one such as 512MiB or 20GB");
    let text = text.trim();
    let (number, unit) =
        text.split_at(text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len()));
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        "t" | "tb" => 1_000_000_000_000,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor as f64;
    if bytes >= 1.0 && bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(wrong()) }
}

fn parsed_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration(&text).map(Some).map_err(serde::de::Error::custom)
}

fn parsed_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    size(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit() {
        for (text, bytes) in [("1000", 1000), ("1.5KiB", 1536), ("20GB", 20_000_000_000), ("2 tib", 2 << 40)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1", "0", "1PB", "1e400GB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_mistyped_is_an_error_with_a_suggestion() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("collector.toml");
        std::fs::write(&path, "retntion = '7d'\n").unwrap();
        let error = Settings::new(&Cli { config: Some(path), ..Cli::default() }).unwrap_err().to_string();
        assert!(error.contains("did you mean `retention`?"), "{error}");
    }

    #[test]
    fn the_packaged_file_has_every_key_and_says_what_is_usual() {
        let text = include_str!("../../packaging/collector.toml");
        let usual = Settings::new(&Cli::default()).unwrap();
        let of = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("collector.toml");
            std::fs::write(&path, text).unwrap();
            (Settings::new(&Cli { config: Some(path), ..Cli::default() }), folder)
        };
        assert_eq!(format!("{:?}", of(text).0.unwrap()), format!("{usual:?}"), "nothing is set");
        // Comments have a space behind their sign, keys have not.
        let keys =
            text.lines().filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')));
        let keys: Vec<_> = keys.filter(|line| !line.is_empty()).collect();
        let (settings, folder) = of(&keys.join("\n"));
        let settings = settings.unwrap();
        assert_eq!(settings.web_config, Some(folder.path().join("web-config.yml")));
        assert_eq!(
            (settings.store.disk_bytes_max, settings.store.folder.clone()),
            (Some(20 << 30), folder.path().join(DATA))
        );
        let examples = |mut settings: Settings| {
            settings.store.bucket = None;
            (settings.web_config, settings.store.disk_bytes_max, settings.store.folder) =
                (None, None, DATA.into());
            format!("{settings:?}")
        };
        assert_eq!(examples(settings), examples(usual), "what is no example is what is usual");
        // Whoever adds a key gives an example: a mistyped one lists all that there are.
        for wrong in ["nothing = 1", "[limits]\nnothing = 1"] {
            let error = of(wrong).0.unwrap_err().to_string();
            let known: Vec<_> = error.split('`').skip(3).step_by(2).collect();
            for key in &known {
                let is_there = keys
                    .iter()
                    .any(|line| line.starts_with(&format!("{key} =")) || *line == format!("[{key}]"));
                assert!(is_there, "{key} is not in packaging/collector.toml");
            }
            assert!(known.len() > 4, "{error}");
        }
    }

    #[test]
    fn options_come_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("collector.toml");
        std::fs::write(&path, "retention = '7d'\ndata = 'profiles'\n[limits]\ndepth = 9\n").unwrap();
        let cli = Cli { config: Some(path), retention: Some(Duration::from_secs(60)), ..Cli::default() };
        let settings = Settings::new(&cli).unwrap();
        assert_eq!(settings.store.retention, Duration::from_secs(60));
        assert_eq!(settings.store.folder, folder.path().join("profiles"));
        assert_eq!(settings.limits.depth, 9);
    }
}
