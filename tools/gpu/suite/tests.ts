import { startTests, type File, type Task, type VitestRunner } from "@vitest/runner";

/** Test files that run on the GPU as they are. */
export const testFiles: Readonly<Record<string, () => Promise<unknown>>> = {
  conformance: () => import("../../../packages/cuda/test/conformance.test.ts"),
  cublaslt: () => import("../../../packages/cuda/test/cublaslt.test.ts"),
  matmul: () => import("../../../packages/cuda/test/matmul.test.ts"),
  attention: () => import("../../../packages/cuda/test/attention.test.ts"),
  fused: () => import("../../../packages/cuda/test/fused.test.ts"),
  generation: () => import("../../../packages/cuda/test/generation.test.ts"),
  chain: () => import("../../../packages/cuda/test/chain.test.ts"),
  fp8: () => import("../../../packages/cuda/test/fp8.test.ts"),
  "norm-copies": () => import("../../../packages/cuda/test/norm-copies.test.ts"),
  "fp8-product": () => import("../../../packages/cuda/test/fp8-product.test.ts"),
  adamw: () => import("../../../packages/cuda/test/adamw.test.ts"),
  "training-step": () => import("../../../packages/cuda/test/training-step.test.ts"),
  repeat: () => import("../../../packages/cuda/test/repeat.test.ts"),
  "repeated-passes": () => import("../../../packages/cuda/test/repeated-passes.test.ts"),
  host: () => import("../../../packages/cuda/test/host.test.ts"),
  "loss-curve": () => import("../../../packages/model/test/low-precision-curve.test.ts"),
  pretrain: () => import("../../../apps/danu/test/pretrain.test.ts"),
};

/** Runs a test file in this process and prints a line a test as it ends: `ok`, `FAILED` with what was wrong, or `skipped`.
 *  @returns the exit code */
export async function runTestFile(name: string): Promise<number> {
  const load = testFiles[name];
  if (load === undefined) throw new Error(`expected a test file of ${Object.keys(testFiles).join(", ")}, got ${name}`);
  let failed = 0;
  const told = new Set<string>();
  const tell = (task: Task): void => {
    const state = task.result?.state;
    if (told.has(task.id) || state === undefined || state === "run" || state === "queued") return;
    told.add(task.id);
    const [error] = task.result?.errors ?? [];
    const title = titleOf(task);
    if (error?.name === "NotOnThisGpuError") return say(`skipped ${title}: ${error.message}`);
    // A suite fails with its tests; it has an error where it could not run them.
    if (state === "fail" && error !== undefined) {
      failed++;
      return say(`FAILED ${title}\n${indented(error.message, error.stack ?? "")}`);
    }
    if (task.type === "test") say(state === "pass" ? `ok ${title} (${Math.round(task.result?.duration ?? 0)} ms)` : `skipped ${title}`);
  };
  const runner: VitestRunner = {
    config: {
      root: "/", setupFiles: [], name: undefined, passWithNoTests: false, testNamePattern: undefined, allowOnly: false,
      sequence: { seed: 1, hooks: "stack", setupFiles: "list" }, chaiConfig: undefined, maxConcurrency: 1, testTimeout: 120_000, hookTimeout: 120_000,
      retry: 0, includeTaskLocation: false, tags: [], tagsFilter: undefined, strictTags: false,
    },
    importFile: load,
    onAfterRunTask: tell,
    onAfterRunSuite: tell,
  };
  const files = await startTests([name], runner);
  tellSkipped(files, tell);
  return failed === 0 ? 0 : 1;
}

/** Tests that were never begun. */
function tellSkipped(files: readonly File[], tell: (task: Task) => void): void {
  const visit = (task: Task): void => {
    tell(task);
    if (task.type === "suite") task.tasks.forEach(visit);
  };
  files.forEach(visit);
}

function titleOf(task: Task): string {
  const names: string[] = [];
  for (let at: Task | undefined = task; at !== undefined && at !== task.file; at = at.suite) names.unshift(at.name);
  return names.join(" > ") || task.name;
}

function indented(message: string, stack: string): string {
  const lines = stack.split("\n").filter((line) => /^\s+at /.test(line)).slice(0, 4);
  return [...message.split("\n").slice(0, 30), ...lines].map((line) => `    ${line}`).join("\n");
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
