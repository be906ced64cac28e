//! Fast forms of the layers, the same for all instructions.
//!
//! A product works on a *group* of a few positions and a *panel* of two vectors of outputs, whose
//! sums stay in registers; what follows it is done on these. Layers work on *tiles* of positions
//! that stay in the first cache with all that is made of them.

pub(super) mod block;
mod depthwise;
pub(super) mod pack;
pub(super) mod pointwise;
pub(super) mod product;
pub(super) mod quantise;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only AVX2 sums in 16 bits"))]
pub(super) mod runs;

/// Most positions of a tile: whole groups of all instructions.
pub(super) const TILE: usize = 24;

/// Calls a function with the number of positions of a group as a constant.
macro_rules! with_group {
    ($positions:expr, $P:ident => $call:expr) => {
        match $positions {
            1 => {
                const $P: usize = 1;
                $call
            }
            2 => {
                const $P: usize = 2;
                $call
            }
            3 => {
                const $P: usize = 3;
                $call
            }
            4 => {
                const $P: usize = 4;
                $call
            }
            5 => {
                const $P: usize = 5;
                $call
            }
            _ => {
                const $P: usize = 6;
                $call
            }
        }
    };
}
use with_group;
