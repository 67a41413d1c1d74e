import type { ExamplesReport } from "@danu/data";
import type { Tokenizer } from "@danu/tokenizer";

import { tokenTexts } from "./token-texts.ts";

/** What `data inspect --json` prints of examples: the report, with the shown examples as lists of tokens. */
export function examplesResult(report: ExamplesReport, tokenizer: Tokenizer): object {
  const shown = report.shown.map(({ source, line, sharedTokens, sequences }) => ({
    source, line, sharedTokens,
    sequences: sequences.map(({ name, chat }) => {
      const texts = tokenTexts(tokenizer, chat.ids);
      return {
        name,
        tokens: texts.map((text, t) => ({ id: chat.ids[t], text, trained: chat.trained[t] === 1 })),
        cut: chat.cut,
      };
    }),
  }));
  return { ...report, shown };
}
