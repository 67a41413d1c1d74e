import { setImmediate, setTimeout } from "node:timers/promises";

import type { Driver } from "./driver.ts";
import { EVENT_WITHOUT_TIME } from "./staging.ts";
import { NOT_READY } from "./status.ts";

/** Milliseconds of turns of the event loop after which work is long enough to be worth a timer's: a token of generation is not,
 *  whose successor waits for it. */
const SHORT = 8;

/** Those who wait for the work of a stream, while other work of the process goes on. */
export class Waits {
  readonly #driver: Driver;
  readonly #stream: number;
  readonly #events = new Set<number>();

  constructor(driver: Driver, stream: number) {
    this.#driver = driver;
    this.#stream = stream;
  }

  /** Waits for the work enqueued so far, or until the device is not open any more.
   *  @param isOpen makes its GPU the one in use, where it is  @throws DeviceError where a kernel has failed */
  async untilDone(isOpen: () => boolean): Promise<void> {
    const { functions } = this.#driver;
    const done = this.#driver.handle("cuEventCreate", (out) => functions.EventCreate(out, EVENT_WITHOUT_TIME));
    this.#events.add(done);
    this.#driver.check("cuEventRecord", functions.EventRecord(done, this.#stream));
    const start = performance.now();
    while (isOpen()) {
      const status = functions.EventQuery(done);
      if (status !== NOT_READY) {
        this.#events.delete(done);
        functions.EventDestroy_v2(done);
        return this.#driver.check("a kernel", status);
      }
      await (performance.now() - start < SHORT ? setImmediate() : setTimeout(1));
    }
  }

  /** Gives back the events of those who still wait. */
  free(): void {
    for (const event of this.#events) this.#driver.functions.EventDestroy_v2(event);
  }
}
