//! Stores of profiles: what every engine has to pass, and what the embedded one survives.

mod batches;
mod conformance;
mod days;
mod embedded;
