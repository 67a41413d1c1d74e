import { concatIds, type EncodedTexts, encodeTexts } from "./encode-texts.ts";
import { TokenizerError } from "./errors.ts";
import { loadTokenizer, type TokenizerFiles } from "./load.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";
import { type Answer, parallelism, type Question, startThread, type WorkerThread } from "./worker-port.ts";

/** Ids of a batch of texts. */
export interface EncodedBatch {
  /** All ids, one text after another; 16 bits wide where the vocabulary has at most 65,536 pieces. */
  readonly ids: Uint16Array | Uint32Array;
  /** `[texts + 1]` text `i` has `ids[starts[i] … starts[i + 1])`. */
  readonly starts: Float64Array;
}

/** Settings of a {@link BatchEncoder}. */
export interface BatchEncoderOptions {
  /** Threads beside the caller's; 0 encodes on the caller's own. Default: as many as the machine runs at once. */
  readonly threads?: number;
}

/** Code units of text that one thread gets at a time, unless one text has more. */
const PORTION = 1 << 18;

/** Encodes batches of texts on several threads, with the same ids as `Tokenizer.encode`. The threads start with the
 *  first batch that is worth it; they end with `close`, or at the end of an `await using` block. */
export class BatchEncoder implements AsyncDisposable {
  /** The same tokenizer, for single texts. */
  readonly tokenizer: Tokenizer;
  readonly #files: Uint8Array | TokenizerFiles;
  readonly #threadCount: number;
  #threads: Promise<readonly Thread[]> | undefined;
  #closed = false;

  /** @param files as `loadTokenizer` takes  @throws TokenizerError as `loadTokenizer`, and `bad-option` */
  constructor(files: Uint8Array | TokenizerFiles, options: BatchEncoderOptions = {}) {
    const { threads = parallelism() } = options;
    if (!Number.isInteger(threads) || threads < 0 || threads > 1024) {
      throw new TokenizerError("bad-option", `BatchEncoder: expected 0 to 1024 threads, got ${threads}`, { threads });
    }
    this.tokenizer = loadTokenizer(files);
    this.#files = files;
    this.#threadCount = threads;
  }

  /** Ids of every text, in order.
   *  @throws TokenizerError as `Tokenizer.encode`, `closed` after `close`, and `thread-failed` */
  async encode(texts: readonly string[], options: EncodeOptions = {}): Promise<EncodedBatch> {
    if (this.#closed) throw closedError();
    const portions = portionsOf(texts);
    // Starting the threads takes longer than one portion.
    const threads = this.#threads === undefined && portions.length <= 1 ? [] : await (this.#threads ??= this.#start());
    const results: EncodedTexts[] = [];
    let next = 0;
    const encodePortions = async (encode: (portion: readonly string[]) => EncodedTexts | Promise<EncodedTexts>) => {
      while (next < portions.length) {
        const index = next++;
        results[index] = await encode(portions[index]!);
      }
    };
    if (threads.length === 0) await encodePortions((portion) => encodeTexts(this.tokenizer, portion, options));
    await Promise.all(
      threads.map((thread) =>
        encodePortions(async (portion) => (await thread.ask({ texts: portion, options })) as EncodedTexts),
      ),
    );
    return joined(results, texts.length, this.tokenizer.vocabularySize);
  }

  /** Ends the threads; batches under way fail with `closed`. */
  async close(): Promise<void> {
    this.#closed = true;
    const threads = await this.#threads?.catch(() => []);
    for (const thread of threads ?? []) thread.stop(closedError());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #start(): Promise<readonly Thread[]> {
    const threads: Thread[] = [];
    for (let i = 0; i < this.#threadCount; i++) {
      // One path for both: from src/ and from dist/ it leads to the built module.
      const worker = startThread(new URL("../dist/worker.js", import.meta.url));
      if (worker !== undefined) threads.push(new Thread(worker));
    }
    await Promise.all(threads.map((thread) => thread.ask({ files: this.#files })));
    return threads;
  }
}

/** Questions to one thread, answered in order. */
class Thread {
  readonly #worker: WorkerThread;
  readonly #waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  #failure: Error | undefined;

  constructor(worker: WorkerThread) {
    this.#worker = worker;
    worker.keepAlive(false);
    worker.onAnswer((answer) => this.#take(answer));
    worker.onFailure((error) => {
      const message = `BatchEncoder: expected a running thread, got ${error.message}: encode with threads: 0`;
      this.stop(new TokenizerError("thread-failed", message));
    });
  }

  async ask(question: Question): Promise<Answer> {
    if (this.#failure !== undefined) throw this.#failure;
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.keepAlive(true);
      this.#worker.ask(question);
    });
  }

  /** Ends the thread; what waits and what is asked later fails with `reason`. */
  stop(reason: Error): void {
    this.#failure ??= reason;
    this.#worker.stop();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }

  #take(answer: Answer): void {
    const { resolve, reject } = this.#waiting.shift()!;
    if (this.#waiting.length === 0) this.#worker.keepAlive(false);
    if ("message" in answer) reject(new TokenizerError(answer.code ?? "thread-failed", answer.message, answer.data));
    else resolve(answer);
  }
}

/** Cuts a batch into portions of whole texts. */
function portionsOf(texts: readonly string[]): string[][] {
  const portions: string[][] = [];
  let room = 0;
  for (const text of texts) {
    if (room <= 0) {
      portions.push([]);
      room = PORTION;
    }
    portions.at(-1)!.push(text);
    room -= text.length;
  }
  return portions;
}

function joined(results: readonly EncodedTexts[], count: number, vocabularySize: number): EncodedBatch {
  const starts = new Float64Array(count + 1);
  let text = 0;
  for (const { lengths } of results) {
    for (const length of lengths) {
      starts[text + 1] = starts[text]! + length;
      text++;
    }
  }
  return { ids: concatIds(results.map((result) => result.ids), vocabularySize), starts };
}

function closedError(): TokenizerError {
  return new TokenizerError("closed", "BatchEncoder: expected an open encoder, got one that was closed: make a new one");
}
