//! Finding the symbols of some addresses in one pass over all symbols, in any order, without a table of them.
//!
//! A profile asks for a few thousand addresses; a program may have a million symbols. So the addresses are sorted, not
//! the symbols.

/// For each of some ascending addresses, the symbol that begins nearest below it.
pub(super) struct Nearest<'a, T> {
    addresses: &'a [u64],
    /// For each address, the best symbol that begins above the address before it.
    best: Vec<Option<(u64, Rank, T)>>,
}

/// Which of several names for one place is the better: the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// It says how long it is.
    pub(super) sized: bool,
    /// It is not only a fallback.
    pub(super) strong: bool,
    /// It is visible beyond its source file.
    pub(super) global: bool,
    /// The fewer underscores it begins with the better.
    pub(super) underscores: std::cmp::Reverse<usize>,
}

impl<'a, T: Copy> Nearest<'a, T> {
    /// Asks for these addresses, which ascend.
    pub(super) fn new(addresses: &'a [u64]) -> Self {
        debug_assert!(addresses.is_sorted());
        Self { addresses, best: vec![None; addresses.len()] }
    }

    /// Considers a symbol; `describe` is called only for one that may be of use.
    pub(super) fn offer(&mut self, start: u64, describe: impl FnOnce() -> Option<(Rank, T)>) {
        let at = self.addresses.partition_point(|&address| address < start);
        let Some(best) = self.best.get_mut(at) else { return };
        if best.as_ref().is_some_and(|&(known, ..)| known > start) {
            return;
        }
        let Some((rank, symbol)) = describe() else { return };
        if best.as_ref().is_none_or(|&(known, known_rank, _)| (known, known_rank) < (start, rank)) {
            *best = Some((start, rank, symbol));
        }
    }

    /// For each address, the start and the symbol; `None` for one below all symbols.
    pub(super) fn finish(self) -> Vec<Option<(u64, T)>> {
        let carry = |last: &mut Option<(u64, T)>, found: Option<(u64, Rank, T)>| {
            *last = found.map(|(start, _, symbol)| (start, symbol)).or(*last);
            Some(*last)
        };
        self.best.into_iter().scan(None, carry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Rank = Rank { sized: true, strong: true, global: false, underscores: std::cmp::Reverse(0) };
    const GLOBAL: Rank = Rank { global: true, ..LOCAL };

    #[test]
    fn every_address_gets_the_symbol_that_begins_nearest_below() {
        let mut nearest = Nearest::new(&[5, 10, 15, 30]);
        for (start, name) in [(30, "d"), (8, "b"), (10, "c"), (9, "never"), (40, "e")] {
            nearest.offer(start, || Some((LOCAL, name)));
        }
        assert_eq!(nearest.finish(), [None, Some((10, "c")), Some((10, "c")), Some((30, "d"))]);
    }

    #[test]
    fn of_two_names_for_a_place_the_better_wins_whatever_the_order() {
        for order in [[(LOCAL, "local"), (GLOBAL, "global")], [(GLOBAL, "global"), (LOCAL, "local")]] {
            let mut nearest = Nearest::new(&[10]);
            order.into_iter().for_each(|symbol| nearest.offer(7, || Some(symbol)));
            assert_eq!(nearest.finish(), [Some((7, "global"))]);
        }
    }

    #[test]
    fn a_symbol_that_is_refused_hides_none() {
        let mut nearest = Nearest::new(&[10]);
        nearest.offer(7, || Some((LOCAL, "a")));
        nearest.offer(8, || None);
        assert_eq!(nearest.finish(), [Some((7, "a"))]);
    }
}
