import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ChatEncodeOptions, ChatEncoding, ChatMessage, ChatTokenizer } from "../src/index.ts";

/** Golden data that tools/golden/chat.py made with transformers and jinja2. */
export interface ChatGolden {
  readonly templates: Readonly<Record<string, string>>;
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly conversations: Readonly<Record<string, readonly ChatMessage[]>>;
  readonly texts: readonly { template: string; conversation: string; text?: string; prompt?: string }[];
  readonly ids: readonly {
    template: string;
    conversation: string;
    ids: number[];
    promptIds: number[];
    spans?: [number, number][];
    mask?: number[];
  }[];
  readonly snippets: readonly { source: string; variables: Record<string, unknown>; text?: string; error?: string }[];
}

export const chatGolden: ChatGolden = JSON.parse(
  readFileSync(join(import.meta.dirname, "golden", "chat.json"), "utf8"),
) as ChatGolden;

/** Messages of user and assistant by turns. */
export function turns(...contents: readonly string[]): ChatMessage[] {
  return contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
}

/** A template of names and contents. @param end what follows each */
export function named(end: string): string {
  const prompt = "{% if add_generation_prompt %}assistant: {% endif %}";
  return `{% for m in messages %}{{ m.role }}: {{ m.content }}${end}{% endfor %}${prompt}`;
}

/** Special tokens of {@link PairTokenizer}; the first is BOS. */
export const specials: readonly string[] = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"];

const pattern = /<\/?s>|<\|im_(?:start|end)\|>/g;

/** A tokenizer that joins as much as any can: text between special tokens is cut into pairs of characters from the
 *  left, so that every id depends on where its stretch begins. */
export class PairTokenizer implements ChatTokenizer {
  readonly bosId: number = 0;
  readonly #spaced: "none" | "first" | "every";
  readonly #spellings: string[] = [...specials];
  readonly #ids: Map<string, number> = new Map();

  /** @param spaced which stretches get a space before them */
  constructor(spaced: "none" | "first" | "every" = "none") {
    this.#spaced = spaced;
  }

  isSpecial(id: number): boolean {
    return id < specials.length;
  }

  /** The texts of ids, dummy spaces included. */
  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.#spellings[id]!).join("");
  }

  encodeWithOffsets(text: string, options: ChatEncodeOptions = {}): ChatEncoding {
    const { addBos = false, parseSpecial = false, plainRanges = [], addPrefixSpace = true } = options;
    const found: [id: number, start: number, end: number][] = addBos ? [[0, 0, 0]] : [];
    const addStretch = (start: number, end: number): void => {
      if (start === end) return;
      const isSpaced = start === 0 ? addPrefixSpace && this.#spaced !== "none" : this.#spaced === "every";
      const shift = isSpaced ? 1 : 0;
      const stretch = `${" ".repeat(shift)}${text.slice(start, end)}`;
      for (let at = 0; at < stretch.length; at += 2) {
        const pair = stretch.slice(at, at + 2);
        found.push([this.#idOf(pair), Math.max(start + at - shift, start), start + at - shift + pair.length]);
      }
    };
    let last = 0;
    for (const match of parseSpecial ? text.matchAll(pattern) : []) {
      const end = match.index + match[0].length;
      if (plainRanges.some((range) => range.start < end && range.end > match.index)) continue;
      addStretch(last, match.index);
      found.push([specials.indexOf(match[0]), match.index, end]);
      last = end;
    }
    addStretch(last, text.length);
    const column = (index: 0 | 1 | 2): Int32Array => Int32Array.from(found, (one) => one[index]);
    return { ids: column(0), starts: column(1), ends: column(2) };
  }

  #idOf(pair: string): number {
    const known = this.#ids.get(pair);
    if (known !== undefined) return known;
    this.#ids.set(pair, this.#spellings.length);
    return this.#spellings.push(pair) - 1;
  }
}
