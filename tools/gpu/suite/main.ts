import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { main as danu } from "../../../apps/danu/src/main.ts";
import { capabilityText, inspectCuda, versionText } from "../../../packages/cuda/src/index.ts";
import { benchParts } from "./bench.ts";
import { provenance } from "./bundle.ts";
import { correctnessParts } from "./correctness.ts";
import type { Part } from "./part.ts";
import { runParts, type MachineFacts } from "./run-parts.ts";
import { runTestFile } from "./tests.ts";
import { trainParts } from "./train.ts";

const help = `gpu-suite: puts danu to the test on this machine's NVIDIA GPU.

Usage: gpu-suite <command> [PART…] [flags]

  correctness   the conformance suite, property tests and training on the device; C++ checks of every kernel, in small
                under compute-sanitizer where it is installed                                          4 minutes at most
  bench         steps, prompts and tokens of danube-1.8b, the kernels alone, PyTorch where installed   9 minutes at most
  train         a chat model from nothing by the command line, thirty steps of danube-1.8b             3 minutes at most
  danu …        any command of danu, such as "danu doctor" or "danu bench step --device cuda"

Each command prints a table last, writes COMMAND.json into the results as it goes, and beside it all that each part said.
"gpu-suite <command> --help" lists flags and parts.
`;

interface Definition {
  readonly name: string;
  readonly description: string;
  /** Seconds by default. */
  readonly limit: number;
  parts(results: string): readonly Part[];
}

const definitions: readonly Definition[] = [
  { name: "correctness", description: "Whether everything computes what it must.", limit: 240, parts: correctnessParts },
  { name: "bench", description: "How fast it is.", limit: 540, parts: benchParts },
  { name: "train", description: "Whether a model learns.", limit: 180, parts: trainParts },
];

function helpOf({ name, description, limit, parts }: Definition): string {
  return [
    `Usage: gpu-suite ${name} [PART…] [--results DIR] [--limit SECONDS]`, "", description, "",
    "  --results DIR     folder for what was found (default gpu-results)",
    `  --limit SECONDS   time for all parts together; what is left over is not run (default ${limit})`, "",
    "Parts, with the seconds that each may take; a name before the slash stands for all of its parts:",
    ...parts("").map((part) => `  ${part.name.padEnd(30)} ${String(part.limit).padStart(4)}`), "",
  ].join("\n");
}

async function run(definition: Definition, args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { results: { type: "string", default: "gpu-results" }, limit: { type: "string", default: String(definition.limit) }, help: { type: "boolean", short: "h" } },
  });
  if (values.help === true) return print(helpOf(definition));
  const [results, limit] = [resolve(values.results), Number(values.limit)];
  if (!(limit > 0)) throw new Error(`--limit: expected seconds, got "${values.limit}"`);
  return await runParts({ command: definition.name, parts: definition.parts(results), asked: positionals, results, limit, machine: machineFacts() });
}

/** @throws DeviceError where there is no GPU to be seen */
function machineFacts(): MachineFacts {
  const { chips: [chip], driverVersion } = inspectCuda();
  if (chip === undefined) throw new Error("found no NVIDIA GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES");
  const gpu = `${chip.name}, compute capability ${capabilityText(chip)}, ${chip.multiprocessors} multiprocessors, ${(chip.memoryBytes / 2 ** 30).toFixed(0)} GiB`;
  return { gpu, driver: versionText(driverVersion), bundle: provenance() };
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

async function main([first = "--help", ...others]: readonly string[]): Promise<number> {
  if (["--help", "-h", "help"].includes(first)) return print(help);
  // What the parts are made of.
  if (first === "danu") return await danu(others, process);
  if (first === "test") return await runTestFile(others[0] ?? "");
  try {
    const definition = definitions.find(({ name }) => name === first);
    if (definition === undefined) throw new Error(`expected correctness, bench, train or danu, got "${first}"`);
    return await run(definition, others);
  } catch (error) {
    process.stderr.write(`gpu-suite: ${(error as Error).message}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
