//! The tables that all threads share. Strings, frames and stacks have the positions that they have in the profile;
//! functions, sources and resources are made here.

use std::io;

use model::profile::{Frame, FrameKind, Profile, StackId, StringId};
use rustc_hash::FxHashMap;

use super::category;
use crate::extra_strings::ExtraStrings;
use crate::json::Json;

/// Writes the fields of `shared`.
pub(super) fn write(json: &mut Json<'_, impl io::Write>, profile: &Profile) {
    let mut strings = ExtraStrings::new(profile);
    let functions = Functions::new(profile, &mut strings);
    json.key("stackTable").object(|json| write_stacks(json, profile));
    json.key("frameTable").object(|json| write_frames(json, profile, &functions));
    json.key("funcTable").object(|json| functions.write(json));
    json.key("resourceTable").object(|json| {
        let names = &functions.resources.rows;
        column(json, "name", names, |json, name| json.integer(name.0));
        column(json, "host", names, |json, _| json.null());
        column(json, "type", names, |json, _| json.integer(RESOURCE_LIBRARY));
        json.key("length").integer(names.len());
    });
    json.key("nativeSymbols")
        .object(|json| empty_table(json, &["libIndex", "address", "name", "functionSize"]));
    json.key("sources").object(|json| {
        let files = &functions.sources.rows;
        column(json, "id", files, |json, _| json.null());
        column(json, "filename", files, |json, file| json.integer(file.0));
        column(json, "startLine", files, |json, _| json.integer(1));
        column(json, "startColumn", files, |json, _| json.integer(1));
        column(json, "sourceMapURL", files, |json, _| json.null());
        column(json, "content", files, |json, _| json.null());
        json.key("length").integer(files.len());
    });
    json.key("sourceLocationTable").object(|json| empty_table(json, &["source", "line", "column"]));
    json.key("stringArray").array(strings.all(), Json::string);
}

/// `ResourceType.Library`.
const RESOURCE_LIBRARY: u8 = 1;

fn write_stacks(json: &mut Json<'_, impl io::Write>, profile: &Profile) {
    json.key("frame").array(profile.stacks.iter(), |json, (_, frame)| json.integer(frame.0));
    let with_id = (0..).zip(profile.stacks.iter());
    json.key("prefixOffset").array(with_id, |json, (id, (caller, _)): (u32, _)| {
        // How far before the stack its caller's stands; zero of an outermost frame.
        json.integer(caller.map_or(0, |StackId(caller)| id - caller));
    });
    json.key("length").integer(profile.stacks.iter().len());
}

fn write_frames(json: &mut Json<'_, impl io::Write>, profile: &Profile, functions: &Functions) {
    let frames: Vec<Frame> = profile.frames.iter().collect();
    column(json, "address", &frames, |json, _| json.integer(-1));
    column(json, "lib", &frames, |json, _| json.integer(-1));
    column(json, "inlineDepth", inline_depths(profile), |json, depth| json.integer(depth));
    column(json, "category", &frames, |json, frame| json.integer(category(frame.kind).0));
    column(json, "subcategory", &frames, |json, frame| json.integer(category(frame.kind).1));
    column(json, "func", &functions.of_frame, |json, function| json.integer(*function));
    column(json, "nativeSymbol", &frames, |json, _| json.null());
    column(json, "innerWindowID", &frames, |json, _| json.null());
    column(json, "line", &frames, |json, frame| match frame.line {
        0 => json.null(),
        line => json.integer(line),
    });
    column(json, "column", &frames, |json, _| json.null());
    column(json, "originalLocation", &frames, |json, _| json.null());
    json.key("length").integer(frames.len());
}

/// By frame: into how many functions it was inlined one after the other. The format keeps a byte for it.
fn inline_depths(profile: &Profile) -> Vec<u8> {
    let frames: Vec<Frame> = profile.frames.iter().collect();
    let mut depths = vec![0; frames.len()];
    for (caller, frame) in profile.stacks.iter() {
        if let (true, Some(caller)) = (frames[frame.0 as usize].inlined, caller) {
            let outer: u8 = depths[profile.stacks.frame(caller).0 as usize];
            depths[frame.0 as usize] = outer.saturating_add(1);
        }
    }
    depths
}

/// Functions: frames of one name, file and resource.
struct Functions {
    /// By frame.
    of_frame: Vec<u32>,
    rows: Vec<Function>,
    sources: Distinct<StringId>,
    resources: Distinct<StringId>,
}

struct Function {
    name: StringId,
    kind: FrameKind,
    /// The position of its file.
    source: Option<u32>,
    /// The position of its library.
    resource: Option<u32>,
}

impl Functions {
    fn new(profile: &Profile, strings: &mut ExtraStrings<'_>) -> Self {
        let mut functions = Distinct::default();
        let mut sources = Distinct::default();
        let mut resources = Distinct::default();
        let mut rows = Vec::new();
        let of_frame = profile.frames.iter().map(|frame| {
            let source = Some(frame.file).filter(|file| *file != StringId::default());
            let source = source.map(|file| sources.intern(file));
            let resource = frame.mapping.map(|mapping| {
                let path = profile.text(profile.mappings.get(mapping).path);
                resources.intern(strings.intern(path.rsplit('/').next().unwrap_or(path)))
            });
            let position = functions.intern((frame.function, source, resource));
            if position as usize == rows.len() {
                rows.push(Function { name: frame.function, kind: frame.kind, source, resource });
            }
            position
        });
        Self { of_frame: of_frame.collect(), rows, sources, resources }
    }

    fn write(&self, json: &mut Json<'_, impl io::Write>) {
        let is_jit = |function: &Function| function.kind == FrameKind::Jit;
        column(json, "name", &self.rows, |json, function| json.integer(function.name.0));
        column(json, "isJS", &self.rows, |json, function| json.boolean(is_jit(function)));
        // What is seen in the view that hides native code: phases are the labels above the script's functions.
        column(json, "relevantForJS", &self.rows, |json, function| {
            json.boolean(matches!(function.kind, FrameKind::Phase(_)));
        });
        column(json, "resource", &self.rows, |json, function| match function.resource {
            Some(resource) => json.integer(resource),
            None => json.integer(-1),
        });
        column(json, "source", &self.rows, |json, function| match function.source {
            Some(source) => json.integer(source),
            None => json.null(),
        });
        column(json, "lineNumber", &self.rows, |json, _| json.null());
        column(json, "columnNumber", &self.rows, |json, _| json.null());
        column(json, "originalLocation", &self.rows, |json, _| json.null());
        json.key("length").integer(self.rows.len());
    }
}

/// Rows, each held once.
struct Distinct<T> {
    rows: Vec<T>,
    positions: FxHashMap<T, u32>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), positions: FxHashMap::default() }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Distinct<T> {
    fn intern(&mut self, row: T) -> u32 {
        *self.positions.entry(row).or_insert_with(|| {
            self.rows.push(row);
            self.rows.len() as u32 - 1
        })
    }
}

fn column<W: io::Write, T>(
    json: &mut Json<'_, W>,
    name: &str,
    rows: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Json<'_, W>, T),
) {
    json.key(name).array(rows, write);
}

fn empty_table(json: &mut Json<'_, impl io::Write>, columns: &[&str]) {
    for name in columns {
        json.key(name).empty_array();
    }
    json.key("length").integer(0);
}
