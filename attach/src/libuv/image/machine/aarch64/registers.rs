//! What registers of arm64 were made from: so the call of a task is known, whichever register its function was loaded into.

use super::{Flow, Instruction, KEPT, destination, immediate_12, is_store, register, signed};

/// From where a value was made: a register that keeps its value over calls, and a displacement.
type Made = Option<(u32, i64)>;

/// What registers were made from, on a straight line.
#[derive(Default)]
pub(super) struct Registers {
    pub(super) value: [Made; 32],
    /// For a value that was loaded: from where.
    pub(super) loaded: [Made; 32],
    is_begun: bool,
}

impl Registers {
    pub(super) fn follow(&mut self, word: u32, instruction: &Instruction) {
        if instruction.flow != Flow::Next || !self.is_begun {
            // Whatever was made may be from elsewhere: this may be jumped to.
            *self = Self { is_begun: true, ..Self::default() };
            for kept in KEPT {
                self.value[kept as usize] = Some((kept, 0));
            }
            if instruction.flow != Flow::Next {
                return;
            }
        }
        let (to, from) = (register(word, 0), register(word, 5));
        let plus = |made: Made, by: i64| Some((made?.0, made?.1.checked_add(by)?));
        let (value, loaded) = match word {
            // mov: orr with zero.
            _ if word & 0xffe0_ffe0 == 0xaa00_03e0 => (self.value[register(word, 16) as usize], None),
            // add, sub.
            _ if word & 0xff80_0000 == 0x9100_0000 => {
                (plus(self.value[from as usize], immediate_12(word)), None)
            }
            _ if word & 0xff80_0000 == 0xd100_0000 => {
                (plus(self.value[from as usize], -immediate_12(word)), None)
            }
            // ldr of 64 bits, at a displacement or, before or behind it, with the address moved.
            _ if word & 0xffc0_0000 == 0xf940_0000 => {
                (None, plus(self.value[from as usize], i64::from(word >> 10 & 0xfff) * 8))
            }
            _ if word & 0xffe0_0000 == 0xf840_0000 => {
                let at = plus(self.value[from as usize], signed(word >> 12, 9));
                match word >> 10 & 3 {
                    0 => (None, at),
                    3 => {
                        self.set(from, at, None);
                        (None, self.value[from as usize])
                    }
                    _ => {
                        self.set(from, None, None);
                        (None, None)
                    }
                }
            }
            _ if is_store(word) => return self.set_moved(word),
            _ => match destination(word) {
                Some(other) => return self.set(other, None, None),
                None => {
                    *self = Self::default();
                    return;
                }
            },
        };
        self.set(to, value, loaded);
    }

    fn set(&mut self, register: u32, value: Made, loaded: Made) {
        let other = |made: Made| made.filter(|(base, _)| *base != register);
        let (mut value, mut loaded) = (value, loaded);
        if KEPT.contains(&register) {
            // What was made from it was made from what it held before; from here on it holds something of its own.
            for made in self.value.iter_mut().chain(&mut self.loaded) {
                *made = other(*made);
            }
            value = other(value).or(Some((register, 0)));
            loaded = other(loaded);
        }
        self.value[register as usize] = value;
        self.loaded[register as usize] = loaded;
    }

    /// A store may move its address.
    fn set_moved(&mut self, word: u32) {
        let is_pair_moved = word & 0x3a80_0000 == 0x2880_0000;
        let is_one_moved = word & 0x3b20_0400 == 0x3800_0400;
        if is_pair_moved || is_one_moved {
            self.set(register(word, 5), None, None);
        }
    }
}
