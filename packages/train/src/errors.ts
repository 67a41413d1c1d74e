import { DanuError } from "@danu/tensor";

/** The loss or the gradient is NaN or infinite; the update was not made. */
export class NonFiniteError extends DanuError {
  constructor(loss: number, gradientNorm: number) {
    super(
      "non-finite",
      `training: expected a finite loss and gradient norm, got ${loss} and ${gradientNorm}; the weights are unchanged: `
        + "lower the learning rate or look at the data of this step",
      { loss, gradientNorm },
    );
  }
}
