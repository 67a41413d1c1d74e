import { TokenizerError } from "../errors.ts";

/** What a file format cannot express exactly. @param expected what it needs, and what the tokenizer has instead */
export function cannotHold(
  file: string,
  expected: string,
  data: Readonly<Record<string, unknown>> = {},
): TokenizerError {
  const message = `${file}: expected ${expected}: this format cannot give the same ids, save the other one`;
  return new TokenizerError("unsupported-model", message, data);
}
