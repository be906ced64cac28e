//! Which elements of a latent each stage of the prior decides.

use std::ops::Range;

use super::config::STAGES;

/// Rows and columns of a 2 × 2 square, in the order in which the stages decide them.
const PHASES: [(usize, usize); STAGES] = [(0, 0), (1, 1), (0, 1), (1, 0)];

/// The channels that a stage decides at a position: each quarter of them goes through the square in
/// an order of its own.
pub(super) fn decided(stage: usize, y: usize, x: usize, channels: usize) -> Range<usize> {
    let here = |&(down, right): &(usize, usize)| ((y + down) % 2, (x + right) % 2) == PHASES[stage];
    // Sums of the phases are all different, so there is one.
    let quarter = PHASES.iter().position(here).unwrap_or(0);
    quarter * channels / STAGES..(quarter + 1) * channels / STAGES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_decided_once() {
        for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1), (6, 3)] {
            let mut times = [0; 32];
            for stage in 0..STAGES {
                times[decided(stage, y, x, 32)].iter_mut().for_each(|n| *n += 1);
            }
            assert_eq!(times, [1; 32]);
        }
        assert_eq!(decided(0, 0, 0, 32), 0..8);
        assert_eq!(decided(1, 0, 0, 32), 8..16);
        assert_eq!(decided(0, 0, 1, 32), 16..24);
    }
}
