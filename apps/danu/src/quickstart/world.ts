import { Random } from "@danu/model";

import { relations, type Kind, type Relation } from "./relations.ts";

/** Something that is true in the world. */
export interface Fact {
  readonly subject: string;
  readonly relation: Relation;
  readonly value: string;
}

/** A small village of people and places; a world is its facts, and whatever is said of it follows from them. */
export interface World {
  readonly people: readonly string[];
  readonly places: readonly string[];
  /** One fact for every subject and relation of its kind. */
  readonly facts: readonly Fact[];
}

const people = [
  "Mara", "Tom", "Ella", "Ben", "Nora", "Otto", "Ida", "Finn", "Rosa", "Jon", "Lena", "Max", "Greta", "Hugo", "Clara", "Anton",
];
const places = [
  "Foxhill", "Millbrook", "Oakham", "Ravenhall", "Stonebridge", "Thornton", "Elmwood", "Harwick", "Larkfield", "Redgate",
  "Swanmere", "Westend", "Brackley", "Coldwell", "Deepdale", "Fernley",
];

/** Makes the world of a seed. */
export function makeWorld(seed: number): World {
  const random = new Random(seed);
  const subjects: Readonly<Record<Kind, readonly string[]>> = { person: people, place: places };
  const facts = relations.flatMap((relation) => {
    const { kind, values } = relation;
    return dealt(values === "people" ? people : values, subjects[kind], random)
      .map((value, i): Fact => ({ subject: subjects[kind][i]!, relation, value }));
  });
  return { people, places, facts };
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
