import { join } from "node:path";

import { suiteCommand } from "./bundle.ts";
import { fromJson } from "./bench.ts";
import type { Figure, Part } from "./part.ts";

/** Real training by the command line, short: a chat model from nothing, and steps of the reference model.
 *  @param results folder whose subfolder holds the runs */
export function trainParts(results: string): Part[] {
  return [
    {
      name: "quickstart",
      command: suiteCommand("danu", "quickstart", "--device", "cuda", "--steps", "300", "--epochs", "1", "--out", join(results, "quickstart"), "--json"),
      limit: 120, alone: false, findings: (output) => fromJson(output, quickstartFindings),
    },
    {
      name: "danube-1.8b",
      command: suiteCommand("danu", "bench", "step", "--device", "cuda", "--preset", "danube-1.8b", "--dtype", "fp8", "--batch", "4", "--sequence-length", "2048", "--steps", "30", "--json"),
      limit: 120, alone: false,
      findings: (output) => {
        const found = fromJson(output, stepFindings);
        const losses = (found.figures ?? []).filter(({ unit }) => unit === "nats").map(({ value }) => value);
        // The tokens are the same every time: a model that learns knows them better after thirty steps.
        return { ...found, failed: found.failed === true || !(losses.at(-1)! < losses[0]! - 1) };
      },
    },
  ];
}

interface Quickstart {
  readonly stages: readonly {
    readonly stage: string;
    readonly steps: number;
    readonly seconds: number;
    readonly questions: { readonly right: number; readonly of: number };
  }[];
}

function quickstartFindings({ stages }: Quickstart): Figure[] {
  return stages.flatMap(({ stage, steps, seconds, questions: { right, of } }) => [
    { name: `${stage}, ${steps} steps`, value: seconds, unit: "s" },
    { name: `${stage}, questions right`, value: (100 * right) / of, unit: "%" },
  ]);
}

function stepFindings({ losses, tokensPerSecond }: { readonly losses: readonly number[]; readonly tokensPerSecond: number }): Figure[] {
  const shown = losses.map((value, i) => ({ name: `loss of step ${i + 3}`, value, unit: "nats" })).filter((_, i) => i % 5 === 0 || i === losses.length - 1);
  return [...shown, { name: "training", value: tokensPerSecond, unit: "tokens/s" }];
}
