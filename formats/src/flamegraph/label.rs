//! Fits a function's name into a width.
//!
//! Labels are set in a monospaced font, so that a width is a number of cells and nobody has to measure text. When a
//! name does not fit, its outer path goes first (`tokio::runtime::Handle::spawn`, `Handle::spawn`, `spawn`), then its
//! end. `script/label.js` does the same.

use std::borrow::Cow;

/// The width of a cell in CSS pixels: at the font size of `flamegraph.css`, that of the widest monospaced font in
/// common use.
const CELL_WIDTH: f64 = 6.7;
/// Labels of fewer cells say nothing.
const MIN_CELLS: usize = 3;

/// As much of the name as fits into this many CSS pixels; `None` if that is too little to show.
pub(super) fn fit(name: &str, width: f64) -> Option<Cow<'_, str>> {
    let cells = (width / CELL_WIDTH) as usize;
    if cells < MIN_CELLS {
        return None;
    }
    if name.len() <= cells || cells_of(name) <= cells {
        return Some(Cow::Borrowed(name));
    }
    let mut innermost = name;
    for start in path_segments(name) {
        innermost = &name[start..];
        if cells_of(innermost) <= cells {
            return Some(Cow::Borrowed(innermost));
        }
    }
    Some(Cow::Owned(cut(innermost, cells)))
}

/// The first cells of the text, ended by an ellipsis.
fn cut(text: &str, cells: usize) -> String {
    let mut used = 1;
    let fitting = text.chars().take_while(|&c| {
        used += cell_count(c);
        used <= cells
    });
    fitting.chain(['…']).collect()
}

/// Where the inner segments of a path begin: after each `::` that stands in no brackets. A segment in braces
/// (`{closure}`) says nothing alone and stays with the one before it.
fn path_segments(name: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = name.as_bytes();
    let mut depth = 0_usize;
    (0..bytes.len()).filter_map(move |position| {
        match bytes[position] {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' if position > 0 && bytes[position - 1] == b'-' => {}
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let path_ends = depth == 0 && bytes[..=position].ends_with(b"::");
        let says_something = bytes.get(position + 1).is_some_and(|&next| next != b'{' && next != b':');
        (path_ends && says_something).then_some(position + 1)
    })
}

fn cells_of(text: &str) -> usize {
    text.chars().map(cell_count).sum()
}

/// From the Hangul jamo on, most scripts and all emoji are two cells wide.
fn cell_count(c: char) -> usize {
    if c < '\u{1100}' || ('\u{2000}'..'\u{2e80}').contains(&c) { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit_cells(name: &str, cells: usize) -> Option<String> {
        fit(name, (cells as f64 + 0.5) * CELL_WIDTH).map(Cow::into_owned)
    }

    #[test]
    fn a_path_loses_its_outer_segments_first() {
        let name = "tokio::runtime::Handle<T, S<a::b>>::spawn";
        assert_eq!(fit_cells(name, 41).unwrap(), name);
        assert_eq!(fit_cells(name, 40).unwrap(), "runtime::Handle<T, S<a::b>>::spawn");
        assert_eq!(fit_cells(name, 20).unwrap(), "spawn");
        assert_eq!(fit_cells(name, 4).unwrap(), "spa…");
        assert_eq!(fit_cells(name, 2), None);
    }

    #[test]
    fn implementations_operators_and_closures_keep_their_meaning() {
        assert_eq!(fit_cells("<a::B as c::D<fn() -> e::F>>::call", 10).unwrap(), "call");
        assert_eq!(
            fit_cells("app::serve::{{closure}}::{{closure}}", 30).unwrap(),
            "serve::{{closure}}::{{closure}}".chars().take(29).chain(['…']).collect::<String>()
        );
        assert_eq!(fit_cells("std::operator<< <char>::x", 12).unwrap(), "operator<< …");
        assert_eq!(fit_cells("LazyCompile:*route /app/server.js:3", 12).unwrap(), "LazyCompile…");
    }

    #[test]
    fn wide_characters_take_two_cells() {
        assert_eq!(fit_cells("名前空間", 8).unwrap(), "名前空間");
        assert_eq!(fit_cells("名前空間", 7).unwrap(), "名前空…");
        assert_eq!(fit_cells("名前空間", 6).unwrap(), "名前…");
    }
}
