import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import koffi from "koffi";

import { buildStandin, type StandinBuild } from "./build.ts";

/** What a GPU of the stand-in says of itself. */
export interface StandinChip {
  readonly name: string;
  /** Compute capability, `"9.0"` for Hopper. */
  readonly capability: string;
  readonly memoryBytes: number;
  /** Few, so that kernels that start a block for each of them are quick. */
  readonly multiprocessors: number;
  /** Profile of a slice that MIG made of the GPU, such as `"1g.10gb"`; empty for a whole one. */
  readonly slice: string;
}

const hopper: StandinChip = { name: "NVIDIA H100 stand-in", capability: "9.0", memoryBytes: 2 ** 31, multiprocessors: 4, slice: "" };

/** Kinds of things that a program makes through the driver and has to give back. */
export type Kind = "context" | "allocation" | "pinned memory" | "stream" | "event" | "library" | "graph" | "graph executable"
  | "cuBLASLt handle" | "cuBLASLt operation" | "cuBLASLt layout" | "cuBLASLt preference";

const kinds: readonly Kind[] = [
  "context", "allocation", "pinned memory", "stream", "event", "library", "graph", "graph executable",
  "cuBLASLt handle", "cuBLASLt operation", "cuBLASLt layout", "cuBLASLt preference",
];

/** A CUDA driver that runs kernels on the CPU, seen from the side of the tests. A process has one. */
export class Standin {
  /** Path of the driver's library. */
  readonly library: string;
  /** Folder of the images of the kernels. */
  readonly folder: string;
  readonly #functions: Functions;

  private constructor({ library, folder }: StandinBuild) {
    this.library = library;
    this.folder = folder;
    this.#functions = bind(library);
  }

  /** Compiles the stand-in where that is not done yet, which takes minutes, and loads it. @param files kernel files to compile, without ending; all by default */
  static async load(files?: readonly string[]): Promise<Standin> {
    // Freed memory goes back to the stand-in, which then tells of kernels that touch it.
    process.env["DANU_CUDA_KEEP"] = "0";
    const build = await buildStandin(files);
    const known = loaded.get(build.library) ?? new Standin(build);
    loaded.set(build.library, known);
    return known;
  }

  /** The stand-in as a process finds it that has not initialised it yet. */
  fresh(): Standin {
    const folder = mkdtempSync(join(tmpdir(), "danu-standin-"));
    const library = join(folder, "libdanu_standin.so");
    copyFileSync(this.library, library);
    process.on("exit", () => rmSync(folder, { recursive: true }));
    return new Standin({ library, folder: this.folder });
  }

  /** As if the process had just initialised the driver, which is new, and finds one Hopper GPU. */
  reset(): void {
    this.#functions.reset();
    this.setChip({});
  }

  /** How many GPUs there are. */
  setDevices(count: number): void {
    this.#functions.devices(count);
  }

  setChip(chip: Partial<StandinChip>, device = 0): void {
    const { name, capability, memoryBytes, multiprocessors, slice } = { ...hopper, ...chip };
    const [major, minor] = capability.split(".").map(Number) as [number, number];
    this.#functions.chip(device, slice === "" ? name : `${name} MIG ${slice}`, major, minor, memoryBytes, multiprocessors, slice === "" ? 0 : 1);
  }

  /** Newest CUDA version that the driver knows, 13000 for 13.0. */
  setDriverVersion(version: number): void {
    this.#functions.version(version);
  }

  /** Path of a cuBLASLt, whose products plain loops do: the driver's own library has it as well. */
  get cublasLt(): string {
    return this.library;
  }

  /** What cuBLASLt says its version is, 130000 for 13.0. */
  setCublasLtVersion(version: number): void {
    this.#functions.cublasLtVersion(version);
  }

  /** Whether work waits until somebody asks for it: a query is first answered with "not ready", a second one does the work. */
  setLazy(lazy: boolean): void {
    this.#functions.lazy(lazy ? 1 : 0);
  }

  /** Makes the n-th call from now of a function, such as `cuMemAllocAsync`, return a status and do nothing. */
  fail(name: string, status: number, nth = 1): void {
    this.#functions.fail(name, nth, status);
  }

  /** The calls since the last reset or `clear`: each the function's name and its main arguments. */
  calls(): string[] {
    return lines(this.#functions.calls());
  }

  /** What a real driver would not tell: misuse, what kernels said when they stopped, leaks. */
  reports(): string[] {
    return lines(this.#functions.reports());
  }

  /** What a compiled kernel takes; null where its file has no such kernel, or did not compile. */
  parameters(file: string, name: string): StandinParameter[] | null {
    const text = this.#functions.parameters(readFileSync(join(this.folder, `${file}.fatbin`), "utf8"), name);
    if (text === "") return null;
    return lines(text).filter((line) => line !== "").map((line) => {
      const [type, offset, bytes] = line.split(" ") as [string, string, string];
      return { type, offset: Number(offset), bytes: Number(bytes) };
    });
  }

  /** Forgets calls and reports. */
  clear(): void {
    this.#functions.clear();
  }

  /** What is alive, without the kinds of which there is nothing. */
  live(): Partial<Record<Kind, number>> {
    const counts = kinds.map((kind) => [kind, this.#functions.live(kind)] as const);
    return Object.fromEntries(counts.filter(([, count]) => count > 0));
  }
}

/** A parameter of a compiled kernel. */
export interface StandinParameter {
  /** p pointer, i int, l long, f float, d double, m tensor map, s another struct. */
  readonly type: string;
  readonly offset: number;
  readonly bytes: number;
}

const loaded = new Map<string, Standin>();

type Functions = ReturnType<typeof bind>;

function bind(path: string) {
  const library = koffi.load(path);
  const native = <F>(name: string, result: string, ...types: string[]): F => library.func(`danu_standin_${name}`, result, types) as unknown as F;
  return {
    reset: native<() => void>("reset", "void"),
    devices: native<(count: number) => void>("devices", "void", "int"),
    chip: native<(device: number, name: string, major: number, minor: number, memory: number, multiprocessors: number, slice: number) => void>(
      "chip", "void", "int", "str", "int", "int", "uint64_t", "int", "int"),
    version: native<(version: number) => void>("version", "void", "int"),
    cublasLtVersion: native<(version: number) => void>("cublaslt_version", "void", "int"),
    lazy: native<(lazy: number) => void>("lazy", "void", "int"),
    fail: native<(name: string, nth: number, status: number) => void>("fail", "void", "str", "int", "int"),
    calls: native<() => string>("calls", "str"),
    reports: native<() => string>("reports", "str"),
    parameters: native<(image: string, name: string) => string>("parameters", "str", "str", "str"),
    clear: native<() => void>("clear", "void"),
    live: native<(kind: string) => number>("live", "int", "str"),
  };
}

function lines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
