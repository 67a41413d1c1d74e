import { DataError } from "../../data-error.ts";

const shownCharacters = 300;

/** The error of a template that cannot be evaluated. */
export function templateError(reason: string, cause?: unknown): DataError {
  const message = `chat template: ${shorten(reason)}`;
  return new DataError("template-failed", message, { reason: shorten(reason) }, cause);
}

/** A text cut to a length that fits an error message. */
export function shorten(text: string): string {
  return text.length <= shownCharacters ? text : `${text.slice(0, shownCharacters)}…`;
}
