import { DanuError } from "@danu/tensor";

/** A prompt or an option with which no text can be generated. */
export class GenerationError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("generation", message, data);
  }
}
