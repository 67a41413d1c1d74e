import type { AddedToken } from "../text/added-tokens.ts";
import type { JsonReader } from "./json-reader.ts";
import { MOST_IDS } from "./vocabulary-reader.ts";

/** Code units of all added tokens of a file together: each takes some 30 bytes once the tokens are looked for. */
const MOST_UNITS = 1 << 21;
/** Models of speech have 100,000. */
const MOST_TOKENS = 1 << 18;

/** Reads added tokens one by one and keeps them. */
export class AddedTokenReader {
  readonly tokens: AddedToken[] = [];
  readonly #reader: JsonReader;
  /** One bit for each id that is taken. */
  readonly #taken = new Uint32Array(MOST_IDS / 32);
  readonly #contents = new Set<string>();
  #units = 0;

  constructor(reader: JsonReader) {
    this.#reader = reader;
  }

  /** Reads the object that comes next. @param known its id, where the object does not have it */
  read(known?: number): void {
    const reader = this.#reader;
    let id = known;
    let content: string | undefined;
    const flags = { special: false, lstrip: false, rstrip: false, single_word: false };
    let normalized: boolean | undefined;
    reader.entries(() => {
      const name = reader.text();
      if (name === "id" && known === undefined) id = reader.integer(MOST_IDS - 1);
      else if (name === "content") {
        reader.string();
        content = reader.text();
      } else if (name === "normalized") normalized = reader.boolean();
      else if (isFlag(name)) flags[name] = reader.boolean();
      else reader.skip();
    });
    if (id === undefined || content === undefined) throw reader.fail("an added token with id and content");
    this.add({
      id,
      content,
      special: flags.special,
      leftStrip: flags.lstrip,
      rightStrip: flags.rstrip,
      singleWord: flags.single_word,
      normalized: normalized ?? !flags.special,
    });
  }

  /** Keeps a token. */
  add(token: AddedToken): void {
    const { id, content } = token;
    const reader = this.#reader;
    if (content === "") throw reader.fail("an added token of some characters, got an empty one");
    const isTaken = ((this.#taken[id >>> 5]! >>> (id & 31)) & 1) === 1;
    if (isTaken) throw reader.fail(`a different id for each added token, got ${id} again`);
    if (this.#contents.has(content)) throw reader.fail("added tokens that differ, got one again");
    if (this.tokens.length === MOST_TOKENS) throw reader.fail(`at most ${MOST_TOKENS} added tokens`);
    this.#units += content.length;
    if (this.#units > MOST_UNITS) throw reader.fail(`added tokens of at most ${MOST_UNITS} characters together`);
    this.#taken[id >>> 5]! |= 1 << (id & 31);
    this.#contents.add(content);
    this.tokens.push(token);
  }
}

function isFlag(name: string): name is "special" | "lstrip" | "rstrip" | "single_word" {
  return name === "special" || name === "lstrip" || name === "rstrip" || name === "single_word";
}
