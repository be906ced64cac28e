//! How much time the search takes, and for what.

use crate::motion::compensate::HELD;

/// How long the search may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Chooses step and vectors on a quarter of the size in each direction, refines at full size.
    Fast,
    /// On half the size.
    #[default]
    Default,
    /// On the full size, and tries more.
    Slow,
}

/// What the search does.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Halvings of the size at which step and vectors are chosen.
    pub level: usize,
    /// Most passes of the model there: before vectors are taken over and after.
    pub first_passes: usize,
    pub passes: usize,
    /// Most passes at full size.
    pub last_passes: usize,
    /// Whether any single vector is tried, or only those that promise to gain; and whether vectors
    /// are moved to more places before the last passes, which always do.
    pub thorough: bool,
    /// Whether a pass more follows at full size whose result is not looked at.
    pub trusting: bool,
    /// Rows that get the same displacements while predictions are compared.
    pub held: usize,
}

impl Effort {
    pub(super) fn plan(self) -> Plan {
        let plan = Plan {
            level: 1,
            first_passes: 1,
            passes: 1,
            last_passes: 1,
            trusting: true,
            thorough: false,
            held: HELD,
        };
        match self {
            Self::Fast => Plan { level: 2, last_passes: 0, ..plan },
            Self::Default => plan,
            Self::Slow => {
                Plan { level: 0, passes: 2, trusting: false, thorough: true, held: 1, ..plan }
            }
        }
    }
}
