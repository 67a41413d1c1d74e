import type { RunProgress } from "@danu/train";

import { duration, percent, withCommas } from "../cli/format.ts";

/** One step as a line: `step 20/500  loss 5.1234  lr 1.0e-3  12,345 tokens/s  34 % of peak  1:23 left`. */
export function progressLine(progress: RunProgress): string {
  const { step, steps, loss, validationLoss, learningRate, tokensPerSecond, shareOfPeak, secondsLeft } = progress;
  const { metrics, validationMetrics } = progress;
  return [
    `step ${String(step).padStart(String(steps).length)}/${steps}`,
    `loss ${loss.toFixed(4)}`,
    ...preferences(metrics),
    ...(validationLoss === undefined ? [] : [`validation ${validationLoss.toFixed(4)}`, ...preferences(validationMetrics)]),
    `lr ${learningRate.toExponential(1)}`,
    `${withCommas(tokensPerSecond)} tokens/s`,
    ...(shareOfPeak === undefined ? [] : [`${percent(shareOfPeak)} of peak`]),
    `${duration(secondsLeft)} left`,
  ].join("  ");
}

/** Accuracy and margin of preferences, where they are measured. */
function preferences(metrics: Readonly<Record<string, number>> = {}): string[] {
  const { accuracy, margin } = metrics;
  return accuracy === undefined || margin === undefined
    ? []
    : [`accuracy ${percent(accuracy)}`, `margin ${margin.toFixed(3)}`];
}
