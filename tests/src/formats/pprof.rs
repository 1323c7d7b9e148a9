//! pprof: a gzipped protocol buffer, <https://github.com/google/pprof/blob/main/proto/profile.proto>.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

use flate2::read::GzDecoder;

use super::protobuf::{Field, fields};
use crate::recording::{Frame, Recording, Sample};

/// Reads the first value of all samples, which must be their number.
///
/// # Panics
/// If the file is not well-formed.
pub fn read(bytes: &[u8]) -> Recording {
    let message = decompress(bytes);
    let mut tables = Tables::default();
    let mut samples = Vec::new();
    let mut sample_types = Vec::new();
    for (number, field) in fields(&message) {
        match number {
            1 => sample_types.push(field.message()),
            2 => samples.push(field.message()),
            3 => tables.add_mapping(field.message()),
            4 => tables.add_location(field.message()),
            5 => tables.add_function(field.message()),
            6 => tables.strings.push(field.text()),
            _ => {}
        }
    }
    assert_eq!(tables.strings.first().map(String::as_str), Some(""), "the first string is empty");
    let first_type = sample_types.first().expect("a type of samples");
    assert_eq!(tables.strings[numbers(first_type, 1)[0] as usize], "samples");
    Recording { samples: samples.iter().map(|sample| tables.sample(sample, sample_types.len())).collect() }
}

/// When the profile was recorded, in nanoseconds since the UNIX epoch.
///
/// # Panics
/// If the file is not well-formed, or does not tell.
pub fn window_unix_ns(bytes: &[u8]) -> Range<u64> {
    let message = decompress(bytes);
    let (start, duration) = (number(&message, 9), number(&message, 10));
    assert!(start > 0 && duration > 0, "the time of the recording");
    start..start + duration
}

/// The labels of each sample that are text.
///
/// # Panics
/// If the file is not well-formed.
pub fn sample_labels(bytes: &[u8]) -> Vec<Vec<(String, String)>> {
    let message = decompress(bytes);
    let strings: Vec<String> =
        fields(&message).filter(|(number, _)| *number == 6).map(|(_, field)| field.text()).collect();
    let label = |message: &[u8]| {
        let text = |wanted| strings[number(message, wanted) as usize].clone();
        (text(1), text(2))
    };
    let labels = |sample: &[u8]| -> Vec<(String, String)> {
        let labels = fields(sample).filter(|(number, _)| *number == 3);
        labels.map(|(_, field)| label(field.message())).filter(|(_, value)| !value.is_empty()).collect()
    };
    fields(&message).filter(|(number, _)| *number == 2).map(|(_, sample)| labels(sample.message())).collect()
}

fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut message).expect("gzip");
    message
}

#[derive(Default)]
struct Tables {
    strings: Vec<String>,
    /// By identifier: the string of the file's name.
    mappings: HashMap<u64, u64>,
    /// By identifier: the string of the name.
    functions: HashMap<u64, u64>,
    /// By identifier: the mapping, and the functions from the innermost.
    locations: HashMap<u64, (u64, Vec<u64>)>,
}

impl Tables {
    fn add_mapping(&mut self, message: &[u8]) {
        self.mappings.insert(number(message, 1), number(message, 5));
    }

    fn add_function(&mut self, message: &[u8]) {
        self.functions.insert(number(message, 1), number(message, 2));
    }

    fn add_location(&mut self, message: &[u8]) {
        let lines = fields(message).filter(|(number, _)| *number == 4);
        let functions = lines.map(|(_, line)| number(line.message(), 1)).collect();
        self.locations.insert(number(message, 1), (number(message, 2), functions));
    }

    fn sample(&self, message: &[u8], types: usize) -> Sample {
        let values = numbers(message, 2);
        assert_eq!(values.len(), types, "a value for each type");
        let frames = numbers(message, 1).iter().flat_map(|location| self.frames(*location)).collect();
        Sample { frames, weight: values[0] }
    }

    /// The frames of a location: a function and what was put into it, from the innermost.
    fn frames(&self, location: u64) -> Vec<Frame> {
        let (mapping, functions) = &self.locations[&location];
        let module = self.mappings.get(mapping).map_or("", |name| &self.strings[*name as usize]);
        let frame = |(at, function): (usize, &u64)| Frame {
            function: self.strings[self.functions[function] as usize].clone(),
            module: module.to_owned(),
            inlined: at + 1 < functions.len(),
        };
        functions.iter().enumerate().map(frame).collect()
    }
}

/// The values of a repeated field of integers, packed or not.
fn numbers(message: &[u8], wanted: u32) -> Vec<u64> {
    fields(message).filter(|(number, _)| *number == wanted).flat_map(|(_, field)| field.numbers()).collect()
}

/// The value of a field; zero, the default, where it is absent.
fn number(message: &[u8], wanted: u32) -> u64 {
    match fields(message).find(|(number, _)| *number == wanted) {
        Some((_, Field::Number(value))) => value,
        Some((_, field)) => panic!("field {wanted} is no integer: {field:?}"),
        None => 0,
    }
}
