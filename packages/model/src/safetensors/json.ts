import { SafetensorsError } from "./errors.ts";

/** A parsed JSON value; objects are Maps, so that no key is special. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = Map<string, JsonValue>;

/** What a document may hold at most; a document beyond a limit is refused before its memory is spent. */
interface JsonLimits {
  /** Nesting of arrays and objects; a scalar alone has depth 0. */
  readonly depth: number;
  /** Values in the whole document, containers and their members all counted. */
  readonly values: number;
  /** Refuse every number that is not written as a plain non-negative integer. */
  readonly naturalNumbersOnly: boolean;
}

const whitespace = /[ \t\n\r]*/y;
/** All but control characters, the double quote and the backslash. */
const plainCharacters = /[ !#-[\]-\uffff]*/y;
const numberLiteral = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const naturalLiteral = /^(?:0|[1-9][0-9]*)$/;
const integerLiteral = /^-?[0-9]+$/;
const fourHexDigits = /[0-9a-fA-F]{4}/y;
const escapes: Readonly<Record<string, string>> = {
  '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
};

/**
 * Parses JSON (RFC 8259) more strictly than `JSON.parse`, for files from strangers: a key given twice, an integer
 * beyond 2⁵³ − 1, a lone surrogate, and documents beyond the limits are errors.
 * @param source the file's name for messages
 * @throws SafetensorsError with reason `json`, `duplicate-key`, `number` or `limit`
 */
export function parseStrictJson(text: string, limits: JsonLimits, source: string): JsonValue {
  return new Scanner(text, limits, source).document();
}

class Scanner {
  private position = 0;
  private values = 0;
  private readonly text: string;
  private readonly limits: JsonLimits;
  private readonly source: string;

  constructor(text: string, limits: JsonLimits, source: string) {
    this.text = text;
    this.limits = limits;
    this.source = source;
  }

  document(): JsonValue {
    const value = this.value(0);
    this.match(whitespace);
    if (this.position < this.text.length) this.fail("json", "expected the end of the JSON text");
    return value;
  }

  private value(depth: number): JsonValue {
    if (++this.values > this.limits.values) this.fail("limit", `expected at most ${this.limits.values} JSON values`);
    this.match(whitespace);
    switch (this.text[this.position]) {
      case "{": return this.object(depth + 1);
      case "[": return this.array(depth + 1);
      case '"': return this.string();
      case "t": return this.word("true", true);
      case "f": return this.word("false", false);
      case "n": return this.word("null", null);
      default: return this.number();
    }
  }

  private object(depth: number): JsonObject {
    this.enter(depth);
    const members: JsonObject = new Map();
    if (this.take("}")) return members;
    do {
      this.match(whitespace);
      if (this.text[this.position] !== '"') this.fail("json", "expected a key in double quotes");
      const key = this.string();
      if (members.has(key)) this.fail("duplicate-key", `the key ${JSON.stringify(key.slice(0, 80))} is given twice`);
      if (!this.take(":")) this.fail("json", "expected ':' after a key");
      members.set(key, this.value(depth));
    } while (this.take(","));
    if (!this.take("}")) this.fail("json", "expected ',' or '}' in an object");
    return members;
  }

  private array(depth: number): JsonValue[] {
    this.enter(depth);
    const items: JsonValue[] = [];
    if (this.take("]")) return items;
    do items.push(this.value(depth));
    while (this.take(","));
    if (!this.take("]")) this.fail("json", "expected ',' or ']' in an array");
    return items;
  }

  private enter(depth: number): void {
    if (depth > this.limits.depth) this.fail("limit", `expected JSON nested at most ${this.limits.depth} deep`);
    this.position++;
  }

  private string(): string {
    this.position++;
    let result = this.match(plainCharacters);
    while (this.text[this.position] === "\\") {
      this.position++;
      result += this.escape();
      result += this.match(plainCharacters);
    }
    if (this.text[this.position] !== '"') this.fail("json", "expected a string that ends, without control characters");
    this.position++;
    return result;
  }

  private escape(): string {
    const letter = this.text[this.position++] ?? "";
    if (letter !== "u") return escapes[letter] ?? this.fail("json", "expected a JSON escape after '\\'");
    const unit = this.codeUnit();
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    if (unit > 0xdbff || !this.text.startsWith("\\u", this.position)) this.fail("json", "found a lone surrogate");
    this.position += 2;
    const low = this.codeUnit();
    if (low < 0xdc00 || low > 0xdfff) this.fail("json", "found a lone surrogate");
    return String.fromCharCode(unit, low);
  }

  private codeUnit(): number {
    const digits = this.match(fourHexDigits);
    if (digits === "") this.fail("json", "expected four hexadecimal digits after '\\u'");
    return Number.parseInt(digits, 16);
  }

  private number(): number {
    const literal = this.match(numberLiteral);
    if (literal === "") this.fail("json", "expected a JSON value");
    const value = Number(literal);
    if (this.limits.naturalNumbersOnly && !naturalLiteral.test(literal)) {
      this.fail("number", `expected a plain non-negative integer, got ${literal.slice(0, 40)}`);
    }
    if (!Number.isFinite(value) || (integerLiteral.test(literal) && !Number.isSafeInteger(value))) {
      this.fail("number", `expected a number up to 2^53 - 1, got ${literal.slice(0, 40)}`);
    }
    return value;
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.position)) this.fail("json", `expected a JSON value`);
    this.position += word.length;
    return value;
  }

  private take(character: string): boolean {
    this.match(whitespace);
    if (this.text[this.position] !== character) return false;
    this.position++;
    return true;
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.position += found.length;
    return found;
  }

  private fail(reason: string, problem: string): never {
    throw new SafetensorsError(reason, `${this.source}: ${problem} (character ${this.position})`, {
      position: this.position,
    });
  }
}
