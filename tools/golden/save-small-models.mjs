// Saves the small tokenizers of packages/tokenizer/test/golden in both formats, for saved_tokenizers.py:
//   npm run build && node tools/golden/save-small-models.mjs FOLDER
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { loadTokenizer, saveTokenizer } from "../../packages/tokenizer/dist/index.js";

const golden = join(import.meta.dirname, "../../packages/tokenizer/test/golden");
const out = process.argv[2];

function read(name) {
  return JSON.parse(readFileSync(join(golden, name), "utf8"));
}

function save(name, from, format) {
  let files;
  try {
    files = saveTokenizer(loadTokenizer(from), format);
  } catch (error) {
    if (error.code !== "unsupported-model") throw error;
    console.log(`${name}: not as ${format}: ${error.message}`);
    return;
  }
  const folder = join(out, `${name}-${format}`);
  mkdirSync(folder, { recursive: true });
  for (const [file, bytes] of files) writeFileSync(join(folder, file), bytes);
}

for (const { name, model, legacy } of [...read("small-models.json").models, ...read("save-models.json").models]) {
  const config = Buffer.from(JSON.stringify(legacy === undefined ? {} : { legacy }));
  const from = { model: Buffer.from(model, "base64"), config };
  save(`model-${name}`, from, "sentencepiece");
  save(`model-${name}`, from, "huggingface");
}
for (const { name, files } of read("huggingface-small.json").cases) {
  const file = (key) => (key in files ? Buffer.from(files[key]) : undefined);
  save(`json-${name}`, { model: file("tokenizer.json"), config: file("tokenizer_config.json") }, "sentencepiece");
}
