import type { Conversation, Preference } from "../conversation.ts";
import { type Fields, has, RowProblem, textIn } from "../fields.ts";
import type { FormatOptions, Gathered, GatheredFormat, Gatherer } from "../format.ts";
import { isReady, nodeOf, unready } from "./oasst.ts";
import { deepestTree, pairsOf, pathsOf, type TreeNode } from "./oasst-tree.ts";

/** `{ message_id, parent_id, text, role }`, Open Assistant's messages one a row; trees are rebuilt from the parents,
 *  so that a file is read whole. */
export const oasstFlatFormat: GatheredFormat<Conversation> = flatFormat("oasst-messages", pathsOf);
/** The best and the worst answer of each question in the rebuilt trees. */
export const oasstFlatPairFormat: GatheredFormat<Preference> = flatFormat("oasst-messages", pairsOf);

type Take<T> = (root: TreeNode, options: FormatOptions) => Iterable<T>;

/** Most messages of one file. */
const mostMessages = 4_000_000;

interface FlatMessage {
  readonly row: Fields;
  readonly line: number;
  readonly children: FlatMessage[];
  reached: boolean;
}

function flatFormat<T>(name: string, take: Take<T>): GatheredFormat<T> {
  return {
    name,
    fields: "message_id, parent_id, text, role",
    recognises: (row) =>
      has(row, "message_id", "text", "role") && Object.hasOwn(row, "parent_id") && !has(row, "replies"),
    gather: (options) => new TreeBuilder(take, options),
  };
}

class TreeBuilder<T> implements Gatherer<T> {
  readonly #take: Take<T>;
  readonly #options: FormatOptions;
  readonly #messages = new Map<string, FlatMessage>();

  constructor(take: Take<T>, options: FormatOptions) {
    this.#take = take;
    this.#options = options;
  }

  /** @throws RowProblem */
  add(row: Fields, line: number): void {
    const id = textIn(row, "message_id");
    if (has(row, "parent_id")) textIn(row, "parent_id");
    nodeOf(row, []);
    const before = this.#messages.get(id);
    if (before !== undefined) throw new RowProblem(`the message ${id} is in line ${before.line} already`);
    if (this.#messages.size === mostMessages) throw new RowProblem(`the file has more than ${mostMessages} messages`);
    this.#messages.set(id, { row, line, children: [], reached: false });
  }

  *finish(): Generator<Gathered<T>> {
    const roots: FlatMessage[] = [];
    for (const message of this.#messages.values()) {
      const { row, line } = message;
      if (!has(row, "parent_id")) {
        roots.push(message);
        continue;
      }
      const parent = this.#messages.get(textIn(row, "parent_id"));
      if (parent !== undefined) parent.children.push(message);
      else {
        message.reached = true;
        yield { line, row, problem: `the message that it answers, ${textIn(row, "parent_id")}, is not in the file` };
      }
    }
    for (const root of roots) yield* this.#examplesOf(root);
    for (const { reached, line, row } of this.#messages.values()) {
      if (!reached) yield { line, row, problem: "no question begins the messages that it answers" };
    }
  }

  *#examplesOf(root: FlatMessage): Generator<Gathered<T>> {
    const { line, row } = root;
    let tree: TreeNode;
    try {
      tree = treeOf(root, 0);
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      yield { line, row, problem: error.message };
      return;
    }
    const drop = (reason: string): void => this.#options.drop?.(reason, line);
    if (!isReady(row)) drop(unready(row));
    else for (const example of this.#take(tree, { ...this.#options, drop })) yield { line, row, example };
  }
}

function treeOf(message: FlatMessage, depth: number): TreeNode {
  if (depth > deepestTree) throw new RowProblem(`the tree is deeper than ${deepestTree} messages`);
  message.reached = true;
  return nodeOf(
    message.row,
    message.children.map((child) => treeOf(child, depth + 1)),
  );
}
