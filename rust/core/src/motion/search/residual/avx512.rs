//! As with AVX2, with vectors of twice the length for what is weighed.

use super::avx2::transform;
use super::{Area, Cost, Padded, Residual, measure_with};

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn measure(
    prediction: &[u8],
    frame: &Padded<u8>,
    area: &Area,
    cost: Cost,
    out: &mut Residual,
) {
    measure_with(prediction, frame, area, cost, out, |terms| transform(terms));
}
