// The module decodes the golden streams to the pictures that the native decoder gives, and says what
// is wrong with bytes that are none.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Decoder } from "../ui2c.mjs";

const golden = (name) => readFile(new URL(`../../../tests/golden/${name}`, import.meta.url));
const module = await WebAssembly.compile(await readFile(process.env.UI2C_WASM));
const model = await golden("nano.safetensors");

/** Frames of a y4m file of 4:2:0: of each the bytes of all planes. */
async function pictures(name) {
  const bytes = await golden(name);
  const line = bytes.subarray(0, bytes.indexOf("\n")).toString();
  const [width, height] = ["W", "H"].map((tag) => Number(line.match(` ${tag}(\\d+)`)[1]));
  const samples = width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
  const size = samples * (line.includes("C420p") ? 2 : 1);
  const frames = [];
  for (let at = line.length + 1; at < bytes.length; at += size) {
    at = bytes.indexOf("\n", at) + 1;
    frames.push(bytes.subarray(at, at + size));
  }
  return frames;
}

/** The bytes of a frame's planes. */
function bytesOf({ planes }) {
  return Buffer.concat(
    planes.map(({ samples }) => new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength)),
  );
}

/** All frames, with `piece` bytes pushed at a time. */
function decode(decoder, stream, piece = stream.length) {
  const frames = [];
  const take = () => {
    for (let frame; (frame = decoder.next()) !== null; ) {
      frames.push({ ...frame, bytes: bytesOf(frame) });
    }
  };
  for (let at = 0; at < stream.length; at += piece) {
    decoder.push(stream.subarray(at, at + piece));
    take();
  }
  decoder.close();
  take();
  return frames;
}

for (const name of ["eight", "ten"]) {
  test(`${name}.ui2c decodes to its pictures`, async () => {
    const [stream, expected] = [await golden(`${name}.ui2c`), await pictures(`${name}.y4m`)];
    assert.ok(expected.length > 1);
    for (const piece of [stream.length, 100]) {
      const frames = decode(await Decoder.open(module, model), stream, piece);
      assert.equal(frames.length, expected.length);
      frames.forEach((frame, number) => {
        assert.equal(frame.number, number);
        assert.ok(frame.bytes.equals(expected[number]), `frame ${number}`);
      });
      const times = frames.map(({ pts }) => pts);
      assert.ok(times.every((pts, k) => k === 0 || pts > times[k - 1]));
    }
  });
}

test("the header tells how to show frames", async () => {
  const decoder = await Decoder.open(module, model);
  assert.equal(decoder.header, null);
  const frames = decode(decoder, await golden("ten.ui2c"));
  const { width, height, bitDepth, timebase } = decoder.header;
  assert.deepEqual([width, height, bitDepth], [51, 37, 10]);
  assert.ok(timebase[0] > 0 && timebase[1] > 0);
  assert.deepEqual(
    frames[0].planes.map(({ columns, rows }) => [columns, rows]),
    [[51, 37], [26, 19], [26, 19]],
  );
});

test("what is wrong is said", async () => {
  await assert.rejects(Decoder.open(module, model.subarray(0, 1000)), {
    name: "DecodeError",
    message: /^corrupt data at byte 0: model file/,
  });
  const stream = Buffer.from(await golden("eight.ui2c"));
  stream[stream.length / 2] ^= 1;
  const decoder = await Decoder.open(module, model);
  const corrupt = { name: "DecodeError", message: /^corrupt data at byte \d+: / };
  assert.throws(() => decode(decoder, stream), corrupt);
  assert.throws(() => decoder.next(), corrupt);

  const [fresh, others] = [await Decoder.open(module, model), await golden("coder.ui2c")];
  assert.throws(() => decode(fresh, others), /the stream needs model [0-9a-f]{16}, this is model/);
});

test("a stream that ends early is no whole one", async () => {
  const stream = await golden("eight.ui2c");
  const decoder = await Decoder.open(module, model);
  assert.throws(() => decode(decoder, stream.subarray(0, stream.length / 2)), /^DecodeError: data ends/);
  const closed = await Decoder.open(module, model);
  closed.close();
  assert.throws(() => closed.push(stream), /^DecodeError: .* after close/);
});
