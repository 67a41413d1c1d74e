import { checkSame, type Call } from "./call.ts";
import type { Shared } from "./collective.ts";
import { CollectiveError, messageOf } from "./errors.ts";

/** A call, and how it is carried out once all ranks have made it. */
export interface GroupCall extends Call {
  /** @param values of every rank, in the order of ranks */
  readonly carryOut: (values: readonly (readonly Shared[])[]) => Promise<void>;
}

interface Waiting extends GroupCall {
  resolve(): void;
  reject(error: CollectiveError): void;
}

/** Where the ranks of one process meet: brings their calls together, one after another. */
export class Group {
  readonly #queues: readonly Waiting[][];
  /** Why ranks are gone, by rank. */
  readonly #left = new Map<number, unknown>();
  #failure: CollectiveError | null = null;
  #busy = false;

  constructor(size: number) {
    this.#queues = Array.from({ length: size }, () => []);
  }

  call(rank: number, call: GroupCall): Promise<void> {
    if (this.#left.has(rank)) return Promise.reject(new CollectiveError(`rank ${rank} called ${call.name} after it had left`, rank));
    return new Promise((resolve, reject) => {
      this.#queues[rank]!.push({ ...call, resolve, reject });
      void this.#advance();
    });
  }

  leave(rank: number, reason: unknown): void {
    if (!this.#left.has(rank)) this.#left.set(rank, reason);
    void this.#advance();
  }

  async #advance(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let round = this.#nextRound(); round !== null; round = this.#nextRound()) {
        await round[0]!.carryOut(round.map(({ values }) => values));
        for (const queue of this.#queues) queue.shift()!.resolve();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#busy = false;
    }
  }

  /** The next call of every rank; null while one of them is awaited. @throws CollectiveError when they cannot meet */
  #nextRound(): readonly Waiting[] | null {
    if (this.#failure !== null) throw this.#failure;
    const calls = this.#queues.map((queue) => queue[0]);
    const first = calls.findIndex((call) => call !== undefined);
    if (first === -1) return null;
    calls.forEach((call, rank) => {
      if (call !== undefined) return checkSame(first, calls[first]!, rank, call);
      if (this.#left.has(rank)) throw gone(rank, this.#left.get(rank), `rank ${first} waits in ${calls[first]!.name}`);
    });
    return calls.every((call) => call !== undefined) ? calls : null;
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof CollectiveError ? error : new CollectiveError(messageOf(error), null, error);
    for (const queue of this.#queues) for (const { reject } of queue.splice(0)) reject(this.#failure);
  }
}

function gone(rank: number, reason: unknown, waiting: string): CollectiveError {
  if (reason === undefined) return new CollectiveError(`rank ${rank} left while ${waiting}; all ranks must make the same calls`, rank);
  return new CollectiveError(`rank ${rank} failed while ${waiting}: ${messageOf(reason)}`, rank, reason);
}
