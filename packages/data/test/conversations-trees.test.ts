import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { type ChatMessage, readConversations, readPreferences } from "../src/index.ts";
import { content, examplesOf, turn } from "./conversations-support.ts";

const openAssistantNames: Readonly<Record<string, string>> = { user: "prompter", assistant: "assistant" };

describe("Open Assistant trees", () => {
  interface Node {
    readonly text: string;
    readonly rank: number | null;
    readonly lang: string;
    readonly deleted: boolean;
    readonly replies: readonly Node[];
  }
  /** Messages in a row, each of which but the first answers an earlier one. */
  const tree: fc.Arbitrary<Node> = fc
    .array(
      fc.record({
        text: content,
        rank: fc.option(fc.nat({ max: 3 })),
        lang: fc.constantFrom("en", "en", "en", "de"),
        deleted: fc.constantFrom(false, false, false, false, true),
        parent: fc.nat(),
      }),
      { minLength: 1, maxLength: 12 },
    )
    .map((messages) => {
      // Of answers of one rank the first in the file counts, so that their order would decide; in the data ranks differ.
      const rankOf = (index: number): number | null => {
        const { rank } = messages[index]!;
        return rank === null ? null : rank * messages.length + index;
      };
      const at = (index: number): Node => ({
        ...messages[index]!,
        rank: rankOf(index),
        replies: messages.flatMap(({ parent }, i) => (i > 0 && parent % i === index ? [at(i)] : [])),
      });
      return at(0);
    });

  /** Each message on its own, with the names that the export uses; ids are paths of indices. */
  const flatRows = (node: Node, id: string, parent: string | null, depth: number): Record<string, unknown>[] => [
    {
      message_id: id,
      parent_id: parent,
      text: node.text,
      role: openAssistantNames[depth % 2 === 0 ? "user" : "assistant"],
      rank: node.rank,
      lang: node.lang,
      deleted: node.deleted,
      review_result: true,
    },
    ...node.replies.flatMap((reply, i) => flatRows(reply, `${id}.${i}`, id, depth + 1)),
  ];
  const nested = (node: Node, id: string, depth: number): Record<string, unknown> => ({
    ...flatRows({ ...node, replies: [] }, id, null, depth)[0],
    replies: node.replies.map((reply, i) => nested(reply, `${id}.${i}`, depth + 1)),
  });
  const usable = (node: Node): boolean => !node.deleted && node.lang === "en";

  /** The answers that no other answer follows, each with what leads to it. */
  const paths = (node: Node, before: readonly string[]): readonly string[][] => {
    if (!usable(node)) return [];
    const here = [...before, node.text];
    const after = node.replies.flatMap((reply) => paths(reply, here));
    return after.length > 0 || here.length % 2 === 1 ? after : [here];
  };

  test("as trees, nested messages, and flat messages give the same, in any order of rows", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(tree, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        async (trees, keys) => {
          const asTrees = trees.map((root, i) => ({
            message_tree_id: `${i}`,
            tree_state: "ready_for_export",
            prompt: nested(root, `${i}`, 0),
          }));
          const asNodes = trees.map((root, i) => nested(root, `${i}`, 0));
          const asRows = trees.flatMap((root, i) => flatRows(root, `${i}`, null, 0));
          const shuffled = asRows.map((row) => [keys.next().value, row] as const).toSorted(([a], [b]) => a - b);
          const options = { languages: ["en"] };
          const expected = trees.flatMap((root) => paths(root, []));
          const sorted = (found: readonly object[]): string[] => found.map((one) => JSON.stringify(one)).toSorted();
          for (const read of [readConversations, readPreferences]) {
            const [first, ...others] = await Promise.all(
              [asTrees, asNodes, asRows, shuffled.map(([, row]) => row)].map((rows) =>
                examplesOf<object>(read, rows, options),
              ),
            );
            expect(others[0]).toEqual(first);
            expect(others[1]).toEqual(first);
            if (read === readConversations) {
              expect(sorted(others[2]!)).toEqual(sorted(first!));
              expect(first!.map(({ messages }) => (messages as ChatMessage[]).map((one) => one.content))).toEqual(
                expected,
              );
            } else expect(others[2]).toHaveLength(first!.length);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("give the best and the worst answer of each question", async () => {
    const answer = (text: string, rank: number | null, extra: object = {}): object => ({
      message_id: text,
      parent_id: "q",
      text,
      role: "assistant",
      rank,
      lang: "en",
      replies: [],
      ...extra,
    });
    const replies = [
      answer("middle", 1),
      answer("worst", 5),
      answer("unranked", null),
      answer("best", 0, {
        replies: [
          {
            ...answer("and?", null, { role: "prompter" }),
            replies: [answer("yes", 0), answer("no", 1, { deleted: true })],
          },
        ],
      }),
      answer("refused", -1, { review_result: false }),
    ];
    const root = { message_id: "q", parent_id: null, text: "question", role: "prompter", lang: "en", replies };
    expect(await examplesOf(readPreferences, [root])).toEqual([
      {
        prompt: [turn("user", "question")],
        chosen: [turn("assistant", "best")],
        rejected: [turn("assistant", "worst")],
      },
    ]);
    const twice = { ...root, replies: [answer("same", 0), answer(" same", 1)] };
    expect(await examplesOf(readPreferences, [twice, root])).toHaveLength(1);
  });
});
