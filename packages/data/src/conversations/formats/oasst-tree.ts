import type { ChatMessage } from "../../chat/messages.ts";
import type { Conversation, Preference } from "../conversation.ts";
import { type FormatOptions } from "../format.ts";
import { assistant, user } from "../message-list.ts";

/** A message of Open Assistant with its replies. */
export interface TreeNode {
  readonly role: "user" | "assistant";
  readonly text: string;
  readonly language: string;
  /** Place among its siblings, 0 for the best; `null` where nobody ranked them. */
  readonly rank: number | null;
  /** Why it is not used: deleted, or refused by reviewers. */
  readonly refused: string | null;
  readonly replies: readonly TreeNode[];
}

/** Most messages from the root of a tree to a leaf. */
export const deepestTree: number = 512;

/** All paths from the root to a leaf, without what follows the last answer of each. */
export function* pathsOf(root: TreeNode, options: FormatOptions): Generator<Conversation> {
  const walk = function* (path: readonly TreeNode[], node: TreeNode): Generator<Conversation, boolean> {
    const here = [...path, node];
    let answered = false;
    for (const reply of usable(node.replies, options)) answered = (yield* walk(here, reply)) || answered;
    if (answered || node.role === "user") return answered;
    yield { messages: here.map(messageOf) };
    return true;
  };
  for (const node of usable([root], options)) yield* walk([], node);
}

/** Of every message of the user that has ranked answers, the best and the worst: the second stage of Danube's DPO. */
export function* pairsOf(root: TreeNode, options: FormatOptions): Generator<Preference> {
  const walk = function* (path: readonly TreeNode[], node: TreeNode): Generator<Preference> {
    const here = [...path, node];
    const replies = usable(node.replies, options);
    const ranked = replies.filter((reply) => reply.role === "assistant" && reply.rank !== null);
    ranked.sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
    const [best] = ranked;
    const worst = ranked[ranked.length - 1];
    if (node.role === "user" && best !== undefined && worst !== undefined && best.rank !== worst.rank) {
      // Two people may give the same answer: a tree is none the worse for it, but there is nothing to prefer.
      if (best.text.trim() === worst.text.trim()) options.drop?.("a best answer that is the worst one again");
      else yield { prompt: here.map(messageOf), chosen: [messageOf(best)], rejected: [messageOf(worst)] };
    }
    for (const reply of replies) yield* walk(here, reply);
  };
  for (const node of usable([root], options)) yield* walk([], node);
}

function usable(nodes: readonly TreeNode[], { languages, drop }: FormatOptions): TreeNode[] {
  return nodes.filter(({ refused, language }) => {
    const reason = refused ?? (languages?.includes(language) === false ? `a message in language ${language}` : null);
    if (reason !== null) drop?.(reason);
    return reason === null;
  });
}

function messageOf({ role, text }: TreeNode): ChatMessage {
  return role === "user" ? user(text) : assistant(text);
}
