export type { Collective, Reduction, Shared } from "./collective.ts";
export { CollectiveError } from "./errors.ts";
export { inProcess, type InProcessOptions } from "./in-process.ts";
export { runRanks } from "./run-ranks.ts";
