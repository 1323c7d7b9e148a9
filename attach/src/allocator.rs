//! The C library's allocator: what reading symbols leaves behind in it.
//!
//! Reading the symbols of a large program takes tens of megabytes for a moment. glibc keeps most of that for later, in a heap for each thread that
//! once was busy beside another; a program that runs for months and reads symbols seldom has no use for it.

use crate::sys::allocator as sys;

/// Keeps one heap for all threads from now on, at the price that they wait for each other there. To be asked for before there is a second
/// thread. Only glibc has more than one.
pub fn share_one_heap() {
    sys::share_one_heap();
}

/// Gives what is free back to the system: some milliseconds for some tens of megabytes. Of other allocators than glibc's, nothing.
pub fn give_back() {
    sys::give_back();
}
