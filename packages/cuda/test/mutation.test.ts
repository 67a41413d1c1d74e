import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { twinMissing } from "./cuda-home.ts";
import { mutatedPrograms, type MutatedProgram } from "./mutations.ts";
import { compileTwin, runTwin } from "./twin-program.ts";

const folder = mkdtempSync(join(tmpdir(), "danu-mutations-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Which fault is planted is asked at run time, so that a program is compiled once for all of its faults. */
const header = `#include <stdio.h>
#include <stdlib.h>
inline const int planted_fault = getenv("DANU_PLANTED") ? atoi(getenv("DANU_PLANTED")) : -1;
__attribute__((constructor)) static void say_lines_at_once() { setvbuf(stdout, nullptr, _IOLBF, 0); }
`;

function replaceOnce(text: string, find: string, by: string, where: string): string {
  const parts = text.split(find);
  if (parts.length !== 2) throw new Error(`${where}: expected "${find}" once, found it ${parts.length - 1} times; choose what is replaced anew`);
  return parts.join(by);
}

/** Copies kernels and tests, plants all faults of a program and compiles it. @returns the program's path */
function plant({ program, cases, mutations }: MutatedProgram): string {
  const root = join(folder, program), source = join(root, "test/twin", `${program}.cpp`);
  cpSync(fileURLToPath(new URL("../kernels", import.meta.url)), join(root, "kernels"), { recursive: true });
  cpSync(fileURLToPath(new URL("twin", import.meta.url)), join(root, "test/twin"), { recursive: true });
  mutations.forEach(({ fault, file, find, planted }, index) => {
    const path = join(root, "kernels", file);
    writeFileSync(path, replaceOnce(readFileSync(path, "utf8"), find, planted.replaceAll("PLANTED", `(planted_fault == ${index})`), `${file}, ${fault}`));
  });
  if (cases) {
    const text = readFileSync(source, "utf8"), main = text.indexOf("int main"), own = /^ {4}(?:[A-Z]+\(|check<).*\n/gm;
    if (!own.test(text.slice(main))) throw new Error(`${program}.cpp: expected lines of cases in main, found none`);
    writeFileSync(source, text.slice(0, main) + text.slice(main).replace(own, "").replace("return failures;", `${cases.join("; ")}; return failures;`));
  }
  writeFileSync(join(root, "planted.h"), header);
  compileTwin(source, join(root, "program"), join(root, "kernels"), "-O1", "-include", join(root, "planted.h"));
  return join(root, "program");
}

describe.skipIf(twinMissing)(`faults planted in kernels are caught on the CPU twin${twinMissing}`, () => {
  describe.each(mutatedPrograms)("$program", (mutated) => {
    let program = "";
    beforeAll(() => { program = plant(mutated); }, 600_000);
    test("passes as it is", { timeout: 600_000 }, async () => {
      const { passed, text } = await runTwin(program, 300);
      expect(passed, text).toBe(true);
    });
    test.each(mutated.mutations.map(({ fault }, index) => ({ fault, index })))("$fault", { timeout: 600_000 }, async ({ index }) => {
      const { passed, text } = await runTwin(program, 300, { DANU_PLANTED: String(index) });
      expect(passed, text).toBe(false);
    });
  });
});
