import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { examinationOf, splitFacts, type ExamQuestion } from "../src/quickstart/examination.ts";
import { conversations, preferencePairs } from "../src/quickstart/lessons.ts";
import { relations } from "../src/quickstart/relations.ts";
import { isRight } from "../src/quickstart/score.ts";
import { sparkline } from "../src/quickstart/show-results.ts";
import { tellStories } from "../src/quickstart/stories.ts";
import { fill, makeWorld, say, type Fact, type World } from "../src/quickstart/world.ts";

const seeds = fc.integer({ min: 0, max: 2 ** 31 });

/** Every sentence that states something in this world that is not so. */
function falsehoods({ facts }: World): Set<string> {
  const isSo = new Set(facts.flatMap((fact) => fact.relation.tell.map((pattern) => say(pattern, fact))));
  const all = facts.flatMap(({ relation, subject }) => facts.filter((other) => other.relation === relation).flatMap(
    ({ value }) => relation.tell.map((pattern) => say(pattern, { subject, relation, value })),
  ));
  return new Set(all.filter((sentence) => !isSo.has(sentence)));
}

function sentencesOf(text: string): string[] {
  return text.split(/(?<=[.?"]) /).map((sentence) => sentence.replace(/^"|"$/g, ""));
}

test("a world follows from its seed and says one thing of everyone for every relation", () => {
  fc.assert(fc.property(seeds, (seed) => {
    const world = makeWorld(seed);
    expect(makeWorld(seed)).toEqual(world);
    const told = new Set(world.facts.map(({ subject, relation }) => `${relation.name} of ${subject}`));
    expect(told.size).toBe(world.facts.length);
    for (const { subject, value, relation } of world.facts) {
      expect(value).not.toBe(subject);
      expect(world.people).toContain(subject);
      expect((relation.values === "people" ? world.people : relation.values).includes(value)).toBe(true);
    }
  }), { numRuns: 30 });
  expect(makeWorld(1)).not.toEqual(makeWorld(2));
});

test("every pattern says of whom, and those that state say what", () => {
  for (const { tell, ask, answer, topic } of relations) {
    for (const pattern of [...tell, answer]) expect(pattern).toMatch(/\{who\}.*\{what\}.*\.$/);
    for (const pattern of ask) expect(pattern).toMatch(/\{who\}[^{]*\?$/);
    expect(topic).toContain("{who}");
    expect(new Set(tell).size).toBe(tell.length);
  }
});

test("stories tell nothing but the truth, all of it about equally often, and follow from their seed", () => {
  const world = makeWorld(1);
  const stories = [...tellStories(world, 3, 800)];
  expect([...tellStories(world, 3, 800)]).toEqual(stories);
  const wrong = falsehoods(world);
  const times = new Map<string, number>();
  for (const sentence of stories.flatMap(sentencesOf)) {
    expect(wrong.has(sentence)).toBe(false);
    expect(sentence).not.toMatch(/undefined|\{|\}| {2}/);
    times.set(sentence, (times.get(sentence) ?? 0) + 1);
  }
  const counts = world.facts.map((fact) => (
    fact.relation.tell.reduce((sum, pattern) => sum + (times.get(say(pattern, fact)) ?? 0), 0)
  ));
  expect(Math.min(...counts)).toBeGreaterThan(15);
  expect(Math.max(...counts)).toBeLessThan(90);
});

describe("what the examination asks", () => {
  const world = makeWorld(1);
  const { asked, heldOut } = splitFacts(world, 1);
  const examination = examinationOf(world, { asked, heldOut }, 1);
  const chats = [...conversations(asked, 1, 8)];
  const pairs = [...preferencePairs(asked, asked, 1)];
  const training = [
    ...chats.flatMap(({ messages }) => messages.map(({ content }) => content)),
    ...pairs.flatMap(({ prompt, chosen, rejected }) => [prompt, chosen, rejected]),
  ];

  test("is a third of all facts, of every relation and of everyone, told in the stories", () => {
    expect(asked.length + heldOut.length).toBe(world.facts.length);
    const shareOf = (is: (fact: Fact) => boolean): number => heldOut.filter(is).length / world.facts.filter(is).length;
    const shares = [
      ...relations.map((relation) => shareOf((fact) => fact.relation === relation)),
      ...world.people.map((name) => shareOf((fact) => fact.subject === name)),
    ];
    expect(Math.min(...shares)).toBeGreaterThan(0.2);
    expect(Math.max(...shares)).toBeLessThan(0.4);
    const told = [...tellStories(world, 1, 500)].join(" ");
    for (const fact of heldOut) expect(fact.relation.tell.some((pattern) => told.includes(say(pattern, fact)))).toBe(true);
  });

  test("was never asked in training, in any words, nor answered", () => {
    const texts = [...training, ...tellStories(world, 1, 500)];
    for (const { question } of examination.questions) {
      expect(texts.filter((text) => text.includes(question))).toEqual([]);
    }
    for (const fact of heldOut) {
      const truth = say(fact.relation.answer, fact);
      expect(training.filter((text) => text.includes(truth))).toEqual([]);
      const asks = fact.relation.ask.map((pattern) => fill(pattern, fact));
      expect(training.filter((text) => asks.includes(text))).toEqual([]);
    }
  });

  test("has a truth that the true answers name and the others do not", () => {
    const factOf = new Map(heldOut.flatMap((fact) => fact.relation.ask.map((pattern) => [say(pattern, fact), fact] as const)));
    const asked = new Map(examination.questions.map((question) => [question.question, question]));
    expect(asked.size).toBe(examination.questions.length);
    for (const [text, question] of asked) {
      const fact = factOf.get(text)!;
      expect(isRight(say(fact.relation.answer, fact), question)).toBe(true);
      expect(isRight(`Gladly. ${say("{what}.", fact)}`, question)).toBe(true);
    }
    for (const { prompt, chosen, rejected, fault } of examination.pairs) {
      const question = asked.get(prompt)!;
      expect(isRight(chosen, question)).toBe(true);
      expect(isRight(rejected, question)).toBe(fault === "curt");
      expect(chosen).not.toBe(rejected);
    }
  });

  test("conversations are true, and mostly answer", () => {
    const truths = new Map(asked.map((fact) => [fact, [say(fact.relation.answer, fact), say("{what}.", fact)]]));
    const byQuestion = new Map(asked.flatMap((fact: Fact) => fact.relation.ask.map((pattern) => [say(pattern, fact), fact] as const)));
    let answered = 0;
    let questions = 0;
    for (const { messages } of chats) {
      for (let i = 0; i < messages.length; i += 2) {
        questions++;
        const fact = byQuestion.get(messages[i]!.content)!;
        const said = messages[i + 1]!.content;
        if (truths.get(fact)!.some((truth) => said.endsWith(truth))) answered++;
        else expect(said).toMatch(/^(Ask someone else\.|Why should I tell you\?)$/);
      }
    }
    expect(questions).toBe(8 * asked.length);
    expect(answered / questions).toBeGreaterThan(0.85);
  });
});

describe("an answer is marked", () => {
  const asked: Omit<ExamQuestion, "question"> = {
    subject: "Mara", key: "by the river", others: ["by the lake", "under the big oak", "Tom", "a goat"],
  };
  test.each([
    ["Mara lives by the river.", true],
    ["By the river.", true],
    ["With pleasure. Mara's house is BY THE RIVER!", true],
    ["by  the\nriver", true],
    ["Mara lives by the lake.", false],
    ["Mara lives by the river and by the lake.", false],
    ["Mara lives by the river. Mara's pet is a goat.", false],
    ["Tom's house is by the river.", false],
    ["Mara lives by the rivers.", false],
    ["the river", false],
    ["", false],
  ])("%s", (answer, right) => {
    expect(isRight(answer, asked)).toBe(right);
  });

  test("by whole words, where one name is within another", () => {
    const question = { subject: "the mill", key: "a cat", others: ["a catch of fish", "the old mill"] };
    expect(isRight("The mill has a cat.", question)).toBe(true);
    expect(isRight("The mill has a catch of fish.", question)).toBe(false);
    expect(isRight("The old mill has a cat.", question)).toBe(false);
  });

  test("whatever surrounds the key, as long as nothing else is named", () => {
    const noise = fc.string({ unit: fc.constantFrom(..." .,;:!?-xyz") });
    fc.assert(fc.property(noise, noise, (before, after) => {
      expect(isRight(`${before} by the river ${after}`, asked)).toBe(true);
      expect(isRight(`${before} Tom ${after} by the river`, asked)).toBe(false);
    }));
  });
});

test("a sparkline has a block for every part, the lowest for the least and the highest for the greatest mean", () => {
  expect(sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8)).toBe("▁▂▃▄▅▆▇█");
  expect(sparkline([8, 8, 1, 1], 2)).toBe("█▁");
  expect(sparkline([3, 3, 3], 10)).toBe("▁▁▁");
  expect(sparkline([], 10)).toBe("");
});
