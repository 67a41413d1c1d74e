import { Random } from "@danu/model";

/** Someone of the built-in world; everything said of them in any story agrees with this. */
export interface Person {
  readonly name: string;
  readonly pronouns: { readonly subject: string; readonly object: string; readonly possessive: string };
  readonly job: string;
  /** Where the work is done, with its article. */
  readonly workplace: string;
  /** As "the red house by the river". */
  readonly home: string;
  readonly pet: { readonly kind: string; readonly name: string };
  readonly food: string;
  /** What they carry and now and then lose. */
  readonly treasure: string;
  /** Index of the best friend in the world's people. */
  readonly friend: number;
}

/** A small village and those who live in it. */
export interface World {
  readonly village: string;
  readonly people: readonly Person[];
}

const she = { subject: "she", object: "her", possessive: "her" };
const he = { subject: "he", object: "him", possessive: "his" };

const names = [
  ["Mara", she],
  ["Tom", he],
  ["Ella", she],
  ["Ben", he],
  ["Nora", she],
  ["Otto", he],
  ["Ida", she],
  ["Finn", he],
  ["Rosa", she],
  ["Jon", he],
  ["Lena", she],
  ["Max", he],
] as const;
const jobs = [
  ["baker", "the bakery"],
  ["fisher", "the harbour"],
  ["teacher", "the school"],
  ["farmer", "the farm"],
  ["miller", "the mill"],
  ["gardener", "the garden"],
  ["carpenter", "the workshop"],
  ["doctor", "the clinic"],
  ["painter", "the studio"],
  ["shepherd", "the hill"],
  ["postman", "the post office"],
  ["cook", "the inn"],
] as const;
const colours = ["red", "blue", "green", "yellow", "white", "brown"] as const;
const spots = [
  "by the river",
  "near the old bridge",
  "behind the church",
  "at the edge of the wood",
  "on the market square",
  "beside the lake",
] as const;
const pets = ["dog", "cat", "goat", "parrot", "rabbit", "donkey"] as const;
const petNames = [
  "Pip",
  "Biscuit",
  "Shadow",
  "Clover",
  "Button",
  "Moss",
  "Pepper",
  "Snow",
  "Bramble",
  "Star",
  "Pebble",
  "Nut",
] as const;
const foods = ["apple pie", "fish soup", "honey cake", "fresh bread", "baked potatoes", "plum jam"] as const;
const treasures = ["silver key", "wooden flute", "small lantern", "old map", "green scarf", "brass bell"] as const;

/** Makes the world of a seed. */
export function makeWorld(seed: number): World {
  const random = new Random(seed);
  const [jobOrder, petOrder] = [shuffled(jobs, random), shuffled(petNames, random)];
  const homes = shuffled(
    colours.flatMap((colour) => spots.map((spot) => `the ${colour} house ${spot}`)),
    random,
  );
  const people = names.map(
    ([name, pronouns], i): Person => ({
      name,
      pronouns,
      job: jobOrder[i]![0],
      workplace: jobOrder[i]![1],
      home: homes[i]!,
      pet: { kind: pick(pets, random), name: petOrder[i]! },
      food: pick(foods, random),
      treasure: pick(treasures, random),
      friend: (i + 1 + Math.floor(random.uniform() * (names.length - 1))) % names.length,
    }),
  );
  return { village: "Alder", people };
}

/** One element, all equally likely. */
export function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random.uniform() * values.length)]!;
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const order = [...values];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
