import { DanuError } from "@danu/tensor";

/** A parameter or an input that a preference loss cannot work with. */
export class PreferenceError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("preference", message, data);
  }
}
