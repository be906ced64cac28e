//! Which instructions the fast paths may use. The results are the same at every level.

use std::sync::OnceLock;

/// Instruction sets, each with those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the architecture has.
    Scalar,
    /// AVX2.
    Avx2,
    /// AVX-512 with the byte, word, doubleword and vector length extensions.
    Avx512,
}

/// The level of this process: what the processor has, lowered by the environment variable
/// `UI2C_CPU` (`scalar`, `avx2` or `avx512`; anything else is ignored), read once.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let wanted = std::env::var("UI2C_CPU").ok().and_then(|name| named(&name));
        wanted.map_or(detected(), |wanted| wanted.min(detected()))
    })
}

fn named(name: &str) -> Option<Level> {
    match name {
        "scalar" => Some(Level::Scalar),
        "avx2" => Some(Level::Avx2),
        "avx512" => Some(Level::Avx512),
        _ => None,
    }
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Level {
    if !is_x86_feature_detected!("avx2") {
        return Level::Scalar;
    }
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if wide { Level::Avx512 } else { Level::Avx2 }
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> Level {
    Level::Scalar
}
