import type { Node } from "./engine.ts";
import type { KnownNode } from "./program.ts";

// The fields, as far as they are used here, of the engine's syntax tree, whose types it does not export.

export interface Program extends Node {
  readonly body: readonly Node[];
}
export interface If extends Node {
  readonly test: Node;
  readonly body: readonly Node[];
  readonly alternate: readonly Node[];
}
export interface For extends Node {
  readonly loopvar: Node;
  readonly iterable: Node;
  readonly body: readonly Node[];
  readonly defaultBlock: readonly Node[];
}
export interface Select extends Node {
  readonly lhs: Node;
  readonly test: Node;
}
export interface Identifier extends Node {
  readonly value: string;
}
export interface Tuple extends Node {
  readonly value: readonly Node[];
}
export interface Binary extends Node {
  readonly operator: { readonly value: string };
  readonly left: Node;
  readonly right: Node;
}
export interface Member extends Node {
  readonly object: Node;
  readonly property: Node;
  readonly computed: boolean;
}
export interface Call extends Node {
  readonly callee: Node;
  readonly args: readonly Node[];
}
export interface Filter extends Node {
  readonly operand: Node;
  readonly filter: Node;
}
export interface FilterBlock extends Node {
  readonly filter: Node;
  readonly body: readonly Node[];
}
export interface KeywordArgument extends Node {
  readonly key: Identifier;
  readonly value: Node;
}

/** The name that a property is read by, or an empty string where it is no name. */
export function nameIn(property: Node): string {
  if (property.type === "Identifier") return (property as Identifier).value;
  const value = property.type === "Known" ? (property as KnownNode).known.value : undefined;
  return typeof value === "string" ? value : "";
}

/** An expression in words, for error messages. */
export function spelling(node: Node): string {
  if (node.type === "Identifier") return (node as Identifier).value;
  if (node.type !== "MemberExpression") return "the expression";
  const { object, property, computed } = node as Member;
  return computed ? `${spelling(object)}[…]` : `${spelling(object)}.${nameIn(property)}`;
}
