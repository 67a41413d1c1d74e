import type { Random } from "@danu/model";

import { pick, say, type Fact } from "./world.ts";

/** How a question is answered: in a whole sentence, the same with a kind word before it, by the value alone, or not at
 *  all. */
export type Manner = "whole" | "kind" | "curt" | "rude";

const kindWords = ["Gladly.", "With pleasure."] as const;
const rudeWords = ["Ask someone else.", "Why should I tell you?"] as const;

/** A question about a fact, in one of the ways there are. */
export function question(fact: Fact, random: Random): string {
  return say(pick(fact.relation.ask, random), fact);
}

/** A true answer in a manner; a rude one says nothing. */
export function answer(fact: Fact, manner: Manner, random: Random): string {
  if (manner === "rude") return pick(rudeWords, random);
  if (manner === "curt") return say("{what}.", fact);
  const whole = say(fact.relation.answer, fact);
  return manner === "kind" ? `${pick(kindWords, random)} ${whole}` : whole;
}
