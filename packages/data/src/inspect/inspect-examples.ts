import type { ChatTemplate } from "../chat/chat-template.ts";
import type { ChatTokenizer } from "../chat/chat-tokenizer.ts";
import type { Origin } from "../conversations/conversation.ts";
import type { ExampleOptions } from "../conversations/example-options.ts";
import { RowProblem } from "../conversations/fields.ts";
import { checkDiffer, encodeExample, type TrainingSequence } from "../training/encode-example.ts";
import { FindingLog, type Finding, type FindingCount } from "./findings.ts";
import { LengthHistogram, type LengthStatistics } from "./length-histogram.ts";
import { readSequences, type NamedSequence } from "./read-sequences.ts";
import { recogniseExamples, type ExampleKindName } from "./recognise-examples.ts";

/** Settings of {@link inspectExamples}; bad rows are always passed over and counted. */
export interface InspectExamplesOptions extends Omit<ExampleOptions, "badRows" | "onBadRow" | "onDropped" | "onFormat"> {
  readonly tokenizer: ChatTokenizer;
  readonly template: ChatTemplate;
  /** What the files are read as; by default what their rows look like. */
  readonly kind?: ExampleKindName;
  /** Most tokens of a sequence in training; by default all. */
  readonly maxLength?: number;
  /** Examples to show; 3 by default. */
  readonly examples?: number;
  /** Told the number of examples so far, now and then. */
  readonly onProgress?: (examples: number) => void;
}

/** Statistics of the conversations, or of the chosen or rejected sequences, that can be trained on. */
export interface SequenceStatistics extends LengthStatistics {
  readonly trainedTokens: number;
  /** Sequences cut to `maxLength`, and what they lost. */
  readonly truncated: number;
  readonly cutTokens: number;
  readonly cutTrainedTokens: number;
}

/** A sequence as training sees it. */
export interface ShownSequence {
  readonly name: string;
  readonly chat: TrainingSequence;
}

/** An example to be shown, with its sequences: one, or chosen and rejected. */
export interface ShownExample extends Origin {
  readonly sequences: readonly ShownSequence[];
  /** Tokens that all sequences begin with; 0 for one alone. */
  readonly sharedTokens: number;
}

/** What {@link inspectExamples} finds. */
export interface ExamplesReport {
  readonly kind: ExampleKindName;
  readonly files: readonly { readonly source: string; readonly format: string; readonly examples: number }[];
  /** Examples that could be read. */
  readonly examples: number;
  /** Those of them that can be trained on. */
  readonly usable: number;
  /** Messages by role. */
  readonly roles: Readonly<Record<string, number>>;
  /** Examples by number of messages, of the first sequence. */
  readonly messages: readonly { readonly messages: number; readonly examples: number }[];
  readonly sequences: Readonly<Record<string, SequenceStatistics>>;
  /** What is malformed, dropped, truncated or passed over: counts, and the first of each outcome with their places. */
  readonly findings: readonly FindingCount[];
  readonly found: readonly Finding[];
  readonly shown: readonly ShownExample[];
}

/** Reads conversations, preferences or labelled completions as fine-tuning would, and tells what would become of them.
 *  @throws DataError of {@link recogniseExamples} and of the readers, except for single rows and examples */
export async function inspectExamples(
  paths: readonly string[],
  options: InspectExamplesOptions,
): Promise<ExamplesReport> {
  const kind = options.kind ?? (await recogniseExamples(paths, options));
  const inspection = new Inspection(options);
  for await (const example of readSequences(paths, kind, inspection.readerOptions())) {
    inspection.add(example, example.sequences);
  }
  return inspection.report(kind);
}

class Counts extends Map<string, number> {
  add(key: string, count = 1): void {
    this.set(key, (this.get(key) ?? 0) + count);
  }
}

interface SequenceCounts {
  readonly histogram: LengthHistogram;
  trainedTokens: number;
  truncated: number;
  cutTokens: number;
  cutTrainedTokens: number;
}

/** Adds up what becomes of examples. */
class Inspection {
  readonly #options: InspectExamplesOptions;
  readonly #log = new FindingLog();
  readonly #formats = new Map<string, string>();
  readonly #perFile = new Counts();
  readonly #roles = new Counts();
  readonly #messages = new Counts();
  readonly #sequences = new Map<string, SequenceCounts>();
  readonly #shown: ShownExample[] = [];
  #examples = 0;
  #usable = 0;

  constructor(options: InspectExamplesOptions) {
    this.#options = options;
  }

  readerOptions(): ExampleOptions {
    return {
      ...this.#options,
      badRows: "skip",
      onBadRow: ({ source, line, reason }) => this.#log.add({ source, line, outcome: "malformed", reason }),
      onDropped: (part) => this.#log.add({ ...part, outcome: "passed over" }),
      onFormat: (source, format) => this.#formats.set(source, format),
    };
  }

  add({ source, line }: Origin, sequences: readonly NamedSequence[]): void {
    this.#examples++;
    if (this.#examples % 1000 === 0) this.#options.onProgress?.(this.#examples);
    this.#perFile.add(source);
    this.#countMessages(sequences);
    const origin = { source, line };
    const shown = this.#encode(sequences, origin);
    if (shown === null) return;
    this.#usable++;
    for (const { name, chat } of shown) this.#countSequence(name, chat, origin);
    if (this.#shown.length < (this.#options.examples ?? 3)) {
      this.#shown.push({ ...origin, sequences: shown, sharedTokens: sharedTokens(shown) });
    }
  }

  report(kind: ExampleKindName): ExamplesReport {
    return {
      kind,
      files: [...this.#formats].map(([source, format]) => (
        { source, format, examples: this.#perFile.get(source) ?? 0 }
      )),
      examples: this.#examples,
      usable: this.#usable,
      roles: Object.fromEntries(this.#roles),
      messages: [...this.#messages]
        .map(([messages, examples]) => ({ messages: Number(messages), examples }))
        .sort((a, b) => a.messages - b.messages),
      sequences: Object.fromEntries(
        [...this.#sequences].map(([name, { histogram, ...counts }]) => [name, { ...histogram.statistics(), ...counts }]),
      ),
      ...this.#log.report(),
      shown: this.#shown,
    };
  }

  #countMessages(sequences: readonly NamedSequence[]): void {
    const [first] = sequences;
    this.#messages.add(String(first!.messages.length));
    for (const { messages, promptMessages } of sequences) {
      const from = messages === first!.messages ? 0 : promptMessages;
      for (const { role } of messages.slice(from)) this.#roles.add(role);
    }
  }

  /** The sequences as training would see them; null, with the reason logged, where it would see none. */
  #encode(sequences: readonly NamedSequence[], origin: Origin): ShownSequence[] | null {
    const { tokenizer, template, maxLength = Number.MAX_SAFE_INTEGER } = this.#options;
    const encoding = { tokenizer, template, maxLength };
    try {
      const shown = sequences.map(({ name, messages, promptMessages, tools }) => (
        { name, chat: encodeExample(messages, promptMessages, tools, encoding, name) }
      ));
      const [chosen, rejected] = shown;
      if (rejected !== undefined) checkDiffer(chosen!.chat, rejected.chat, maxLength);
      return shown;
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      this.#log.add({ ...origin, outcome: "dropped", reason: error.message });
      return null;
    }
  }

  #countSequence(name: string, { ids, trainedTokens, cut }: TrainingSequence, origin: Origin): void {
    const none = { histogram: new LengthHistogram(), trainedTokens: 0, truncated: 0, cutTokens: 0, cutTrainedTokens: 0 };
    const counts = this.#sequences.get(name) ?? none;
    this.#sequences.set(name, counts);
    counts.histogram.add(ids.length);
    counts.trainedTokens += trainedTokens;
    if (cut.tokens === 0) return;
    counts.truncated++;
    counts.cutTokens += cut.tokens;
    counts.cutTrainedTokens += cut.trainedTokens;
    const reason = `${name}: ${ids.length + cut.tokens} tokens, of which ${cut.tokens} are cut, ${cut.trainedTokens} of them trained`;
    this.#log.add({ ...origin, outcome: "truncated", reason });
  }
}

function sharedTokens(sequences: readonly ShownSequence[]): number {
  const [first, second] = sequences;
  if (second === undefined) return 0;
  const [a, b] = [first!.chat.ids, second.chat.ids];
  const differs = a.findIndex((id, i) => id !== b[i]);
  return differs === -1 ? a.length : differs;
}
