import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";

import type { Input } from "../src/cli/io.ts";
import { main } from "../src/main.ts";

/** Folder of real data beside the repository; tests that need it are skipped where it is absent. */
export const shared: string = resolve(process.env["DANU_SHARED"] ?? "../shared", "data");
/** True where the real data is absent. */
export const noShared: boolean = !existsSync(shared);

/** What a command line did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line of danu in this process.
 *  @param onText is told of everything written, as it comes */
export async function danu(
  args: readonly string[],
  {
    env = {},
    isTTY = false,
    stdin = Readable.from([]),
    onText = () => undefined,
  }: {
    readonly env?: Readonly<Record<string, string>>;
    readonly isTTY?: boolean;
    readonly stdin?: Input;
    readonly onText?: (text: string) => void;
  } = {},
): Promise<Outcome> {
  const texts = { stdout: "", stderr: "" };
  const output = (name: keyof typeof texts): { write: (text: string) => void; isTTY: boolean; columns: number } => ({
    write: (text) => {
      texts[name] += text;
      onText(text);
    },
    isTTY,
    columns: 200,
  });
  const code = await main(args, {
    stdin,
    stdout: output("stdout"),
    stderr: output("stderr"),
    env: { ...process.env, ...env },
  });
  return { code, ...texts };
}

/** Runs a test in a folder of its own. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "danu é "));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
