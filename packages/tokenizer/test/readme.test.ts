import { runExample } from "@danu/testing";
import { expect, it } from "vitest";
import * as tokenizer from "../src/index.ts";

it("the example of the README does what it says", async () => {
  const trainer = new tokenizer.BpeTrainer({ vocabularySize: 300, allowSmaller: true });
  trainer.add("Once upon a time, and upon another");
  const { file } = trainer.train();
  const modules = { "node:fs": { readFileSync: () => file }, "@danu/tokenizer": tokenizer };
  const printed = await runExample(new URL("../README.md", import.meta.url), modules);
  expect(printed).toEqual([["Once upon a time"], ["Once upon a time"]]);
});
