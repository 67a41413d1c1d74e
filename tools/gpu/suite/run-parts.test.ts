import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { countChecks } from "./correctness.ts";
import { fromJson } from "./bench.ts";
import type { Part } from "./part.ts";
import { runParts } from "./run-parts.ts";

let results: string;
let printed: string;
beforeEach(() => {
  results = mkdtempSync(join(tmpdir(), "danu-gpu-suite-"));
  printed = "";
  vi.spyOn(console, "log").mockImplementation((text: string) => void (printed += `${text}\n`));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(results, { recursive: true });
});

const machine = { gpu: "a GPU", driver: "13.0", bundle: { commit: "abc" } };
const shell = (name: string, script: string, more: Partial<Part> = {}): Part => (
  { name, command: ["sh", "-c", script], limit: 60, alone: false, findings: countChecks, ...more }
);

interface Written {
  readonly complete: boolean;
  readonly parts: readonly { readonly name: string; readonly state: string; readonly summary: string }[];
}
const written = (): Written => JSON.parse(readFileSync(join(results, "check.json"), "utf8")) as Written;
const run = async (parts: readonly Part[], asked: readonly string[] = [], limit = 60): Promise<number> => (
  await runParts({ command: "check", parts, asked, results, limit, machine })
);

test("what each part came to is in the file and the table", async () => {
  const parts = [
    shell("kernels/good", "echo a ok; echo b ok"),
    shell("kernels/wrong", "echo a ok; echo b WRONG; exit 1"),
    shell("kernels/silent", "true"),
    shell("memcheck/wrong", "echo a ok; exit 9"),
    shell("kernels/slow", "echo a ok; sleep 600 & wait", { limit: 0.5 }),
    shell("kernels/missing", "", { command: ["/nothing/here"] }),
    shell("step/one", `echo note >&2; echo '{"rate": 12345.6}'`, {
      alone: true, findings: (output) => fromJson(output, ({ rate }: { rate: number }) => [{ name: "training", value: rate, unit: "tokens/s" }]),
    }),
  ];
  expect(await run(parts)).toBe(1);
  expect(Object.fromEntries(written().parts.map(({ name, state }) => [name, state]))).toEqual({
    "kernels/good": "passed", "kernels/wrong": "failed", "kernels/silent": "failed", "memcheck/wrong": "failed", "kernels/slow": "out of time", "kernels/missing": "failed",
    "step/one": "passed",
  });
  expect(written()).toMatchObject({ complete: true, gpu: "a GPU", driver: "13.0", bundle: { commit: "abc" } });
  expect(readFileSync(join(results, "kernels/slow.txt"), "utf8")).toBe("a ok\n");
  expect(printed).toMatch(/kernels\/wrong +failed .* b WRONG\n/);
  expect(printed).toMatch(/memcheck\/wrong +failed .* 1 check; ended with 9\n/);
  expect(printed).toMatch(/step\/one +passed .* training +12,346 tokens\/s/);
});

test("parts by name or group, and none when there is no time left", async () => {
  const parts = [shell("kernels/a", "echo ok"), shell("kernels/b", "echo ok"), shell("tests/a", "exit 1")];
  expect(await run(parts, ["kernels"])).toBe(0);
  expect(written().parts.map(({ name }) => name).sort()).toEqual(["kernels/a", "kernels/b"]);
  await expect(run(parts, ["kernel"])).rejects.toThrow("expected parts of kernels, kernels/a, kernels/b, tests, tests/a, got \"kernel\"");
  expect(await run(parts, [], 0.5)).toBe(1);
  expect(written().parts.map(({ state }) => state)).toEqual(["not run", "not run", "not run"]);
});

test("a signal ends what runs, and the table is still printed", async () => {
  const parts = [shell("kernels/slow", "echo a ok; kill -TERM $PPID; sleep 600"), shell("step/next", "echo ok", { alone: true })];
  expect(await run(parts)).toBe(1);
  expect(written().parts.map(({ state }) => state)).toEqual(["out of time", "not run"]);
  expect(printed).toMatch(/kernels\/slow +out of time .* 1 check\n/);
});
