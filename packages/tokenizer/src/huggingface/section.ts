import { TokenizerError } from "../errors.ts";
import type { JsonReader } from "./json-reader.ts";

/** Values in one section of a `tokenizer.json`, the vocabulary apart. */
const MOST_VALUES = 1 << 14;
/** Each step takes time for every text. */
const MOST_STEPS = 64;
const LONGEST_CONTENT = 64;

type Value = null | boolean | number | string | readonly Value[] | ReadonlyMap<string, Value>;

/** A small part of a `tokenizer.json` with its path, read as a whole. */
export class Section {
  readonly path: string;
  readonly #value: Value;

  constructor(value: Value, path: string) {
    this.#value = value;
    this.path = path;
  }

  /** Name of the kind of step that the section describes. */
  get type(): string {
    return this.text("type");
  }

  /** The value itself as a string. */
  get string(): string {
    if (typeof this.#value === "string") return this.#value;
    throw this.malformed("a string");
  }

  /** A field, or undefined if it is absent or null. */
  at(name: string): Section | undefined {
    const value = this.#fields.get(name) ?? null;
    return value === null ? undefined : new Section(value, `${this.path}.${name}`);
  }

  /** A field that must be there. */
  required(name: string): Section {
    const field = this.at(name);
    if (field === undefined) throw this.malformed(`a field "${name}"`);
    return field;
  }

  /** A field that is a string. */
  text(name: string): string {
    return this.required(name).string;
  }

  /** A field that is true or false. */
  flag(name: string, fallback: boolean): boolean {
    const field = this.at(name);
    if (field === undefined) return fallback;
    if (typeof field.#value === "boolean") return field.#value;
    throw field.malformed("true or false");
  }

  /** A field that is a whole number. */
  count(name: string): number {
    return this.required(name).whole;
  }

  /** The value itself as a whole number. */
  get whole(): number {
    if (Number.isSafeInteger(this.#value) && (this.#value as number) >= 0) return this.#value as number;
    throw this.malformed("a whole number");
  }

  /** The items of a field that is a list. */
  list(name: string): Section[] {
    return this.required(name).items;
  }

  /** The items of the list that the value is. */
  get items(): Section[] {
    const value = this.#value;
    if (!Array.isArray(value)) throw this.malformed("a list");
    return (value as readonly Value[]).map((item, index) => new Section(item, `${this.path}[${index}]`));
  }

  /** The error that the section is not what it must be. */
  malformed(wish: string): TokenizerError {
    const message = `tokenizer.json: expected ${wish} at ${this.path}, got another: the file is damaged`;
    return new TokenizerError("malformed-model", message, { path: this.path });
  }

  /** The error that the section is of a kind that is not read here. */
  unsupported(wish: string, got: string): TokenizerError {
    const message = `tokenizer.json: expected ${wish} at ${this.path}, got ${got}: it cannot be read here`;
    return new TokenizerError("unsupported-model", message, { path: this.path });
  }

  get #fields(): ReadonlyMap<string, Value> {
    if (this.#value instanceof Map) return this.#value as ReadonlyMap<string, Value>;
    throw this.malformed("an object");
  }
}

/** Reads the section that comes next; undefined for null. @throws TokenizerError `malformed-model` */
export function readSection(reader: JsonReader): Section | undefined {
  const path = reader.path();
  let left = MOST_VALUES;
  const read = (): Value => {
    if (left-- === 0) throw reader.fail(`at most ${MOST_VALUES} values`);
    switch (reader.kind()) {
      case "object": {
        const fields = new Map<string, Value>();
        reader.fields((name) => fields.set(name, read()));
        return fields;
      }
      case "array": {
        const items: Value[] = [];
        reader.items(() => items.push(read()));
        return items;
      }
      case "string":
        reader.string();
        return reader.text();
      case "number":
        return reader.number();
      case "boolean":
        return reader.boolean();
      default:
        if (!reader.isNull()) throw reader.fail("null");
        return null;
    }
  };
  const value = read();
  return value === null ? undefined : new Section(value, path);
}

/** The steps of a section: itself, or those of the sequences inside it.
 *  @param name of the field that holds a sequence's steps */
export function stepsOf(section: Section | undefined, name: string): Section[] {
  if (section === undefined) return [];
  if (section.type !== "Sequence") return [section];
  const steps = section.list(name).flatMap((part) => stepsOf(part, name));
  if (steps.length > MOST_STEPS) throw section.unsupported(`at most ${MOST_STEPS} steps`, `${steps.length}`);
  return steps;
}

/** A string that steps put into text, which could grow without bound. */
export function shortContent(section: Section, name: string): string {
  const content = section.text(name);
  if (content.length <= LONGEST_CONTENT) return content;
  throw section.unsupported(`${name} of at most ${LONGEST_CONTENT} code units`, `${content.length}`);
}
