import { findCublasLt, findSanitizer, programNames, programPath, suiteCommand } from "./bundle.ts";
import type { Findings, Part } from "./part.ts";
import { testFiles } from "./tests.ts";

/** Everything that must hold on a GPU: the tests of the repository on the real device, and the C++ programs, which compare
 *  each kernel with plain loops at full size, and in small under NVIDIA's checkers. */
export function correctnessParts(): Part[] {
  // `machine` measures and has no kernels of ours.
  const programs = programNames().filter((name) => name !== "machine");
  const sanitizer = findSanitizer();
  const cublasLt = findCublasLt();
  const env = cublasLt === null ? {} : { DANU_CUDA_CUBLASLT: cublasLt };
  return [
    ...Object.keys(testFiles).filter((name) => name !== "cublaslt" || cublasLt !== null).map((name): Part => (
      { name: `tests/${name}`, command: suiteCommand("test", name), env, limit: 200, alone: false, findings: countTests }
    )),
    ...programs.map((name): Part => (
      { name: `kernels/${name}`, command: [programPath(name)], limit: 60, alone: false, findings: countChecks }
    )),
    ...(sanitizer === null ? [] : ["memcheck", "synccheck"]).flatMap((tool) => programs.map((name): Part => ({
      name: `${tool}/${name}`, command: [sanitizer!, "--tool", tool, "--error-exitcode", "9", programPath(name), "--small"],
      limit: 60, alone: false, findings: countChecks,
    }))),
  ];
}

function countTests(output: string): Findings {
  const count = (word: string): number => output.match(new RegExp(`^${word} `, "gm"))?.length ?? 0;
  const [passed, failed, skipped] = [count("ok"), count("FAILED"), count("skipped")];
  const [first] = /^FAILED .*/m.exec(output) ?? [];
  const summary = `${passed} of ${passed + failed} tests${skipped === 0 ? "" : `, ${skipped} skipped`}${first === undefined ? "" : `; ${first}`}`;
  return { summary: passed + failed === 0 ? lastLine(output) : summary, failed: passed === 0 || failed > 0 };
}

/** Programs say `ok` or `WRONG` a case. */
export function countChecks(output: string): Findings {
  const count = (word: RegExp): number => output.match(word)?.length ?? 0;
  const [right, wrong] = [count(/\bok\b/g), count(/\bWRONG\b/g)];
  const summary = wrong > 0 ? /^.*\bWRONG\b.*$/m.exec(output)![0].trim() : right > 0 ? `${right} ${right === 1 ? "check" : "checks"}` : lastLine(output);
  return { summary, failed: wrong > 0 || right === 0 };
}

/** What a process said last, which is why it ended where it did so early. */
export function lastLine(output: string): string {
  return output.trim().split("\n").at(-1)?.slice(0, 160) ?? "";
}
