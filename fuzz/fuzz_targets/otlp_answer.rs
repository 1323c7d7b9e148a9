//! What a receiver of exports answers may be anything.
#![no_main]

use formats::otlp::answer;

libfuzzer_sys::fuzz_target!(|answer: &[u8]| {
    let _ = (answer::partial(answer), answer::status_message(answer));
    let _ = (answer::retry_delay(answer), answer::retry_delay_in_trailer(answer));
});
