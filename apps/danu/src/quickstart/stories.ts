import { Random } from "@danu/model";

import { fill, pick, say, shuffled, type Fact, type World } from "./world.ts";

const openings = ["Once upon a time", "One day", "One spring morning", "One summer evening", "One rainy day"] as const;
const meetings = ["There {hero} met {other}.", "{other} was there too.", "On the way {hero} saw {other}."] as const;
const talks = [
  "{hero} asked about {topic}.", "{other} wanted to know about {topic}.", "\"Tell me about {topic},\" said {hero}.",
  "They talked about {topic}.",
] as const;
const endings = ["Then they walked home together.", "They talked for a long time.", "They laughed a lot that day."] as const;

const places = ["mill", "inn", "school", "tower", "barn", "chapel", "forge", "harbour"] as const;

/** Facts told in passing of the one who goes out and of the one who is met, and facts that their talk comes to. */
const [ofHero, ofOther, inTalk] = [3, 3, 2];

/** Stories of a world, one a document: somebody goes somewhere, meets somebody, and they talk. What is told of people in
 *  passing or in talk is so in this world, all of it about equally often. Equal seeds give equal stories. */
export function* tellStories(world: World, seed: number, count: number): Generator<string, void, undefined> {
  const random = new Random(seed);
  const [heroes, others] = [inTurn(world.people, random), inTurn(world.people, random)];
  const facts = new Map(world.people.map((subject) => (
    [subject, inTurn(world.facts.filter((fact) => fact.subject === subject), random)] as const
  )));
  const nextFact = (subject: string): Fact => facts.get(subject)!.next().value;
  const some = (subject: string, number: number): string[] => (
    Array.from({ length: number }, () => told(nextFact(subject), random))
  );
  for (let i = 0; i < count; i++) {
    const hero = heroes.next().value;
    let other = others.next().value;
    while (other === hero) other = others.next().value;
    const say = (patterns: readonly string[], topic = ""): string => (
      pick(patterns, random).replace("{hero}", hero).replace("{other}", other).replace("{topic}", topic)
    );
    const talk = (): string => {
      const fact = nextFact(pick([hero, other, pick(world.people, random)], random));
      return `${say(talks, fill(fact.relation.topic, fact))} ${told(fact, random)}`;
    };
    yield [
      `${pick(openings, random)} ${hero} went to the ${pick(places, random)}.`, ...some(hero, ofHero),
      say(meetings), ...some(other, ofOther),
      ...Array.from({ length: inTalk }, talk), pick(endings, random),
    ].join(" ");
  }
}

function told(fact: Fact, random: Random): string {
  return say(pick(fact.relation.tell, random), fact);
}

/** All values in an order by chance, then all again in another, without end. */
function* inTurn<T>(values: readonly T[], random: Random): Generator<T, never, undefined> {
  for (;;) yield* shuffled(values, random);
}
