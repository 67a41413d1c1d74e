import { interruptOnSignals } from "@danu/train";

import { InterruptedError } from "../cli/errors.ts";

/** Does work that an abort signal stops, and aborts it on SIGINT and SIGTERM.
 *  @throws InterruptedError when a signal stopped it */
export async function stopOnSignals<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  using interrupt = interruptOnSignals();
  const { signal } = interrupt;
  try {
    return await work(signal);
  } catch (error) {
    throw asInterrupted(error, signal);
  }
}

/** Turns the reason of an abort by a signal, which is its name, into an error; others pass unchanged. */
export function asInterrupted(error: unknown, signal: AbortSignal): unknown {
  return signal.aborted && error === signal.reason ? new InterruptedError(String(signal.reason)) : error;
}
