#!/usr/bin/env -S node --no-warnings
// Runs a program that was compiled for WASI, as cargo asks: its path and its arguments. It sees the
// whole file system, under the names that it was compiled with.

import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [path, ...others] = process.argv.slice(2);
const wasi = new WASI({
  version: "preview1",
  args: [path, ...others],
  env: process.env,
  preopens: { "/": "/" },
});
const module = await WebAssembly.compile(await readFile(path));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
