import type { DatasetReport, InspectedToken, SplitStatistics } from "@danu/data";

import { bytes, table, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";

const colours = ["cyan", "yellow", "green", "magenta", "blue"] as const;

/** Writes statistics and rows of a dataset for people.
 *  @param between goes between two tokens of a row */
export function showDataset(report: DatasetReport, reporter: Reporter, between: string): void {
  const { manifest, train, validation, rows } = report;
  const ends = [manifest.addBos ? "a begin" : "", manifest.addEos ? "an end" : ""]
    .filter((text) => text !== "")
    .join(" and ");
  reporter.line(
    table(
      ["split", "documents", "tokens", "text", "tokens/byte", "shortest", "mean", "longest", "shards"],
      [splitRow("train", train), splitRow("validation", validation)],
    ),
  );
  reporter.line();
  reporter.line(
    `vocabulary ${withCommas(manifest.tokenizer.vocabularySize)}; every document has ${
      ends === "" ? "no special" : ends
    } token`,
  );
  reporter.line(
    `validation is ${manifest.validationSplit === "tail" ? "the end of the token sequence" : "whole documents"}`,
  );
  reporter.line();
  reporter.line(
    table(
      ["document length", "documents", "tokens"],
      train.lengths.map(({ from, to, documents, tokens }) => [
        `${from} – ${to - 1}`,
        withCommas(documents),
        withCommas(tokens),
      ]),
    ),
  );
  for (const [i, row] of rows.entries()) {
    reporter.line();
    reporter.line(`row ${i}`);
    reporter.line(showRow(row, reporter, between));
  }
}

function splitRow(name: string, split: SplitStatistics): string[] {
  const { documents, tokens, textBytes, tokensPerByte, shortest, mean, longest, shards } = split;
  return [
    name,
    withCommas(documents),
    withCommas(tokens),
    bytes(textBytes),
    tokensPerByte === null ? "–" : tokensPerByte.toFixed(3),
    withCommas(shortest),
    withCommas(mean),
    withCommas(longest),
    String(shards),
  ];
}

/** A row's tokens; `|` stands before a document's first and `‸` after one that has no target. */
function showRow(row: readonly InspectedToken[], reporter: Reporter, between: string): string {
  let document = 0;
  return row
    .map(({ text, beginsDocument, trained }) => {
      if (beginsDocument) document++;
      const shown = text.replaceAll("▁", " ").replaceAll("<0x0A>", "⏎");
      const marked = `${beginsDocument ? "|" : ""}${shown}${trained ? "" : "‸"}`;
      const coloured = reporter.style(colours[document % colours.length]!, marked);
      return trained ? coloured : reporter.style("dim", coloured);
    })
    .join(between);
}
