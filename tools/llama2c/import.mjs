// Turns a checkpoint of llama2.c into a model folder:
//   node tools/llama2c/import.mjs --checkpoint stories260K.bin --tokenizer tok512.model --out DIR
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { validateConfig, writeModelFolder } from "@danu/model";

const headerInts = 7;

/** Reads a float32 checkpoint of llama2.c (its `export.py`, version 0) and writes it as a model folder.
 *
 *  llama2.c turns neighbouring pairs of a query or key, the Hugging Face layout turns halves: rows 2i and 2i + 1 of a
 *  head become its rows i and i + D/2. A negative vocabulary size in the header says that the output layer is its own.
 *  @throws Error when the file's length does not fit its header */
export async function importLlama2c({ checkpoint, tokenizer, out }) {
  const bytes = await readFile(checkpoint);
  const { config, sharedHead } = readHeader(bytes, checkpoint);
  const tensors = readTensors(bytes, config, sharedHead, checkpoint);
  const files = new Map([
    ["tokenizer.model", await readFile(tokenizer)],
    ["tokenizer_config.json", `${JSON.stringify(tokenizerConfig, null, 2)}\n`],
  ]);
  await writeModelFolder(out, { config, tensors, files, modelType: "llama" });
}

const tokenizerConfig = {
  tokenizer_class: "LlamaTokenizer",
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>",
  add_bos_token: true,
  add_eos_token: false,
  clean_up_tokenization_spaces: false,
  legacy: false,
};

function readHeader(bytes, name) {
  if (bytes.length < headerInts * 4)
    throw new Error(`${name}: expected a header of ${headerInts * 4} bytes, the file has ${bytes.length}`);
  const [dim, hidden, layers, heads, keyValueHeads, vocabulary, positions] = Array.from(
    { length: headerInts },
    (_, i) => bytes.readInt32LE(i * 4),
  );
  const config = validateConfig({
    hiddenSize: dim,
    intermediateSize: hidden,
    layers,
    heads,
    keyValueHeads,
    headDim: dim / heads,
    vocabularySize: Math.abs(vocabulary),
    maxPositions: positions,
    slidingWindow: null,
    ropeTheta: 10_000,
    rmsNormEps: 1e-5,
    tieEmbeddings: vocabulary > 0,
    initializerRange: 0.02,
    bosId: 1,
    eosId: 2,
    padId: null,
    dtype: "f32",
  });
  return { config, sharedHead: vocabulary > 0 };
}

function readTensors(bytes, config, sharedHead, name) {
  const {
    hiddenSize: C,
    intermediateSize: F,
    layers: L,
    heads: H,
    keyValueHeads: G,
    headDim: D,
    vocabularySize: V,
  } = config;
  let at = headerInts * 4;
  /** The next `count` tensors of a shape, one after another. */
  const take = (count, ...shape) =>
    Array.from({ length: count }, () => {
      const length = shape.reduce((product, size) => product * size, 4);
      const data = bytes.subarray(at, at + length);
      at += length;
      return { shape, data };
    });
  const [embedding] = take(1, V, C);
  const layers = {
    input_layernorm: take(L, C),
    "self_attn.q_proj": take(L, H * D, C).map((tensor) => halvesFromPairs(tensor, D)),
    "self_attn.k_proj": take(L, G * D, C).map((tensor) => halvesFromPairs(tensor, D)),
    "self_attn.v_proj": take(L, G * D, C),
    "self_attn.o_proj": take(L, C, H * D),
    post_attention_layernorm: take(L, C),
    "mlp.gate_proj": take(L, F, C),
    "mlp.down_proj": take(L, C, F),
    "mlp.up_proj": take(L, F, C),
  };
  const [norm] = take(1, C);
  // Tables of cosines and sines, which follow from the configuration.
  take(2, config.maxPositions, D / 2);
  const head = sharedHead ? [] : [["lm_head", take(1, V, C)[0]]];
  if (at !== bytes.length) throw new Error(`${name}: expected ${at} bytes by its header, the file has ${bytes.length}`);
  const named = [
    ["model.embed_tokens", embedding],
    ["model.norm", norm],
    ...head,
    ...Object.entries(layers).flatMap(([part, list]) => list.map((tensor, i) => [`model.layers.${i}.${part}`, tensor])),
  ];
  return named.map(([path, { shape, data }]) => ({ name: `${path}.weight`, dtype: "F32", shape, read: () => data }));
}

/** Reorders the rows of every head from neighbouring pairs to halves. */
function halvesFromPairs({ shape, data }, D) {
  const [rows, columns] = shape;
  const reordered = Buffer.alloc(data.length);
  for (let row = 0; row < rows; row++) {
    const [head, i] = [Math.floor(row / D), row % D];
    const from = head * D + (i < D / 2 ? 2 * i : 2 * (i - D / 2) + 1);
    data.copy(reordered, row * columns * 4, from * columns * 4, (from + 1) * columns * 4);
  }
  return { shape, data: reordered };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const text = { type: "string" };
  const { values } = parseArgs({ options: { checkpoint: text, tokenizer: text, out: text } });
  for (const flag of ["checkpoint", "tokenizer", "out"])
    if (values[flag] === undefined) throw new Error(`expected --${flag} PATH`);
  await importLlama2c(values);
}
