import type { Handle } from "@danu/tensor";

import { wordFrom } from "../native.ts";
import { Description, keyOf, type Multiplication } from "./description.ts";
import { isRefusal, type CublasLtLibrary } from "./library.ts";

/** Bytes of GPU memory that products may use while they run. */
export const WORKSPACE_BYTES: number = 32 << 20;

// cublasLt.h, cublasLtMatmulHeuristicResult_t: the algorithm, bytes of workspace, a status, and what else there may be.
const ALGORITHM_BYTES = 64;
const STATUS_AT = 72;
const MOST_PLANS = 4096;

// alpha and beta.
const one = new Float32Array(new ArrayBuffer(256), 0, 1).fill(1);
const zero = new Float32Array(new ArrayBuffer(256), 0, 1);

/** How products of one kind are done. */
interface Plan {
  readonly description: Description;
  readonly algorithm: Uint8Array;
}

/** cuBLASLt on one GPU. Which algorithm does a product is asked once, and follows from its shape, types and alignment alone. */
export class CublasLt {
  readonly #library: CublasLtLibrary;
  readonly #stream: number;
  readonly #workspace: Handle;
  readonly #handle: number;
  /** By `keyOf`; null where there is no algorithm. */
  readonly #plans = new Map<string, Plan | null>();

  /** For the GPU whose context is in use.  @param workspace of `WORKSPACE_BYTES`  @throws DeviceError where it has no use of it */
  constructor(library: CublasLtLibrary, stream: number, workspace: Handle) {
    this.#library = library;
    this.#stream = stream;
    this.#workspace = workspace;
    this.#handle = library.handle("cublasLtCreate", (out) => library.functions.Create(out));
  }

  /** Enqueues products. @returns false where cuBLASLt has no way to do them  @throws DeviceError where it fails, naming `what` */
  multiply(product: Multiplication, what: string): boolean {
    const key = keyOf(product);
    const plan = this.#planOf(key, product);
    if (plan === null) return false;
    const { operands } = product;
    const { description: { operation, A, B, D }, algorithm } = plan;
    plan.description.setScales(operands);
    const status = this.#library.functions.Matmul(
      this.#handle, operation, one, operands.A, A, operands.B, B, operands.C === 0 ? zero : one, operands.C || operands.D, D, operands.D, D,
      algorithm, this.#workspace, WORKSPACE_BYTES, this.#stream,
    );
    if (!isRefusal(status)) {
      this.#library.check(what, status);
      return true;
    }
    plan.description[Symbol.dispose]();
    this.#plans.set(key, null);
    return false;
  }

  /** Destroys the handle and all descriptions; the work that was enqueued has to be done. */
  [Symbol.dispose](): void {
    this.#forgetPlans();
    this.#library.functions.Destroy(this.#handle);
  }

  #planOf(key: string, product: Multiplication): Plan | null {
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    if (this.#plans.size >= MOST_PLANS) this.#forgetPlans();
    const plan = this.#makePlan(product);
    this.#plans.set(key, plan);
    return plan;
  }

  #makePlan(product: Multiplication): Plan | null {
    const description = new Description(this.#library, product, WORKSPACE_BYTES);
    let algorithm: Uint8Array | null = null;
    try {
      algorithm = this.#algorithmOf(description);
    } finally {
      if (algorithm === null) description[Symbol.dispose]();
    }
    return algorithm === null ? null : { description, algorithm };
  }

  #algorithmOf({ operation, A, B, D, preference }: Description): Uint8Array | null {
    // More than there is of a result today.
    const result = new DataView(new ArrayBuffer(4096));
    let status = 0;
    const found = wordFrom((count) => {
      status = this.#library.functions.MatmulAlgoGetHeuristic(
        this.#handle, operation, A, B, D, D, preference, 1, new Uint8Array(result.buffer), count,
      );
    });
    if (isRefusal(status)) return null;
    this.#library.check("cublasLtMatmulAlgoGetHeuristic", status);
    if (found === 0 || result.getInt32(STATUS_AT, true) !== 0) return null;
    const algorithm = new Uint8Array(new ArrayBuffer(256), 0, ALGORITHM_BYTES);
    algorithm.set(new Uint8Array(result.buffer, 0, ALGORITHM_BYTES));
    return algorithm;
  }

  #forgetPlans(): void {
    for (const plan of this.#plans.values()) plan?.description[Symbol.dispose]();
    this.#plans.clear();
  }
}
