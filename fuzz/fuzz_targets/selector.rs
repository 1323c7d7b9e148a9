//! A selector, as anybody types it, on a series.
#![no_main]

use collector::labels::Labels;
use collector::selector::Selector;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let series: Labels = [("service", "api"), ("phase", "timers"), ("a", "\"\\\n")].into_iter().collect();
    match Selector::parse(text) {
        Ok(mut selector) => {
            let matched = selector.matches(&series);
            assert_eq!(matched, Selector::parse(text).expect("it was read before").matches(&series));
            // Whoever must have a value that it has matches as before.
            selector.require("service", "api");
            assert_eq!(selector.matches(&series), matched);
            selector.require("service", "another");
            assert!(!selector.matches(&series));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
