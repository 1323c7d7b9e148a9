//! What tasks are called by their C++ classes.
//!
//! The templates that Node.js makes its jobs of change from version to version; what they are given stays. So of
//! `node::crypto::DeriveBitsJob<node::crypto::PBKDF2Traits>` the name is `PBKDF2`, and of
//! `node::(anonymous namespace)::BrotliCompressionStream<node::(anonymous namespace)::BrotliEncoderContext>` it is `BrotliEncoderStream`,
//! as Node.js calls it itself.

use std::collections::BTreeSet;

use super::Class;

/// What addons queue by `napi_queue_async_work`.
const NAPI_WORK: &str = "(anonymous namespace)::uvimpl::Work";

/// How classes of tasks are called, by their ends; of a template, without what it is given.
const TASKS: &[&str] = &["Job", "Stream", "Work"];

/// Names that are told of one binary: Node.js has some 50. The bound is for files that lie.
const NAMES_MAX: usize = 64;

const NAME_LENGTH_MAX: usize = 48;

/// Names the tasks of classes that are called as such.
pub(super) fn name_all(classes: &mut [Class]) {
    let mut names = BTreeSet::new();
    for class in classes {
        let Some(name) = name(&class.name) else { continue };
        if names.len() < NAMES_MAX || names.contains(&name) {
            names.insert(name.clone());
            class.task = Some(name);
        }
    }
}

/// What the tasks of a class are called.
fn name(class: &str) -> Option<Box<str>> {
    if class == NAPI_WORK {
        return Some("NapiWork".into());
    }
    let template = class.split('<').next().map(last_part)?;
    TASKS.iter().find(|end| template.ends_with(**end))?;
    let innermost = class.rsplit('<').next()?.split(['>', ',']).next().map(last_part)?;
    let name = match innermost.strip_suffix("Context") {
        Some(codec) => format!("{codec}Stream"),
        None => ["Traits", "Job", "Work"]
            .iter()
            .find_map(|end| innermost.strip_suffix(end))
            .filter(|rest| !rest.is_empty())
            .unwrap_or(innermost)
            .to_owned(),
    };
    let is_a_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_fit = (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_a_name);
    is_fit.then(|| name.into())
}

/// A name without its namespaces.
fn last_part(name: &str) -> &str {
    name.trim().rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: String) -> Class {
        Class { start: 0, end: 8, name, task: None }
    }

    #[test]
    fn a_task_is_called_by_what_is_special_about_its_class() {
        for (class, expected) in [
            ("node::crypto::DeriveBitsJob<node::crypto::PBKDF2Traits>", Some("PBKDF2")),
            ("node::crypto::CryptoJob<node::crypto::PBKDF2Traits>", Some("PBKDF2")),
            (
                "node::crypto::KeyGenJob<node::crypto::KeyPairGenTraits<node::crypto::RsaKeyGenTraits> >",
                Some("RsaKeyGen"),
            ),
            ("node::crypto::KEMEncapsulateJob", Some("KEMEncapsulate")),
            ("node::(anonymous namespace)::ZlibStream", Some("ZlibStream")),
            (
                "node::(anonymous namespace)::CompressionStream<node::(anonymous namespace)::ZlibContext>",
                Some("ZlibStream"),
            ),
            (
                "node::(anonymous namespace)::BrotliCompressionStream<node::(anonymous namespace)::BrotliEncoderContext>",
                Some("BrotliEncoderStream"),
            ),
            ("node::fs::(anonymous namespace)::ReadDirRecursiveWork", Some("ReadDirRecursive")),
            ("(anonymous namespace)::uvimpl::Work", Some("NapiWork")),
            ("node::Work", Some("Work")),
            ("node::fs::FSReqCallback", None),
            ("node::Job<a\"b>", None),
            ("", None),
        ] {
            assert_eq!(name(class).as_deref(), expected, "{class}");
        }
        assert_eq!(name(&format!("node::{}Job", "x".repeat(100))), None);
    }

    #[test]
    fn a_binary_that_lies_has_no_more_names_than_one_that_does_not() {
        let mut classes: Vec<_> = (0..100).map(|n| class(format!("node::Lie{n}Job"))).collect();
        classes.push(class("node::Lie0Work".to_owned()));
        name_all(&mut classes);
        assert_eq!(classes.iter().filter(|class| class.task.is_some()).count(), NAMES_MAX + 1);
        assert_eq!(classes[100].task.as_deref(), Some("Lie0"), "a name that is told already has its place");
    }
}
