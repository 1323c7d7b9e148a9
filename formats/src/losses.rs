//! What could not be recorded, in words, for formats that have a place for words.

use model::profile::Losses;

/// What was lost, each with how often; empty where nothing was.
pub(crate) fn in_words(losses: &Losses) -> Vec<(String, u64)> {
    let lost = losses.samples.iter().map(|(cause, count)| (format!("samples lost ({cause})"), *count));
    let truncated = ("stacks without their outermost frames".to_owned(), losses.truncated_stacks);
    lost.chain([truncated]).filter(|(_, count)| *count > 0).collect()
}
