import { relative } from "node:path";

import { signalExitCode } from "../cli/errors.ts";
import { duration, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import type { PretrainResult } from "./pretrain.ts";

/** Tells how a run ended and how to go on from there. */
export function reportRun(result: PretrainResult, out: string, reporter: Reporter): void {
  const { step, tokens, seconds, stopped, last, validationLoss, interruptedBy, model, report, sample } = result;
  const value = {
    out,
    stopped,
    step,
    tokens,
    seconds,
    loss: last?.loss ?? null,
    validationLoss,
    tokensPerSecond: last?.tokensPerSecond ?? null,
    shareOfPeak: last?.shareOfPeak ?? null,
    peakBytes: last?.peakBytes ?? null,
    model,
    report,
    sample,
  };
  reporter.result(value, () => {
    reporter.line();
    if (interruptedBy !== null) {
      reporter.line(`stopped by ${interruptedBy} after step ${withCommas(step)}, with a checkpoint; go on with`);
      reporter.line(`  npx danu pretrain --out ${shown(out)} --resume`);
      return;
    }
    const loss = last === null ? "" : `, loss ${last.loss.toFixed(4)}`;
    const held = validationLoss === null ? "" : `, validation loss ${validationLoss.toFixed(4)}`;
    reporter.line(`${withCommas(step)} steps, ${withCommas(tokens)} tokens in ${duration(seconds)}${loss}${held}`);
    reporter.line(`model   ${shown(model!)}`);
    reporter.line(`report  ${shown(report)}`);
    reporter.line(
      `next    npx danu generate --model ${shown(model!)} --prompt ${JSON.stringify(sample?.prompt ?? "")}`,
    );
  });
}

/** A path as short as it can be said from here, as a shell takes it. */
function shown(path: string): string {
  const here = relative(".", path);
  const shorter = here.startsWith("..") ? path : here;
  return /^[\w./+-]+$/.test(shorter) ? shorter : `'${shorter.replaceAll("'", "'\\''")}'`;
}

/** The exit code of a run: 0, or that of the signal which stopped it. */
export function exitCodeOf({ interruptedBy }: PretrainResult): number {
  return interruptedBy === null ? 0 : signalExitCode(interruptedBy);
}
