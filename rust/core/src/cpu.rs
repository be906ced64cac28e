//! Which instructions to use.

use std::fmt;
use std::sync::OnceLock;

/// A set of instructions that this processor has.
///
/// Results never depend on it. Values other than [`Level::SCALAR`] come from [`Level::available`]
/// only, so holding one proves that its instructions can be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Scalar,
    /// With FMA and POPCNT, which every processor with AVX2 but a few has.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// F, BW, DQ, VL, VBMI, VBMI2 and VNNI: Ice Lake, Zen 4 and later.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Which every 64-bit Arm processor has that runs a system with floating point.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Of WebAssembly. There is nothing to detect: a module that has them runs only where they are.
    #[cfg(target_feature = "simd128")]
    Simd128,
}

/// Environment variable that lowers the level: `scalar`, then `avx2` or `avx512` on x86-64, `neon`
/// on Arm, `simd128` in WebAssembly.
const VARIABLE: &str = "UI2C_CPU";

impl Level {
    /// What every processor can do.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// All levels of this processor, lowest first, up to what the environment variable `UI2C_CPU`
    /// names; other values of it have no effect. It is read once.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            let most = std::env::var(VARIABLE).ok();
            let names = KINDS.map(Kind::name);
            let most = most.and_then(|most| names.iter().position(|&name| name == most));
            let kinds = &KINDS[..=most.unwrap_or(KINDS.len() - 1)];
            kinds.iter().filter(|kind| kind.is_detected()).map(|&kind| Self(kind)).collect()
        })
    }

    /// The highest of the available levels.
    pub fn highest() -> Self {
        Self::available().last().copied().unwrap_or(Self::SCALAR)
    }

    /// Whether it has instructions that load from a vector of places.
    pub(crate) fn gathers(self) -> bool {
        match self.0 {
            Kind::Scalar => false,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 | Kind::Avx512 => true,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => false,
            #[cfg(target_feature = "simd128")]
            Kind::Simd128 => false,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

#[cfg(target_arch = "x86_64")]
const KINDS: [Kind; 3] = [Kind::Scalar, Kind::Avx2, Kind::Avx512];
#[cfg(target_arch = "aarch64")]
const KINDS: [Kind; 2] = [Kind::Scalar, Kind::Neon];
#[cfg(target_feature = "simd128")]
const KINDS: [Kind; 2] = [Kind::Scalar, Kind::Simd128];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128")))]
const KINDS: [Kind; 1] = [Kind::Scalar];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_feature = "simd128")]
            Self::Simd128 => "simd128",
        }
    }

    fn is_detected(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        use std::arch::is_x86_feature_detected as has;
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has!("avx2") && has!("fma") && has!("popcnt"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_detected()
                    && has!("avx512f")
                    && has!("avx512bw")
                    && has!("avx512dq")
                    && has!("avx512vl")
                    && has!("avx512vbmi")
                    && has!("avx512vbmi2")
                    && has!("avx512vnni")
                    && has!("bmi2")
            }
            #[cfg(target_feature = "simd128")]
            Self::Simd128 => true,
            // The loops take the first element in memory as the first of a vector.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => {
                cfg!(target_endian = "little") && std::arch::is_aarch64_feature_detected!("neon")
            }
        }
    }
}
