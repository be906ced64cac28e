//! The units that vectors are in, and what they cost.

use crate::motion::MAX_COMPONENT;

/// What vectors cost.
#[derive(Clone, Copy)]
pub(crate) struct Prices {
    /// What their bits count for.
    pub weight: f32,
    /// They are multiples of `2^shift` quarter samples, and coded so.
    pub shift: u32,
}

/// Keeps a component, a multiple of `2^shift`, in range.
pub(super) fn clamp(component: i16, shift: u32) -> i16 {
    let limit = MAX_COMPONENT >> shift << shift;
    component.clamp(-limit, limit)
}
