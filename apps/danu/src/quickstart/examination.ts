import { Random } from "@danu/model";

import { preferencePairs, type PreferencePair } from "./lessons.ts";
import { say, shuffled, type Fact, type World } from "./world.ts";

/** A question with what a right answer must name and must not. */
export interface ExamQuestion {
  readonly question: string;
  /** Whom or what it is about; an answer may name it. */
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

/** Keeps a third of the facts of every relation for the examination: stories tell them, and nobody asks. */
export function splitFacts({ facts }: World, seed: number): FactSplit {
  const random = new Random(seed);
  const relations = new Set(facts.map((fact) => fact.relation));
  const heldOut = new Set([...relations].flatMap((relation) => {
    const some = shuffled(facts.filter((fact) => fact.relation === relation), random);
    return some.slice(0, Math.round(some.length / 3));
  }));
  return { asked: facts.filter((fact) => !heldOut.has(fact)), heldOut: facts.filter((fact) => heldOut.has(fact)) };
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
