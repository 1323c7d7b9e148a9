//! From a thread's registers and a copy of its stack to the addresses that it will return to.
//!
//! Frames are found by the tables that compilers write for exceptions (`.eh_frame`), which need no frame pointers; code
//! without tables, as a program makes it while it runs, is left by frame pointers. Refused as the first choice: the
//! kernel's own chain of frame pointers, in which the caller of every function without a frame is missing. It helps
//! where the copy of the stack ends too early.

use framehop::{CacheNative, FrameAddress, MayAllocateDuringUnwind, Unwinder as _};

use super::event::{Registers, Sample};
use super::guard::guarded;
use super::process::{Space, SpaceUnwinder};

/// Deeper stacks lose their outermost frames.
const FRAMES_MAX: usize = 4096;

/// Hardly a stack is larger: what lies further away was no frame.
const STACK_BYTES_MAX: u64 = 64 << 20;

/// A cache tells states of address spaces apart by 16 bits, of which each change of a space takes a few values.
const EPOCHS_PER_CACHE: u64 = 1 << 13;

/// How many places a cache has, each for the addresses with one remainder.
const CACHE_PLACES: u64 = 509;

/// How many caches there are: a program of many functions needs more: with one
/// cache, half of the time of unwinding Node.js went into reading tables.
const CACHES: usize = 8;

/// Unwinds stacks of any process, and remembers how functions are left.
pub(crate) struct Unwinder {
    /// By address.
    caches: [CacheNative<MayAllocateDuringUnwind>; CACHES],
    /// The latest epoch for which the caches are good.
    good_until: u64,
}

/// How unwinding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At the outermost frame, or where no more was to be had.
    Complete,
    /// At the end of the copied stack; outer frames are missing.
    Truncated,
}

impl Unwinder {
    pub(crate) fn new() -> Self {
        Self::until(EPOCHS_PER_CACHE)
    }

    fn until(good_until: u64) -> Self {
        Self { caches: std::array::from_fn(|_| CacheNative::new()), good_until }
    }

    /// Appends the addresses of the sample's user frames, innermost first, each inside the instruction that runs or
    /// called.
    pub(crate) fn unwind(
        &mut self,
        sample: &Sample<'_>,
        space: &Space,
        epoch: u64,
        frames: &mut Vec<u64>,
    ) -> End {
        let chain = sample.user_by_frame_pointer;
        let Some(registers) = sample.registers else {
            append_chain(chain, true, frames);
            return End::Complete;
        };
        if epoch > self.good_until {
            *self = Self::until(epoch + EPOCHS_PER_CACHE);
        }
        let first = frames.len();
        let Some(stopped) = guarded(|| self.step(registers, sample.stack, space, frames)) else {
            *self = Self::until(self.good_until);
            return End::Complete;
        };
        let failed = match stopped {
            Ok(end) => return end,
            Err(error) => error,
        };
        let unread = match failed {
            framehop::Error::CouldNotReadStack(address) => {
                address.wrapping_sub(registers.sp) < STACK_BYTES_MAX
            }
            _ => false,
        };
        if continue_by_chain(chain, frames, first) || !(unread && sample.stack_cut) {
            End::Complete
        } else {
            End::Truncated
        }
    }

    /// Unwinds to the end of the stack or, with the error, as far as it goes.
    fn step(
        &mut self,
        registers: Registers,
        stack: &[u8],
        space: &Space,
        frames: &mut Vec<u64>,
    ) -> Result<End, framehop::Error> {
        let mut read = |address: u64| {
            let offset = usize::try_from(address.wrapping_sub(registers.sp)).map_err(drop)?;
            let bytes = stack.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(())?;
            Ok(u64::from_le_bytes(*bytes))
        };
        let unwinder = space.unwinder();
        let mut native = native(registers, unwinder);
        let mut frame = FrameAddress::from_instruction_pointer(registers.ip);
        for _ in 0..FRAMES_MAX {
            let address = frame.address_for_lookup();
            frames.push(address);
            let cache = &mut self.caches[(address / CACHE_PLACES) as usize % CACHES];
            let Some(caller) = unwinder.unwind_frame(frame, &mut native, cache, &mut read)? else {
                return Ok(End::Complete);
            };
            frame = FrameAddress::from_return_address(caller).ok_or(framehop::Error::ReturnAddressIsNull)?;
        }
        Ok(End::Truncated)
    }
}

/// Appends what the kernel's chain knows beyond the outermost frame that unwinding found; whether there was something.
fn continue_by_chain(chain: &[u64], frames: &mut Vec<u64>, first: usize) -> bool {
    let found = frames[first..].iter().enumerate().rev().find_map(|(depth, &frame)| {
        let in_chain = chain.iter().position(|&address| lookup(address, depth == 0) == frame)?;
        Some((depth, in_chain))
    });
    let Some((depth, in_chain)) = found else { return false };
    let unwound_beyond = frames.len() - first - 1 - depth;
    let rest = &chain[in_chain + 1..];
    if rest.len() <= unwound_beyond {
        return false;
    }
    frames.truncate(first + depth + 1);
    append_chain(rest, false, frames);
    true
}

fn append_chain(chain: &[u64], innermost: bool, frames: &mut Vec<u64>) {
    let chain = chain.iter().take(FRAMES_MAX).enumerate();
    frames.extend(chain.map(|(depth, &address)| lookup(address, innermost && depth == 0)));
}

/// An address inside the calling instruction, for a return address points behind it.
pub(crate) fn lookup(address: u64, innermost: bool) -> u64 {
    if innermost { address } else { address.wrapping_sub(1) }
}

#[cfg(target_arch = "x86_64")]
fn native(registers: Registers, _: &SpaceUnwinder) -> framehop::UnwindRegsNative {
    framehop::UnwindRegsNative::new(registers.ip, registers.sp, registers.fp)
}

/// Return addresses may be signed, in bits above those of any address: the stack lies near the highest.
#[cfg(target_arch = "aarch64")]
fn native(registers: Registers, unwinder: &SpaceUnwinder) -> framehop::UnwindRegsNative {
    let highest = registers.sp.max(unwinder.max_known_code_address()).max(1);
    let mask = framehop::aarch64::PtrAuthMask::from_max_known_address(highest);
    framehop::UnwindRegsNative::new_with_ptr_auth_mask(mask, registers.lr, registers.sp, registers.fp)
}
