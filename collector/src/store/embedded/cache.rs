//! What was read of blocks lately, within a bound in bytes.

use std::sync::{Arc, Mutex, PoisonError};

/// Values by the names of blocks, the least recently used first.
#[derive(Debug)]
pub(super) struct Cache<T> {
    entries: Mutex<Vec<Entry<T>>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry<T> {
    name: String,
    value: Arc<T>,
    bytes: usize,
}

impl<T> Cache<T> {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { entries: Mutex::new(Vec::new()), bytes_max }
    }

    /// The value of a block, which is made if it is not there. A value that is larger than the whole cache is not kept.
    pub(super) fn get<E>(
        &self,
        name: &str,
        bytes: impl Fn(&T) -> usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(position) = entries.iter().position(|entry| entry.name == name) {
                let entry = entries.remove(position);
                let value = Arc::clone(&entry.value);
                entries.push(entry);
                return Ok(value);
            }
        }
        // Not under the lock: another thread may make the same meanwhile, which costs time and nothing else.
        let value = Arc::new(make()?);
        let bytes = bytes(&value);
        if bytes <= self.bytes_max {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.retain(|entry| entry.name != name);
            let mut held: usize = entries.iter().map(|entry| entry.bytes).sum();
            while held + bytes > self.bytes_max {
                held -= entries.remove(0).bytes;
            }
            entries.push(Entry { name: name.to_owned(), value: Arc::clone(&value), bytes });
        }
        Ok(value)
    }
}
