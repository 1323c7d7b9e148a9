//! What all profile formats must withstand.

use std::io;

use loopscope_formats::{firefox, folded, pprof, speedscope};
use model::profile::Profile;

use crate::synthetic::Builder;

type Encode = fn(&Profile, &mut dyn io::Write) -> io::Result<()>;

const FORMATS: [(&str, Encode); 4] = [
    ("folded", |profile, mut out| folded::encode(profile, &mut out)),
    ("pprof", |profile, mut out| pprof::encode(profile, &mut out)),
    ("speedscope", |profile, mut out| speedscope::encode(profile, &mut out)),
    ("firefox", |profile, mut out| firefox::encode(profile, &mut out)),
];

fn encoded(encode: Encode, profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(profile, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_stack_of_a_million_frames_does_not_exhaust_ours() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "deep");
    builder.sample(thread, &vec!["recurse"; 1_000_000], 1);
    for (_, encode) in FORMATS {
        encoded(encode, &builder.profile);
    }
    let folded = encoded(FORMATS[0].1, &builder.profile);
    assert_eq!(folded.iter().filter(|byte| **byte == b';').count(), 1_000_000);
}

#[test]
fn weights_that_do_not_fit_saturate() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    for _ in 0..2 {
        builder.sample(thread, &["f"], u64::MAX);
    }
    for (_, encode) in FORMATS {
        encoded(encode, &builder.profile);
    }
    assert_eq!(encoded(FORMATS[0].1, &builder.profile), b"t;f 18446744073709551615\n");
}

/// Takes so many bytes, then fails.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.len().min(self.0);
        self.0 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported_wherever_it_fills_up() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    for at in 0..10_000 {
        builder.sample(thread, &[&format!("function {at}")], 1);
    }
    for (name, encode) in FORMATS {
        let length = encoded(encode, &builder.profile).len();
        for room in [0, length / 2, length - 1] {
            let error = encode(&builder.profile, &mut Full(room)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{name} after {room} bytes");
        }
    }
}
