//! Speed of the networks' layers on one thread, in 10^9 multiplications with additions a second, in
//! the best of many runs.
//!
//!     cargo run --release -p ui2c-core --example network
//!     cargo run --release -p ui2c-core --example network --target wasm32-wasip1

mod processor_time;

use std::time::Duration;

use processor_time::processor_time;
use ui2c_core::network::{
    BareProduct, Block, BlockLayer, Depthwise, Loops, Pointwise, PointwiseLayer, Weights,
};

const WIDTHS: [usize; 3] = [64, 128, 192];
const PICTURES: [(usize, usize); 2] = [(80, 45), (160, 90)];

/// Channels whose layer, and inputs, stay in the first cache.
const BARE: usize = 128;

/// How long each is run again and again.
const TIME: Duration = Duration::from_millis(500);

fn main() {
    if cfg!(target_family = "wasm") {
        return run();
    }
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    // The work is done on the thread that measures.
    threads.expect("a thread can be had").install(run);
}

fn run() {
    println!("{}; chosen: {}", processor(), Loops::chosen());
    for loops in Loops::available().filter(|&loops| loops != Loops::SCALAR) {
        let bare = BareProduct::new(BARE, loops).expect("the width is valid");
        let bare = bare.expect("the loops are not the plain ones");
        let bare = speed(|| bare.run(20));
        println!("{loops}: bare product {bare:.1}");
        println!("  layer            positions  GMAC/s  of the bare product");
        let line = |name: String, (width, height): (usize, usize), speed: f64| {
            let positions = format!("{width}×{height}");
            println!("  {name:16} {positions:>9}  {speed:6.1}  {:3.0} %", 100.0 * speed / bare);
        };
        for channels in WIDTHS {
            for picture in PICTURES {
                let positions = picture.0 * picture.1;
                let x = noise(positions * channels);
                let mut y = vec![0.0; x.len()];
                let layer = PointwiseLayer::new(pointwise(channels, channels), loops);
                let pointwise = speed(|| {
                    layer.forward(&x, &mut y);
                    positions * channels * channels
                });
                line(format!("pointwise {channels}"), picture, pointwise);
                let layer = BlockLayer::new(block(channels), loops);
                let block = speed(|| {
                    layer.forward(picture.0, x.clone());
                    positions * (8 * channels * channels + 9 * channels)
                });
                line(format!("block {channels}"), picture, block);
            }
        }
    }
}

/// The best of all runs, in time of the processor; `run` says how much it did.
fn speed(mut run: impl FnMut() -> usize) -> f64 {
    let (first, mut best) = (processor_time(), 0.0);
    while processor_time() - first < TIME {
        let start = processor_time();
        let done = run();
        best = f64::max(best, done as f64 / (processor_time() - start).as_secs_f64() / 1e9);
    }
    best
}

fn pointwise(inputs: usize, outputs: usize) -> Pointwise {
    // Small ones are more frequent, as in a model: how many sums fit 16 bits depends on that.
    let weights = noise(inputs * outputs).into_iter().map(|x| (63.0 * x.powi(3)) as i8).collect();
    let scale = 0.01 / (inputs as f32).sqrt();
    Pointwise::new(Weights::Int8(weights), vec![scale; outputs], noise(outputs), vec![1.0; inputs])
        .expect("the layer is valid")
}

fn block(channels: usize) -> Block {
    let depthwise = Depthwise::new(noise(9 * channels), noise(channels));
    Block::new(
        None,
        pointwise(channels, channels),
        depthwise.expect("the layer is valid"),
        pointwise(channels, channels),
        pointwise(channels, 4 * channels),
        pointwise(2 * channels, channels),
    )
    .expect("the layers fit together")
}

/// Numbers from -1 to 1.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or(std::env::consts::ARCH.into(), |(_, name)| name.into())
}
