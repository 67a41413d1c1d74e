import { relative } from "node:path";

import type { Evaluation } from "@danu/train";

import { signalExitCode } from "../cli/errors.ts";
import { counted, duration, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import type { RunResult } from "./execute-run.ts";

/** Tells how a run ended and how to go on from there. */
export function reportRun(result: RunResult, out: string, reporter: Reporter): void {
  const { command, step, tokens, seconds, stopped, last, interruptedBy, model, report, sample } = result;
  const { initialValidation, validation, validationLoss, adapter } = result;
  const value = {
    out,
    stopped,
    step,
    tokens,
    seconds,
    loss: last?.loss ?? null,
    metrics: last?.metrics ?? {},
    validationLoss,
    validation,
    initialValidation,
    tokensPerSecond: last?.tokensPerSecond ?? null,
    shareOfPeak: last?.shareOfPeak ?? null,
    peakBytes: last?.peakBytes ?? null,
    model,
    adapter,
    report,
    sample,
  };
  reporter.result(value, () => {
    reporter.line();
    if (interruptedBy !== null) {
      reporter.line(`stopped by ${interruptedBy} after step ${withCommas(step)}, with a checkpoint; go on with`);
      reporter.line(`  npx danu ${command} --out ${shown(out)} --resume`);
      return;
    }
    const loss = last === null ? "" : `, loss ${last.loss.toFixed(4)}`;
    reporter.line(`${counted(step, "step")}, ${withCommas(tokens)} tokens in ${duration(seconds)}${loss}`);
    if (validation !== null) reporter.line(heldOut(initialValidation, validation));
    if (adapter !== null) reporter.line(`adapter ${shown(adapter)}`);
    reporter.line(`model   ${shown(model!)}`);
    reporter.line(`report  ${shown(report)}`);
    const prompt = JSON.stringify(sample?.prompt ?? "");
    const next = command === "pretrain" ? `generate --model ${shown(model!)} --prompt ${prompt}` : `chat --model ${shown(model!)}`;
    reporter.line(`next    npx danu ${next}`);
  });
}

/** Held-out figures, with what they were before training. */
function heldOut(before: Evaluation | null, after: Evaluation): string {
  const change = (name: string, of: (evaluation: Evaluation) => number): string => (
    `${name} ${before === null ? "" : `${of(before).toFixed(4)} → `}${of(after).toFixed(4)}`
  );
  const metrics = ["accuracy", "margin", "rankingAccuracy"].filter((name) => name in after.metrics);
  return [
    `held out  ${change("loss", ({ loss }) => loss)}`,
    ...metrics.map((name) => change(words[name] ?? name, (evaluation) => evaluation.metrics[name] ?? NaN)),
  ].join(", ");
}

const words: Readonly<Record<string, string>> = { rankingAccuracy: "chosen likelier" };

/** A path as short as it can be said from here, as a shell takes it. */
export function shown(path: string): string {
  const here = relative(".", path);
  const shorter = here.startsWith("..") ? path : here;
  return /^[\w./+-]+$/.test(shorter) ? shorter : `'${shorter.replaceAll("'", "'\\''")}'`;
}

/** The exit code of a run: 0, or that of the signal which stopped it. */
export function exitCodeOf({ interruptedBy }: RunResult): number {
  return interruptedBy === null ? 0 : signalExitCode(interruptedBy);
}
