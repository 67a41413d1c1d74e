import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A measured figure. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** What a part's output comes to. */
export interface Findings {
  /** In a few words. */
  readonly summary: string;
  readonly figures?: readonly Figure[];
  /** Figures of single kernels, too many for the table. */
  readonly rates?: readonly Figure[];
  /** True where the output shows a failure that the exit code may not. */
  readonly failed?: boolean;
}

/** One process of the suite. */
export interface Part {
  /** `group/name`; a command line may ask for the group or the part. */
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds that it may take. */
  readonly limit: number;
  /** True where times are measured, so that nothing else may run beside it. */
  readonly alone: boolean;
  readonly findings: (output: string) => Findings;
}

export type State = "passed" | "failed" | "out of time" | "not run";

/** What became of a part. */
export interface Outcome extends Findings {
  readonly name: string;
  readonly state: State;
  readonly seconds: number;
  readonly exitCode: number | null;
}

/** Runs a part and keeps all that it prints as NAME.txt among the results, as it comes. @param stop ends it before its time */
export async function runPart(part: Part, results: string, secondsLeft: number, stop: AbortSignal): Promise<Outcome> {
  const { name, command: [program, ...args], limit } = part;
  const path = join(results, `${name}.txt`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
  const began = performance.now();
  let [output, timedOut] = ["", false];
  const exitCode = await new Promise<number | null>((resolve) => {
    const child = spawn(program!, args, { env: { ...process.env, ...part.env }, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const kill = (): void => {
      timedOut = true;
      // The whole group: a program may have started others.
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    stop.addEventListener("abort", kill);
    const timer = setTimeout(kill, Math.max(0.1, Math.min(limit, secondsLeft)) * 1000);
    const keep = (text: Buffer): void => {
      output += text.toString();
      writeFileSync(path, text, { flag: "a" });
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => keep(Buffer.from(`${error.message}\n`)));
    child.on("close", (code) => {
      clearTimeout(timer);
      stop.removeEventListener("abort", kill);
      resolve(code);
    });
  });
  const findings = part.findings(output);
  const state = timedOut ? "out of time" : exitCode === 0 && findings.failed !== true ? "passed" : "failed";
  const ending = state === "failed" && findings.failed !== true ? `; ended with ${exitCode}` : "";
  return { name, state, seconds: (performance.now() - began) / 1000, exitCode, ...findings, summary: findings.summary + ending };
}
