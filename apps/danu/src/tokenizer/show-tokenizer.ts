import { percent, table, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import type { NamedPiece, ShownToken, TextReport, VocabularyReport } from "./inspect-tokenizer.ts";

const colours = ["cyan", "yellow", "green", "magenta", "blue"] as const;
/** Special pieces beyond these are counted, not listed. */
const LISTED_SPECIAL = 20;

/** Writes what a vocabulary holds. */
export function showVocabulary(report: VocabularyReport, reporter: Reporter): void {
  const { pieces, special, bosId, eosId, unkId, padId, longest, hasChatTemplate } = report;
  const id = (value: number): string => (value < 0 ? "none" : String(value));
  reporter.line(`${withCommas(pieces)} pieces; begin ${id(bosId)}, end ${id(eosId)}, unknown ${id(unkId)}, padding ${id(padId)}`);
  const more = special.length > LISTED_SPECIAL ? ` and ${withCommas(special.length - LISTED_SPECIAL)} more` : "";
  reporter.line(`special  ${list(special.slice(0, LISTED_SPECIAL))}${more}`);
  reporter.line(`longest  ${list(longest)}`);
  reporter.line(hasChatTemplate ? "with a chat template" : "without a chat template");
}

/** Writes a text in coloured tokens with their ids, and how the vocabulary fits it. */
export function showText(report: TextReport, reporter: Reporter): void {
  const { bytes, tokens, bytesPerToken, usedPieces, unusedPieces, byteTokens, unknownTokens } = report;
  if (report.first.length > 0) {
    reporter.line();
    reporter.line(showTokens(report.first, reporter));
    if (report.first.length < tokens) reporter.line(reporter.style("dim", `… ${withCommas(tokens - report.first.length)} more tokens`));
  }
  reporter.line();
  reporter.line(
    `${withCommas(tokens)} tokens for ${withCommas(bytes)} bytes: ${bytesPerToken?.toFixed(3) ?? "–"} bytes per token`,
  );
  reporter.line(
    `${withCommas(usedPieces)} pieces occur (${percent(usedPieces / (usedPieces + unusedPieces))}), `
      + `${withCommas(unusedPieces)} do not; ${withCommas(byteTokens)} tokens are single bytes, `
      + `${withCommas(unknownTokens)} unknown`,
  );
  reporter.line(`longest  ${list(report.longest)}`);
  reporter.line();
  reporter.line(
    table(
      ["piece", "id", "times", "of all"],
      report.mostFrequent.map(({ piece, id, count }) => [
        visible(piece), String(id), withCommas(count), `${((100 * count) / tokens).toFixed(1)} %`,
      ]),
    ),
  );
}

/** Tokens in changing colours, each with its id. Without colours a bar stands between two. */
function showTokens(tokens: readonly ShownToken[], reporter: Reporter): string {
  return tokens
    .map(({ id, text }, i) => {
      const shown = reporter.style(colours[i % colours.length]!, visible(text));
      return `${shown}${reporter.style("dim", `·${id}`)}${text.endsWith("\n") ? "\n" : " "}`;
    })
    .join("");
}

function list(pieces: readonly NamedPiece[]): string {
  return pieces.length === 0 ? "none" : pieces.map(({ id, piece }) => `${visible(piece)}·${id}`).join("  ");
}

/** A piece with its white space and control characters in signs that show. */
function visible(text: string): string {
  return text
    .replaceAll(" ", "▁")
    .replaceAll("\n", "⏎")
    .replaceAll("\t", "⇥")
    .replaceAll("\r", "␍")
    .replaceAll(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
