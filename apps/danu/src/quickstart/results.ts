import { existsSync } from "node:fs";
import { join } from "node:path";

import { InputError } from "../cli/errors.ts";
import { placeFile } from "../cli/place-file.ts";
import { readJson } from "../cli/read-file.ts";
import type { ExamResult } from "./examine.ts";
import { stageNames, type StageLengths, type StageName } from "./stages.ts";

/** What a stage came to. */
export interface StageResult extends ExamResult {
  readonly stage: StageName;
  /** Steps and seconds of training, over all the processes it took. */
  readonly steps: number;
  readonly seconds: number;
  /** Seconds of the examination. */
  readonly examSeconds: number;
}

/** What decides what a quickstart computes. */
export interface QuickstartSettings extends StageLengths {
  readonly seed: number;
}

interface Kept {
  readonly settings: QuickstartSettings;
  readonly stages: readonly StageResult[];
}

/** Settings of a quickstart and the results of its stages that are over, in a folder, so that it goes on where it was
 *  stopped. */
export class StageResults {
  readonly #path: string;
  #kept: Kept;

  private constructor(path: string, kept: Kept) {
    this.#path = path;
    this.#kept = kept;
  }

  /** @throws InputError when the folder has a quickstart of other settings, or the file is no JSON */
  static async open(folder: string, settings: QuickstartSettings): Promise<StageResults> {
    const path = join(folder, "results.json");
    if (!existsSync(path)) {
      const results = new StageResults(path, { settings, stages: [] });
      await results.#write();
      return results;
    }
    const kept = (await readJson(path)) as Kept;
    for (const name of ["steps", "epochs", "seed"] as const) {
      const [before, now] = [kept.settings[name], settings[name]];
      if (before !== now) {
        throw new InputError(`${folder}: expected ${before} ${name} as when it began, got ${now}; choose another --out`);
      }
    }
    return new StageResults(path, kept);
  }

  /** Those there are, in the order of the stages. */
  get all(): readonly StageResult[] {
    return stageNames.flatMap((name) => this.of(name) ?? []);
  }

  of(stage: StageName): StageResult | undefined {
    return this.#kept.stages.find((result) => result.stage === stage);
  }

  async add(result: StageResult): Promise<void> {
    this.#kept = { ...this.#kept, stages: [...this.#kept.stages, result] };
    await this.#write();
  }

  async #write(): Promise<void> {
    await placeFile(this.#path, `${JSON.stringify(this.#kept, null, 2)}\n`);
  }
}
