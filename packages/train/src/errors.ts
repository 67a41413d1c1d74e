import { DanuError } from "@danu/tensor";

/** The loss or the gradient is NaN or infinite; the update was not made. */
export class NonFiniteError extends DanuError {
  /** @param step number of the step in its run, from 1, where it is known */
  constructor(loss: number, gradientNorm: number, step?: number) {
    super(
      "non-finite",
      `training${step === undefined ? "" : ` step ${step}`}: expected a finite loss and gradient norm, got ${loss} and `
        + `${gradientNorm}; the weights are unchanged: lower the learning rate or look at the data of this step`,
      { loss, gradientNorm, ...(step === undefined ? {} : { step }) },
    );
  }
}

/** A checkpoint that is damaged, does not fit the trainer, or could not be written. */
export class CheckpointError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("checkpoint", message, data);
  }
}

/** A run folder that holds something else, another run, or a run that is being written. */
export class RunFolderError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("run-folder", message, data);
  }
}

/** A line of a metrics file that is not a record. */
export class MetricsError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("metrics", message, data);
  }
}

/** A file or folder that could not be read or written; `data.errno` is the system's code, as `ENOSPC`. */
export class RunFileError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("file", message, data);
  }
}
