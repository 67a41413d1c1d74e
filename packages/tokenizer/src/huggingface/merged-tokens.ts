import { TokenizerError } from "../errors.ts";
import type { AddedToken } from "../text/added-tokens.ts";
import type { Pieces } from "./pieces.ts";

/** Ids that added tokens may leave out. */
const MOST_ABSENT = 1 << 16;

/** The added tokens of a `tokenizer.json`, with those of tokenizer_config.json in the place of what has their ids or
 *  spellings.
 *  @throws TokenizerError `malformed-model` if one contradicts the vocabulary */
export function mergedTokens(
  pieces: Pieces,
  own: readonly AddedToken[],
  configured: readonly AddedToken[],
): readonly AddedToken[] {
  const ids = new Set(configured.map((token) => token.id));
  const contents = new Set(configured.map((token) => token.content));
  const kept = own.filter((token) => !ids.has(token.id) && !contents.has(token.content));
  const tokens = [...kept, ...configured];
  for (const token of tokens) requirePlace(pieces, token, tokens.length);
  return tokens;
}

function requirePlace(pieces: Pieces, { id, content }: AddedToken, count: number): void {
  const { size } = pieces.table;
  const known = pieces.idOf(content);
  if (known >= 0 && known !== id) throw contradiction(content, id, `id ${known}, which the vocabulary has for it`);
  if (known < 0 && id < size && pieces.has(id)) throw contradiction(content, id, "an id that no other piece has");
  const most = size + count + MOST_ABSENT;
  if (id > most) throw contradiction(content, id, `an id of at most ${most}`);
}

function contradiction(content: string, id: number, wish: string): TokenizerError {
  const name = JSON.stringify(content.slice(0, 40));
  const message = `tokenizer.json: expected the added token ${name} to have ${wish}, got ${id}`;
  return new TokenizerError("malformed-model", message, { id });
}
