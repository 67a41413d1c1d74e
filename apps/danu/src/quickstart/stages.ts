import { existsSync } from "node:fs";
import { join } from "node:path";

import { runPaths } from "@danu/train";

import type { OpenDevice } from "../cli/device.ts";
import type { Reporter } from "../cli/reporter.ts";
import { dpo } from "../run/dpo.ts";
import type { RunResult } from "../run/execute-run.ts";
import { pretrain } from "../run/pretrain.ts";
import { sft } from "../run/sft.ts";
import type { BuiltInCorpus } from "./corpus.ts";

/** Stages in their order. */
export const stageNames = ["pretrain", "sft", "dpo"] as const;

/** One of them; so is its run folder called. */
export type StageName = (typeof stageNames)[number];

/** How long the stages go on. */
export interface StageLengths {
  /** Steps of pretraining, of 256 tokens. */
  readonly steps: number;
  /** Passes of SFT over the conversations; DPO makes half as many over its pairs. */
  readonly epochs: number;
}

/** What a stage is run with. */
export interface StageOptions extends StageLengths {
  /** Folder of the quickstart. */
  readonly folder: string;
  readonly corpus: BuiltInCorpus;
  readonly seed: number;
  readonly device: OpenDevice;
  readonly reporter: Reporter;
}

/** Tokens of a step: few, since many small steps learn facts from fewer tokens than few large ones. */
export const tokensPerStep = 256;
const sequenceLength = 128;

/** Run folder of a stage. */
export function runFolder(folder: string, stage: StageName): string {
  return join(folder, stage);
}

/** Model folder that a stage leaves. */
export function modelFolder(folder: string, stage: StageName): string {
  return join(runFolder(folder, stage), "model");
}

/** Runs a stage, or goes on with it where it was stopped. @throws the errors of its command */
export async function runStage(stage: StageName, options: StageOptions): Promise<RunResult> {
  const { folder, corpus, seed, steps, epochs, device, reporter } = options;
  const out = runFolder(folder, stage);
  const common = { source: "quickstart", out, resume: existsSync(runPaths(out).recipe), device, reporter };
  const tuning = {
    seed, sequenceLength, microBatchTokens: 512,
    validation: { every: 50, fraction: 0.05, examples: 64 },
  };
  switch (stage) {
    case "pretrain": return await pretrain({
      ...common,
      layer: {
        model: { preset: "nano" }, tokenizer: corpus.tokenizer, data: [{ paths: [corpus.stories] }],
        steps, sequenceLength, tokensPerBatch: tokensPerStep, microBatchTokens: tokensPerStep,
        learningRate: { peak: 1.5e-3 }, seed, validation: { every: 200, tokens: 8192 },
        sample: { prompt: "One day Mara", maxTokens: 60, temperature: 0.7 },
      },
    });
    case "sft": return await sft({
      ...common,
      layer: {
        ...tuning, model: modelFolder(folder, "pretrain"), data: { paths: [corpus.conversations] }, epochs,
        tokensPerBatch: tokensPerStep, learningRate: { peak: 3e-4 },
      },
    });
    case "dpo": return await dpo({
      ...common,
      layer: {
        ...tuning, model: modelFolder(folder, "sft"), data: { paths: [corpus.preferences] }, epochs: 0.5 * epochs,
        // The supervised term keeps what the pairs do not ask about from being forgotten.
        losses: [{ loss: "sigmoid", beta: 0.2 }, { loss: "sft", weight: 0.5 }],
        pairsPerBatch: 16, learningRate: { peak: 2e-4 },
      },
    });
  }
}
