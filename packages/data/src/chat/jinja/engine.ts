import * as jinja from "@huggingface/jinja";

// Types of the engine as far as they are used here: its own declarations name their files without extensions, so that
// TypeScript's NodeNext resolution finds none of them.

/** A value while a template runs. */
export interface RuntimeValue {
  readonly type: string;
  readonly value: unknown;
  __bool__(): { readonly value: boolean };
  toString(): string;
}

/** Variables, and the scope around them. */
export interface Scope {
  readonly variables: ReadonlyMap<string, RuntimeValue>;
  readonly parent?: Scope;
  readonly tests: unknown;
  /** Declares a variable with a plain JavaScript value. */
  set(name: string, value: unknown): RuntimeValue;
  setVariable(name: string, value: RuntimeValue): RuntimeValue;
}

/** A part of a parsed template: a statement or an expression. */
export interface Node {
  readonly type: string;
}

/** A part of a template's source. */
export interface Token {
  readonly type: string;
  readonly value: string;
}

interface Engine {
  readonly global: Scope;
  evaluate(node: Node | undefined, scope: Scope): RuntimeValue;
}

interface TokenizeOptions {
  readonly trim_blocks?: boolean;
  readonly lstrip_blocks?: boolean;
}

export const Environment = jinja.Environment as unknown as new () => Scope;
export const Interpreter = jinja.Interpreter as unknown as new (globals: Scope) => Engine;
export const tokenize = jinja.tokenize as unknown as (source: string, options?: TokenizeOptions) => Token[];
export const parse = jinja.parse as unknown as (tokens: readonly Token[]) => Node;

/** A scope whose variables end with it. The engine's own constructor would make a function for each. */
export function scopeIn(parent: Scope): Scope {
  const scope = Object.create(Environment.prototype as object) as Scope;
  return Object.assign(scope, { variables: new Map(), parent, tests: parent.tests });
}
