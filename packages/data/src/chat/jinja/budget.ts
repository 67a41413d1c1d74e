import { DataError } from "../../data-error.ts";

/** What a chat template may use. */
export interface TemplateLimits {
  /** Longest source, in code units. Default 65,536. */
  readonly sourceCharacters: number;
  /** Steps of one rendering: about one for each operation, list element, and few hundred characters it works on.
   *  Default 1,000,000, which takes a few tenths of a second. */
  readonly steps: number;
  /** Deepest nesting of blocks, expressions and macro calls. Default 150. */
  readonly depth: number;
  /** Longest text that is written, and longest text held between, in code units. Default 4,194,304. */
  readonly characters: number;
  /** Longest list or range. Default 100,000. */
  readonly listLength: number;
}

export const defaultTemplateLimits: TemplateLimits = {
  sourceCharacters: 65_536,
  steps: 1_000_000,
  depth: 150,
  characters: 4_194_304,
  listLength: 100_000,
};

/** Code units that one step works on: of a text looked at, and of a text made or searched. */
const readPerStep = 256;
const madePerStep = 16;

const words: Readonly<Record<keyof TemplateLimits, string>> = {
  sourceCharacters: "a source of at most # characters",
  steps: "a rendering of at most # steps",
  depth: "nesting at most # deep",
  characters: "a text of at most # characters",
  listLength: "lists of at most # elements",
};

/** Counts what one rendering uses. */
export class Budget {
  readonly limits: TemplateLimits;
  #steps = 0;
  #written = 0;

  constructor(limits: TemplateLimits) {
    this.limits = limits;
  }

  /** @throws DataError `template-limit` when the steps are used up */
  spend(steps: number): void {
    this.#steps += steps;
    // Written so that NaN ends the rendering too.
    if (!(this.#steps <= this.limits.steps)) throw tooMuch("steps", this.limits);
  }

  /** Pays for looking at a text. */
  read(characters: number): void {
    this.spend(characters / readPerStep);
  }

  /** Pays for making a text, or for work of that size. @throws DataError `template-limit` if it is too long */
  make(characters: number): void {
    if (!(characters <= this.limits.characters)) throw tooMuch("characters", this.limits);
    this.spend(characters / madePerStep);
  }

  /** @throws DataError `template-limit` if a list is too long */
  list(length: number): void {
    if (!(length <= this.limits.listLength)) throw tooMuch("listLength", this.limits);
    this.spend(length);
  }

  /** Counts characters of output. @throws DataError `template-limit` */
  write(characters: number): void {
    this.#written += characters;
    if (this.#written > this.limits.characters) throw tooMuch("characters", this.limits);
  }
}

/** The error of a template that goes beyond a limit. */
export function tooMuch(limit: keyof TemplateLimits, limits: TemplateLimits): DataError {
  const expected = words[limit].replace("#", String(limits[limit]));
  const message = `chat template: expected ${expected}, this one needs more: raise limits.${limit} if it is trusted`;
  return new DataError("template-limit", message, { limit, value: limits[limit] });
}
