//! Which kernels are fastest, of those that give the right bits; measured once.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::kernels::pack::{Order, Pack, Panels};
use super::kernels::pointwise::Forward;
use super::parameters::{Pointwise, Weights};
#[cfg(target_arch = "aarch64")]
use super::simd::neon;
#[cfg(target_feature = "simd128")]
use super::simd::wasm::Simd128;
use super::simd::{Simd, Task};
#[cfg(target_arch = "x86_64")]
use super::simd::{avx2, avx512};
use super::trial::Trial;
use crate::cpu::{Kind, Level};

/// Channels of the trial, its positions, and how often it is made.
const CHANNELS: usize = 64;
const POSITIONS: usize = 96;
const TRIALS: usize = 5;

/// Kernels for the instructions of a level, and for dot products that only some of its processors
/// have.
///
/// Results never depend on it. Others than [`Loops::SCALAR`] come from [`Loops::available`] only, so
/// holding one proves that its instructions can be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loops {
    level: Level,
    dot_products: bool,
}

impl Loops {
    /// The definition.
    pub const SCALAR: Self = Self { level: Level::SCALAR, dot_products: false };

    /// All of this processor's, the plain ones first.
    pub fn available() -> impl Iterator<Item = Self> {
        Level::available().iter().flat_map(|&level| {
            let more = match level.kind() {
                Kind::Scalar => false,
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => avx2::AvxVnni::is_detected(),
                // Which has them.
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => false,
                #[cfg(target_arch = "aarch64")]
                Kind::Neon => neon::NeonDot::is_detected(),
                #[cfg(target_feature = "simd128")]
                Kind::Simd128 => false,
            };
            let plain = Self { level, dot_products: false };
            [plain].into_iter().chain(more.then_some(Self { level, dot_products: true }))
        })
    }

    /// Those of them that give what the definition gives, on a small picture: no slip of a
    /// compiler, an emulator or a processor that was never seen may change what is decoded.
    pub fn right() -> Vec<Self> {
        let trial = Trial::new().expect("the trial's layers are valid");
        let expected = trial.run(Self::SCALAR);
        Self::available().filter(|&loops| trial.run(loops) == expected).collect()
    }

    /// The fastest of those on this processor.
    pub fn chosen() -> Self {
        static CHOSEN: OnceLock<Loops> = OnceLock::new();
        *CHOSEN.get_or_init(measure)
    }

    /// The instructions.
    pub fn level(self) -> Level {
        self.level
    }

    /// Runs the task with these instructions, or returns it if they are the plain ones.
    pub(super) fn run<T: Task>(self, task: T) -> Result<T::Output, T> {
        match (self.level.kind(), self.dot_products) {
            (Kind::Scalar, _) => Err(task),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is one of this processor's.
            (Kind::Avx2, false) => Ok(unsafe { avx2::Avx2::new() }.run(task)),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, and AVX-VNNI was detected.
            (Kind::Avx2, true) => Ok(unsafe { avx2::AvxVnni::new() }.run(task)),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is one of this processor's.
            (Kind::Avx512, _) => Ok(unsafe { avx512::Avx512::new() }.run(task)),
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            (Kind::Neon, false) => Ok(unsafe { neon::Neon::new() }.run(task)),
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above, and dot products were detected.
            (Kind::Neon, true) => Ok(unsafe { neon::NeonDot::new() }.run(task)),
            #[cfg(target_feature = "simd128")]
            (Kind::Simd128, _) => Ok(Simd128.run(task)),
        }
    }
}

impl fmt::Display for Loops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = match (self.dot_products, cfg!(target_arch = "aarch64")) {
            (false, _) => "",
            (true, false) => " vnni",
            (true, true) => " dotprod",
        };
        write!(f, "{}{more}", self.level)
    }
}

fn measure() -> Loops {
    let mut candidates = Loops::right();
    // The plain loops are for where there are no others. WebAssembly, which may have no clock, has
    // one kind of others at most.
    candidates.retain(|loops| loops.level != Level::SCALAR);
    if let [] | [_] = candidates[..] {
        return candidates.first().copied().unwrap_or(Loops::SCALAR);
    }
    let layer = Pointwise::new(
        Weights::Int8((0..CHANNELS * CHANNELS).map(|i| (i * 37 % 127) as i8 - 63).collect()),
        vec![1.0; CHANNELS],
        vec![0.0; CHANNELS],
        vec![1.0; CHANNELS],
    );
    let layer = layer.expect("the trial's layer is valid");
    let x: Vec<f32> = (0..POSITIONS * CHANNELS).map(|i| (i * 101 % 199) as f32 - 99.0).collect();
    let mut y = vec![0.0; x.len()];
    let mut time = |loops: Loops, panels: &Panels| {
        let start = Instant::now();
        let task = Forward { layer: panels, x: &x, y: &mut y };
        loops.run(task).map_or(Duration::MAX, |()| start.elapsed())
    };
    let shortest = |loops: &Loops| {
        let pack = Pack { layer: &layer, order: Order::Plain };
        let Ok(panels) = loops.run(pack) else { return Duration::MAX };
        (0..TRIALS).map(|_| time(*loops, &panels)).min().unwrap_or(Duration::MAX)
    };
    candidates.iter().copied().min_by_key(shortest).unwrap_or(Loops::SCALAR)
}
