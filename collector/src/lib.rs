//! Stores profiles of any producer and serves flamegraphs: what the program `loopscope-collector` is made of.
//!
//! Data moves one way: a request becomes a [`Decoded`](formats::decode::Decoded) profile, then a [`Batch`](store::Batch) of series
//! ([`ingest`]); a [`Store`](store::Store) keeps it and adds it up; [`query`] makes trees and tables of that, and [`api`] answers.
//!
//! Read in this order: [`labels`] and [`selector`], [`store`] (the trait, then [`store::embedded`]), [`ingest`], [`query`], [`api`],
//! [`server`].

#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod config;
mod console;
pub mod error;
pub mod ingest;
pub mod labels;
pub(crate) mod lag;
pub mod manual;
mod own_metrics;
pub mod profile_type;
pub mod query;
pub mod selector;
pub mod server;
pub mod store;
pub mod times;
mod web;
