import { isPlainObject } from "../chat/json.ts";
import { DataError } from "../data-error.ts";
import type { BadRows } from "../readers/bad-rows.ts";
import type { SourceFile } from "../readers/list-files.ts";
import { readRows } from "../readers/read-rows.ts";
import type { Origin } from "./conversation.ts";
import type { ExampleKind, ExampleOptions } from "./example-options.ts";
import { type Fields, namesOf, RowProblem } from "./fields.ts";
import type { Format, FormatOptions, Gatherer } from "./format.ts";
import { otherReaderOf } from "./known-formats.ts";
import { isHeldOut } from "./split.ts";

type Report = (reason: string) => void;

const defaultRowBytes = 64 * 1024 * 1024;

/** One file of examples, in the format that its first row has, or in one that is forced. */
export class ExampleFile<T, R extends object> {
  readonly #file: SourceFile;
  readonly #options: ExampleOptions;
  readonly #kind: ExampleKind<T, R>;
  readonly #badRows: BadRows;
  readonly #isForced: boolean;
  #format: Format<T> | undefined;
  #gatherer: Gatherer<T> | undefined;
  #unknown: DataError | undefined;
  #line = 0;
  /** Whether `onFormat` has been told. */
  #isTold = false;

  constructor(
    file: SourceFile,
    options: ExampleOptions,
    kind: ExampleKind<T, R>,
    badRows: BadRows,
    forced: Format<T> | undefined,
  ) {
    this.#file = file;
    this.#options = options;
    this.#kind = kind;
    this.#badRows = badRows;
    this.#format = forced;
    this.#isForced = forced !== undefined;
  }

  /** @throws DataError `bad-row` unless bad rows are skipped, `unknown-format`, and those of reading rows */
  async *examples(): AsyncGenerator<R & Origin, void, undefined> {
    const { path, format } = this.#file;
    if (format === "text") {
      throw new DataError("unknown-format", `${path}: expected rows (.jsonl, .json, .parquet), got a text file`, {
        path,
      });
    }
    const { maxDocumentBytes = defaultRowBytes, invalidText = "error" } = this.#options;
    const options = { ...this.#options, maxRowBytes: maxDocumentBytes, invalidText };
    for await (const { value, raw } of readRows(this.#file, options, this.#badRows)) {
      this.#line = raw.line;
      const report: Report = (reason) => this.#badRows.report(path, raw.line, reason, raw.bytes);
      const examples = this.#attempt(report, () => this.#read(value)) ?? [];
      for (const example of examples) yield* this.#finished(example, report);
    }
    if (this.#format === undefined && this.#unknown !== undefined) throw this.#unknown;
    yield* this.#gathered();
  }

  #read(value: unknown): readonly T[] {
    if (!isPlainObject(value)) throw new RowProblem("expected a row with fields, got another value");
    const format = this.#formatOf(value);
    if (!this.#isForced && !format.recognises(value)) {
      const looks = this.#kind.formats.find(({ recognises }) => recognises(value));
      const like = looks === undefined ? "" : `, as ${looks.name} has them`;
      throw new RowProblem(
        `expected ${format.name} as in the rows before (${format.fields}), got ${namesOf(value)}${like}`,
      );
    }
    if ("read" in format) return format.read(value, this.#formatOptions());
    this.#gatherer ??= format.gather(this.#formatOptions());
    this.#gatherer.add(value, this.#line);
    return [];
  }

  /** The format of the file: the one that is forced, or that of its first row. */
  #formatOf(row: Fields): Format<T> {
    const format = this.#format ?? this.#recognised(row);
    if (!this.#isTold) this.#options.onFormat?.(this.#file.path, format.name);
    this.#isTold = true;
    return (this.#format = format);
  }

  *#gathered(): Generator<R & Origin, void, undefined> {
    for (const item of this.#gatherer?.finish() ?? []) {
      this.#line = item.line;
      const report: Report = (reason) =>
        this.#badRows.report(this.#file.path, item.line, reason, Buffer.from(JSON.stringify(item.row)));
      if ("problem" in item) report(item.problem);
      else yield* this.#finished(item.example, report);
    }
  }

  *#finished(example: T, report: Report): Generator<R & Origin, void, undefined> {
    const { split, system = "keep" } = this.#options;
    const finished = this.#attempt(report, () => this.#kind.finish(example, system));
    if (finished === undefined) return;
    if (split !== undefined) {
      if (isHeldOut(this.#kind.group(finished), split.fraction, split.seed) !== (split.part === "validation")) return;
    }
    yield { ...finished, source: this.#file.path, line: this.#line };
  }

  #attempt<V>(report: Report, action: () => V): V | undefined {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      report(error.message);
      return undefined;
    }
  }

  /** @throws DataError `unknown-format`; where bad rows are skipped RowProblem, as a later row may be known */
  #recognised(row: Fields): Format<T> {
    const { formats, reader } = this.#kind;
    const format = formats.find(({ recognises }) => recognises(row));
    if (format !== undefined) return format;
    const { path } = this.#file;
    const known = formats.map(({ name, fields }) => `${name} (${fields})`).join(", ");
    const other = otherReaderOf(row, reader);
    const hint =
      other === undefined
        ? `${reader} knows ${known}; name one to force it`
        : `they are ${other.format}, which ${other.reader} takes`;
    const reason = `no format is known that has ${namesOf(row)}: ${hint}`;
    const data = {
      path,
      line: this.#line,
      fields: Object.keys(row),
      formats: formats.map(({ name }) => name),
      reader: other?.reader,
    };
    this.#unknown ??= new DataError("unknown-format", `${path}:${this.#line}: ${reason}`, data);
    throw this.#options.badRows === "skip" ? new RowProblem(reason) : this.#unknown;
  }

  #formatOptions(): FormatOptions {
    const { languages, onDropped } = this.#options;
    const drop = (reason: string, line: number = this.#line): void =>
      onDropped?.({ source: this.#file.path, line, reason });
    return { drop, ...(languages && { languages }) };
  }
}
