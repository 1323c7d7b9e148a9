//! Bytes to be written.

use std::ops::Deref;
use std::sync::Arc;

/// Bytes that a write request owns until they are written. Made from what holds them, without a copy.
#[derive(Clone, Debug)]
pub struct Buffer(Bytes);

#[derive(Clone, Debug)]
enum Bytes {
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Static(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl From<&'static [u8]> for Buffer {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Bytes::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Buffer {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self(Bytes::Static(bytes))
    }
}

impl From<&'static str> for Buffer {
    fn from(text: &'static str) -> Self {
        Self(Bytes::Static(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Owned(bytes))
    }
}

impl From<String> for Buffer {
    fn from(text: String) -> Self {
        Self(Bytes::Owned(text.into_bytes()))
    }
}

impl From<Arc<[u8]>> for Buffer {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Bytes::Shared(bytes))
    }
}
