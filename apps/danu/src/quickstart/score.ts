import type { ExamQuestion } from "./examination.ts";

/** Whether an answer that came to its end names the truth and, besides whom it is about, nothing else that could be
 *  said in this world: right and wrong at once is wrong. Case and punctuation do not count. */
export function isRight(answer: string, { subject, key, others }: Omit<ExamQuestion, "question">): boolean {
  const said = words(answer);
  // A name within a longer one is not named: who says "the old mill" has not said "the mill".
  const names = [subject, key, ...others].sort((a, b) => b.length - a.length);
  const named = new Set<string>();
  let rest = said;
  for (const name of names) {
    if (!rest.includes(words(name))) continue;
    named.add(name);
    rest = rest.replaceAll(words(name), " | ");
  }
  return named.has(key) && others.every((other) => !named.has(other));
}

/** Words in lower case between single spaces, one before the first and one after the last; a genitive's s is left off. */
function words(text: string): string {
  return ` ${text.toLowerCase().replaceAll(/['’]s\b/g, "").match(/[\p{L}\p{N}]+/gu)?.join("  ") ?? ""} `;
}
