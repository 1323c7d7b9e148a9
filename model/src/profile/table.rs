//! A table in which each row is held once, and is known by its position.

use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;

use super::Seeded;

/// A row's position in its table, as a type of its own.
pub trait TableId: Copy {
    /// The identifier of the row at this position.
    fn from_position(position: u32) -> Self;
    /// The position of the row with this identifier.
    fn position(self) -> u32;
}

/// Rows, each held once.
#[derive(Clone, Debug)]
pub struct Table<Id, Row> {
    rows: Vec<Row>,
    by_row: HashMap<Row, u32, Seeded>,
    _id: PhantomData<fn() -> Id>,
}

impl<Id: TableId, Row: Copy + Eq + Hash> Table<Id, Row> {
    /// The identifier of this row, which is added if it is new.
    pub fn intern(&mut self, row: Row) -> Id {
        let position = *self.by_row.entry(row).or_insert_with(|| {
            self.rows.push(row);
            self.rows.len() as u32 - 1
        });
        Id::from_position(position)
    }

    /// The row.
    ///
    /// # Panics
    /// If the identifier is another table's.
    pub fn get(&self, id: Id) -> Row {
        self.rows[id.position() as usize]
    }

    /// All rows, by identifier.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row> {
        self.rows.iter().copied()
    }
}

impl<Id, Row> Default for Table<Id, Row> {
    fn default() -> Self {
        Self { rows: Vec::new(), by_row: HashMap::default(), _id: PhantomData }
    }
}
