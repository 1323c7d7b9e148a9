//! The routes of the service, and the share that each has of the load.

use std::time::Duration;

/// What the service can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Answer at once.
    Fast,
    /// Read a file through the thread pool.
    File,
    /// Hash on the thread pool.
    Hash,
    /// Block the loop.
    Block,
}

impl Route {
    pub(super) const ALL: [Self; 4] = [Self::Fast, Self::File, Self::Hash, Self::Block];

    /// The route's path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Fast => "/fast",
            Self::File => "/file",
            Self::Hash => "/hash",
            Self::Block => "/block",
        }
    }

    /// The route's name: its path without the slash.
    pub(super) fn name(self) -> &'static str {
        &self.path()[1..]
    }

    /// What the route does.
    pub(super) fn meaning(self, block: Duration) -> String {
        match self {
            Self::Fast => "answers at once".to_owned(),
            Self::File => "reads a file through the thread pool".to_owned(),
            Self::Hash => "hashes on the thread pool".to_owned(),
            Self::Block => format!("blocks the loop for {block:?}"),
        }
    }

    /// The route with this path.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    /// The route of the load's request number `n`: of a hundred, 79 fast ones, ten of a file, ten hashes, and one that
    /// blocks. A fixed order, so that every run does the same.
    pub(super) fn of_request(n: u64) -> Self {
        match (n % 100, n % 10) {
            (50, _) => Self::Block,
            (_, 3) => Self::File,
            (_, 7) => Self::Hash,
            _ => Self::Fast,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_mixed_as_documented() {
        let share = |route| (0..100).filter(|&n| Route::of_request(n) == route).count();
        assert_eq!(Route::ALL.map(share), [79, 10, 10, 1]);
    }
}
