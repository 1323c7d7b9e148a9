//! What is looked at of the JSON, in columns as they are there.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::THREADS_MAX;

#[derive(Deserialize)]
pub(super) struct Profile<'a> {
    pub(super) meta: Meta,
    #[serde(borrow, default)]
    pub(super) shared: Tables<'a>,
    #[serde(borrow, deserialize_with = "threads")]
    pub(super) threads: Vec<Thread<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) interval: f64,
    #[serde(default)]
    pub(super) start_time: f64,
    pub(super) preprocessed_profile_version: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tables<'a> {
    pub(super) stack_table: Option<StackTable>,
    pub(super) frame_table: Option<FrameTable>,
    pub(super) func_table: Option<FuncTable>,
    pub(super) sources: Option<Sources>,
    #[serde(borrow, alias = "stringTable")]
    pub(super) string_array: Option<Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StackTable {
    pub(super) frame: Vec<u32>,
    #[serde(default)]
    pub(super) prefix: Vec<Option<u32>>,
    #[serde(default)]
    pub(super) prefix_offset: Vec<u32>,
}

#[derive(Deserialize)]
pub(super) struct FrameTable {
    pub(super) func: Vec<u32>,
    #[serde(default)]
    pub(super) line: Vec<Option<u32>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FuncTable {
    pub(super) name: Vec<u32>,
    #[serde(default)]
    pub(super) file_name: Vec<Option<u32>>,
    #[serde(default)]
    pub(super) source: Vec<Option<u32>>,
}

#[derive(Deserialize)]
pub(super) struct Sources {
    #[serde(default)]
    pub(super) filename: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thread<'a> {
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) process_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) pid: Option<Pid<'a>>,
    pub(super) samples: Samples<'a>,
    // Named one by one: flattened, they would all be kept as values of any kind first.
    pub(super) stack_table: Option<StackTable>,
    pub(super) frame_table: Option<FrameTable>,
    pub(super) func_table: Option<FuncTable>,
    pub(super) sources: Option<Sources>,
    #[serde(borrow, alias = "stringTable")]
    pub(super) string_array: Option<Vec<Cow<'a, str>>>,
}

/// Threads, and one more where there are too many: an empty one takes ten times what its text does.
fn threads<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Thread<'a>>, D::Error> {
    struct Bounded;
    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Thread<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("threads")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<Thread<'de>>, A::Error> {
            let mut threads = Vec::new();
            while threads.len() <= THREADS_MAX {
                match sequence.next_element()? {
                    Some(thread) => threads.push(thread),
                    None => return Ok(threads),
                }
            }
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            Ok(threads)
        }
    }
    deserializer.deserialize_seq(Bounded)
}

/// A number in Firefox, text in what others write.
pub(super) struct Pid<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pid<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Pid<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or text")
            }

            fn visit_u64<E: Error>(self, pid: u64) -> Result<Pid<'de>, E> {
                Ok(Pid(pid.to_string().into()))
            }

            fn visit_borrowed_str<E: Error>(self, pid: &'de str) -> Result<Pid<'de>, E> {
                Ok(Pid(pid.into()))
            }

            fn visit_str<E: Error>(self, pid: &str) -> Result<Pid<'de>, E> {
                Ok(Pid(pid.to_owned().into()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Samples<'a> {
    pub(super) stack: Vec<Option<u32>>,
    #[serde(default)]
    pub(super) weight: Option<Vec<Option<f64>>>,
    #[serde(borrow, default)]
    pub(super) weight_type: Option<Cow<'a, str>>,
}

impl Thread<'_> {
    /// Whether it has no table of its own.
    pub(super) fn is_shared(&self) -> bool {
        self.stack_table.is_none() && self.is_shared_but_for_stacks()
    }

    pub(super) fn is_shared_but_for_stacks(&self) -> bool {
        self.frame_table.is_none()
            && self.func_table.is_none()
            && self.sources.is_none()
            && self.string_array.is_none()
    }
}
