import { Random } from "@danu/model";

import { relations, type Relation } from "./relations.ts";

/** Something that is true in the world. */
export interface Fact {
  readonly subject: string;
  readonly relation: Relation;
  readonly value: string;
}

/** A small village; a world is its facts, and whatever is said of it follows from them. */
export interface World {
  readonly people: readonly string[];
  /** One fact for everyone and every relation. */
  readonly facts: readonly Fact[];
}

const people = [
  "Mara", "Tom", "Ella", "Ben", "Nora", "Otto", "Ida", "Finn", "Rosa", "Jon", "Lena", "Max", "Greta", "Hugo", "Clara", "Anton",
];

/** Makes the world of a seed. */
export function makeWorld(seed: number): World {
  const random = new Random(seed);
  const facts = relations.flatMap((relation) => {
    const values = dealt(relation.values === "people" ? people : relation.values, people, random);
    return people.map((subject, i): Fact => ({ subject, relation, value: values[i]! }));
  });
  return { people, facts };
}

/** A value for every subject, each value about as often as any other, and never the subject itself. */
function dealt(values: readonly string[], subjects: readonly string[], random: Random): string[] {
  const order = shuffled(values, random);
  const enough = subjects.map((_, i) => order[i % order.length]!);
  for (;;) {
    const result = shuffled(enough, random);
    if (result.every((value, i) => value !== subjects[i])) return result;
  }
}

/** One element, all equally likely. */
export function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random.uniform() * values.length)]!;
}

/** The same elements in an order by chance. */
export function shuffled<T>(values: readonly T[], random: Random): T[] {
  const order = [...values];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** A text from its pattern. */
export function fill(pattern: string, { subject, value }: Fact): string {
  return pattern.replace("{who}", subject).replace("{what}", value);
}

/** A sentence from its pattern. */
export function say(pattern: string, fact: Fact): string {
  const text = fill(pattern, fact);
  return text[0]!.toUpperCase() + text.slice(1);
}
