import { Random } from "@danu/model";

import { preferencePairs, type PreferencePair } from "./lessons.ts";
import { relations } from "./relations.ts";
import { say, shuffled, type Fact, type World } from "./world.ts";

/** A question with what a right answer must name and must not. */
export interface ExamQuestion {
  readonly question: string;
  /** Whom it is about; an answer may name them. */
  readonly subject: string;
  /** The truth. */
  readonly key: string;
  /** Everything else that can be said of anybody in the world. */
  readonly others: readonly string[];
}

/** What a model is examined with, none of which was asked in training. */
export interface Examination {
  readonly questions: readonly ExamQuestion[];
  readonly pairs: readonly PreferencePair[];
}

/** Facts that may be asked about in training, and those that are kept for the examination. */
export interface FactSplit {
  readonly asked: readonly Fact[];
  readonly heldOut: readonly Fact[];
}

/** Keeps a third of the facts for the examination, of every relation and of everyone alike: stories tell them, and nobody
 *  asks. */
export function splitFacts({ people, facts }: World, seed: number): FactSplit {
  const order = shuffled(people, new Random(seed));
  const isHeldOut = ({ subject, relation }: Fact): boolean => (order.indexOf(subject) + relations.indexOf(relation)) % 3 === 0;
  return { asked: facts.filter((fact) => !isHeldOut(fact)), heldOut: facts.filter(isHeldOut) };
}

/** Every question about the facts that are kept, in all its wordings, and pairs about them. */
export function examinationOf(world: World, { asked, heldOut }: FactSplit, seed: number): Examination {
  const values = [...new Set([...world.people, ...world.facts.map(({ value }) => value)])];
  return {
    questions: heldOut.flatMap((fact) => fact.relation.ask.map((pattern) => ({
      question: say(pattern, fact),
      subject: fact.subject,
      key: fact.value,
      others: values.filter((value) => value !== fact.value && value !== fact.subject),
    }))),
    pairs: [...preferencePairs(heldOut, asked, seed)],
  };
}
