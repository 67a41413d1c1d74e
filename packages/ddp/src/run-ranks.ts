import type { Collective } from "./collective.ts";

/** Runs one function as several ranks at once. A rank that returns has left, and so has one that throws, with its error
 *  as the reason, so that none waits for it.
 *  @param ranks of this process
 *  @returns what every rank returned, in their order, once all are done  @throws the error of the rank that failed first */
export async function runRanks<T>(ranks: readonly Collective[], work: (collective: Collective) => Promise<T>): Promise<T[]> {
  const errors: unknown[] = [];
  const results = new Array<T>(ranks.length);
  await Promise.all(ranks.map(async (collective, i) => {
    try {
      results[i] = await work(collective);
      collective.leave();
    } catch (error) {
      errors.push(error);
      collective.leave(error);
    }
  }));
  if (errors.length > 0) throw errors[0];
  return results;
}
