//! Speed of decoding on one thread, in time of the processor, and a hash of the samples of all
//! frames.
//!
//!     cargo run --release -p ui2c-core --example decode MODEL STREAM

mod processor_time;

use std::error::Error;
use std::sync::Arc;

use processor_time::processor_time;
use sha2::{Digest, Sha256};
use ui2c_core::bitstream::SequenceHeader;
use ui2c_core::decoder::{Decoder, Engines, Native, Options};
use ui2c_core::model::Model;
use ui2c_core::network::Loops;
use ui2c_core::unit::Samples;

const RUNS: usize = 3;

struct Given(Arc<Model>);

impl Engines for Given {
    type Engine = Native;

    fn find(&mut self, _: &SequenceHeader) -> ui2c_core::Result<Native> {
        Ok(Native::new(Arc::clone(&self.0), None))
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [model, stream] = &paths[..] else { return Err("two files: a model and a stream".into()) };
    let model = Arc::new(Model::new(&std::fs::read(model)?, Loops::chosen())?);
    let stream = std::fs::read(stream)?;
    let run = || {
        for _ in 0..RUNS {
            decode(&model, &stream)?;
        }
        Ok(())
    };
    if cfg!(target_family = "wasm") {
        return run();
    }
    // The work is done on the thread that measures.
    rayon::ThreadPoolBuilder::new().num_threads(1).build()?.install(run)
}

fn decode(model: &Arc<Model>, stream: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut decoder = Decoder::new(Given(Arc::clone(model)), Options::default());
    decoder.feed(stream)?;
    decoder.close();
    let (mut hash, mut frames, mut seconds) = (Sha256::new(), 0, 0.0);
    loop {
        let start = processor_time();
        let frame = decoder.next_frame()?;
        seconds += (processor_time() - start).as_secs_f64();
        let Some(frame) = frame else { break };
        frames += 1;
        match frame.picture {
            Samples::Bytes(picture) => {
                picture.into_samples().iter().for_each(|plane| hash.update(plane));
            }
            Samples::Words(picture) => {
                for sample in picture.into_samples().iter().flatten() {
                    hash.update(sample.to_le_bytes());
                }
            }
        }
    }
    println!("{frames} frames, {:.2} frames/s", f64::from(frames) / seconds);
    println!("sha256 {}", hash.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>());
    Ok(())
}
