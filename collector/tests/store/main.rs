//! Stores of profiles: what every engine has to pass, and what the embedded one survives.

mod batches;
#[cfg(feature = "s3")]
mod bucket;
mod conformance;
mod days;
mod embedded;
mod groups;
mod keeper;
