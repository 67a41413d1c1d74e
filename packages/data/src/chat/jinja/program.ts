import { DataError } from "../../data-error.ts";
import { type TemplateLimits, tooMuch } from "./budget.ts";
import { type Node, parse, type RuntimeValue, type Token, tokenize } from "./engine.ts";
import { lastTokenRead, placeOfToken, placeOfWrongTag, tagsOf } from "./syntax-place.ts";
import { shorten } from "./template-error.ts";

/** An expression, or text, whose value is written out. */
export interface OutputNode extends Node {
  readonly type: "Output";
  readonly value: Node;
}

/** An expression that was evaluated already. */
export interface KnownNode extends Node {
  readonly type: "Known";
  readonly known: RuntimeValue;
}

export function known(value: RuntimeValue): KnownNode {
  return { type: "Known", known: value };
}

/** A template ready to run. */
export interface TemplateProgram {
  readonly root: Node;
  /** Parts within each macro and call block, which the engine visits whenever it meets one. */
  readonly sizes: ReadonlyMap<Node, number>;
}

/** White space that follows on more of it than this costs the engine quadratic time, and no template has it. */
const longestSpace = 500;
/** Fields that hold statements, text and expressions to write out. */
const blockFields = ["body", "alternate", "defaultBlock"] as const;
const statements = new Set(["Set", "If", "For", "Macro", "Break", "Continue", "Comment"]);

/** Parses a template as transformers does: `trim_blocks`, `lstrip_blocks`, any line ends; `{% generation %}` is passed
 *  over.
 *  @throws DataError `bad-template` with the line, `template-limit` */
export function parseProgram(text: string, limits: TemplateLimits): TemplateProgram {
  if (text.length > limits.sourceCharacters) throw tooMuch("sourceCharacters", limits);
  const source = text.replace(/\r\n?/g, "\n");
  const spaces = Math.max(0, ...Array.from(source.matchAll(/\s+/g), ([run]) => run.length));
  if (spaces > longestSpace) {
    throw syntaxError(`at most ${longestSpace} spaces in a row`, String(spaces), "");
  }
  const root = parseTokens(source, limits);
  return { root, sizes: prepare(root, limits) };
}

function parseTokens(source: string, limits: TemplateLimits): Node {
  let tokens: readonly Token[];
  try {
    tokens = tokenize(source, { lstrip_blocks: true, trim_blocks: true });
  } catch (error) {
    throw syntaxError("Jinja", messageOf(error), placeOfWrongTag(tagsOf(source), (tag) => tokenize(tag)));
  }
  try {
    return parse(tokens);
  } catch (error) {
    if (error instanceof RangeError) throw tooMuch("depth", limits);
    const index = lastTokenRead(tokens, parse);
    if (index >= tokens.length) throw syntaxError("Jinja", "its end inside a block or tag", "");
    throw syntaxError("Jinja", messageOf(error), placeOfToken(source, tokens, index));
  }
}

function syntaxError(expected: string, got: string, place: string): DataError {
  const message = `chat template${place}: expected ${expected}, got: ${shorten(got)}`;
  return new DataError("bad-template", message, { reason: shorten(got), place });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Marks what is written out, and counts the parts of macros. @throws DataError `template-limit` if nested too deep */
function prepare(root: Node, limits: TemplateLimits): Map<Node, number> {
  const sizes = new Map<Node, number>();
  const prototype = Object.getPrototypeOf(root) as object;
  const visit = (node: Node, depth: number): number => {
    if (depth > limits.depth) throw tooMuch("depth", limits);
    const fields = node as unknown as Record<string, unknown>;
    for (const field of blockFields) {
      const block = fields[field];
      // The engine looks for its own kind of object when it collects the names that a macro uses.
      if (Array.isArray(block)) fields[field] = block.map((part: Node) => written(part, prototype));
    }
    let size = 1;
    for (const part of partsOf(node)) size += visit(part, depth + 1);
    if (node.type === "Macro" || node.type === "CallStatement") sizes.set(node, size);
    return size;
  };
  visit(root, 0);
  return sizes;
}

function written(part: Node, prototype: object): Node {
  if (statements.has(part.type)) return part;
  return Object.assign(Object.create(prototype) as object, { type: "Output", value: part }) as OutputNode;
}

function* partsOf(node: Node): Generator<Node> {
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) yield* value.filter(isNode);
    else if (value instanceof Map) yield* [...value].flat().filter(isNode);
    else if (isNode(value)) yield value;
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}
