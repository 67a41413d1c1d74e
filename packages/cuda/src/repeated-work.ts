import { disposeTree, keep, scope, type Repeated } from "@danu/tensor";

import type { Driver } from "./driver.ts";
import { Arena, type Memory } from "./memory.ts";

// CU_STREAM_CAPTURE_MODE_THREAD_LOCAL of cuda.h: other threads may go on calling the driver.
const THREAD_LOCAL = 1;

/** What repeated work needs of its device. */
export interface Repeater {
  readonly driver: Driver;
  readonly stream: number;
  readonly memory: Memory;
  /** Whether what is enqueued may be captured. */
  readonly captures: boolean;
  /** Makes the device's context the one in use. @throws DeviceError for a device that is closed or failed */
  use(): void;
  /** Called at the end of the work: what was only noted of it is enqueued, and what follows has no kernel of it in front. */
  interrupt(): void;
  /** Called when the work is disposed of, whose memory is in the arena then. */
  ended(arena: Arena): void;
}

/** Work that is done once call by call, which loads its kernels and fills its arena, then once for a CUDA graph, and from
 *  then on by launching that. CUDA C++ Programming Guide, CUDA graphs, stream capture. */
export class RepeatedWork<T> implements Repeated<T> {
  readonly #device: Repeater;
  readonly #work: () => T;
  readonly #arena = new Arena();
  #result: T | null = null;
  #hasRun = false;
  /** The executable graph, 0 for none. */
  #graph = 0;

  constructor(device: Repeater, work: () => T) {
    this.#device = device;
    this.#work = work;
  }

  run(): T {
    this.#device.use();
    if (this.#graph === 0) {
      this.#forget();
      if (!this.#hasRun || !this.#device.captures) return this.#runFirst();
      this.#graph = this.#capture();
    }
    const { driver, stream } = this.#device;
    driver.check("repeated work", driver.functions.GraphLaunch(this.#graph, stream));
    return this.#result!;
  }

  [Symbol.dispose](): void {
    this.#forget();
    this.destroyGraph();
    this.#device.ended(this.#arena);
  }

  /** Starts over, and returns memory that is free between two runs. */
  giveUp(): void {
    this.destroyGraph();
    this.#hasRun = false;
    this.#device.memory.release(this.#arena);
  }

  /** Destroys the graph; launches of it that are under way go on. */
  destroyGraph(): void {
    if (this.#graph !== 0) this.#device.driver.functions.GraphExecDestroy(this.#graph);
    this.#graph = 0;
  }

  /** Forgets a graph that went with its context. */
  loseGraph(): void {
    this.#graph = 0;
  }

  /** Enqueues the work call by call. One that fails has not filled the arena; nor has one that gives up its memory meanwhile. */
  #runFirst(): T {
    this.#hasRun = true;
    try {
      return this.#enqueue(true);
    } catch (error) {
      this.#hasRun = false;
      throw error;
    }
  }

  #enqueue(grows: boolean): T {
    return this.#result = keep(this.#device.memory.within(this.#arena, grows, () => scope(() => {
      try {
        return this.#work();
      } finally {
        this.#device.interrupt();
      }
    })));
  }

  #capture(): number {
    const { driver, stream } = this.#device;
    const { functions } = driver;
    driver.check("cuStreamBeginCapture", functions.StreamBeginCapture_v2(stream, THREAD_LOCAL));
    const end = (): number => driver.handle("cuStreamEndCapture", (out) => functions.StreamEndCapture(stream, out));
    try {
      this.#enqueue(false);
    } catch (error) {
      functions.GraphDestroy(end());
      throw error;
    }
    const graph = end();
    try {
      return driver.handle("cuGraphInstantiate", (out) => functions.GraphInstantiateWithFlags(out, graph, 0));
    } finally {
      functions.GraphDestroy(graph);
    }
  }

  #forget(): void {
    disposeTree(this.#result);
    this.#result = null;
  }
}
