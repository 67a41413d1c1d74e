import { describe, isPlainObject } from "../../chat/json.ts";
import type { Conversation, Preference } from "../conversation.ts";
import { type Fields, has, optionalText, RowProblem, textIn } from "../fields.ts";
import type { FormatOptions, RowFormat } from "../format.ts";
import { deepestTree, pairsOf, pathsOf, type TreeNode } from "./oasst-tree.ts";

/** `{ message_tree_id, tree_state, prompt: { text, role, replies } }`, Open Assistant's export of trees. Trees that are
 *  not ready for export are passed over. */
export const oasstTreeFormat: RowFormat<Conversation> = treeFormat("oasst-tree", pathsOf);
/** The best and the worst answer of each question in such a tree. */
export const oasstTreePairFormat: RowFormat<Preference> = treeFormat("oasst-tree", pairsOf);

/** `{ message_id, text, role, replies }`, Open Assistant's export of messages with their replies. */
export const oasstNodeFormat: RowFormat<Conversation> = nodeFormat("oasst-node", pathsOf);
/** The best and the worst answer of each question in such messages. */
export const oasstNodePairFormat: RowFormat<Preference> = nodeFormat("oasst-node", pairsOf);

type Take<T> = (root: TreeNode, options: FormatOptions) => Iterable<T>;

function treeFormat<T>(name: string, take: Take<T>): RowFormat<T> {
  return {
    name,
    fields: "message_tree_id, prompt",
    recognises: (row) => has(row, "message_tree_id") && isPlainObject(row["prompt"]),
    read: (row, options) => {
      const { prompt } = row;
      if (!isPlainObject(prompt)) throw new RowProblem(`field "prompt": expected a message, got ${describe(prompt)}`);
      if (!isReady(row)) {
        options.drop?.(unready(row));
        return [];
      }
      return [...take(nodeOf(prompt, repliesOf(prompt, 0)), options)];
    },
  };
}

function nodeFormat<T>(name: string, take: Take<T>): RowFormat<T> {
  return {
    name,
    fields: "message_id, text, role, replies",
    recognises: (row) => has(row, "message_id", "text", "role") && Array.isArray(row["replies"]),
    read: (row, options) => [...take(nodeOf(row, repliesOf(row, 0)), options)],
  };
}

/** Whether a tree is finished, or does not say. */
export function isReady(row: Fields): boolean {
  return !has(row, "tree_state") || row["tree_state"] === "ready_for_export";
}

/** Why a tree is passed over that is not. */
export function unready(row: Fields): string {
  return `a tree in the state ${describe(row["tree_state"])}`;
}

function repliesOf(fields: Fields, depth: number): TreeNode[] {
  if (depth === deepestTree) throw new RowProblem(`the tree is deeper than ${deepestTree} messages`);
  const replies = fields["replies"] ?? [];
  if (!Array.isArray(replies)) throw new RowProblem(`field "replies": expected a list, got ${describe(replies)}`);
  return replies.map((reply: unknown) => {
    if (!isPlainObject(reply)) throw new RowProblem(`field "replies": expected messages, got ${describe(reply)}`);
    return nodeOf(reply, repliesOf(reply, depth + 1));
  });
}

/** A message of a tree. @throws RowProblem */
export function nodeOf(fields: Fields, replies: readonly TreeNode[]): TreeNode {
  const role = textIn(fields, "role");
  if (role !== "prompter" && role !== "assistant") {
    throw new RowProblem(`field "role": expected prompter or assistant, got ${describe(role)}`);
  }
  const rank = fields["rank"] ?? null;
  if (rank !== null && typeof rank !== "number") {
    throw new RowProblem(`field "rank": expected a number, got ${describe(rank)}`);
  }
  const isDeleted = fields["deleted"] === true;
  const isRefused = fields["review_result"] === false;
  return {
    role: role === "prompter" ? "user" : "assistant",
    text: textIn(fields, "text"),
    language: optionalText(fields, "lang"),
    rank,
    refused: isDeleted ? "a deleted message" : isRefused ? "a message that reviewers refused" : null,
    replies,
  };
}
