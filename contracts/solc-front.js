#!/usr/bin/env node
// The npm package solc, answering as the native compiler does to the two calls of py-solc-x:
//   solc-front.js --version
//   solc-front.js --standard-json < input.json
// The input carries every source, so nothing is looked up on disk. solcjs, the command of that package, will not do:
// it writes a remark on stdout ahead of the JSON.
"use strict";

const { readFileSync, writeSync } = require("node:fs");
const solc = require("solc");

function print(text) {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(1, bytes, written); // a pipe takes 64 KiB at a time, and process.exit would drop the rest
  }
}

const wanted = process.argv.slice(2);
if (wanted.includes("--version")) {
  // 0.8.37+commit.f401782d.Emscripten.clang: py-solc-x reads version and commit and wants the platform after them
  print(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (wanted.includes("--standard-json")) {
  print(solc.compile(readFileSync(0, "utf8")));
} else {
  process.stderr.write("solc-front: --version and --standard-json are all there is\n");
  process.exitCode = 1;
}
