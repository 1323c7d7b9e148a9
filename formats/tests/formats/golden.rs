//! Golden files: what an encoder gave when a person last looked, in `tests/fixtures`.
//!
//! `LOOPSCOPE_BLESS=1 cargo test -p loopscope-formats` writes them anew; read the difference before committing it.

use std::path::Path;

/// Compares with the fixture of this name.
pub(crate) fn expect(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if std::env::var_os("LOOPSCOPE_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; LOOPSCOPE_BLESS=1 writes it", path.display()));
    assert!(expected == actual, "{name} changed:\n{}", difference(&expected, actual));
}

/// The lines between the first and the last that differ.
fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let alike = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let before = alike(&mut expected.iter().zip(&actual));
    let after = alike(&mut expected[before..].iter().rev().zip(actual[before..].iter().rev()));
    let changed = |sign: &str, lines: &[&str]| -> String {
        lines[before..lines.len() - after].iter().map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("line {}:\n{}{}", before + 1, changed("-", &expected), changed("+", &actual))
}
