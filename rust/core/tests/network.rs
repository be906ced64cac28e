//! All kernels and numbers of threads give what the definition gives, bit for bit.

mod noise;
mod threads;

use noise::Noise;
use proptest::prelude::*;
use threads::with_threads;
use ui2c_core::Error;
use ui2c_core::network::{Block, BlockLayer, Depthwise, Loops, Pointwise, PointwiseLayer, Weights};

/// What layers are made of, and their inputs.
trait Layers {
    fn layer(&mut self, inputs: usize, outputs: usize, wide: bool, saturating: bool) -> Pointwise;
    fn block(&mut self, inputs: usize, c: usize, saturating: bool) -> Block;
    fn inputs(&mut self, positions: usize, channels: usize) -> Vec<f32>;
}

impl Layers for Noise {
    fn layer(&mut self, inputs: usize, outputs: usize, wide: bool, saturating: bool) -> Pointwise {
        let weights = if wide {
            let weight = |_| self.weight(2047, saturating) as i16;
            Weights::Wide((0..inputs * outputs).map(weight).collect())
        } else {
            let weight = |_| self.weight(63, saturating) as i8;
            Weights::Int8((0..inputs * outputs).map(weight).collect())
        };
        let typical = 1.0 / (if wide { 2047.0 } else { 63.0 } * (inputs as f32).sqrt());
        let scale = self.positive(outputs).into_iter().map(|s| s * typical).collect();
        let equalisation = if saturating { vec![1.0; inputs] } else { self.positive(inputs) };
        Pointwise::new(weights, scale, self.floats(outputs, 0.5), equalisation).unwrap()
    }

    fn block(&mut self, inputs: usize, c: usize, saturating: bool) -> Block {
        let adaptor = (inputs != c).then(|| self.layer(inputs, c, false, saturating));
        let spatial_in = self.layer(c, c, false, saturating);
        let spatial = Depthwise::new(self.floats(9 * c, 1.0), self.floats(c, 1.0)).unwrap();
        let spatial_out = self.layer(c, c, false, saturating);
        let mix_in = self.layer(c, 4 * c, false, saturating);
        let mix_out = self.layer(2 * c, c, false, saturating);
        Block::new(adaptor, spatial_in, spatial, spatial_out, mix_in, mix_out).unwrap()
    }

    /// Positions of all kinds: ordinary, all largest, zero, and around what counts as zero.
    fn inputs(&mut self, positions: usize, channels: usize) -> Vec<f32> {
        let mut x = Vec::with_capacity(positions * channels);
        for _ in 0..positions {
            let bound = |exponent: i32, steps: i32| {
                f32::from_bits(((127 + exponent) << 23) as u32).next_times(steps)
            };
            let steps = self.next() as i32 % 3;
            let factor = match self.next() % 12 {
                0 => 0.0,
                1 => bound(-100, steps),
                2 => bound(40, steps),
                3 => f32::from_bits(self.next() % (1 << 23)),
                4 => (self.float() * 100.0).exp2(),
                _ => 1.0,
            };
            let largest = self.next().is_multiple_of(4);
            x.extend((0..channels).map(|_| {
                let value = self.float();
                if largest { factor.copysign(value) } else { factor * value }
            }));
            // The largest is where it may be in the tail of a vector.
            let place = x.len() - 1 - self.next() as usize % channels;
            x[place] = factor.copysign(self.float());
        }
        x
    }
}

trait Next {
    /// As many floats further.
    fn next_times(self, steps: i32) -> Self;
}

impl Next for f32 {
    fn next_times(self, steps: i32) -> Self {
        f32::from_bits(self.to_bits().wrapping_add_signed(steps))
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn pointwise(layer: &Pointwise, loops: Loops, x: &[f32]) -> Vec<u32> {
    let mut y = vec![f32::NAN; x.len() / layer.inputs() * layer.outputs()];
    PointwiseLayer::new(layer.clone(), loops).forward(x, &mut y);
    bits(&y)
}

fn block(block: &Block, loops: Loops, width: usize, x: &[f32]) -> Vec<u32> {
    bits(&BlockLayer::new(block.clone(), loops).forward(width, x.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pointwise_layers_agree(
        seed in 1u64..,
        inputs in 1usize..20,
        outputs in prop_oneof![1usize..20, (1usize..12).prop_map(|n| 16 * n)],
        positions in prop_oneof![1usize..40, 190usize..600],
        wide: bool,
        saturating: bool,
        threads in 1usize..4,
    ) {
        let mut noise = Noise(seed);
        let layer = noise.layer(16 * inputs, outputs, wide, saturating);
        let x = noise.inputs(positions, layer.inputs());
        let plain = pointwise(&layer, Loops::SCALAR, &x);
        for loops in Loops::available() {
            let fast = with_threads(threads, || pointwise(&layer, loops, &x));
            prop_assert!(fast == plain, "{}", loops);
        }
    }

    #[test]
    fn blocks_agree(
        seed in 1u64..,
        inputs in 1usize..7,
        channels in 1usize..7,
        width in 1usize..60,
        height in 1usize..20,
        saturating: bool,
        threads in 1usize..4,
    ) {
        let mut noise = Noise(seed);
        let parameters = noise.block(16 * inputs, 16 * channels, saturating);
        let x = noise.inputs(width * height, parameters.inputs());
        let plain = block(&parameters, Loops::SCALAR, width, &x);
        for loops in Loops::available() {
            let fast =
                with_threads(threads, || block(&parameters, loops, width, &x));
            prop_assert!(fast == plain, "{}", loops);
        }
    }
}

/// Sums reach their largest magnitudes: all inputs, and all weights, at their limits.
#[test]
fn sums_do_not_overflow() {
    for (wide, inputs) in [(false, 2096), (false, 2048), (true, 512)] {
        // All magnitudes: how many sums are added in 16 bits depends on them.
        for limit in if wide { vec![2047, -2047] } else { (-63..=63).collect() } {
            let weights = if wide {
                Weights::Wide(vec![limit as i16; inputs * 3])
            } else {
                Weights::Int8(vec![limit as i8; inputs * 3])
            };
            let ones = |count| vec![1.0; count];
            let layer = Pointwise::new(weights, ones(3), vec![0.0; 3], ones(inputs)).unwrap();
            let levels = if wide { 2047 } else { 127 };
            // As many levels as there are make the step one.
            for x in [levels as f32, -levels as f32] {
                let sum = i64::from(limit) * x as i64 * inputs as i64;
                let x = vec![x; inputs * 7];
                for loops in Loops::available() {
                    let expected = bits(&[sum as f32; 21]);
                    assert_eq!(pointwise(&layer, loops, &x), expected, "{loops}, {inputs}");
                }
            }
        }
    }
}

/// Inputs that are not numbers, which no valid model makes, are zeros, too.
#[test]
fn what_is_no_number_counts_as_zero() {
    let mut noise = Noise(1);
    let layer = noise.layer(48, 20, false, false);
    for odd in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        for place in [0, 17, 47] {
            let mut x = noise.floats(48, 1.0);
            x[place] = odd;
            let zero = pointwise(&layer, Loops::SCALAR, &[0.0; 48]);
            for loops in Loops::available() {
                assert_eq!(pointwise(&layer, loops, &x), zero, "{loops}, {odd}");
            }
        }
    }
}

#[test]
fn an_empty_picture_is_no_error() {
    let mut noise = Noise(1);
    let layer = noise.layer(16, 16, false, false);
    let parameters = noise.block(16, 16, false);
    for loops in Loops::available() {
        assert!(pointwise(&layer, loops, &[]).is_empty());
        assert!(block(&parameters, loops, 5, &[]).is_empty());
    }
}

#[test]
fn what_is_no_layer_is_refused() {
    let refused = |result: Result<Pointwise, Error>, what: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }));
        assert!(error.to_string().contains(what), "{error}");
    };
    let make = |weight: i8, inputs: usize, scale: f32, bias: f32, equalisation: f32| {
        let weights = Weights::Int8(vec![weight; inputs * 2]);
        Pointwise::new(weights, vec![scale; 2], vec![bias; 2], vec![equalisation; inputs])
    };
    assert!(make(-63, 16, 1.0, 0.0, 1.0).is_ok());
    refused(make(64, 16, 1.0, 0.0, 1.0), "weight of 64");
    refused(make(-128, 16, 1.0, 0.0, 1.0), "weight of 128");
    refused(make(1, 15, 1.0, 0.0, 1.0), "15 inputs");
    refused(make(1, 0, 1.0, 0.0, 1.0), "0 inputs");
    refused(make(1, 2112, 1.0, 0.0, 1.0), "2112 inputs");
    for odd in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-13, 2e6] {
        refused(make(1, 16, odd, 0.0, 1.0), "scale");
        refused(make(1, 16, 1.0, 0.0, odd), "equalisation");
    }
    for odd in [f32::NAN, f32::INFINITY, -2e6] {
        refused(make(1, 16, 1.0, odd, 1.0), "bias");
    }
    let weights = Weights::Wide(vec![2048; 32]);
    refused(Pointwise::new(weights, vec![1.0; 2], vec![0.0; 2], vec![1.0; 16]), "2048");
    let weights = Weights::Int8(vec![1; 31]);
    refused(Pointwise::new(weights, vec![1.0; 2], vec![0.0; 2], vec![1.0; 16]), "31 weights");

    let mut noise = Noise(1);
    let mut layer = |inputs, outputs, wide| noise.layer(inputs, outputs, wide, false);
    let depthwise = |c: usize| Depthwise::new(vec![0.0; 9 * c], vec![0.0; c]).unwrap();
    let narrow = (layer(16, 16, false), layer(16, 16, false), layer(16, 64, false));
    let block = |mix_out, adaptor| {
        let (a, b, c) = narrow.clone();
        Block::new(adaptor, a, depthwise(16), b, c, mix_out)
    };
    assert!(block(layer(32, 16, false), None).is_ok());
    assert!(block(layer(16, 16, false), None).is_err());
    assert!(block(layer(32, 16, true), None).is_err());
    assert!(block(layer(32, 16, false), Some(layer(48, 32, false))).is_err());
    assert!(Depthwise::new(vec![0.0; 8], vec![0.0]).is_err());
    assert!(Depthwise::new(vec![f32::NAN; 9], vec![0.0]).is_err());
}

/// The trial before the choice refuses none that is right, as the tests above show all to be.
#[test]
fn all_loops_pass_the_trial() {
    let available: Vec<Loops> = Loops::available().collect();
    assert_eq!(Loops::right(), available);
    assert!(available.contains(&Loops::chosen()));
}
