import { CheckpointError } from "../errors.ts";
import { readText, writeSynced, type FileSystem } from "../files.ts";

/** Where a run stands, besides its weights and moments. Everything random is a function of seed and position. */
export interface RunState {
  /** Steps taken. */
  readonly step: number;
  /** Tokens put through the model. */
  readonly tokens: number;
  /** Seconds the run has worked. */
  readonly seconds: number;
  readonly seed: number;
  /** The learning-rate schedule, as JSON. */
  readonly schedule: unknown;
  /** Where the next batch begins, as JSON. */
  readonly dataPosition: unknown;
  /** Versions of the programs that wrote it. */
  readonly versions: Readonly<Record<string, string>>;
}

/** What `trainer/state.json` holds. */
export interface StoredState extends RunState {
  /** Updates the optimizer has made, for its bias correction. */
  readonly optimizerSteps: number;
}

const maxStateBytes = 2 ** 24;
const counts = ["step", "tokens", "seconds", "optimizerSteps"] as const;

/** Writes `trainer/state.json`. */
export async function writeState(path: string, state: StoredState, fs: FileSystem): Promise<void> {
  const { schedule, dataPosition } = state;
  const stored = { version: 1, ...state, schedule: schedule ?? null, dataPosition: dataPosition ?? null };
  await writeSynced(path, `${JSON.stringify(stored, null, 2)}\n`, fs);
}

/** Reads `trainer/state.json`. @throws CheckpointError when it is not one of this version */
export async function readState(path: string, fs: FileSystem): Promise<StoredState> {
  const fail = (what: string): CheckpointError => new CheckpointError(`${path}: ${what}`, { reason: "state", path });
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readText(path, maxStateBytes, fs));
  } catch (error) {
    throw error instanceof SyntaxError ? fail("expected JSON; the file was changed") : error;
  }
  const state = (parsed ?? {}) as Partial<Record<string, unknown>>;
  const { version, seed, versions } = state as { readonly [key in "version" | "seed" | "versions"]?: unknown };
  if (version !== 1) throw fail(`expected version 1, got ${JSON.stringify(version)}; use the danu that wrote it`);
  for (const key of counts) {
    const value = state[key];
    const whole = key === "seconds" || Number.isSafeInteger(value);
    if (typeof value === "number" && value >= 0 && whole) continue;
    throw fail(`expected ${key} to be a count, got ${JSON.stringify(value)}`);
  }
  const known = typeof seed === "number" && typeof versions === "object" && versions !== null;
  if (!known) throw fail("expected a seed and versions");
  return state as unknown as StoredState;
}
