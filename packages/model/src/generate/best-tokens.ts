import type { Tensor, Values } from "@danu/tensor";

import type { CachedText } from "./cached-text.ts";
import type { Continuation } from "./continuation.ts";

/** Continues a text by the best token each time: the device chooses it and reads on, while the host learns which it was. Stops
 *  where the text ends, or where caches have to move before the next token.
 *  @param text has read all but the last token  @returns whether the device does so; else nothing has happened */
export async function* bestTokens(text: CachedText, continuation: Continuation): AsyncGenerator<number, boolean, undefined> {
  const last = continuation.text.at(-1)!;
  let next = chosen(text.best.read(last, text.ids.length));
  if (next === null) return false;
  text.ids.push(last);
  try {
    for (;;) {
      const ahead = chosen(text.best.readChosen());
      const current: Promise<Values> = next;
      next = ahead ?? current;
      const [best] = await current;
      const id = continuation.take(Number(best));
      if (ahead !== null && continuation.end === null) text.ids.push(id!);
      if (id !== null) yield id;
      if (ahead === null || continuation.end !== null) return true;
    }
  } finally {
    // The device has read one token more than the text has, or the last one, which is then read again.
    await Promise.allSettled([next]);
    text.forgetAhead();
  }
}

/** What a device chose, on its way to the host. */
function chosen(best: Tensor | null): Promise<Values> | null {
  if (best === null) return null;
  const id = best.read();
  // Waited for later: until then a failure of the device is nobody's.
  id.catch(() => undefined);
  return id;
}
