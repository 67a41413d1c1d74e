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
  /** Called when a graph was launched or a capture failed: what was enqueued last is no single kernel, or nothing. */
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
  #runs = 0;
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
      if (this.#runs++ === 0 || !this.#device.captures) return this.#enqueue(true);
      this.#graph = this.#capture();
    }
    const { driver, stream } = this.#device;
    driver.check("repeated work", driver.functions.GraphLaunch(this.#graph, stream));
    this.#device.interrupt();
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
    this.#runs = 0;
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

  #enqueue(grows: boolean): T {
    return this.#result = keep(this.#device.memory.within(this.#arena, grows, () => scope(this.#work)));
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
      this.#device.interrupt();
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
