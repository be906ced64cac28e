//! The floating-point environment that the definition assumes.

/// Round to nearest even, denormals honoured, exceptions masked: while it lives, on its thread.
///
/// Callers may have asked their processor to flush denormals to zero, and threads inherit that.
pub(super) struct DefaultEnvironment {
    saved: Word,
}

#[cfg(target_arch = "x86_64")]
type Word = u32;
#[cfg(not(target_arch = "x86_64"))]
type Word = u64;

/// All exceptions masked, nothing else.
#[cfg(target_arch = "x86_64")]
const DEFAULT: Word = 0x1f80;
#[cfg(not(target_arch = "x86_64"))]
const DEFAULT: Word = 0;

impl DefaultEnvironment {
    pub(super) fn enter() -> Self {
        let saved = read();
        write(DEFAULT);
        Self { saved }
    }
}

impl Drop for DefaultEnvironment {
    fn drop(&mut self) {
        write(self.saved);
    }
}

#[cfg(target_arch = "x86_64")]
fn read() -> Word {
    let mut word = 0;
    // SAFETY: the instruction writes four bytes, and every x86-64 processor has it.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags));
    }
    word
}

#[cfg(target_arch = "x86_64")]
fn write(word: Word) {
    // SAFETY: the word is the default or what was read, so that no reserved bit is set.
    unsafe {
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack, preserves_flags));
    }
}

#[cfg(target_arch = "aarch64")]
fn read() -> Word {
    let word;
    // SAFETY: the register can be read at every exception level.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nostack, preserves_flags)) }
    word
}

#[cfg(target_arch = "aarch64")]
fn write(word: Word) {
    // SAFETY: the word is the default or what was read.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags)) }
}

/// WebAssembly has one environment, which is the default.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn read() -> Word {
    DEFAULT
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn write(_: Word) {}

/// The nearest integer, even of two, of what is below 2^22 in magnitude: as `round_ties_even`, which
/// is a call where the compiler may not use an instruction for it.
pub(super) fn round(x: f32) -> f32 {
    const SPACING_ONE: f32 = (3 << 22) as f32;
    (x + SPACING_ONE) - SPACING_ONE
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn rounds_to_even() {
        for quarters in (-40_000..40_000).chain((1 << 24) - 9..1 << 24) {
            for x in [quarters as f32 / 4.0, -quarters as f32 / 4.0] {
                assert_eq!(round(x), x.round_ties_even());
            }
        }
    }

    #[test]
    fn denormals_count_inside_and_the_callers_choice_is_restored() {
        let original = read();
        // Flush to zero, and denormals are zeros.
        let flushing = if cfg!(target_arch = "x86_64") { 0x9fc0 } else { 1 << 24 };
        write(flushing);
        let halve = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let outside = halve();
        let inside = {
            let _environment = DefaultEnvironment::enter();
            halve()
        };
        let after = halve();
        write(original);
        assert_eq!((outside, inside > 0.0, after), (0.0, true, 0.0));
    }
}
