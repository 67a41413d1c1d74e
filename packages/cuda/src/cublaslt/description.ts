import type { Handle } from "@danu/tensor";

import type { CublasLtLibrary } from "./library.ts";

/** Types of matrices, and their codes in library_types.h, cudaDataType. */
const typeCodes = { f32: 0, f16: 2, bf16: 14, f8e4m3: 28, f8e5m2: 29 } as const;

/** Matrices as cuBLASLt has them, by columns, at even distances. */
export interface ColumnMajor {
  readonly type: keyof typeof typeCodes;
  readonly rows: number;
  readonly columns: number;
  /** Elements from one column to the next. */
  readonly step: number;
  /** Elements from one matrix to the next. */
  readonly stride: number;
}

/** Products `D = scaleA · scaleB · op(A) · op(B) + C`, where C is laid out as D. */
export interface Multiplication {
  readonly A: ColumnMajor;
  readonly B: ColumnMajor;
  readonly D: ColumnMajor;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** How many matrices there are of each. */
  readonly count: number;
  /** Whether sums of fp8 products may stay in the tensor cores, where they lose bits. */
  readonly fastAccumulation: boolean;
  readonly operands: Operands;
}

/** Where matrices and factors are. */
export interface Operands {
  readonly A: Handle;
  readonly B: Handle;
  /** 0 for none; may be D. */
  readonly C: Handle;
  readonly D: Handle;
  /** Factors of fp8 matrices, f32 `[1]`; 0 for matrices without. */
  readonly scaleA: Handle;
  readonly scaleB: Handle;
}

// Codes of cublas_api.h, library_types.h and cublasLt.h.
const COMPUTE_32F = 68;
const SCALE_32F = 0;
const operationAttributes = { transposeA: [3, 4], transposeB: [4, 4], scaleA: [17, 8], scaleB: [18, 8], fastAccumulation: [25, 1] } as const;
const layoutAttributes = { count: [5, 4], stride: [6, 8] } as const;
const preferenceAttributes = {
  workspaceBytes: [1, 8], reductionSchemes: [3, 4], alignmentA: [5, 4], alignmentB: [6, 4], alignmentC: [7, 4], alignmentD: [8, 4],
} as const;
// Sums of parts of k are added in f32 in the workspace: in place they would meet in any order, in the result's type lose bits.
const REDUCTION_COMPUTE_TYPE = 2;

/** Code of an attribute and its bytes. */
type Attribute = readonly [code: number, bytes: 1 | 4 | 8];
type Setter = (handle: number, code: number, value: Uint8Array, bytes: number) => number;

/** What cuBLASLt is told of products of one kind. */
export class Description {
  readonly operation: number;
  readonly A: number;
  readonly B: number;
  readonly D: number;
  readonly preference: number;
  readonly #library: CublasLtLibrary;
  readonly #destroy: (() => void)[] = [];

  /** @param workspaceBytes that products may use */
  constructor(library: CublasLtLibrary, product: Multiplication, workspaceBytes: number) {
    this.#library = library;
    const { functions } = library;
    const { A, B, D, operands } = product;
    try {
      this.operation = this.#made("MatmulDesc", functions.MatmulDescDestroy, (out) => functions.MatmulDescCreate(out, COMPUTE_32F, SCALE_32F));
      this.#operate("transposeA", Number(product.transposeA));
      this.#operate("transposeB", Number(product.transposeB));
      this.#operate("fastAccumulation", Number(product.fastAccumulation));
      // Which algorithms there are depends on whether there are factors.
      this.setScales(operands);
      [this.A, this.B, this.D] = [this.#layout(A, product.count), this.#layout(B, product.count), this.#layout(D, product.count)];
      this.preference = this.#made("MatmulPreference", functions.MatmulPreferenceDestroy, (out) => functions.MatmulPreferenceCreate(out));
      this.#prefer("workspaceBytes", workspaceBytes);
      this.#prefer("reductionSchemes", REDUCTION_COMPUTE_TYPE);
      for (const name of ["A", "B", "C", "D"] as const) this.#prefer(`alignment${name}`, alignmentOf(operands[name] || operands.D));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Sets where the factors are, as every product has its own. */
  setScales({ scaleA, scaleB }: Operands): void {
    if (scaleA !== 0) this.#operate("scaleA", scaleA);
    if (scaleB !== 0) this.#operate("scaleB", scaleB);
  }

  [Symbol.dispose](): void {
    for (const destroy of this.#destroy.splice(0)) destroy();
  }

  #made(what: string, destroy: (handle: number) => number, create: (out: BigUint64Array) => number): number {
    const handle = this.#library.handle(`cublasLt${what}Create`, create);
    this.#destroy.push(() => void destroy(handle));
    return handle;
  }

  #layout({ type, rows, columns, step, stride }: ColumnMajor, count: number): number {
    const { functions } = this.#library;
    const handle = this.#made("MatrixLayout", functions.MatrixLayoutDestroy, (out) => (
      functions.MatrixLayoutCreate(out, typeCodes[type], rows, columns, step)
    ));
    if (count === 1) return handle;
    this.#set("MatrixLayout", functions.MatrixLayoutSetAttribute, handle, layoutAttributes.count, count);
    this.#set("MatrixLayout", functions.MatrixLayoutSetAttribute, handle, layoutAttributes.stride, stride);
    return handle;
  }

  #operate(name: keyof typeof operationAttributes, value: number): void {
    this.#set("MatmulDesc", this.#library.functions.MatmulDescSetAttribute, this.operation, operationAttributes[name], value);
  }

  #prefer(name: keyof typeof preferenceAttributes, value: number): void {
    this.#set("MatmulPreference", this.#library.functions.MatmulPreferenceSetAttribute, this.preference, preferenceAttributes[name], value);
  }

  #set(what: string, set: Setter, handle: number, [code, bytes]: Attribute, value: number): void {
    // Little-endian: the first bytes are those of a smaller integer.
    attributeValue.setBigUint64(0, BigInt(value), true);
    this.#library.check(`cublasLt${what}SetAttribute`, set(handle, code, attributeBytes, bytes));
  }
}

const attributeBytes = new Uint8Array(new ArrayBuffer(256));
const attributeValue = new DataView(attributeBytes.buffer);

const MOST_ALIGNED = 256;

/** Bytes that an address is a multiple of, as far as algorithms tell them apart. */
function alignmentOf(address: Handle): number {
  const rest = address % MOST_ALIGNED;
  return rest === 0 ? MOST_ALIGNED : rest & -rest;
}

/** The same for products that one description serves. */
export function keyOf({ A, B, D, transposeA, transposeB, count, fastAccumulation, operands }: Multiplication): string {
  const matrices = [A, B, D].map(({ type, rows, columns, step, stride }) => `${type} ${rows} ${columns} ${step} ${stride}`);
  const places = [operands.A, operands.B, operands.C || operands.D, operands.D].map(alignmentOf);
  return [...matrices, transposeA, transposeB, count, fastAccumulation, operands.scaleA !== 0, operands.scaleB !== 0, ...places].join();
}
