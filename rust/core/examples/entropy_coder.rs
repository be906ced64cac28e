//! Speed of the entropy coder on one core: `cargo run --release --example entropy_coder`.
//!
//! Four million zero-mean Gaussian symbols under 64 tables of log-spaced scales from 0.11 to 16,
//! "low": mostly small scales, as in the frames of a video; "uniform": all scales alike. With a
//! directory as argument, the elements are written there for other programs, and latents that
//! `latents_NAME.*` there hold are measured, too. Prints JSON.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ui2c_core::cpu::Level;
use ui2c_core::rans::{Decoder, Encoder, Loops, Tables};

const COUNT: usize = 4_000_000;
const SCALES: usize = 64;
/// Symbols are clamped to ± this.
const REACH: f64 = 8.0;
/// Every figure is the best of so many runs, in time of the processor.
const RUNS: usize = 20;

struct Data {
    name: String,
    tables: Tables,
    frequencies: Vec<u16>,
    lengths: Vec<u16>,
    skip: u8,
    indexes: Vec<u8>,
    symbols: Vec<i16>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1);
    let mut all: Vec<Data> = vec![
        synthetic("low", low, 0),
        synthetic("uniform", uniform, 0),
        synthetic("skip", low, 16),
    ];
    if let Some(directory) = &directory {
        for data in &all {
            data.save(Path::new(directory))?;
        }
        all.extend(saved_latents(Path::new(directory))?);
    }
    let mut results = Vec::new();
    for data in &all {
        results.extend(measure(data)?);
    }
    println!("[{}]", results.join(",\n"));
    Ok(())
}

/// Figures of one data set at all levels, as JSON objects.
fn measure(data: &Data) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut lines = Vec::new();
    let ideal = data.ideal_bits() / 8.0;
    let coded = data.indexes.iter().filter(|&&index| index >= data.skip).count();
    let encoder_for = |level: Option<Level>| level.map_or_else(Encoder::new, Encoder::with_level);
    // None: what is chosen.
    for loops in Loops::available().map(Some).chain([None]) {
        let encode = || -> ui2c_core::Result<(u8, Vec<u8>)> {
            let mut encoder = encoder_for(loops.map(Loops::level));
            encoder.put_slice(&data.tables, &data.indexes, &data.symbols)?;
            encoder.finish(None)
        };
        let (lanes, stream) = encode()?;
        let mut symbols = vec![0; data.indexes.len()];
        let mut decode = || -> ui2c_core::Result<()> {
            let mut decoder = Decoder::new(&stream[..], lanes)?;
            if let Some(loops) = loops {
                decoder.set_loops(loops);
            }
            decoder.get_slice(&data.tables, &data.indexes, &mut symbols)?;
            decoder.finish()
        };
        let decoding = best(&mut decode)?;
        let encoding = best(&mut || encode().map(drop))?;
        assert!(symbols == data.symbols, "decoding gives other symbols");
        let rate = |time: Duration| data.indexes.len() as f64 / time.as_secs_f64() / 1e6;
        lines.push(format!(
            "{{\"data\": \"{}\", \"coder\": \"ui2c\", \"level\": \"{}\", \"elements\": {}, \
             \"coded\": {coded}, \"bytes\": {}, \"ideal\": {ideal:.0}, \"lanes\": {}, \
             \"encode\": {:.1}, \"decode\": {:.1}}}",
            data.name,
            loops.map_or("chosen".into(), |loops| loops.to_string()),
            data.indexes.len(),
            stream.len(),
            1 << lanes,
            rate(encoding),
            rate(decoding),
        ));
    }
    Ok(lines)
}

/// What this thread has had of a processor; unlike the time of day it says nothing of what else
/// the machine is doing.
fn processor_time() -> Duration {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    const THREAD: i32 = 3;
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: the structure is that of 64-bit Linux, for which the example is.
    let result = unsafe { clock_gettime(THREAD, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

fn best(run: &mut dyn FnMut() -> ui2c_core::Result<()>) -> ui2c_core::Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = processor_time();
        run()?;
        best = best.min(processor_time() - start);
    }
    Ok(best)
}

/// Which scale an element has, from a number that is uniform in 0 … 1.
fn uniform(u: f64) -> f64 {
    u * SCALES as f64
}

/// Skewed to small scales so that a symbol has 0.47 bits on average.
fn low(u: f64) -> f64 {
    u.powf(7.4) * SCALES as f64
}

fn scale(index: usize) -> f64 {
    0.11 * (16.0 / 0.11f64).powf(index as f64 / (SCALES - 1) as f64)
}

fn synthetic(name: &str, distribution: fn(f64) -> f64, skip: u8) -> Data {
    let mut frequencies = Vec::new();
    let mut lengths = Vec::new();
    for t in 0..SCALES {
        let table = gaussian_table(scale(t));
        lengths.push(table.len() as u16);
        frequencies.extend(table);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut number = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let element = |_| {
        let index = (distribution(number()) as usize).min(SCALES - 1);
        let radius = (-2.0 * (1.0 - number()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * number()).cos();
        let symbol = (normal * scale(index)).round().clamp(-REACH, REACH) as i16;
        let symbol = if index < skip.into() { 0 } else { symbol };
        (index as u8, symbol)
    };
    let (indexes, symbols) = (0..COUNT).map(element).unzip();
    let tables = Tables::new(&frequencies, &lengths, skip).expect("tables sum to 4096");
    Data { name: name.into(), tables, frequencies, lengths, skip, indexes, symbols }
}

/// 2m + 2 frequencies of a zero-mean Gaussian clamped to ±`REACH`; what is rarer than 2^-13 is the
/// escape.
fn gaussian_table(scale: f64) -> Vec<u16> {
    // The probability of each symbol by the midpoint rule.
    let density = |x: f64| (-x * x / (2.0 * scale * scale)).exp();
    let mass = |from: f64, to: f64| {
        let steps = 400;
        let width = (to - from) / f64::from(steps);
        (0..steps).map(|i| density(from + (f64::from(i) + 0.5) * width)).sum::<f64>() * width
    };
    let outside = mass(REACH - 0.5, REACH + 8.0 * scale);
    let masses: Vec<f64> = (0..=REACH as i32)
        .map(f64::from)
        .map(|k| if k < REACH { mass(k - 0.5, k + 0.5) } else { outside })
        .collect();
    let total = masses[0] + 2.0 * masses[1..].iter().sum::<f64>();
    let beyond = |m: usize| 2.0 * masses[m + 1..].iter().sum::<f64>() / total;
    let last = masses.len() - 1;
    let largest = (0..last).find(|&m| beyond(m) < f64::powi(2.0, -13)).unwrap_or(last);
    let half = masses[..=largest].iter();
    let half: Vec<u16> = half.map(|p| ((p / total * 4096.0).round() as u16).max(1)).collect();
    let mut table: Vec<u16> = half[1..].iter().rev().chain(&half).copied().chain([1]).collect();
    let sum: u16 = table.iter().sum();
    table[largest] = table[largest] + 4096 - sum;
    table
}

impl Data {
    /// Code length of all symbols under the tables' frequencies; escapes with their bits.
    fn ideal_bits(&self) -> f64 {
        let starts: Vec<usize> = self
            .lengths
            .iter()
            .scan(0, |next, &length| Some(std::mem::replace(next, *next + usize::from(length))))
            .collect();
        let bits = |(&index, &symbol): (&u8, &i16)| {
            if index < self.skip {
                return 0.0;
            }
            let largest = (i32::from(self.lengths[usize::from(index)]) - 2) / 2;
            let beyond = i32::from(symbol).abs() - largest;
            let entry = if beyond > 0 { 2 * largest + 1 } else { i32::from(symbol) + largest };
            let frequency = self.frequencies[starts[usize::from(index)] + entry as usize];
            let escape = if beyond > 0 { f64::from(2 * beyond.ilog2() + 2) } else { 0.0 };
            12.0 - f64::from(frequency).log2() + escape
        };
        self.indexes.iter().zip(&self.symbols).map(bits).sum()
    }

    fn save(&self, directory: &Path) -> std::io::Result<()> {
        let file = |what: &str| directory.join(format!("{}.{what}", self.name));
        let bytes =
            |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        fs::write(file("indexes"), &self.indexes)?;
        let symbols: Vec<u8> = self.symbols.iter().flat_map(|v| v.to_le_bytes()).collect();
        fs::write(file("symbols"), symbols)?;
        fs::write(file("frequencies"), bytes(&self.frequencies))?;
        fs::write(file("lengths"), bytes(&self.lengths))
    }

    fn load(directory: &Path, name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let read = |what: &str| fs::read(directory.join(format!("{name}.{what}")));
        let words = |what: &str| -> std::io::Result<Vec<u16>> {
            Ok(read(what)?.as_chunks().0.iter().map(|&v| u16::from_le_bytes(v)).collect())
        };
        let (frequencies, lengths) = (words("frequencies")?, words("lengths")?);
        let skip = String::from_utf8(read("skip")?)?.trim().parse()?;
        Ok(Self {
            name: name.into(),
            tables: Tables::new(&frequencies, &lengths, skip)?,
            frequencies,
            lengths,
            skip,
            indexes: read("indexes")?,
            symbols: words("symbols")?.into_iter().map(|v| v as i16).collect(),
        })
    }
}

/// All data sets of real latents that the benchmark's Python side has left.
fn saved_latents(directory: &Path) -> Result<Vec<Data>, Box<dyn std::error::Error>> {
    let mut names: Vec<String> = fs::read_dir(directory)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".skip")?.to_owned()))
        .collect();
    names.sort();
    names.iter().map(|name| Data::load(directory, name)).collect()
}
