//! The system's calls that need `unsafe`, each behind a safe function.

#![allow(unsafe_code, reason = "memory that the kernel maps for us")]

pub(crate) mod mapping;
