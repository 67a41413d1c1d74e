import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, describe, expect, test } from "vitest";

import { twinMissing } from "./cuda-home.ts";
import { compileTwin, runTwin } from "./twin-program.ts";

const kernels = fileURLToPath(new URL("../kernels", import.meta.url));
const cases = fileURLToPath(new URL("twin", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "danu-twin-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Each program compiles the unmodified kernels against the CPU twin and compares them with plain loops.
describe.skipIf(twinMissing)(`kernels on the CPU twin${twinMissing}`, () => {
  test.each(readdirSync(cases).filter((name) => name.endsWith(".cpp")))("%s", { timeout: 900_000 }, async (name) => {
    const program = join(folder, name.slice(0, -".cpp".length));
    compileTwin(join(cases, name), program, kernels, "-O2");
    const { passed, text } = await runTwin(program, 600);
    expect(passed, text).toBe(true);
    expect(text).toMatch(/\bok\b/);
  });
});
