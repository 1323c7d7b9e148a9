//! What every engine has to pass: facts about [`Store`](super::Store), to be run on a fresh one.
