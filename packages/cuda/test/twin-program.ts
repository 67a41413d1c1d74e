import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";

import { compiler, cudaHome } from "./cuda-home.ts";

/** Compiles a program of `test/twin` against the CPU twin that lies in `kernels/twin`.
 *  @throws Error with what the compiler said */
export function compileTwin(source: string, program: string, kernels: string, ...flags: string[]): void {
  const includes = [`-I${join(cudaHome, "include")}`, `-I${join(kernels, "twin")}`];
  const { status, stderr } = spawnSync(compiler, ["-std=c++17", "-w", ...includes, ...flags, source, "-o", program], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${source} does not compile: ${stderr}`);
}

/** What came of a run: whether the program ended well without a line that says WRONG, and what it printed. */
export interface Run { readonly passed: boolean; readonly text: string }

/** Runs a twin program until it ends, prints WRONG, or `seconds` are over. */
export function runTwin(program: string, seconds: number, environment: Record<string, string> = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    let text = "", wrong = false;
    const child = spawn(program, { env: { ...process.env, ...environment }, timeout: seconds * 1000, killSignal: "SIGKILL" });
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      if (text.includes("WRONG")) { wrong = true; child.kill("SIGKILL"); }
    });
    child.stderr.setEncoding("utf8").on("data", (part: string) => { text += part; });
    child.on("error", reject).on("close", (code) => resolve({ passed: code === 0 && !wrong, text }));
  });
}
