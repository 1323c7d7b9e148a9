//! Names in perf maps, taken apart.
//!
//! V8 writes `JS:*handle file:///srv/app.js:10:3`: what kind of code it is, a mark for the compiler that made it, the
//! function, file, line and column. The mark stays at the name, as V8's own tools print it: `*` optimized (TurboFan), `+`
//! optimized (Maglev), `^` baseline (Sparkplug), `~` interpreted. Without it, the code that was slow before it was
//! optimized could not be told from the code that is slow now.

use std::borrow::Cow;

/// A name from a perf map.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JitName<'a> {
    pub(super) function: Cow<'a, str>,
    pub(super) file: &'a str,
    /// Zero where unknown.
    pub(super) line: u32,
}

/// The kinds of code that V8 makes from scripts; older versions have the longer ones.
const SCRIPT_KINDS: [&str; 6] = ["JS", "LazyCompile", "Function", "Eval", "Script", "InterpretedFunction"];

/// The kinds of code that V8 makes for itself: their prefix says nothing that the name does not.
const BUILTIN_KINDS: [&str; 2] = ["Builtin", "BytecodeHandler"];

const COMPILER_MARKS: [char; 4] = ['*', '+', '^', '~'];

/// Takes a name apart; a name in no known form is the function's.
pub(super) fn parse(name: &str) -> JitName<'_> {
    let whole = JitName { function: Cow::Borrowed(name), file: "", line: 0 };
    let Some((kind, rest)) = name.split_once(':') else { return whole };
    if BUILTIN_KINDS.contains(&kind) && !rest.is_empty() {
        return JitName { function: Cow::Borrowed(rest), ..whole };
    }
    if !SCRIPT_KINDS.contains(&kind) {
        return whole;
    }
    let marks = rest.len() - rest.trim_start_matches(COMPILER_MARKS).len();
    let (mark, rest) = rest.split_at(marks);
    let (function, place) = rest.split_once(' ').unwrap_or((rest, ""));
    let (file, line) = split_place(place);
    let function = match function {
        // Many functions have no name; the place tells one from another.
        "" if file.is_empty() => Cow::Owned(format!("{mark}(anonymous)")),
        "" => {
            let base = file.rsplit('/').next().unwrap_or(file);
            Cow::Owned(format!("{mark}(anonymous {base}:{line})"))
        }
        _ => Cow::Borrowed(&name[name.len() - rest.len() - marks..][..marks + function.len()]),
    };
    JitName { function, file, line }
}

/// The file and line of `file:///srv/app.js:10:3`.
fn split_place(place: &str) -> (&str, u32) {
    let path = place.strip_prefix("file://").unwrap_or(place);
    let number = |text: &str| text.parse::<u32>().ok();
    let split = path.rsplit_once(':').and_then(|(before, last)| Some((before, number(last)?)));
    match split {
        None => (path, 0),
        Some((before, last)) => match before.rsplit_once(':') {
            Some((file, line)) if number(line).is_some() => (file, number(line).unwrap_or(0)),
            _ => (before, last),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(name: &str, function: &str, file: &str, line: u32) {
        assert_eq!(parse(name), JitName { function: function.into(), file, line });
    }

    #[test]
    fn functions_of_scripts_are_taken_apart_and_keep_the_mark_of_their_compiler() {
        expect("JS:*foo /srv/x.js:10:3", "*foo", "/srv/x.js", 10);
        expect("LazyCompile:~bar file:///srv/with space/x.mjs:7:1", "~bar", "/srv/with space/x.mjs", 7);
        expect(
            "Function:^baz node:internal/process/task_queues:67:35",
            "^baz",
            "node:internal/process/task_queues",
            67,
        );
    }

    #[test]
    fn functions_without_a_name_are_called_by_their_place() {
        expect("JS:~ /srv/lib/x.js:10:3", "~(anonymous x.js:10)", "/srv/lib/x.js", 10);
        expect("Eval:~ ", "~(anonymous)", "", 0);
    }

    #[test]
    fn other_names_stay() {
        expect("Builtin:InterpreterEntryTrampoline", "InterpreterEntryTrampoline", "", 0);
        expect("py::handle:/srv/app.py", "py::handle:/srv/app.py", "", 0);
        expect("Ljava/lang/String;::hashCode", "Ljava/lang/String;::hashCode", "", 0);
        expect("RegExp:^a|b c$", "RegExp:^a|b c$", "", 0);
    }

    proptest::proptest! {
        #[test]
        fn no_name_panics(name in "(JS|Eval|Builtin)?:?[*~ ]{0,3}.{0,40}(:[0-9]{0,12}){0,3}") {
            parse(&name);
        }
    }
}
