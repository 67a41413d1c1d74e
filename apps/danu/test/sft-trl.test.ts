import { packRows, type TrainingExample } from "@danu/data";
import { cpuDevice } from "@danu/cpu";
import { disposeTree, leavesOf } from "@danu/tensor";
import { times } from "@danu/testing";
import fc from "fast-check";
import { expect, test } from "vitest";

import { sftTrainer, uploadChats, type ChatBatch } from "../src/run/tuning/sft-parts.ts";
import { exampleOf, goldenModel, readGolden } from "./tuning-golden.ts";

interface Case {
  readonly prompts: readonly (readonly number[])[];
  readonly completions: readonly (readonly number[])[];
  readonly shifted: { readonly loss: number; readonly count: number };
  readonly unshifted: { readonly loss: number; readonly count: number };
}

const golden = await readGolden<Readonly<Record<"masked" | "whole", Case>>>("sft.json");
const recipe = {
  dtype: "f32" as const, optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }, maxGradientNorm: Infinity,
  neftuneAlpha: 0, fp8Except: [],
};

/** Loss, gradient norm and trained tokens of a step without an update. */
async function measure(
  rows: (pack: (examples: readonly (readonly TrainingExample[])[], seed?: number | null) => ChatBatch) => ChatBatch[],
  neftuneAlpha = 0,
): Promise<{ loss: number; gradientNorm: number; tokens: number }> {
  using device = cpuDevice();
  using model = await goldenModel(device, null);
  const trainer = sftTrainer({ ...recipe, neftuneAlpha }, model);
  const batches = rows((examples, seed = null) => {
    const lengths = examples.map((row) => row.reduce((sum, { ids }) => sum + ids.length, 0));
    return uploadChats(device, packRows(examples, Math.max(...lengths) + 3, 0), seed);
  });
  const { loss, gradientNorm, tokens } = await trainer.step(batches, 0);
  disposeTree(batches);
  trainer[Symbol.dispose]();
  return { loss, gradientNorm, tokens };
}

test.each(["masked", "whole"] as const)("the loss of %s rows is TRL's, under both denominators", async (name) => {
  const { prompts, completions, shifted, unshifted } = golden[name];
  const examples = prompts.map((prompt, i) => exampleOf(prompt, completions[i]!));
  const apart = await measure((pack) => [0, 2, 4].map((i) => pack([[examples[i]!], [examples[i + 1]!]])));
  expect(apart.tokens).toBe(shifted.count);
  expect(Math.abs(apart.loss - shifted.loss)).toBeLessThan(1e-5);
  expect(Math.abs((apart.loss * apart.tokens) / unshifted.count - unshifted.loss)).toBeLessThan(1e-5);

  const packed = await measure((pack) => [pack([examples])]);
  expect(Math.abs(packed.loss - apart.loss)).toBeLessThan(1e-5);
  expect(Math.abs(packed.gradientNorm / apart.gradientNorm - 1)).toBeLessThan(1e-5);
});

const examples = fc.array(
  fc.record({ prompt: fc.array(fc.nat(52), { minLength: 1, maxLength: 8 }), answer: fc.array(fc.nat(52), { minLength: 1, maxLength: 8 }) }),
  { minLength: 2, maxLength: 6 },
).map((all) => all.map(({ prompt, answer }) => exampleOf(prompt, answer)));

test("packed or not, in one micro-batch or many, the loss is the same", async () => {
  await fc.assert(fc.asyncProperty(examples, fc.nat(5), async (chats, cut) => {
    const alone = await measure((pack) => chats.map((chat) => pack([[chat]])));
    const at = 1 + (cut % (chats.length - 1));
    const packed = await measure((pack) => [pack([chats.slice(0, at), chats.slice(at)])]);
    expect(packed.tokens).toBe(alone.tokens);
    expect(Math.abs(packed.loss - alone.loss)).toBeLessThan(1e-5);
    expect(Math.abs(packed.gradientNorm - alone.gradientNorm)).toBeLessThan(1e-4 * Math.max(1, alone.gradientNorm));
  }), times(4));
});

test("noise is a function of its seed, and is left out where there is none", async () => {
  const chat = exampleOf([5, 6, 7], [8, 9, 2]);
  const loss = async (alpha: number, seed: number | null): Promise<number> => (
    (await measure((pack) => [pack([[chat]], seed)], alpha)).loss
  );
  const plain = await loss(0, 1);
  expect(await loss(5, null)).toBe(plain);
  expect(await loss(5, 1)).toBe(await loss(5, 1));
  expect(await loss(5, 1)).not.toBe(await loss(5, 2));
  expect(await loss(5, 1)).not.toBe(plain);
});

test("a step without a trained token has loss 0 and changes nothing", async () => {
  using device = cpuDevice();
  using model = await goldenModel(device, null);
  const trainer = sftTrainer(recipe, model);
  const bytes = async (): Promise<string> => {
    const parts = [];
    for (const { tensor } of leavesOf(trainer.params)) parts.push(Buffer.from(await tensor.bytes()).toString("hex"));
    return parts.join();
  };
  const before = await bytes();
  const untrained = { ids: Int32Array.of(4, 5, 6), trained: new Uint8Array(3) };
  const batch = uploadChats(device, packRows([[untrained]], 4, 0), null);
  expect(await trainer.step([batch], 1)).toEqual({ loss: 0, metrics: {}, gradientNorm: 0, tokens: 0 });
  expect(await bytes()).toBe(before);
  disposeTree(batch);
  trainer[Symbol.dispose]();
});
