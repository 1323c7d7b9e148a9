//! The page in a real browser, on a real collector, with profiles of which everything is known.
//!
//! `LOOPSCOPE_SCREENSHOTS=folder` also writes what it looks like.

#![forbid(unsafe_code)]

mod collector;
mod compare;
mod look;
mod many;
mod navigate;
mod proxy;
mod show;
mod view;
mod words;
