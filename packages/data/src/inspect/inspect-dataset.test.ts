import { join } from "node:path";
import { expect, test } from "vitest";
import { byteTokenizer, put, someHash, temporaryFolder } from "../../test/support.ts";
import { openDataset } from "../shards/open-dataset.ts";
import { prepareDataset } from "../shards/prepare-dataset.ts";
import { inspectDataset, type InspectedToken } from "./inspect-dataset.ts";

const decodeToken = (id: number): string => (id < 3 ? `<${id}>` : String.fromCharCode(id - 3));

test("counts documents and tokens and shows the first rows with masks", async () => {
  const folder = temporaryFolder();
  const inputs = [put(join(folder, "a.jsonl"), '"a"\n"bcd"\n"efghijklmnopqrst"\n')];
  const out = join(folder, "out");
  await prepareDataset({ inputs, out, tokenizer: byteTokenizer, tokenizerHash: someHash, validationFraction: 0 });
  using dataset = openDataset(out);
  const report = inspectDataset(dataset, { rows: 2, sequenceLength: 7, decodeToken });
  expect(report.train).toEqual({
    documents: 3,
    tokens: 26,
    shards: 1,
    textBytes: 20,
    tokensPerByte: 1.3,
    shortest: 3,
    longest: 18,
    mean: 26 / 3,
    lengths: [
      { from: 2, to: 4, documents: 1, tokens: 3 },
      { from: 4, to: 8, documents: 1, tokens: 5 },
      { from: 8, to: 16, documents: 0, tokens: 0 },
      { from: 16, to: 32, documents: 1, tokens: 18 },
    ],
  });
  expect(report.validation).toMatchObject({ documents: 0, tokensPerByte: null, shortest: 0, lengths: [] });
  const show = ({ text, trained, beginsDocument }: InspectedToken): string =>
    `${beginsDocument ? "|" : ""}${text}${trained ? "" : "✗"}`;
  const shown = report.rows.map((row) => row.map(show).join(" "));
  expect(shown).toEqual(["|<1> a <2>✗ |<1> b c d", "<2>✗ |<1> e f g h i"]);
});

test("a dataset of two tokens is shown whole", async () => {
  const folder = temporaryFolder();
  const inputs = [put(join(folder, "a.jsonl"), '"a"')];
  const out = join(folder, "out");
  const options = { inputs, out, tokenizer: byteTokenizer, tokenizerHash: someHash, validationFraction: 0 };
  await prepareDataset({ ...options, addBos: false });
  using dataset = openDataset(out);
  expect(inspectDataset(dataset).rows.map((row) => row.map(({ text }) => text))).toEqual([["100"]]);
});
