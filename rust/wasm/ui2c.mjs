// A decoder of ui2c streams over the WebAssembly module.

/** What the decoder says of a model or a stream that it cannot take. */
export class DecodeError extends Error {
  name = "DecodeError";
}

/**
 * Push decoder of one stream: `push` bytes as they come, call `next` until it gives null, `close`
 * after the last ones and call `next` to the end.
 */
export class Decoder {
  #exports;

  /**
   * @param {WebAssembly.Module} module the compiled module; each decoder is an instance of it
   * @param {Uint8Array} model the bytes of a model file
   * @throws {DecodeError} if the bytes are no model of this version
   */
  static async open(module, model) {
    const { exports } = await WebAssembly.instantiate(module);
    return new Decoder(exports, model);
  }

  /** Use `Decoder.open`. */
  constructor(exports, model) {
    this.#exports = exports;
    this.#write(model);
    this.#check(exports.ui2c_open());
  }

  /**
   * Adds the bytes that follow those pushed before.
   *
   * @param {Uint8Array} bytes
   */
  push(bytes) {
    this.#write(bytes);
    this.#check(this.#exports.ui2c_push());
  }

  /** Says that no more bytes follow. */
  close() {
    this.#check(this.#exports.ui2c_close());
  }

  /**
   * The next frame; null if more bytes are needed, or after `close` if none follows.
   *
   * `number` counts frames from 0, `pts` is when it is shown, in ticks. `planes` are Y, U and V, row
   * by row: `samples` is a Uint8Array, or a Uint16Array at more than 8 bits, of `columns` times
   * `rows`. It lies in the decoder's memory and is valid until the next call.
   *
   * @throws {DecodeError} if the stream is damaged or is not for this model
   */
  next() {
    const exports = this.#exports;
    if (this.#check(exports.ui2c_next()) === 0) return null;
    const Samples = this.header.bitDepth === 8 ? Uint8Array : Uint16Array;
    const planes = [0, 1, 2].map((plane) => {
      const [columns, rows] = [exports.ui2c_columns(plane), exports.ui2c_rows(plane)];
      const at = exports.ui2c_plane(plane) >>> 0;
      return { columns, rows, samples: new Samples(exports.memory.buffer, at, columns * rows) };
    });
    return { number: Number(exports.ui2c_number()), pts: exports.ui2c_pts(), planes };
  }

  /**
   * Width, height, bitDepth, colorPrimaries, transfer, matrix, fullRange, timebase (seconds a tick)
   * and sampleAspect (both as numerator and denominator); null until it has come.
   */
  get header() {
    this.#exports.ui2c_header();
    const text = this.#text();
    return text === "" ? null : JSON.parse(text);
  }

  /** Bytes that the decoder holds; they never become fewer. */
  get memory() {
    return this.#exports.memory.buffer.byteLength;
  }

  #write(bytes) {
    const at = this.#exports.ui2c_room(bytes.length) >>> 0;
    if (at === 0) throw new DecodeError(`no memory for ${bytes.length} bytes`);
    new Uint8Array(this.#exports.memory.buffer, at, bytes.length).set(bytes);
  }

  #check(result) {
    if (result < 0) throw new DecodeError(this.#text());
    return result;
  }

  #text() {
    const at = this.#exports.ui2c_text() >>> 0;
    const bytes = new Uint8Array(this.#exports.memory.buffer, at, this.#exports.ui2c_text_length());
    return new TextDecoder().decode(bytes);
  }
}
