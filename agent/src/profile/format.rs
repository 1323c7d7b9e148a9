//! The formats that a profile can be written in, and how a file's name tells one.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use clap::ValueEnum;
use formats::{firefox, flamegraph, folded, pprof, speedscope};
use model::profile::Profile;

/// A format of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// An interactive flamegraph, for any browser
    Svg,
    /// One line a stack, for scripts
    Folded,
    /// For `go tool pprof` and profile stores (gzip-compressed protobuf)
    Pprof,
    /// For <https://profiler.firefox.com>, with a time line
    Firefox,
    /// For <https://speedscope.app>
    Speedscope,
}

/// What a file's name ends in, for each format; the first is the one that is used where no name is given. Longer ones
/// stand before those that they end in.
const ENDINGS: [(&str, Format); 9] = [
    (".svg", Format::Svg),
    (".folded", Format::Folded),
    (".collapsed", Format::Folded),
    (".pprof", Format::Pprof),
    (".pb.gz", Format::Pprof),
    (".pb", Format::Pprof),
    (".speedscope.json", Format::Speedscope),
    (".firefox.json", Format::Firefox),
    (".json", Format::Firefox),
];

impl Format {
    /// The format that a file's name tells.
    pub(super) fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or(OsStr::new("")).to_string_lossy().to_ascii_lowercase();
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
    }

    /// The name of the file where the user gives none.
    pub(super) fn default_file(self) -> String {
        let ending = ENDINGS.iter().find(|(_, format)| *format == self).map_or("", |(ending, _)| ending);
        format!("loopscope{ending}")
    }

    /// Writes a profile in this format.
    pub(super) fn encode(self, profile: &Profile, out: &mut impl io::Write) -> io::Result<()> {
        match self {
            Self::Svg => flamegraph::encode(profile, &flamegraph::Options::default(), out),
            Self::Folded => folded::encode(profile, out),
            Self::Pprof => pprof::encode(profile, out),
            Self::Firefox => firefox::encode(profile, out),
            Self::Speedscope => speedscope::encode(profile, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_its_format() {
        for (name, format) in [
            ("a.svg", Format::Svg),
            ("dir.svg/A.SVG", Format::Svg),
            ("x.folded", Format::Folded),
            ("app.pb.gz", Format::Pprof),
            ("app.speedscope.json", Format::Speedscope),
            ("app.json", Format::Firefox),
        ] {
            assert_eq!(Format::of_file(Path::new(name)), Some(format), "{name}");
        }
        for name in ["", "svg", "a.txt", "a.svg.old", "a.svg/", ".."] {
            let expected = name.ends_with("svg/").then_some(Format::Svg);
            assert_eq!(Format::of_file(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_default_name_tells_its_own_format() {
        for format in Format::value_variants() {
            assert_eq!(Format::of_file(Path::new(&format.default_file())), Some(*format));
        }
    }
}
