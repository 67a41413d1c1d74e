/** A wish to stop, made by a signal to the process. */
export interface Interrupt extends Disposable {
  /** Aborted by the first signal, with its name as the reason. */
  readonly signal: AbortSignal;
}

/** Turns the first SIGINT or SIGTERM into an aborted `AbortSignal`, for `train` to stop after its step.
 *  A second one ends the process as if nobody had listened. Dispose of it when the run is over. */
export function interruptOnSignals(names: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"]): Interrupt {
  const controller = new AbortController();
  const stop = (): void => { for (const name of names) process.off(name, listen); };
  const listen = (name: NodeJS.Signals): void => {
    stop();
    controller.abort(name);
  };
  for (const name of names) process.on(name, listen);
  return { signal: controller.signal, [Symbol.dispose]: stop };
}
