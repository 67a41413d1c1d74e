/** What went wrong: the file, a model of a kind that is not read here, or an argument of the caller. */
export type TokenizerErrorCode =
  | "malformed-model"
  | "unsupported-model"
  | "id-out-of-range"
  | "missing-special-token"
  | "text-too-long"
  | "bad-option"
  | "closed"
  | "thread-failed"
  | "vocabulary-size";

/** The one error that this package throws; its message says what was expected, what came, and what to do. */
export class TokenizerError extends Error {
  /** Stable name of the failure, for programs. */
  readonly code: TokenizerErrorCode;
  /** The values that the message mentions. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: TokenizerErrorCode, message: string, data: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = "TokenizerError";
    this.code = code;
    this.data = data;
  }
}
