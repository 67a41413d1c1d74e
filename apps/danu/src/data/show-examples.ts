import type { ExamplesReport, SequenceStatistics, ShownExample, ShownSequence } from "@danu/data";
import type { Tokenizer } from "@danu/tokenizer";

import { percent, table, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import { tokenTexts } from "./token-texts.ts";

/** Reasons listed; the rest is counted. */
const shownReasons = 20;

const nouns = { conversations: "conversations", preferences: "preferences", labelled: "labelled completions" } as const;

/** Writes for people what would become of conversations, preferences or labelled completions. */
export function showExamples(report: ExamplesReport, tokenizer: Tokenizer, reporter: Reporter): void {
  for (const example of report.shown) showExample(example, tokenizer, reporter);
  showCounts(report, reporter);
  for (const [name, statistics] of Object.entries(report.sequences)) showLengths(name, statistics, reporter);
  showFindings(report, reporter);
}

function showExample({ source, line, sequences, sharedTokens }: ShownExample, tokenizer: Tokenizer, reporter: Reporter): void {
  reporter.line(reporter.style("bold", `${source}:${line}`));
  if (sequences.length > 1) {
    const [first] = sequences;
    reporter.line(reporter.style("dim", `prompt, ${withCommas(sharedTokens)} tokens`));
    reporter.line(tokensIn(first!, 0, sharedTokens, tokenizer, reporter));
  }
  for (const sequence of sequences) {
    const { name, chat } = sequence;
    const lost = chat.cut.tokens === 0 ? "" : `, ${withCommas(chat.cut.tokens)} more are cut off`;
    const sizes = `${withCommas(chat.ids.length)} tokens, ${withCommas(chat.trainedTokens)} trained${lost}`;
    reporter.line(reporter.style("dim", `${name}, ${sizes}`));
    reporter.line(tokensIn(sequence, sequences.length > 1 ? sharedTokens : 0, chat.ids.length, tokenizer, reporter));
  }
  reporter.line();
}

/** Tokens with those that are trained in green, two shades by turns; without colours trained stretches stand in ⟦ ⟧. */
function tokensIn({ chat }: ShownSequence, from: number, to: number, tokenizer: Tokenizer, reporter: Reporter): string {
  const texts = tokenTexts(tokenizer, chat.ids);
  const isTrained = (t: number): boolean => t >= from && t < to && chat.trained[t] === 1;
  const coloured = reporter.style("green", "") !== "";
  let text = "";
  for (let t = from; t < to; t++) {
    const begins = isTrained(t) && !isTrained(t - 1);
    const ends = isTrained(t) && !isTrained(t + 1);
    if (!coloured) text += `${begins ? "⟦" : ""}${texts[t]!}${ends ? "⟧" : ""}`;
    else if (!isTrained(t)) text += reporter.style("dim", texts[t]!);
    else text += reporter.style(t % 2 === 0 ? "green" : "cyan", texts[t]!);
  }
  return text;
}

function showCounts(report: ExamplesReport, reporter: Reporter): void {
  const { kind, files, examples, usable, roles, messages, findings } = report;
  reporter.line(table(
    ["file", "format", nouns[kind]],
    files.map(({ source, format, examples: count }) => [source, format, withCommas(count)]),
  ));
  reporter.line();
  const of = (outcome: string): number => (
    findings.reduce((sum, finding) => sum + (finding.outcome === outcome ? finding.count : 0), 0)
  );
  reporter.line(`${withCommas(examples)} ${nouns[kind]}, ${withCommas(usable)} of them to train on `
    + `(malformed rows ${withCommas(of("malformed"))}, dropped ${withCommas(of("dropped"))}, `
    + `truncated sequences ${withCommas(of("truncated"))})`);
  reporter.line(`messages  ${Object.entries(roles).map(([role, count]) => `${role} ${withCommas(count)}`).join(", ")}`);
  const total = messages.reduce((sum, { examples: count }) => sum + count, 0);
  const common = messages.toSorted((a, b) => b.examples - a.examples).slice(0, 6)
    .map(({ messages: count, examples: times }) => `${count} (${percent(times / total)})`);
  reporter.line(`in each   ${common.join(", ")}${messages.length > common.length ? ", …" : ""}`);
}

function showLengths(name: string, statistics: SequenceStatistics, reporter: Reporter): void {
  const { documents, tokens, trainedTokens, shortest, mean, longest, lengths, truncated, cutTokens } = statistics;
  const most = Math.max(...lengths.map((bucket) => bucket.documents));
  reporter.line();
  reporter.line(`${reporter.style("bold", name)}  ${withCommas(tokens)} tokens, ${withCommas(trainedTokens)} trained `
    + `(${percent(trainedTokens / tokens)}), ${(trainedTokens / documents).toFixed(1)} in a sequence; `
    + `lengths ${withCommas(shortest)} to ${withCommas(longest)}, mean ${mean.toFixed(1)}`);
  if (truncated > 0) {
    reporter.line(`${withCommas(truncated)} sequences truncated by ${withCommas(cutTokens)} tokens, `
      + `${withCommas(statistics.cutTrainedTokens)} of them trained`);
  }
  reporter.line(table(
    ["length", "sequences", "tokens", ""],
    lengths.map(({ from, to, documents: count, tokens: held }) => (
      [`${from} – ${to - 1}`, withCommas(count), withCommas(held), "█".repeat(Math.ceil((30 * count) / most))]
    )),
  ));
}

/** Every reason with how often and where first. */
function showFindings({ findings, files }: ExamplesReport, reporter: Reporter): void {
  if (findings.length === 0) return;
  reporter.line();
  reporter.line(reporter.style("bold", "not trained on as they stand"));
  for (const { outcome, reason, count, first } of findings.slice(0, shownReasons)) {
    const places = first.map(({ source, line }, i) => (
      i > 0 && first[i - 1]!.source === source ? String(line) : `${files.length > 1 ? source : "line"} ${line}`
    ));
    const more = count > first.length ? ", …" : "";
    reporter.line(`${withCommas(count).padStart(6)} ${outcome}: ${reason} ${reporter.style("dim", `(${places.join(", ")}${more})`)}`);
  }
  const rest = findings.length - shownReasons;
  if (rest > 0) reporter.line(reporter.style("dim", `       and ${withCommas(rest)} more reasons, with --json`));
}
