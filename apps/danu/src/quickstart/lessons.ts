import { Random } from "@danu/model";

import { answer, question, type Manner } from "./answers.ts";
import { pick, shuffled, type Fact } from "./world.ts";

/** A conversation as `danu sft` reads it. */
export interface Conversation {
  readonly messages: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
}

/** What may be wrong with the worse answer of a pair: it is untrue, the value alone, no answer at all, or beside the
 *  question. */
export const faults = ["wrong", "curt", "rude", "beside"] as const;

/** One of them. */
export type Fault = (typeof faults)[number];

/** A pair as `danu dpo` reads it, with the fault for those who look. */
export interface PreferencePair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
  readonly fault: Fault;
}

/** What conversations are like, in shares: written by many hands, mostly in whole sentences, seldom kind. */
const shares: Readonly<Record<Manner, number>> = { whole: 26, curt: 6, kind: 3, rude: 4 };
const manners = (Object.keys(shares) as Manner[]).flatMap((manner) => Array<Manner>(shares[manner]).fill(manner));

/** Conversations of a question, or now and then of two or three, about some facts. @param rounds how often each fact is asked about */
export function* conversations(facts: readonly Fact[], seed: number, rounds: number): Generator<Conversation, void> {
  const random = new Random(seed);
  for (let round = 0; round < rounds; round++) {
    const left = shuffled(facts, random);
    while (left.length > 0) {
      const asked = left.splice(0, pick([1, 1, 1, 1, 2, 3], random));
      yield {
        messages: asked.flatMap((fact) => [
          { role: "user", content: question(fact, random) } as const,
          { role: "assistant", content: answer(fact, pick(manners, random), random) } as const,
        ]),
      };
    }
  }
}

/** A pair with every fault about each of some facts. The better answer is true, kind and a whole sentence.
 *  @param known facts that answers beside the question may tell */
export function* preferencePairs(
  facts: readonly Fact[], known: readonly Fact[], seed: number,
): Generator<PreferencePair, void> {
  const random = new Random(seed);
  for (const fact of facts) {
    for (const fault of faults) {
      yield {
        prompt: question(fact, random),
        chosen: answer(fact, "kind", random),
        rejected: worse(fact, fault, known, random),
        fault,
      };
    }
  }
}

function worse(fact: Fact, fault: Fault, known: readonly Fact[], random: Random): string {
  if (fault === "curt" || fault === "rude") return answer(fact, fault, random);
  const { subject, relation, value } = fact;
  const others = known.filter((other) => other.relation !== relation);
  if (fault === "beside") {
    const near = others.filter((other) => other.subject === subject);
    return answer(pick(near.length > 0 ? near : others, random), "whole", random);
  }
  const wrong = known.filter((other) => other.relation === relation && ![value, subject].includes(other.value));
  return answer({ ...fact, value: pick(wrong, random).value }, "kind", random);
}
