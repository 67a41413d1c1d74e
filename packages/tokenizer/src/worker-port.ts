import type { EncodedTexts } from "./encode-texts.ts";
import type { TokenizerErrorCode } from "./errors.ts";
import type { TokenizerFiles } from "./load.ts";
import type { EncodeOptions } from "./tokenizer.ts";

/** What a thread is asked. */
export type Question =
  | { readonly files: Uint8Array | TokenizerFiles }
  | { readonly texts: readonly string[]; readonly options: EncodeOptions };

/** What a thread answers: readiness, ids, or an error's parts. */
export type Answer =
  | { readonly ready: true }
  | EncodedTexts
  | { readonly message: string; readonly code?: TokenizerErrorCode; readonly data?: Readonly<Record<string, unknown>> };

/** A thread seen from outside. */
export interface WorkerThread {
  ask(question: Question): void;
  onAnswer(take: (answer: Answer) => void): void;
  onFailure(take: (error: Error) => void): void;
  /** Whether waiting for it keeps the process alive. */
  keepAlive(alive: boolean): void;
  stop(): void;
}

/** A thread seen from inside. */
interface OwnPort {
  onQuestion(take: (question: Question) => void): void;
  answer(answer: Answer, transfer: ArrayBuffer[]): void;
}

interface WebWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  addEventListener(type: string, listener: (event: { data: unknown; message?: string }) => void): void;
}

interface WebWorkerScope {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
}

type WebWorkerConstructor = new (url: URL, options: { type: "module" }) => WebWorker;

/** Node has its threads in a module of its own, which browsers' bundlers must not see. */
function nodeThreads(): typeof import("node:worker_threads") | undefined {
  return (globalThis as { process?: NodeJS.Process }).process?.getBuiltinModule?.("node:worker_threads");
}

/** Number of threads that the machine runs at once. */
export function parallelism(): number {
  const os = (globalThis as { process?: NodeJS.Process }).process?.getBuiltinModule?.("node:os");
  if (os !== undefined) return os.availableParallelism();
  return (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1;
}

/** Starts a thread with the module at `url`; undefined where the runtime has none. */
export function startThread(url: URL): WorkerThread | undefined {
  const threads = nodeThreads();
  if (threads !== undefined) {
    const worker = new threads.Worker(url);
    return {
      ask: (question) => worker.postMessage(question),
      onAnswer: (take) => void worker.on("message", take),
      onFailure: (take) => void worker.on("error", take),
      keepAlive: (alive) => (alive ? worker.ref() : worker.unref()),
      stop: () => void worker.terminate(),
    };
  }
  const Worker = (globalThis as { Worker?: WebWorkerConstructor }).Worker;
  if (Worker === undefined) return undefined;
  const worker = new Worker(url, { type: "module" });
  return {
    ask: (question) => worker.postMessage(question),
    onAnswer: (take) => worker.addEventListener("message", (event) => take(event.data as Answer)),
    onFailure: (take) =>
      worker.addEventListener("error", (event) => take(new Error(event.message ?? "the thread could not be started"))),
    keepAlive: () => undefined,
    stop: () => worker.terminate(),
  };
}

/** The port of the thread that calls this. */
export function ownPort(): OwnPort {
  const parent = nodeThreads()?.parentPort;
  if (parent !== undefined && parent !== null) {
    return {
      onQuestion: (take) => void parent.on("message", take),
      answer: (answer, transfer) => parent.postMessage(answer, transfer),
    };
  }
  const scope = globalThis as unknown as WebWorkerScope;
  return {
    onQuestion: (take) => scope.addEventListener("message", (event) => take(event.data as Question)),
    answer: (answer, transfer) => scope.postMessage(answer, transfer),
  };
}
