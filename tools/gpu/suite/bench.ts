import { hasPyTorch, programNames, programPath, suiteCommand } from "./bundle.ts";
import { countChecks, lastLine } from "./correctness.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { ratesIn } from "./rates.ts";

const model = "danube-1.8b";
/** Rows and tokens a row; as many tokens a step as the published figures, and as many rows as fit. */
const batches = [[8, 2048], [1, 16_384], [32, 2048]] as const;

/** How fast danu is on a GPU: whole steps, prompts and tokens through the TypeScript device, kernel by kernel in C++, and what
 *  people use today, where PyTorch is installed. */
export function benchParts(): Part[] {
  const steps = batches.flatMap(([batch, length]) => (["bf16", "fp8"] as const).map((dtype) => danuBench(
    `step/${dtype}-${batch}x${length}`, stepFindings,
    "step", "--dtype", dtype, "--batch", String(batch), "--sequence-length", String(length), "--steps", "6",
  )));
  const ops = (["bf16", "fp8"] as const).map((dtype) => danuBench(
    `ops/${dtype}`, profileFindings, "step", "--dtype", dtype, "--batch", "8", "--sequence-length", "2048", "--steps", "1", "--profile",
  ));
  // What runs out of time comes last: figures that are known from an earlier visit.
  return [
    ...steps,
    ...peers("step=16384x1"),
    danuBench("decode/16", decodeFindings, "decode", "--prompt", "16", "--runs", "3"),
    danuBench("decode/4096", decodeFindings, "decode", "--prompt", "4096", "--runs", "2"),
    danuBench("prefill/2048", prefillFindings, "prefill", "--prompt", "2048", "--runs", "20"),
    danuBench("prefill/16384", prefillFindings, "prefill", "--prompt", "16384", "--runs", "6"),
    ...ops,
    ...programNames().map((name): Part => (
      { name: `kernels/${name}`, command: [programPath(name)], limit: 40, alone: true, findings: name === "machine" ? rates : checksAndRates }
    )),
    ...peers("step=2048x8", "gemm", "attention"),
  ];
}

/** PyTorch, whose compiler takes most of the time. */
function peers(...names: readonly string[]): Part[] {
  return (hasPyTorch() ? names : []).map((name) => ({
    name: `peers/${name}`, command: ["python3", programPath("peers.py"), name], limit: 240, alone: true, findings: name.startsWith("step") ? figures : rates,
  }));
}

function danuBench(name: string, findings: (result: never) => Figure[], ...args: string[]): Part {
  return {
    name, command: suiteCommand("danu", "bench", args[0]!, "--device", "cuda", "--preset", model, ...args.slice(1), "--json"), limit: 90, alone: true,
    findings: (output) => fromJson(output, findings),
  };
}

/** Figures of the JSON object that a command of danu prints last. */
export function fromJson(output: string, figuresOf: (result: never) => Figure[]): Findings {
  const line = output.trim().split("\n").findLast((text) => text.startsWith("{"));
  if (line === undefined) return { summary: lastLine(output), failed: true };
  return { summary: "", figures: figuresOf(JSON.parse(line) as never) };
}

interface Step {
  readonly tokensPerSecond: number;
  readonly shareOfPeak: number;
  readonly peakBytes: number;
  readonly enqueuedMs: number;
  readonly profile?: readonly { readonly op: string; readonly calls: number; readonly milliseconds: number }[];
}

function stepFindings({ tokensPerSecond, shareOfPeak, peakBytes, enqueuedMs }: Step): Figure[] {
  return [
    { name: "training", value: tokensPerSecond, unit: "tokens/s" },
    { name: "of the specified peak", value: 100 * shareOfPeak, unit: "%" },
    { name: "memory at most", value: peakBytes / 1e9, unit: "GB" },
    { name: "a step enqueued in", value: enqueuedMs, unit: "ms" },
  ];
}

function profileFindings({ profile = [] }: Step): Figure[] {
  return profile.slice(0, 12).map(({ op, calls, milliseconds }) => ({ name: `${op}, ${calls} calls, one by one`, value: milliseconds, unit: "ms" }));
}

interface Generation {
  readonly tokensPerSecond: number;
  readonly wholeTokensPerSecond: number;
  readonly shareOfBandwidth: number;
  readonly shareOfPeak: number;
}

function decodeFindings({ tokensPerSecond, wholeTokensPerSecond, shareOfBandwidth }: Generation): Figure[] {
  return [
    { name: "decoding", value: tokensPerSecond, unit: "tokens/s" }, { name: "of a copy's bandwidth", value: 100 * shareOfBandwidth, unit: "%" },
    { name: "decoding, with captures", value: wholeTokensPerSecond, unit: "tokens/s" },
  ];
}

function prefillFindings({ tokensPerSecond, shareOfPeak }: Generation): Figure[] {
  return [{ name: "prefill", value: tokensPerSecond, unit: "tokens/s" }, { name: "of the specified peak", value: 100 * shareOfPeak, unit: "%" }];
}

/** Of a program that measures so little that the table has all of it. */
function figures(output: string): Findings {
  const found = ratesIn(output);
  return { summary: found.length > 0 ? "" : lastLine(output), figures: found, failed: found.length === 0 };
}

/** Of a program that only measures. */
function rates(output: string): Findings {
  const found = ratesIn(output);
  return { summary: found.length > 0 ? `${found.length} rates` : lastLine(output), rates: found, failed: found.length === 0 };
}

function checksAndRates(output: string): Findings {
  const [checks, { rates: found }] = [countChecks(output), rates(output)];
  return { ...checks, summary: checks.failed === true ? checks.summary : `${checks.summary}, ${found!.length} rates`, rates: found! };
}
