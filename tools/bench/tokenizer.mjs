// Races danu's tokenizer against sentencepiece and Hugging Face tokenizers, in turns so that all see the same machine,
// and prints the tables of packages/tokenizer/README.md. Needs `npm run build` and a Python with both packages.
//
//   node tools/bench/tokenizer.mjs --data ../shared/data --python .venv-golden/bin/python [--rounds 3]

import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    data: { type: "string", default: "../shared/data" },
    python: { type: "string", default: "python3" },
    rounds: { type: "string", default: "3" },
  },
});
const root = new URL("../..", import.meta.url).pathname;
const novels = join(values.data, "pretrain/novels");
const files = readdirSync(novels).filter((name) => name.endsWith(".txt")).map((name) => join(novels, name));
const model = join(values.data, "tokenizers/llama2/tokenizer.model");
const json = join(values.data, "tokenizers/llama2-hf/tokenizer.json");

const run = (command, args) => JSON.parse(execFileSync(command, args, { encoding: "utf8", maxBuffer: 2 ** 26, stdio: ["ignore", "pipe", "inherit"] }));
const danu = (...args) => run(process.execPath, [join(root, "apps/danu/bin/danu.js"), ...args, "--json"]);
const python = (script, ...args) => run(values.python, [join(root, "tools/bench", script), ...args]);

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const range = (list, digits) => {
  const shown = (x) => x.toFixed(digits);
  return `${shown(median(list))} (${shown(Math.min(...list))}–${shown(Math.max(...list))})`;
};

const rounds = Array.from({ length: Number(values.rounds) }, (_, round) => ({
  danu: danu("bench", "tokenizer", "--tokenizer", model, "--file", novels),
  danuJson: danu("bench", "tokenizer", "--tokenizer", json, "--file", novels),
  // The peers take minutes on all novels: six of them, others in every round.
  peers: python("tokenizer_peers.py", model, json, ...files.slice(6 * round, 6 * round + 6)),
}));
const of = (pick, digits = 1) => range(rounds.map(pick), digits);
console.log(`median (least–most) of ${rounds.length} rounds; versions ${JSON.stringify(rounds[0].peers.versions)}\n`);
console.log("| | danu, .model | danu, tokenizer.json | sentencepiece | tokenizers |\n|---|---|---|---|---|");
for (const [name, key] of [["encode, whole novels, MB/s", "encodeMBps"], ["encode, line by line, MB/s", "linesMBps"], ["decode, MB/s", "decodeMBps"], ["load, first in a process, ms", "loadMs"]]) {
  console.log(`| ${name} | ${of((r) => r.danu[key])} | ${of((r) => r.danuJson[key])} | ${of((r) => r.peers.sentencepiece[key])} | ${of((r) => r.peers.tokenizers[key])} |`);
}
const { worstCases } = danu("bench", "tokenizer", "--tokenizer", model, "--file", files[0], "--worst");
console.log("\n| 1 MB of | MB/s | time for 4 MB |\n|---|---|---|");
for (const { name, MBps, growth } of worstCases) console.log(`| ${name} | ${MBps.toFixed(1)} | ${growth.toFixed(1)} × |`);

const [ours, peers] = [danu("bench", "tokenizer", "--train", "8000", "--file", novels), python("train_tokenizer_peers.py", ...files)];
console.log("\ntraining 8,000 pieces on all novels:", JSON.stringify({ danu: ours, peers }));
