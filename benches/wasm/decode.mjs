// Speed of the WebAssembly module in time of the processor, the memory it took, and a hash of the
// samples of all frames:
//
//     node benches/wasm/decode.mjs MODULE MODEL STREAM
//
// The same of the native decoder on one thread, with the same hash:
//
//     cargo run --release -p ui2c-core --example decode MODEL STREAM

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { Decoder } from "../../rust/wasm/ui2c.mjs";

const RUNS = 3;

const [code, model, stream] = await Promise.all(process.argv.slice(2).map((path) => readFile(path)));
const module = await WebAssembly.compile(code);
for (let run = 0; run < RUNS; run++) {
  const decoder = await Decoder.open(module, model);
  const hash = createHash("sha256");
  let [frames, time] = [0, 0];
  const timed = (work) => {
    const start = process.cpuUsage();
    const result = work();
    const { user, system } = process.cpuUsage(start);
    time += (user + system) / 1e6;
    return result;
  };
  decoder.push(stream);
  decoder.close();
  for (let frame; (frame = timed(() => decoder.next())) !== null; frames++) {
    for (const { samples } of frame.planes) hash.update(samples);
  }
  const memory = (decoder.memory / 2 ** 20).toFixed(0);
  console.log(`${frames} frames, ${(frames / time).toFixed(2)} frames/s, ${memory} MiB`);
  console.log(`sha256 ${hash.digest("hex")}`);
}
