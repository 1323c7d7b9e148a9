//! Names as their authors wrote them.

use std::borrow::Cow;

/// Longer mangled names are shown as they are: demangling can make a name much longer than it was.
const MANGLED_BYTES_MAX: usize = 4096;

/// Longer readable names are cut.
const READABLE_BYTES_MAX: usize = 16 << 10;

/// The readable form of a symbol's name: Rust without the hash, C++ with template arguments and without parameters,
/// anything else as it is. The version of a library's symbol is left out; what a compiler or linker appended
/// (`.cold`, `@plt`) stays.
pub fn demangle(name: &str) -> Cow<'_, str> {
    if name.len() > MANGLED_BYTES_MAX {
        return Cow::Borrowed(name);
    }
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Cow::Owned(cut(format!("{rust:#}")));
    }
    let name = match name.split_once('@') {
        Some((function, version)) if version != "plt" && !function.is_empty() => function,
        _ => name,
    };
    let (mangled, suffix) = name.find('.').map_or((name, ""), |at| name.split_at(at));
    if mangled.starts_with("_Z")
        && let Some(readable) = demangle_cpp(mangled)
    {
        return Cow::Owned(cut(readable + suffix));
    }
    Cow::Borrowed(name)
}

fn demangle_cpp(mangled: &str) -> Option<String> {
    let options = cpp_demangle::DemangleOptions::default().no_params().no_return_type().recursion_limit(96);
    let symbol = cpp_demangle::Symbol::new(mangled).ok()?;
    symbol.demangle_with_options(&options).ok()
}

fn cut(mut name: String) -> String {
    if name.len() > READABLE_BYTES_MAX {
        let end = (0..=READABLE_BYTES_MAX).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
        name.truncate(end);
        name.push('…');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_names_lose_their_hash() {
        assert_eq!(demangle("_ZN4core3fmt9Formatter3pad17h8d4c8f8a1b2c3d4eE"), "core::fmt::Formatter::pad");
        assert_eq!(demangle("_RNvCskwGfYPst2Cb_3foo16example_function"), "foo::example_function");
    }

    #[test]
    fn cpp_names_keep_template_arguments_and_lose_parameters() {
        assert_eq!(
            demangle("_ZN2v88internal14MicrotaskQueue13RunMicrotasksEPNS0_7IsolateE"),
            "v8::internal::MicrotaskQueue::RunMicrotasks"
        );
        assert_eq!(
            demangle("_ZNSt6vectorIiSaIiEE9push_backEOi"),
            "std::vector<int, std::allocator<int> >::push_back"
        );
    }

    #[test]
    fn what_a_compiler_appended_stays() {
        assert_eq!(demangle("_ZN3foo3barEv.cold"), "foo::bar.cold");
    }

    #[test]
    fn versions_of_symbols_are_left_out() {
        assert_eq!(demangle("__libc_start_main@@GLIBC_2.34"), "__libc_start_main");
        assert_eq!(demangle("_ZN3foo3barEv@FOO_1"), "foo::bar");
    }

    #[test]
    fn other_names_stay() {
        for name in ["main", "uv__io_poll.cold", "_Znonsense", "", "memcpy@plt", "_R"] {
            assert_eq!(demangle(name), name);
        }
    }

    #[test]
    fn no_name_grows_beyond_its_bound() {
        let long = format!("_Z{}1a", "N1a".repeat(1000));
        assert!(demangle(&long).len() <= MANGLED_BYTES_MAX.max(READABLE_BYTES_MAX + 3));
    }

    proptest::proptest! {
        #[test]
        fn no_name_panics(name in "(_Z|_R|_ZN)[ -~]{0,200}") {
            demangle(&name);
        }
    }
}
