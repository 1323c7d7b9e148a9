//! Names as their authors wrote them.

use std::borrow::Cow;

/// Longer mangled names are shown as they are: demangling can make a name much longer than it was.
const MANGLED_BYTES_MAX: usize = 4096;

/// Longer readable names are cut.
const READABLE_BYTES_MAX: usize = 16 << 10;

/// The readable form of a symbol's name: Rust without the hash, C++ with parameters and template arguments, anything
/// else as it is. What a linker or compiler appended (`@plt`, `.cold`) stays.
pub fn demangle(name: &str) -> Cow<'_, str> {
    if name.len() > MANGLED_BYTES_MAX {
        return Cow::Borrowed(name);
    }
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Cow::Owned(cut(format!("{rust:#}")));
    }
    let (mangled, suffix) = match name.find(['.', '@']) {
        Some(at) if name.starts_with("_Z") => name.split_at(at),
        _ => (name, ""),
    };
    if mangled.starts_with("_Z") {
        let options = cpp_demangle::DemangleOptions::default().recursion_limit(96);
        let parsed = cpp_demangle::Symbol::new(mangled).ok();
        if let Some(readable) = parsed.and_then(|symbol| symbol.demangle_with_options(&options).ok()) {
            return Cow::Owned(cut(readable + suffix));
        }
    }
    Cow::Borrowed(name)
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
    fn cpp_names_keep_parameters_and_template_arguments() {
        assert_eq!(
            demangle("_ZN2v88internal14MicrotaskQueue13RunMicrotasksEPNS0_7IsolateE"),
            "v8::internal::MicrotaskQueue::RunMicrotasks(v8::internal::Isolate*)"
        );
        assert_eq!(
            demangle("_ZNSt6vectorIiSaIiEE9push_backEOi"),
            "std::vector<int, std::allocator<int> >::push_back(int&&)"
        );
    }

    #[test]
    fn what_a_compiler_appended_stays() {
        assert_eq!(demangle("_ZN3foo3barEv.cold"), "foo::bar().cold");
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
